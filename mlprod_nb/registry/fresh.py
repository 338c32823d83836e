"""Load a bundle as a fresh process does, and say what that took: ``python -m mlprod_nb.registry.fresh BUNDLE``.

A bundle of data is loaded with no more than the gateway has: modules that the gateway may not import cannot be found.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Sequence
from importlib.abc import MetaPathFinder
from pathlib import Path
from types import ModuleType
from typing import Any

from mlprod_nb.registry.bundles import read_bundle

#: What a gateway does not have.
ABSENT = frozenset(
    {"IPython", "ipywidgets", "anywidget", "papermill", "nbconvert", "scipy", "pandas", "mlflow", "ray", "sklearn"}
)


class _Absent(MetaPathFinder):
    """Finds no module that the gateway may not import."""

    def find_spec(self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None) -> Any:  # noqa: ARG002
        """Raise for what is absent; leave all else to the next finder."""
        if fullname.partition(".")[0] in ABSENT:
            raise ModuleNotFoundError(f"{fullname} is no module of the gateway", name=fullname)


def load(path: Path) -> dict[str, Any]:
    """Load a bundle, predict its warm-up rows and return what that took, or what went wrong."""
    from mlprod_nb.registry import onnx_runner, runner

    bundle = read_bundle(path)
    if bundle.manifest.runtime == "onnx":
        sys.meta_path.insert(0, _Absent())
    else:
        _as_a_model_worker()
    before, begin = _resident(), time.perf_counter()
    model = runner.open_runner(bundle)
    columns, expected = bundle.warmup()
    output = model.run(onnx_runner.to_arrays(bundle.signature, columns))
    found = onnx_runner.scores(bundle.manifest.task, bundle.manifest.classes, output)
    return {
        "seconds": time.perf_counter() - begin,
        "mib": max(0.0, _resident() - before) / 2**20,
        "rows": len(expected),
        "difference": onnx_runner.largest_difference(bundle.manifest.task, _array(expected), found),
    }


def _as_a_model_worker() -> None:
    """Import what a model worker has imported before it meets a model, which is no part of what the model takes."""
    import pandas  # noqa: F401


def _array(values: Sequence[float]) -> Any:
    import numpy as np

    return np.asarray(values, dtype=np.float64)


def _resident() -> float:
    """Return the bytes that this process holds in memory; 0 where the system does not say."""
    try:
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    except OSError:
        return 0.0
    import resource

    return float(pages * resource.getpagesize())


def main() -> int:
    """Load the bundle that is named; print what that took as JSON."""
    from mlprod_nb.errors import MlprodError

    try:
        told = load(Path(sys.argv[1]))
    except (MlprodError, ImportError) as error:
        told = {"problem": str(error)}
    json.dump(told, sys.stdout)
    return 0


if __name__ == "__main__":
    sys.exit(main())
