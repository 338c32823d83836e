"""Tables of labelled predictions for the tests, in the prediction log's schema."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pyarrow as pa

START = datetime(2013, 4, 1, tzinfo=UTC)
_MOMENT = pa.timestamp("us", "UTC")


def labelled(
    variant: Sequence[str],
    *,
    unit: Sequence[str | None] | None = None,
    prediction: Sequence[str | None] | None = None,
    score: Sequence[float | None] | None = None,
    label: Sequence[str | None] | None = None,
    label_number: Sequence[float | None] | None = None,
    **columns: Sequence[Any],
) -> pa.Table:
    """Return a table with one row an entry of ``variant``, one a minute from ``START`` on."""
    count = len(variant)
    minutes = START.timestamp() * 1e6 + 60e6 * np.arange(count)
    data: dict[str, Any] = {
        "prediction_id": pa.array([f"p{i}" for i in range(count)], pa.string()),
        "variant": pa.array(variant, pa.string()),
        "model": pa.array(["flights"] * count, pa.string()),
        "version": pa.array([3 if name == "champion" else 4 for name in variant], pa.int32()),
        "shadow": pa.array([False] * count, pa.bool_()),
        "unit": pa.array([None] * count if unit is None else unit, pa.string()),
        "event_time": pa.array(minutes.astype(np.int64), pa.int64()).cast(_MOMENT),
        "latency_ms": pa.array([1.0] * count, pa.float32()),
        "prediction": pa.array([None] * count if prediction is None else prediction, pa.string()),
        "score": pa.array([0.5] * count if score is None else score, pa.float64()),
        "label": pa.array([None] * count if label is None else label, pa.string()),
        "label_number": pa.array([None] * count if label_number is None else label_number, pa.float64()),
    }
    return pa.table({**data, **columns})


def right_or_wrong(variant: Sequence[str], right: Sequence[bool], unit: Sequence[str] | None = None) -> pa.Table:
    """Return a table of binary predictions ("1") that are right or wrong."""
    return labelled(
        variant, unit=unit, prediction=["1"] * len(variant), label=["1" if is_right else "0" for is_right in right]
    )
