"""What a model predicted of labelled rows, made by hand."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from mlprod_nb.gates.rows import Predicted
from mlprod_nb.monitoring.performance import Labelled


def binary(labels: NDArray[Any], scores: NDArray[np.float64]) -> Predicted:
    said = (scores > 0.5).astype(np.int64)
    return Predicted("classification", (False, True), Labelled(labels.astype(np.int64), said, scores), {})
