"""Opening a bundle's model, whichever way it runs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from numpy.typing import NDArray

from mlprod_nb.registry.bundles import Bundle
from mlprod_nb.registry.onnx_runner import Output


class Runner(Protocol):
    """A loaded model."""

    def run(self, columns: Mapping[str, NDArray[Any]]) -> Output:
        """Predict; see ``onnx_runner.OnnxRunner.run``."""
        ...


def open_runner(bundle: Bundle) -> Runner:
    """Load a bundle's model in this process; for the runtime ``"python"`` this runs code from the bundle.

    Raises:
        Corrupt: The model cannot be loaded.
    """
    if bundle.manifest.runtime == "onnx":
        from mlprod_nb.registry.onnx_runner import OnnxRunner

        return OnnxRunner(bundle)
    from mlprod_nb.registry.python_runner import PythonRunner

    return PythonRunner(bundle)
