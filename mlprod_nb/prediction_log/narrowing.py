"""Which files may have rows of a range, and which of their rows."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

import pyarrow as pa
import pyarrow.compute as pc

from mlprod_nb.prediction_log.catalogue import Selection
from mlprod_nb.prediction_log.framing import RecordKind
from mlprod_nb.prediction_log.ranges import LogRange

MOMENT = pa.timestamp("us", tz="UTC")


def span_of(ids: pa.ChunkedArray) -> tuple[str, str]:
    """Return the smallest and the largest of some ids."""
    found = pc.min_max(ids).as_py()
    return found["min"] or "", found["max"] or ""


def wanted_of(where: LogRange, kind: RecordKind, ids: tuple[str, str] | None) -> Selection:
    """Return which files may have rows of a range."""
    wanted = Selection(endpoint=where.endpoint, kind=kind)
    if kind == "predictions":
        wanted = replace(wanted, since=where.since, until=where.until)
    return wanted if ids is None else replace(wanted, ids=ids)


def condition_of(where: LogRange, kind: RecordKind, wanted: Selection) -> pc.Expression:
    """Return a condition on the rows of a range that Parquet's statistics can use."""
    condition = pc.scalar(True)
    if kind == "predictions":
        if where.since is not None:
            condition &= pc.field("event_time") >= pa.scalar(where.since, MOMENT)
        if where.until is not None:
            condition &= pc.field("event_time") < pa.scalar(where.until, MOMENT)
    if wanted.ids is not None:
        condition &= (pc.field("prediction_id") >= wanted.ids[0]) & (pc.field("prediction_id") <= wanted.ids[1])
    return condition


def written_in(ends: Mapping[str, int], narrow: Callable[[], pc.Expression]) -> pc.Expression:
    """Return the condition that a row was written to one of these segments before this end of it."""
    condition = pc.scalar(False)
    for name, end in ends.items():
        condition |= (pc.field("log_segment") == name) & (pc.field("log_offset") <= end)
    return condition & narrow()
