"""Is the model as good, and as generous, to every group that the user names?

Shown, not judged: a difference between groups may be there in the reference as well and be right or wrong for reasons
that no test knows. Intervals of differences are Newcombe's hybrid score intervals (Newcombe 1998, method 10); tests are
Fisher's (1935), each group against all others, with Holm's correction (1979) over all groups and measures.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mlprod_nb.monitoring.budget import holm
from mlprod_nb.monitoring.calibration import wilson
from mlprod_nb.monitoring.columns import Coded
from mlprod_nb.monitoring.conditions import Condition, Rows, possible
from mlprod_nb.monitoring.sections import short
from mlprod_nb.monitoring.traffic import Traffic
from mlprod_nb.results import Section

#: A group's share of fewer rows is not compared.
MIN_ROWS = 30
_GROUPS = 10


@dataclass(frozen=True)
class FairnessRow:
    """One measure of one group against all others.

    Attributes:
        column: The column that the user named.
        group: The group, as a condition.
        measure: ``selection rate``, ``true positive rate``, ``false positive rate`` or ``accuracy``.
        value: The group's.
        others: That of all other rows.
        difference: ``value`` minus ``others``.
        difference_lower: Lower end of its 95 % interval.
        difference_upper: Upper end of its 95 % interval.
        rows: The group's rows that the measure is of.
        p_value_corrected: That both are alike, corrected over all groups and measures.
    """

    column: str
    group: str
    measure: str
    value: float
    others: float
    difference: float
    difference_lower: float
    difference_upper: float
    rows: int
    p_value_corrected: float


def compare(traffic: Traffic, columns: Sequence[str], classes: int) -> tuple[FairnessRow, ...]:
    """Compare every group of some columns with all other rows.

    Args:
        traffic: The version's rows; the selection rate is of all, the rest of those with a label.
        columns: Names of input columns; those that are not there are left out.
        classes: How many classes there are; for other than two only accuracy is compared.
    """
    from scipy.stats import fisher_exact

    found = []
    for column in columns:
        for condition, rows in _groups(traffic, column):
            for measure, event, of in _measures(traffic, classes):
                here, there = of & rows, of & ~rows
                counts = [int((event & here).sum()), int(here.sum()), int((event & there).sum()), int(there.sum())]
                if min(counts[1], counts[3]) >= MIN_ROWS:
                    found.append((column, str(condition), measure, counts))
    tables = [[[a, n - a], [b, m - b]] for *_, (a, n, b, m) in found]
    corrected = holm([float(fisher_exact(table).pvalue) for table in tables])
    return tuple(_row(*entry, p_value) for entry, p_value in zip(found, corrected, strict=True))


def newcombe(a: int, n: int, b: int, m: int) -> tuple[float, float]:
    """Return the 95 % interval of the difference of two shares, ``a / n - b / m``."""
    (low, high), (low_2, high_2) = wilson(float(a), n), wilson(float(b), m)
    first, second = a / n, b / m
    return (
        first - second - math.hypot(first - low, high_2 - second),
        first - second + math.hypot(high - first, second - low_2),
    )


def section(rows: Sequence[FairnessRow]) -> Section:
    """Return the table of groups."""
    table = tuple(
        (
            row.group,
            row.measure,
            short(row.value, 3),
            short(row.others, 3),
            f"{row.difference:+.3f}",
            f"{row.difference_lower:+.3f} … {row.difference_upper:+.3f}",
            row.rows,
            short(row.p_value_corrected, 2),
        )
        for row in rows
    )
    head = ("group", "measure", "group", "all others", "difference", "95 % interval", "rows", "p, corrected")
    return Section("fairness", head, table)


def _row(column: str, group: str, measure: str, counts: list[int], p_value: float) -> FairnessRow:
    a, n, b, m = counts
    lower, upper = newcombe(a, n, b, m)
    return FairnessRow(column, group, measure, a / n, b / m, a / n - b / m, lower, upper, n, p_value)


def _groups(traffic: Traffic, name: str) -> list[tuple[Condition, Rows]]:
    """Return a column's ten commonest values, or, of a column of more than ten numbers, halves."""
    column = traffic.columns.get(name)
    if column is None:
        return []
    if isinstance(column, Coded):
        conditions = [c for c in possible({name: column}) if c.operator == "="][:_GROUPS]
    else:
        values = np.unique(column[np.isfinite(column)])
        if len(values) > _GROUPS:
            middle = float(f"{np.median(column[np.isfinite(column)]):.6g}")
            conditions = [Condition(name, "<=", middle), Condition(name, ">", middle)]
        else:
            conditions = [Condition(name, "=", float(value)) for value in values]
    held = ((condition, condition.holds(traffic.columns)) for condition in conditions)
    return [(condition, rows) for condition, rows in held if rows is not None]


def _measures(traffic: Traffic, classes: int) -> Iterator[tuple[str, NDArray[np.bool_], Rows]]:
    """Yield each measure: its name, in which rows the event is, and of which rows it is a share."""
    rows, known = traffic.labelled, traffic.known
    if classes == 2:
        chosen = rows.predictions == 1
        yield "selection rate", chosen, rows.predictions >= 0
        yield "true positive rate", chosen, known & (rows.labels == 1)
        yield "false positive rate", chosen, known & (rows.labels == 0)
    if classes >= 2:
        yield "accuracy", rows.labels == rows.predictions, known
