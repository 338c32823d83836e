"""Rewards and interactions beside the predictions that they are about."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from mlprod_nb.errors import nearest
from mlprod_nb.lifecycle.context import Context
from mlprod_nb.prediction_log.ranges import LogRange

if TYPE_CHECKING:
    import pyarrow as pa

    from mlprod_nb.abtest.events import Event, Told


def beside(
    context: Context, where: LogRange, rows: pa.Table, wanted: Sequence[Event], *, replayed: bool = False
) -> Told:
    """Return predictions with what became of each, a column an event, and notes on what counts.

    Args:
        context: The workspace.
        where: The range that the rows are of.
        rows: Predictions.
        wanted: The events.
        replayed: Whether the range was pinned before, so that it must say the same whenever it is read: then it is read
            as of the moment when the last of it came. Otherwise it is read as of now.
    """
    from mlprod_nb.abtest import events

    if not wanted:
        return events.Told(rows, ())
    told = context.log.events(where, rows["prediction_id"], sorted({event.name for event in wanted}))
    until = events.last_word(rows, told) if replayed else context.clock()
    notes: list[str] = []
    for event in wanted:
        found = events.beside(rows, told, event, until=until or context.clock())
        rows = found.rows
        notes += found.notes
    return events.Told(rows, (*notes, *_unseen(context, where, wanted, told)))


def unseen(context: Context, endpoint: str, wanted: Sequence[Event]) -> tuple[str, ...]:
    """Say which events have never come in, each with the nearest that has."""
    if not wanted:
        return ()
    return _said(wanted, context.log.feedback_names(context.log.pin(endpoint)))


def days_late(wanted: Sequence[Event]) -> float:
    """Return the days after which a prediction counts."""
    return max((event.within.total_seconds() / 86_400 for event in wanted), default=0.0)


def _unseen(context: Context, where: LogRange, wanted: Sequence[Event], told: pa.Table) -> tuple[str, ...]:
    """Say the same of a range; its names are read only where something is missing."""
    known = set(zip(told["kind"].to_pylist(), told["name"].to_pylist(), strict=True))
    missing = [event for event in wanted if (event.kind, event.name) not in known]
    return _said(missing, context.log.feedback_names(where)) if missing else ()


def _said(wanted: Sequence[Event], known: Sequence[tuple[str, str]]) -> tuple[str, ...]:
    found = []
    for event in wanted:
        if (event.kind, event.name) in known:
            continue
        near = nearest(event.name, [name for kind, name in known if kind == event.kind])
        other = next((kind for kind, name in known if name == event.name), "")
        said = f"; there is the {event.kind} {near!r}" if near else f"; {other} {event.name!r} has" if other else ""
        found.append(f"no {event.kind} {event.name!r} has come in yet{said}.")
    return tuple(dict.fromkeys(found))
