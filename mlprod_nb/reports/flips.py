"""What another version would have decided on the rows of a report: how many decisions flip, for whom, which most.

These are counts of what is in the log, not estimates: there is no test and no interval.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from mlprod_nb.results import Result, Section, format_value

#: A group of fewer rows says little of anybody.
SMALLEST_GROUP = 20
#: Values of a column with text beyond which it names things rather than groups.
_MOST_VALUES = 200
_TOP = 10


@dataclass(frozen=True)
class Decisions:
    """Rows with what was decided and what would be.

    Attributes:
        ids: Each row's prediction id.
        units: Who each row is about, or ``None``.
        times: Each row's event time.
        before: The decision in the log: a label as text; missing for a regression.
        after: The other version's.
        score_before: The score in the log.
        score_after: The other version's.
        labels: What really happened, as text, or ``None`` where it is not known.
        inputs: The model's input columns.
    """

    ids: Sequence[str]
    units: Sequence[str | None]
    times: Sequence[datetime]
    before: Sequence[str | None]
    after: Sequence[str | None]
    score_before: NDArray[np.float64]
    score_after: NDArray[np.float64]
    labels: Sequence[str | None]
    inputs: Mapping[str, Sequence[Any]]


@dataclass(frozen=True)
class Direction:
    """Decisions that go from one label to another."""

    before: str
    after: str
    rows: int


@dataclass(frozen=True)
class Group:
    """Rows that have something in common.

    Attributes:
        group: What.
        rows: How many there are.
        flips: How many decisions flip; for a regression, in how many rows the value moves by more than in nine of ten.
        flip_percent: The same as a share of the rows, percent.
    """

    group: str
    rows: int
    flips: int
    flip_percent: float


@dataclass(frozen=True)
class Case:
    """One decision that flips, or a value that moves far.

    Attributes:
        prediction_id: Which prediction.
        unit: Who it is about.
        event_time: When it happened.
        before: What was decided, with its score.
        after: What would be decided, with its score.
        outcome: What really happened, where it is known.
        inputs: The row.
    """

    prediction_id: str
    unit: str | None
    event_time: datetime
    before: str
    after: str
    outcome: str | None
    inputs: str


@dataclass(frozen=True)
class FlipsResult(Result):
    """The blast radius of a version: what changes if it had answered the rows of a report.

    Attributes:
        digest: The report's digest.
        version: The other version.
        rows: How many rows were scored.
        flips: How many decisions differ; ``None`` for a regression, which decides nothing.
        flip_percent: The same as a share of the rows, percent.
        units: How many units have such a row.
        now_right: Of the flips whose outcome is known, how many become right.
        now_wrong: How many become wrong.
        mean_change: The mean of the score's change.
        mean_absolute_change: The mean of its size.
        largest_change: The largest size.
        directions: From which label to which.
        groups: Where they are densest.
        cases: Those whose score moves furthest.
    """

    digest: str
    version: str
    rows: int
    flips: int | None
    flip_percent: float | None
    units: int
    now_right: int
    now_wrong: int
    mean_change: float
    mean_absolute_change: float
    largest_change: float
    directions: tuple[Direction, ...]
    groups: tuple[Group, ...]
    cases: tuple[Case, ...]

    _frame_field: ClassVar[str] = "cases"

    def headline(self) -> str:
        """Say how many decisions flip."""
        if not self.rows:
            return f"Report {self.digest[:12]} has no rows, so {self.version} would change nothing."
        if self.flips is None:
            moved = format_value(self.mean_absolute_change)
            return f"{self.version} moves the {self.rows:,} values of report {self.digest[:12]} by {moved} on average."
        of = f"{self.flips:,} of {self.rows:,} decisions of report {self.digest[:12]} ({self.flip_percent:.2g} %)"
        return f"{self.version} flips {of}."

    def sections(self) -> list[Section]:
        """Return the facts, then for whom and which."""
        facts: list[tuple[str, Any]] = [
            ("rows", self.rows),
            ("units with such a row", self.units or None),
            ("mean change of the score", self.mean_change),
            ("mean size of its change", self.mean_absolute_change),
            ("largest change", self.largest_change),
        ]
        if self.now_right or self.now_wrong:
            facts += [("flips that become right", self.now_right), ("flips that become wrong", self.now_wrong)]
        found = [Section("", (), tuple((name, value) for name, value in facts if value is not None))]
        parts = (("flips", self.directions), ("for whom", self.groups), ("top cases", self.cases))
        return found + [_table(title, rows) for title, rows in parts if rows]


def result(digest: str, version: str, decisions: Decisions) -> FlipsResult:
    """Count what another version would change."""
    change = decisions.score_after - decisions.score_before
    size = np.abs(change)
    regression = all(label is None for label in decisions.after)
    flipped = _far(size) if regression else _differ(decisions.before, decisions.after)
    known = [row for row in np.flatnonzero(flipped) if not regression and decisions.labels[row] is not None]
    right = sum(decisions.after[row] == decisions.labels[row] for row in known)
    wrong = sum(decisions.before[row] == decisions.labels[row] for row in known)
    rows, flips = len(decisions.ids), int(flipped.sum())
    return FlipsResult(
        digest=digest,
        version=version,
        rows=rows,
        flips=None if regression else flips,
        flip_percent=None if regression or not rows else 100 * flips / rows,
        units=len({decisions.units[row] for row in np.flatnonzero(flipped)} - {None}),
        now_right=right,
        now_wrong=wrong,
        mean_change=float(change.mean()) if rows else 0.0,
        mean_absolute_change=float(size.mean()) if rows else 0.0,
        largest_change=float(size.max()) if rows else 0.0,
        directions=() if regression else _directions(decisions, flipped),
        groups=_groups(decisions.inputs, flipped),
        cases=_cases(decisions, flipped, size),
    )


def _table(title: str, rows: Sequence[Any]) -> Section:
    columns = tuple(vars(rows[0]))
    return Section(title, columns, tuple(tuple(getattr(row, column) for column in columns) for row in rows))


def _differ(before: Sequence[str | None], after: Sequence[str | None]) -> NDArray[np.bool_]:
    return np.fromiter((a != b for a, b in zip(before, after, strict=True)), dtype=bool, count=len(before))


def _far(size: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Return where a regression's value moves by more than in nine of ten rows."""
    return size > np.quantile(size, 0.9) if len(size) else np.zeros(0, dtype=bool)


def _directions(decisions: Decisions, flipped: NDArray[np.bool_]) -> tuple[Direction, ...]:
    found: dict[tuple[str, str], int] = {}
    for row in np.flatnonzero(flipped):
        way = str(decisions.before[row]), str(decisions.after[row])
        found[way] = found.get(way, 0) + 1
    return tuple(Direction(*way, rows) for way, rows in sorted(found.items(), key=lambda item: (-item[1], item[0])))


def _groups(inputs: Mapping[str, Sequence[Any]], flipped: NDArray[np.bool_]) -> tuple[Group, ...]:
    """Return the groups that have the most flips beyond their part of the rows."""
    if not flipped.any():
        return ()
    overall = flipped.mean()
    found = []
    for name, values in inputs.items():
        for said, members in _split(name, values):
            rows, flips = int(members.sum()), int(flipped[members].sum())
            if rows >= SMALLEST_GROUP and flips > overall * rows:
                found.append((flips - overall * rows, Group(said, rows, flips, 100 * flips / rows)))
    found.sort(key=lambda item: (-item[0], item[1].group))
    return tuple(group for _, group in found[:_TOP])


def _split(name: str, values: Sequence[Any]) -> list[tuple[str, NDArray[np.bool_]]]:
    """Return a column's groups: numbers by their quarters, anything else by value, what is missing by itself."""
    present = np.fromiter((value is not None and value == value for value in values), dtype=bool, count=len(values))
    groups = [(f"{name} missing", ~present)] if not present.all() else []
    some = [value for value, there in zip(values, present, strict=True) if there]
    if some and all(isinstance(value, int | float) and not isinstance(value, bool) for value in some):
        numbers = np.full(len(values), np.nan)
        numbers[present] = some
        edges = np.unique(np.quantile(numbers[present], [0.25, 0.5, 0.75]))
        bounds = [-np.inf, *edges, np.inf]
        for lower, upper in pairwise(bounds):
            groups.append((_span(name, lower, upper), (numbers > lower) & (numbers <= upper)))
        return groups
    texts = np.array([str(value) for value in values], dtype=object)
    known = sorted({str(value) for value in some})
    return groups + [(f"{name} = {value}", present & (texts == value)) for value in known if len(known) <= _MOST_VALUES]


def _span(name: str, lower: float, upper: float) -> str:
    if lower == -np.inf:
        return f"{name} up to {format_value(float(upper))}"
    if upper == np.inf:
        return f"{name} above {format_value(float(lower))}"
    return f"{name} above {format_value(float(lower))}, up to {format_value(float(upper))}"


def _cases(decisions: Decisions, flipped: NDArray[np.bool_], size: NDArray[np.float64]) -> tuple[Case, ...]:
    rows = np.flatnonzero(flipped)
    # Of equal sizes the earlier comes first, so that the list is the same whenever it is made.
    top = rows[np.argsort(-size[rows], kind="stable")][:_TOP]
    return tuple(
        Case(
            prediction_id=decisions.ids[row],
            unit=decisions.units[row],
            event_time=decisions.times[row],
            before=_decision(decisions.before[row], decisions.score_before[row]),
            after=_decision(decisions.after[row], decisions.score_after[row]),
            outcome=decisions.labels[row],
            inputs=", ".join(f"{name} {format_value(values[row])}" for name, values in decisions.inputs.items()),
        )
        for row in top
    )


def _decision(label: str | None, score: float) -> str:
    return format_value(float(score)) if label is None else f"{label} ({format_value(float(score))})"
