"""What the monitor finds at its budget: one change in one of 20 columns, looked at by the monitor's own code."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from statistics import median
from typing import Any

import numpy as np
from scipy.stats import norm

from benchmarks import monitoring_years as years
from mlprod_nb.monitoring import Profile, build, drift
from mlprod_nb.monitoring.bins import WindowCounts
from mlprod_nb.monitoring.budget import Budget
from mlprod_nb.monitoring.counting import count
from mlprod_nb.monitoring.detectors import choose
from mlprod_nb.monitoring.pooling import pools
from mlprod_nb.registry.bundles import Column, Signature

Rows = dict[str, Any]
#: How strongly two of the columns move together.
RHO = 0.5
#: Looks at changed data for each drawn reference.
LOOKS = 10
_COLUMN, _PARTNER, _CATEGORY = "normal", "uniform", "group"


@dataclass(frozen=True)
class Change:
    """A change of the data.

    Attributes:
        name: What it is called.
        rows: Rows of a look.
        goal: The share of looks that must find it.
        make: Changes the rows of a window.
        rho: The correlation of the two columns after it.
    """

    name: str
    rows: int
    goal: float
    make: Callable[[np.random.Generator, Rows], Rows]
    rho: float = RHO


def _shift(_: np.random.Generator, columns: Rows) -> Rows:
    return {**columns, _COLUMN: columns[_COLUMN] + 0.3}


def _spread(_: np.random.Generator, columns: Rows) -> Rows:
    return {**columns, _COLUMN: columns[_COLUMN] * 1.5**0.5}


def _lose(random: np.random.Generator, columns: Rows) -> Rows:
    lost = random.random(len(columns[_COLUMN])) < (0.05 - 0.01) / (1 - 0.01)
    return {**columns, _COLUMN: np.where(lost, np.nan, columns[_COLUMN])}


def _share(random: np.random.Generator, columns: Rows) -> Rows:
    moved = (columns[_CATEGORY] == "group0") & (random.random(len(columns[_CATEGORY])) < 0.05 / 0.5)
    return {**columns, _CATEGORY: np.where(moved, "group2", columns[_CATEGORY])}


def _nothing(_: np.random.Generator, columns: Rows) -> Rows:
    return columns


CHANGES: tuple[Change, ...] = (
    Change("a shift of 0.3 sd", 1000, 0.98, _shift),
    Change("variance × 1.5", 1000, 0.95, _spread),
    Change("rank correlation from +0.5 to −0.5, columns unchanged", 1000, 0.98, _nothing, -RHO),
    Change("missing from 1 to 5 %", 1000, 0.98, _lose),
    Change("a category from 20 to 25 %", 5000, 0.95, _share),
)


def draw(random: np.random.Generator, rows: int, rho: float = RHO) -> Rows:
    """Draw rows in which two of the columns move together."""
    columns = years.draw_columns(random, rows)
    x = random.normal(size=rows)
    kept = ~np.isnan(columns[_COLUMN])
    partner = norm.cdf(rho * x + (1 - rho**2) ** 0.5 * random.normal(size=rows))
    return {
        **columns,
        _COLUMN: np.where(kept, x, np.nan),
        _PARTNER: np.where(np.isnan(columns[_PARTNER]), np.nan, partner),
    }


def reference(random: np.random.Generator) -> Profile:
    """Draw a reference."""
    rows = years.REFERENCE_ROWS
    types = Signature(tuple(Column(kind.name, "double" if kind.number else "string", True) for kind in years.KINDS))
    return build(draw(random, rows), types, scores=np.zeros(rows), labels=None, task="regression")


def found(profile: Profile, window: WindowCounts, earlier: list[WindowCounts]) -> set[str]:
    """Return the columns that the monitor says drifted; two, joined by a comma, where their correlation did."""
    tested = drift.compare(profile, pools(profile, window, earlier), Budget(), choose())
    pairs = {f"{row.first},{row.second}" for row in tested.pairs if row.drifted}
    return pairs | {row.column for row in tested.columns if row.drifted}


def power(random: np.random.Generator, change: Change, looks: int) -> int:
    """Return how many looks at changed windows, after 12 unchanged ones, find the change."""
    hits = 0
    wanted = {_COLUMN, _CATEGORY, f"{_COLUMN},{_PARTNER}"}
    for start in range(0, looks, LOOKS):
        profile = reference(random)
        earlier = [count(profile, draw(random, change.rows)) for _ in range(years.BEFORE)]
        for _ in range(min(LOOKS, looks - start)):
            window = count(profile, change.make(random, draw(random, change.rows, change.rho)))
            hits += bool(found(profile, window, earlier) & wanted)
    return hits


def creep(random: np.random.Generator, rows: int, runs: int, weekly: float = 0.02) -> float:
    """Return the median week in which a creep of a column by some standard deviations a week is found."""
    return median(next(_weeks(random, rows, weekly)) for _ in range(runs))


def _weeks(random: np.random.Generator, rows: int, weekly: float) -> Iterator[int]:
    profile = reference(random)
    earlier = [count(profile, draw(random, rows)) for _ in range(years.BEFORE)]
    for week in range(1, years.YEAR + 1):
        columns = draw(random, rows)
        window = count(profile, {**columns, _COLUMN: columns[_COLUMN] + weekly * week})
        if _COLUMN in found(profile, window, earlier):
            yield week
        earlier = [window, *earlier][: years.BEFORE]
    yield years.YEAR + 1
