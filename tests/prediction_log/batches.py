"""Batches of predictions and feedback for the tests."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np

from mlprod_nb.prediction_log.schema import FeedbackBatch, PredictionBatch
from mlprod_nb.prediction_log.segments import SegmentWriter

START = datetime(2013, 4, 1, 6, tzinfo=UTC)


def predictions(
    ids: Sequence[str], *, inputs: Mapping[str, Any] | None = None, at: datetime = START, **columns: Any
) -> PredictionBatch:
    """Return one row an id, a second apart; every column can be given, as one value for all rows or as a list."""
    rows = len(ids)
    batch = PredictionBatch(
        prediction_id=ids,
        request_id=["request"] * rows,
        endpoint=["flights"] * rows,
        revision=[1] * rows,
        variant=["champion"] * rows,
        model=["flights"] * rows,
        version=[3] * rows,
        shadow=[False] * rows,
        unit=["N14228"] * rows,
        event_time=[at + timedelta(seconds=row) for row in range(rows)],
        received_at=[at] * rows,
        latency_ms=[1.5] * rows,
        prediction=["1"] * rows,
        score=np.linspace(0, 1, rows),
        inputs={"distance": np.arange(rows, dtype=np.float64), "carrier": ["UA"] * rows} if inputs is None else inputs,
    )
    return replace(batch, **{name: _column(value, rows) for name, value in columns.items()})


def feedback(ids: Sequence[str], *, at: datetime = START + timedelta(hours=1), **columns: Any) -> FeedbackBatch:
    """Return one label ``"1"`` an id; every column can be given, as one value for all rows or as a list."""
    rows = len(ids)
    batch = FeedbackBatch(
        prediction_id=ids,
        endpoint=["flights"] * rows,
        kind=["label"] * rows,
        name=["label"] * rows,
        text=["1"] * rows,
        number=[1.0] * rows,
        source=[""] * rows,
        event_time=[at] * rows,
        received_at=[at] * rows,
    )
    return replace(batch, **{name: _column(value, rows) for name, value in columns.items()})


def append(writer: SegmentWriter, record: bytes) -> Future[None]:
    """Append a record; return a future that is done when the writer says so."""
    future: Future[None] = Future()
    future.set_running_or_notify_cancel()
    writer.append(record, lambda error: future.set_exception(error) if error else future.set_result(None))
    return future


def write(folder: Path, *records: bytes) -> Path:
    """Write records to one segment and return its path."""
    before = set(folder.glob("*.seg"))
    writer = SegmentWriter(folder)
    for record in records:
        append(writer, record).result(30)
    writer.close()
    (made,) = set(folder.glob("*.seg")) - before
    return made


def _column(value: Any, rows: int) -> Any:
    return value if isinstance(value, list | tuple | np.ndarray) else [value] * rows
