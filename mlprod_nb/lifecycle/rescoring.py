"""What another version says of rows that are in the prediction log."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from mlprod_nb.registry.bundles import Bundle

_ROWS_AT_ONCE = 10_000


def answers(bundle: Bundle, inputs: Mapping[str, Any], rows: int) -> tuple[list[str | None], NDArray[np.float64]]:
    """Return what a bundle predicts, as the gateway writes it into the log, and its scores, shape ``(rows,)``.

    Args:
        bundle: A version's bundle.
        inputs: Arrow arrays by column, each of ``rows`` values; further columns do no harm.
        rows: How many rows.

    Raises:
        InvalidInput: A column of the version is missing or holds a value of another type; the message names it.
        ExecutionFailed: The version fails on these rows.
    """
    import numpy as np

    from mlprod_nb.registry import onnx_runner
    from mlprod_nb.registry.runner import open_runner

    runner, manifest = open_runner(bundle), bundle.manifest
    said: list[str | None] = []
    scores: list[NDArray[np.float64]] = []
    for start in range(0, rows, _ROWS_AT_ONCE):
        some = {name: values.slice(start, _ROWS_AT_ONCE).to_pylist() for name, values in inputs.items()}
        output = runner.run(onnx_runner.to_arrays(bundle.signature, some))
        scores.append(onnx_runner.scores(manifest.task, manifest.classes, output))
        if manifest.task == "regression" or output[0] is None:
            said += [None] * len(scores[-1])
        else:
            said += [str(label) for label in output[0].tolist()]
    return said, np.concatenate(scores) if scores else np.empty(0)
