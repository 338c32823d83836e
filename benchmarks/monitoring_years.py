"""Years of looks at data that never change, drawn as counts: how often does the monitor raise a false alarm?

The columns are independent, so the counts of a window are multinomial in the bins of a drawn reference, and rows need
not be drawn where there are many. Every test of every look is screened in one go with a limit far below the one that
an alarm takes; the looks that pass are put through the monitor's own code.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from mlprod_nb.monitoring import Profile, build, drift, joint_counts, quality
from mlprod_nb.monitoring.bins import ColumnCounts, WindowCounts
from mlprod_nb.monitoring.budget import Budget
from mlprod_nb.monitoring.detectors import BUILT_IN, choose
from mlprod_nb.monitoring.levels import LEVELS, levels_by_place
from mlprod_nb.monitoring.pooling import LOOKS, pools
from mlprod_nb.monitoring.profile import ColumnProfile
from mlprod_nb.registry.bundles import Column, Signature

Floats = NDArray[np.float64]
Counts = NDArray[np.int64]
YEAR = 52
BEFORE = max(LOOKS) - 1
REFERENCE_ROWS = 10_000
#: Up to this many rows a look are drawn one by one, so that pairs of columns can be tested, too. Above, the floor of
#: 0.1 lies 5.8 standard errors of a correlation or more away, which no budget notices.
ROW_BY_ROW = 1000
#: What a look's screen lets through: any test with a p-value of about 2e-5, where an alarm takes 2e-6.
_LEVEL, _DEVIATE, _KOLMOGOROV, _RARE, _STRANGE = 2e-5, 4.2, 2.4, 4.0, 0.008


@dataclass(frozen=True)
class Kind:
    """One sort of column: how values are drawn, and their law.

    Attributes:
        name: The column's name.
        draw: Draws values.
        law: The distribution function of a number; the shares of the categories.
        missing: The share of rows without a value.
    """

    name: str
    draw: Callable[[np.random.Generator, int], NDArray[Any]]
    law: Callable[[Floats], Floats] | Floats
    missing: float = 0.0

    @property
    def number(self) -> bool:
        """Whether it is a column of numbers."""
        return callable(self.law)


def _drawn(name: str, law: Any, missing: float = 0.0) -> Kind:
    return Kind(name, lambda random, rows: np.asarray(law.rvs(size=rows, random_state=random)), law.cdf, missing)


def _category(name: str, weights: Floats, missing: float = 0.0) -> Kind:
    shares = weights / weights.sum()
    names = np.array([f"{name}{i}" for i in range(len(shares))], dtype=object)
    return Kind(name, lambda random, rows: random.choice(names, rows, p=shares), shares, missing)


def _spike(random: np.random.Generator, rows: int) -> Floats:
    values: Floats = np.where(random.random(rows) < 0.4, 0.0, random.exponential(size=rows))
    return values


def _two(random: np.random.Generator, rows: int) -> Floats:
    values: Floats = random.normal(size=rows) + np.where(random.random(rows) < 0.3, 6.0, 0.0)
    return values


def _eighths(random: np.random.Generator, rows: int) -> Floats:
    values: Floats = np.rint(8 * random.normal(size=rows)) / 8
    return values


#: Twenty columns: skewed, heavy-tailed, with a spike, of few values, almost constant, with gaps of every size.
KINDS: tuple[Kind, ...] = (
    _drawn("normal", stats.norm(), 0.01),
    _drawn("lognormal", stats.lognorm(2)),
    _drawn("uniform", stats.uniform(), 0.002),
    _drawn("exponential", stats.expon(), 0.3),
    _drawn("heavy", stats.t(2)),
    _drawn("cauchy", stats.cauchy(), 0.05),
    _drawn("gamma", stats.gamma(0.3), 0.001),
    _drawn("beta", stats.beta(0.5, 0.5)),
    Kind("spiked", _spike, lambda x: np.where(x < 0, 0.0, 0.4 + 0.6 * stats.expon.cdf(x)), 0.01),
    Kind("two", _two, lambda x: 0.7 * stats.norm.cdf(x) + 0.3 * stats.norm.cdf(x - 6)),
    Kind("eighths", _eighths, lambda x: stats.norm.cdf((np.floor(8 * x) + 0.5) / 8), 0.02),
    _drawn("poisson", stats.poisson(3)),
    _drawn("hours", stats.randint(0, 24), 0.0005),
    _drawn("rare", stats.bernoulli(0.02), 0.1),
    _drawn("geometric", stats.geom(0.2)),
    _drawn("levels", stats.binom(4, 0.1), 0.5),
    _category("flag", np.array([0.9, 0.1])),
    _category("group", np.array([0.5, 0.3, 0.2]), 0.01),
    _category("carrier", 0.75 ** np.arange(12), 0.003),
    _category("tail", 1 / np.arange(1, 301) ** 1.3),
)


@dataclass(frozen=True)
class Law:
    """A drawn reference, and the law of the counts of a window in its bins.

    Attributes:
        profile: The reference.
        shares: For each column the chance of each bin or category, and last that of no value.
        unseen: For each column the chances of the categories that the reference lacks, by name.
    """

    profile: Profile
    shares: tuple[Floats, ...]
    unseen: tuple[dict[str, float], ...]


def draw_columns(random: np.random.Generator, rows: int) -> dict[str, NDArray[Any]]:
    """Draw rows of every kind."""
    columns: dict[str, NDArray[Any]] = {}
    for kind in KINDS:
        values = kind.draw(random, rows).astype(float if kind.number else object)
        values[random.random(rows) < kind.missing] = np.nan if kind.number else None
        columns[kind.name] = values
    return columns


def draw_law(random: np.random.Generator, rows: int = REFERENCE_ROWS) -> Law:
    """Draw a reference and find the law of later counts in its bins."""
    types = Signature(tuple(Column(kind.name, "double" if kind.number else "string", True) for kind in KINDS))
    profile = build(draw_columns(random, rows), types, scores=np.zeros(rows), labels=None, task="regression")
    found = [_law(kind, column) for kind, column in zip(KINDS, profile.columns, strict=True)]
    return Law(profile, tuple(shares for shares, _ in found), tuple(unseen for _, unseen in found))


def _law(kind: Kind, column: ColumnProfile) -> tuple[Floats, dict[str, float]]:
    unseen: dict[str, float] = {}
    if callable(kind.law):
        reached = np.concatenate([[0.0], kind.law(np.array(column.edges, dtype=np.float32).astype(float)), [1.0]])
        shares = np.diff(np.maximum.accumulate(reached))
    else:
        every = {f"{kind.name}{i}": float(share) for i, share in enumerate(kind.law)}
        unseen = {name: share for name, share in every.items() if name not in column.categories}
        shares = np.array([*(every[name] for name in column.categories), sum(unseen.values())])
    return np.append((1 - kind.missing) * shares / shares.sum(), kind.missing), unseen


@dataclass(frozen=True)
class Year:
    """The windows of a year and of the 12 before it.

    Attributes:
        rows: Rows of a window.
        counts: For each column, rows in each bin and, last, without a value: shape ``(windows, bins + 1)``.
        numbers: The number of each row, for pairs, NaN where missing: ``(windows, columns, rows)``; or ``None``.
    """

    rows: int
    counts: tuple[Counts, ...]
    numbers: Floats | None = field(default=None, repr=False)


def draw_year(random: np.random.Generator, law: Law, rows: int, windows: int = YEAR + BEFORE) -> Year:
    """Draw the counts of windows: row by row where there are few rows, else at once."""
    if rows > ROW_BY_ROW:
        return Year(rows, tuple(random.multinomial(rows, shares, size=windows) for shares in law.shares))
    counts, numbers = [], np.empty((windows, len(law.shares), rows))
    base = np.arange(windows)[:, None]
    for place, (column, shares) in enumerate(zip(law.profile.columns, law.shares, strict=True)):
        reached = np.cumsum(shares[:-1])
        bins = np.searchsorted(reached, random.random((windows, rows)), side="right")
        size = len(shares)
        counts.append(np.bincount((bins + base * size).ravel(), minlength=windows * size).reshape(windows, size))
        numbers[:, place] = np.append(joint_counts.middles(column), np.nan)[bins]
    return Year(rows, tuple(counts), numbers)


# -- the screen -----------------------------------------------------------------------------------------------------


def suspicious(law: Law, year: Year) -> NDArray[np.bool_]:
    """Return which looks of the year could raise an alarm."""
    windows = len(year.counts[0])
    found = np.zeros(windows, dtype=bool)
    for column, counts in zip(law.profile.columns, year.counts, strict=True):
        reference = np.append(np.array(column.counts), column.missing)
        for looks in LOOKS:
            pooled = _pool(counts, looks)
            found |= _missing(reference, pooled)
            found |= _numbers(reference, pooled) if column.kind == "number" else _categories(column, pooled)
        found |= _strange(column, counts)
    if year.numbers is not None:
        found |= _pairs(law.profile, year.numbers)
    return found[BEFORE:]


def _pool(counts: Any, looks: int) -> Any:
    """Return the sums of each window and those before it; zero where there are too few before it."""
    total = np.cumsum(counts, axis=0)
    pooled = total.copy()
    pooled[looks:] -= total[:-looks]
    pooled[: looks - 1] = 0
    return pooled


def _missing(reference: Counts, pooled: Counts) -> NDArray[np.bool_]:
    n, m = int(reference.sum()), pooled.sum(axis=1)
    both = (reference[-1] + pooled[:, -1]) / (n + m)
    error = np.sqrt(both * (1 - both) * (1 / n + 1 / np.maximum(m, 1)))
    gap = pooled[:, -1] / np.maximum(m, 1) - reference[-1] / n
    suspects = np.abs(gap) > _RARE * np.maximum(error, 1e-12)
    return np.asarray(suspects & (m > 0))


def _numbers(reference: Counts, pooled: Counts) -> NDArray[np.bool_]:
    before, after = reference[:-1], pooled[:, :-1]
    n, m = int(before.sum()), np.maximum(after.sum(axis=1), 1)
    both = before + after
    gaps = np.abs(np.cumsum(after, axis=1) / m[:, None] - np.cumsum(before) / n).max(axis=1)
    found = gaps * np.sqrt(n * m / (n + m)) > _KOLMOGOROV
    middles = (np.cumsum(both, axis=1) - (both - 1) / 2) / (n + m + 1)[:, None] - 0.5
    for scores in (middles, middles**2):
        mean = (both * scores).sum(axis=1) / (n + m)
        variance = (both * scores**2).sum(axis=1) / (n + m) - mean**2
        error = np.sqrt(np.maximum(variance * n * m / (n + m), 1e-12))
        found |= np.abs((after * scores).sum(axis=1) - m * mean) > _DEVIATE * error
    return np.asarray(found & (after.sum(axis=1) > 0))


def _categories(column: ColumnProfile, pooled: Counts) -> NDArray[np.bool_]:
    reference, detector = column.as_counts(), BUILT_IN["chi_square"]
    found = [
        detector.compare(reference, ColumnCounts(row[:-1], int(row[-1]), int(row.sum()))).p_value for row in pooled
    ]
    return np.array([p_value is not None and p_value < _LEVEL for p_value in found])


def _strange(column: ColumnProfile, counts: Counts) -> NDArray[np.bool_]:
    """Return where values out of range, or new ones, are so many that a finding could say so; or all values are one."""
    present = np.maximum(counts[:, :-1].sum(axis=1), 1)
    outside = counts[:, -2] + (counts[:, 0] if column.kind == "number" else 0)
    return np.asarray((outside > _STRANGE * present) | (counts[:, :-1].max(axis=1) == present))


def _pairs(profile: Profile, numbers: Floats) -> NDArray[np.bool_]:
    known = ~np.isnan(numbers)
    value, mask = np.nan_to_num(numbers), known.astype(np.float64)
    other = mask.transpose(0, 2, 1)
    rows, first = mask @ other, value @ other
    squares, products = value**2 @ other, value @ value.transpose(0, 2, 1)
    before = _reference_correlations(profile)
    found = np.zeros(len(numbers), dtype=bool)
    for looks in LOOKS:
        n, u, uu, uv = (_pool(sums, looks) for sums in (rows, first, squares, products))
        with np.errstate(invalid="ignore", divide="ignore"):
            n = np.where(n > 0, n, np.nan)
            v, vv = u.transpose(0, 2, 1), uu.transpose(0, 2, 1)
            r = (uv / n - u * v / n**2) / np.sqrt((uu / n - (u / n) ** 2) * (vv / n - (v / n) ** 2))
            gap = np.abs(r - before)
            suspects = (gap > joint_counts.FLOOR) & (gap > _DEVIATE * np.sqrt(1 / n + 1 / profile.rows))
        found |= suspects.any(axis=(1, 2))
    return found


def _reference_correlations(profile: Profile) -> Floats:
    places = {column.name: place for place, column in enumerate(profile.columns)}
    found = np.full((len(places), len(places)), np.nan)
    r = joint_counts.correlations(np.array([pair.moments for pair in profile.pairs]))
    for pair, value in zip(profile.pairs, r, strict=True):
        found[places[pair.first], places[pair.second]] = value
    return found


# -- the monitor itself ---------------------------------------------------------------------------------------------


def counted(random: np.random.Generator, law: Law, year: Year, window: int) -> WindowCounts:
    """Return one window's counts as the monitor has them."""
    columns = {}
    for column, unseen, counts in zip(law.profile.columns, law.unseen, year.counts, strict=True):
        row = counts[window]
        columns[column.name] = _column(random, column, unseen, row)
    for outcome in law.profile.outcomes:
        columns[outcome.name] = ColumnCounts(np.zeros(len(outcome.counts), dtype=np.int64), 0, 0, ordered=True)
    pairs = None
    if year.numbers is not None:
        number, levels = year.numbers[window], levels_by_place(year.rows)
        places = {column.name: place for place, column in enumerate(law.profile.columns)}
        first = [places[pair.first] for pair in law.profile.pairs]
        second = [places[pair.second] for pair in law.profile.pairs]
        some = [number[:, levels == level] for level in range(LEVELS)]
        sums = [joint_counts.multiply(~np.isnan(n), np.nan_to_num(n)) for n in some]
        pairs = np.stack([each[first, second] for each in sums])
    return WindowCounts(year.rows, columns, pairs=pairs)


def _column(random: np.random.Generator, column: ColumnProfile, unseen: dict[str, float], row: Counts) -> ColumnCounts:
    counts, missing, rows = row[:-1], int(row[-1]), int(row.sum())
    if column.kind == "number":
        one = np.count_nonzero(counts) == 1
        highest = 0.0 if one else 1.0
        return ColumnCounts(
            counts, missing, rows, int(counts[0]), int(counts[-1]), minimum=0.0, maximum=highest, ordered=True
        )
    new: tuple[tuple[str, int], ...] = ()
    if unseen and counts[-1]:
        chances = np.array(list(unseen.values()))
        split = random.multinomial(int(counts[-1]), chances / chances.sum())
        new = tuple((name, int(size)) for name, size in zip(unseen, split, strict=True) if size)
    return ColumnCounts(counts, missing, rows, unseen=int(counts[-1]), new=new)


def alarms(random: np.random.Generator, law: Law, year: Year, looks: NDArray[np.bool_], budget: Budget) -> list[str]:
    """Put the given looks through the monitor, and return what drifted or was found wrong, by look."""
    found = []
    for look in np.flatnonzero(looks).tolist():
        windows = [counted(random, law, year, look + BEFORE - back) for back in range(BEFORE + 1)]
        tested = drift.compare(law.profile, pools(law.profile, windows[0], windows[1:]), budget, choose())
        names = [f"{row.column} by {row.detector} over {row.looks}" for row in tested.columns if row.drifted]
        names += [f"{row.first}, {row.second} over {row.looks}" for row in tested.pairs if row.drifted]
        wrong = [finding for finding in quality.findings(law.profile, windows[0]) if finding.check in _FACTS]
        names += [f"{finding.column}: {finding.check}" for finding in wrong if finding.severity != "info"]
        found += [f"look {look + 1}: {name}" for name in names]
    return found


_FACTS = ("infinite", "constant", "range", "unseen categories")
