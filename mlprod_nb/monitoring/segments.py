"""Where the model does worst: segments of the input searched for, and those that the user names.

What is tried are conditions on one column and pairs of them on two. Each is compared with all other labelled rows, by
Fisher's exact test for the share of wrong predictions (Fisher 1935) and Welch's test for the absolute error (Welch
1947); p-values are corrected by Bonferroni over every segment that could have been tried, pairs that were passed over
included, because what is shown was chosen for being worst. A segment that also did worse than the same segment of the
reference by such a test *fell*: only that speaks of a change, since some part of the input is always the hardest.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations

import numpy as np

from mlprod_nb.monitoring.columns import Floats
from mlprod_nb.monitoring.conditions import Condition, Rows, possible
from mlprod_nb.monitoring.sections import short
from mlprod_nb.monitoring.traffic import Column, Traffic
from mlprod_nb.registry.bundles import Task
from mlprod_nb.results import Section

#: Smaller segments are not looked at.
MIN_ROWS = 50
#: A segment is worth a word where it is worse by so much: of a share, or relative to the error elsewhere.
SHARE_FLOOR = 0.03
ERROR_FLOOR = 0.1
#: At most so many labelled rows are searched, chosen evenly.
MAX_ROWS = 200_000
_PAIRED = 16
_SHOWN = 5
_ALIKE = 0.5


@dataclass(frozen=True)
class SegmentRow:
    """One segment.

    Attributes:
        segment: The condition, as SQL.
        metric: ``accuracy`` or ``mae``.
        value: The metric in the segment.
        elsewhere: The metric on all other labelled rows; ``None`` where there are none.
        reference: The metric in the same segment of the reference; ``None`` where that has too few labelled rows.
        rows: Labelled rows in the segment.
        p_value_corrected: That it is no worse than elsewhere, corrected over all that were tried.
        worse: Significantly and materially worse than elsewhere.
        fell: Significantly and materially worse than in the reference.
        found: Found by the search; ``False`` where the user named it.
        statement: In words.
    """

    segment: str
    metric: str
    value: float
    elsewhere: float | None
    reference: float | None
    rows: int
    p_value_corrected: float
    worse: bool
    fell: bool
    found: bool
    statement: str


@dataclass(frozen=True)
class Losses:
    """Labelled rows and how wrong each prediction was.

    Attributes:
        task: A classification's losses are 0 and 1, a regression's absolute errors.
        values: The losses.
        columns: The rows' input columns.
    """

    task: Task
    values: Floats
    columns: Mapping[str, Column]

    @classmethod
    def of(cls, task: Task, traffic: Traffic) -> Losses:
        """Return the labelled rows' losses."""
        known = traffic.take(traffic.known)
        rows = known.labelled
        wrong = np.abs(rows.scores - rows.labels) if task == "regression" else rows.labels != rows.predictions
        return cls(task, wrong.astype(np.float64), known.columns)


@dataclass(frozen=True)
class Segment:
    """Conditions that all hold, and the window's labelled rows of which they do."""

    conditions: tuple[Condition, ...]
    rows: Rows

    def __str__(self) -> str:
        return " and ".join(map(str, self.conditions))

    def of(self, reference: Losses | None) -> Rows | None:
        """Return the reference's labelled rows of which they hold; ``None`` where a column is not there."""
        if reference is None:
            return None
        held = [condition.holds(reference.columns) for condition in self.conditions]
        there = [rows for rows in held if rows is not None]
        return np.logical_and.reduce(there) if len(there) == len(held) else None


@dataclass(frozen=True)
class Search:
    """What was searched.

    Attributes:
        rows: The worst segments that were found, worst first.
        tried: How many segments could have been tried.
        searched: Labelled rows that were searched.
    """

    rows: tuple[SegmentRow, ...]
    tried: int
    searched: int


def search(window: Losses, reference: Losses | None, alpha: float) -> Search:
    """Search the segments of a window where the model does worst, at most five, none largely inside another.

    Args:
        window: The window's labelled rows.
        reference: The reference's, for whether a segment fell; ``None`` where it has no labels.
        alpha: The chance that any segment is called worse, and that any is said to have fallen, where neither is so.
    """
    window = _sampled(window)
    held = [(condition, condition.holds(window.columns)) for condition in possible(window.columns)]
    singles = [Segment((condition,), rows) for condition, rows in held if rows is not None and _large_enough(rows)]
    tried = len(singles) + sum(a.conditions[0].column != b.conditions[0].column for a, b in combinations(singles, 2))
    worst = [(_compare(window.task, window.values[c.rows], window.values[~c.rows]), c) for c in singles]
    worst.sort(key=lambda pair: (pair[0], str(pair[1])))
    worst += _pairs(window, [segment for _, segment in worst[:_PAIRED]])
    chosen = _distinct([pair for pair in worst if _worse(window, pair[1].rows)], tried, alpha)
    if reference is not None:
        fallen = [pair for c in singles if (pair := _fall(window, reference, c)) is not None]
        chosen += _distinct(fallen, tried, alpha, beside=chosen)
    correction = (tried, alpha)
    rows = tuple(_judged(str(c), c.rows, c.of(reference), (window, reference), correction) for c in chosen)
    return Search(rows, tried, len(window.values))


def named(
    groups: Sequence[tuple[str, Rows, Rows | None]], window: Losses, reference: Losses | None, alpha: float
) -> tuple[SegmentRow, ...]:
    """Compare segments that the user named.

    Args:
        groups: Each one's name, the window's labelled rows in it, and the reference's; ``None`` where not known.
        window: The window's labelled rows.
        reference: The reference's.
        alpha: As for :func:`search`.
    """
    large = [(name, here, there) for name, here, there in groups if int(here.sum()) >= MIN_ROWS]
    return tuple(
        replace(_judged(name, here, there, (window, reference), (len(large), alpha)), found=False)
        for name, here, there in large
    )


def section(rows: Sequence[SegmentRow], title: str) -> Section:
    """Return the table of segments."""
    table = tuple(
        (
            row.segment,
            ("✗ fell" if row.fell else "! worse than elsewhere") if row.fell or row.worse else "✓",
            short(row.value, 3),
            short(row.elsewhere, 3),
            short(row.reference, 3),
            row.rows,
            short(row.p_value_corrected, 2),
        )
        for row in rows
    )
    metric = rows[0].metric if rows else ""
    head = ("segment", "judgement", metric, "elsewhere", "in the reference", "labelled rows", "p, corrected")
    return Section(title, head, table)


def _judged(
    name: str, here: Rows, there: Rows | None, losses: tuple[Losses, Losses | None], correction: tuple[int, float]
) -> SegmentRow:
    (window, reference), (tried, alpha) = losses, correction
    inside, rest = window.values[here], window.values[~here]
    task = window.task
    p_value = min(1.0, tried * _compare(task, inside, rest))
    worse = p_value <= alpha and _material(task, inside, rest)
    before = reference.values[there] if reference is not None and there is not None else np.zeros(0)
    known = len(before) >= MIN_ROWS
    fell = known and tried * _compare(task, inside, before) <= alpha and _material(task, inside, before)
    value = _metric(task, inside)
    row = SegmentRow(
        segment=name,
        metric="mae" if task == "regression" else "accuracy",
        value=value,
        elsewhere=_metric(task, rest) if len(rest) else None,
        reference=_metric(task, before) if known else None,
        rows=len(inside),
        p_value_corrected=p_value,
        worse=worse,
        fell=fell,
        found=True,
        statement="",
    )
    return replace(row, statement=_tell(row))


def _tell(row: SegmentRow) -> str:
    text = f"{row.metric} {row.value:.2f} where {row.segment} ({row.rows:,} rows)"
    text += f", {row.elsewhere:.2f} elsewhere" if row.elsewhere is not None else ""
    return text + (f", {row.reference:.2f} there in the reference" if row.reference is not None else "")


def _metric(task: Task, losses: Floats) -> float:
    return float(losses.mean() if task == "regression" else 1 - losses.mean())


def _material(task: Task, losses: Floats, others: Floats) -> bool:
    if not len(others):
        return False
    more = float(losses.mean() - others.mean())
    return more >= (ERROR_FLOOR * float(others.mean()) if task == "regression" else SHARE_FLOOR)


def _compare(task: Task, losses: Floats, others: Floats) -> float:
    """Return the one-sided p-value that losses are no larger than others."""
    if len(losses) < 2 or len(others) < 2:
        return 1.0
    if task == "classification":
        from scipy.stats import hypergeom

        wrong = int(losses.sum())
        total = len(losses) + len(others)
        return float(hypergeom.sf(wrong - 1, total, wrong + int(others.sum()), len(losses)))
    from scipy.special import stdtr

    a, b = float(losses.var(ddof=1)) / len(losses), float(others.var(ddof=1)) / len(others)
    if a + b <= 0:
        return float(losses.mean() <= others.mean())
    freedom = (a + b) ** 2 / (a**2 / (len(losses) - 1) + b**2 / (len(others) - 1))
    return float(stdtr(freedom, -(losses.mean() - others.mean()) / math.sqrt(a + b)))


def _large_enough(rows: Rows) -> bool:
    size = int(rows.sum())
    return size >= MIN_ROWS and len(rows) - size >= MIN_ROWS


def _pairs(window: Losses, worst: Sequence[Segment]) -> Iterator[tuple[float, Segment]]:
    """Yield pairs of the worst conditions that are worse than either by enough to be worth the longer sentence."""
    for a, b in combinations(worst, 2):
        both = a.rows & b.rows
        if a.conditions[0].column != b.conditions[0].column and _large_enough(both):
            inside = window.values[both]
            if all(_material(window.task, inside, window.values[alone.rows]) for alone in (a, b)):
                p_value = _compare(window.task, inside, window.values[~both])
                yield p_value, Segment((*a.conditions, *b.conditions), both)


def _worse(window: Losses, rows: Rows) -> bool:
    return _material(window.task, window.values[rows], window.values[~rows])


def _fall(window: Losses, reference: Losses, segment: Segment) -> tuple[float, Segment] | None:
    """Return the p-value that a segment is no worse than in the reference; ``None`` where it is not or hardly."""
    there = segment.of(reference)
    if there is None or int(there.sum()) < MIN_ROWS:
        return None
    inside, before = window.values[segment.rows], reference.values[there]
    return (_compare(window.task, inside, before), segment) if _material(window.task, inside, before) else None


def _distinct(
    found: Sequence[tuple[float, Segment]], tried: int, alpha: float, beside: Sequence[Segment] = ()
) -> list[Segment]:
    """Choose the most significant segments, none of which shares most of its rows with one that is there."""
    chosen: list[Segment] = []
    for p_value, segment in sorted(found, key=lambda f: (f[0], len(f[1].conditions), str(f[1]))):
        if p_value * tried > alpha or len(chosen) == _SHOWN:
            break
        others = (*beside, *chosen)
        if all((segment.rows & o.rows).sum() < _ALIKE * (segment.rows | o.rows).sum() for o in others):
            chosen.append(segment)
    return chosen


def _sampled(losses: Losses) -> Losses:
    if len(losses.values) <= MAX_ROWS:
        return losses
    from mlprod_nb.monitoring.traffic import some

    rows = np.linspace(0, len(losses.values) - 1, MAX_ROWS).astype(np.int64)
    columns = {name: some(column, rows) for name, column in losses.columns.items()}
    return Losses(losses.task, losses.values[rows], columns)
