"""A look's window as streams: which there are, and when a detector fired on each for the first time."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from mlprod_nb.columns import arrow_values
from mlprod_nb.monitoring.columns import to_numbers, to_texts
from mlprod_nb.monitoring.online import Firing, StreamReference, Watch
from mlprod_nb.monitoring.profile import ColumnProfile, Profile
from mlprod_nb.monitoring.rows import OnlineRow
from mlprod_nb.monitoring.scoring import Outcomes
from mlprod_nb.registry.bundles import SCORE_COLUMN
from mlprod_nb.results import counted

if TYPE_CHECKING:
    import pyarrow as pa

Moments = NDArray[np.datetime64]


@dataclass(frozen=True)
class Stream:
    """One stream of a window.

    Attributes:
        name: What it is of: a column, ``"score"``, ``"errors"``.
        reference: What it is compared with; ``None`` where there is nothing to compare with.
        values: Its values in the order of event times.
        places: Each value's row in the window.
        detectors: Names of the detectors; every one that takes it where empty.
        problem: Why it cannot be watched; empty where it can.
    """

    name: str
    reference: StreamReference | None
    values: Any
    places: NDArray[np.intp]
    detectors: tuple[str, ...] = ()
    problem: str = ""


@dataclass(frozen=True)
class Rows:
    """A window's rows as the score and the errors are watched on.

    Attributes:
        outcomes: Their scores, predictions and labels.
        own: Which of them the judged version predicted.
        moments: Their event times, in UTC.
    """

    outcomes: Outcomes
    own: NDArray[np.bool_]
    moments: Moments


def watch(
    profile: Profile, rows: Rows, columns: Mapping[str, Any], moments: Moments, *, looks_per_year: int
) -> tuple[OnlineRow, ...]:
    """Run the online detectors over a window in the order of its event times.

    Args:
        profile: The reference.
        rows: The window's rows.
        columns: Its input columns, of all rows or of a sample of them.
        moments: The event times of these.
        looks_per_year: Windows of this size in a year: without change, one detector fires once in a year of them.
    """
    inputs = list(_columns(profile, columns, np.argsort(moments, kind="stable")))
    outcomes = list(_outcomes(profile, rows))
    expected = float(max(len(rows.moments), 1) * looks_per_year * (len(outcomes) + len(inputs)))
    found = [row for stream in outcomes for row in _rows(stream, rows.moments, expected)]
    return (*found, *(row for stream in inputs for row in _rows(stream, moments, expected)))


def moments(window: pa.Table) -> Moments:
    """Return each row's event time; none where the window has no event times."""
    if "event_time" not in window.column_names:
        return np.zeros(window.num_rows, dtype="datetime64[us]")
    column = window.column("event_time").combine_chunks()
    found: Moments = arrow_values(column).view("datetime64[us]")
    return found


def _outcomes(profile: Profile, rows: Rows) -> Iterator[Stream]:
    outcomes = rows.outcomes
    order = np.argsort(rows.moments, kind="stable")
    mine = order[rows.own[order]]
    score = profile.column(SCORE_COLUMN)
    if score is not None:
        yield Stream("score", StreamReference.of_column(score), outcomes.labelled.scores[mine], mine)
    labelled = mine[outcomes.known[mine]]
    if not len(labelled):
        yield Stream("errors", None, None, mine, problem="no prediction has a label")
        return
    accuracy = next((estimate for estimate in profile.performance if estimate.metric == "accuracy"), None)
    if accuracy is None:
        yield Stream("errors", None, None, mine, problem="the reference has no rate of errors")
        return
    wrong = outcomes.labelled.labels[labelled] != outcomes.labelled.predictions[labelled]
    yield Stream("errors", StreamReference(accuracy.rows, rate=1 - accuracy.value), wrong, labelled)


def _columns(profile: Profile, columns: Mapping[str, Any], order: NDArray[np.intp]) -> Iterator[Stream]:
    for column in profile.columns:
        if column.name not in columns:
            yield Stream(column.name, None, None, order, problem="the column is gone")
            continue
        yield from _column(column, columns[column.name], order)


def _column(column: ColumnProfile, values: Any, order: NDArray[np.intp]) -> Iterator[Stream]:
    try:
        if column.kind == "number":
            numbers = to_numbers(values)[order]
            missing = np.isnan(numbers)
            yield Stream(column.name, StreamReference.of_column(column), numbers, order, ("cvm",))
        else:
            texts = np.array(to_texts(values), dtype=object)[order]
            missing = np.array([text is None for text in texts], dtype=bool)
            yield from _commonest(column, texts, missing, order)
    except ValueError as error:
        yield Stream(column.name, None, None, order, problem=f"the column {error}")
        return
    if column.missing or missing.any():
        rate = column.missing / max(column.rows, 1)
        yield Stream(f"{column.name} missing", StreamReference(column.rows, rate=rate), missing, order, ("fisher",))


def _commonest(
    column: ColumnProfile, texts: NDArray[Any], missing: NDArray[np.bool_], order: NDArray[np.intp]
) -> Iterator[Stream]:
    known = sum(column.counts)
    if not column.categories or not known:
        yield Stream(column.name, None, None, order, problem="the reference has no values")
        return
    equal = np.where(missing, np.nan, (texts == column.categories[0]).astype(np.float64))
    name = f"{column.name} is {column.categories[0]!r}"
    yield Stream(name, StreamReference(known, rate=column.counts[0] / known), equal, order, ("fisher",))


def _rows(stream: Stream, moments: Moments, expected: float) -> Iterator[OnlineRow]:
    if stream.reference is None:
        yield OnlineRow(stream.name, "", None, None, 0, None, f"not tested: {stream.problem}")
        return
    watched = Watch(stream.reference, expected=expected, detectors=stream.detectors)
    fired = watched.update(stream.values)
    run = watched.basis.expected
    for name in watched.names:
        own = [firing for firing in fired if firing.detector == name]
        if name in watched.reasons:
            yield OnlineRow(stream.name, name, None, None, 0, None, f"not tested: {watched.reasons[name]}")
            continue
        first = _moment(moments[stream.places[own[0].row - 1]]) if own else None
        after = own[0].row if own else None
        yield OnlineRow(stream.name, name, after, first, len(own), run, _tell(own, first, len(stream.places), run))


def _moment(moment: np.datetime64) -> datetime:
    return datetime.fromtimestamp(float(moment.astype("datetime64[us]").astype(np.int64)) / 1e6, UTC)


def _tell(fired: list[Firing], first: datetime | None, rows: int, expected: float) -> str:
    from mlprod_nb.monitoring.sections import day

    law = f"expected at most once in {float(f'{expected:.2g}'):,.0f} rows without change"
    if not fired:
        return f"did not fire in {counted(rows, 'row')}; {law}"
    times = f", {len(fired)} times in all" if len(fired) > 1 else ""
    return f"fired after {counted(fired[0].row, 'row')}, at {day(first)}{times}; {law}"
