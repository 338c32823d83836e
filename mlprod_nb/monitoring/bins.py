"""Bins and what is counted in them: a window of live data as counts that can be added.

Edges are in float32 and inclusive above, so the counts up to an edge are the empirical distribution function at it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from mlprod_nb.monitoring import joint_counts

#: How many categories that the reference lacks are counted one by one.
NEW_CATEGORIES = 1000
_EXACT_VALUES = 499
_LEVELS = 998


@dataclass(frozen=True)
class ColumnCounts:
    """One column of a window, counted as the profile of that column is; ``a + b`` is the window of both.

    Attributes:
        counts: Rows in each bin or category; the last category is all others, new ones among them.
        missing: Rows without a value.
        rows: Rows of the window.
        below: Rows below the reference's minimum.
        above: Rows above the reference's maximum.
        infinite: Rows with an infinite value.
        unseen: Rows with a category that the reference does not list.
        new: The commonest of them, at most 1,000, each with its rows; commonest first.
        minimum: Smallest finite value.
        maximum: Largest finite value.
        total: Sum of the finite values' differences from the reference's mean.
        squares: Sum of the squares of these differences. Both are sums of whole multiples of one unit, so that they
            do not depend on how the rows were divided.
        ordered: Whether the counts are of bins of numbers rather than of categories.
        problem: Why the column could not be counted; empty where it could.
        edges: Upper edges of the bins, where these are the reference's own counts of numbers.
    """

    counts: NDArray[np.int64]
    missing: int
    rows: int
    below: int = 0
    above: int = 0
    infinite: int = 0
    unseen: int = 0
    new: tuple[tuple[str, int], ...] = ()
    minimum: float | None = None
    maximum: float | None = None
    total: float = 0.0
    squares: float = 0.0
    ordered: bool = False
    problem: str = ""
    edges: NDArray[np.float64] = field(default_factory=lambda: np.zeros(0))

    @property
    def present(self) -> int:
        """How many rows have a value."""
        return self.rows - self.missing

    def __add__(self, other: ColumnCounts) -> ColumnCounts:
        return total((self, other))


@dataclass(frozen=True)
class WindowCounts:
    """A window in the reference's own bins.

    Attributes:
        rows: Rows of the window.
        columns: Each profiled column's counts, by name.
        extra: Columns of the window that the reference does not have.
        pairs: Sums of the profile's pairs of columns by level, as ``joint_counts`` has them; ``None`` without.
    """

    rows: int
    columns: dict[str, ColumnCounts]
    extra: tuple[str, ...] = ()
    pairs: NDArray[np.int64] | None = None

    def __add__(self, other: WindowCounts) -> WindowCounts:
        shared = {name: counts + other.columns[name] for name, counts in self.columns.items() if name in other.columns}
        rows, pairs = self.rows + other.rows, None
        if self.pairs is not None and other.pairs is not None:
            pairs = joint_counts.settle(self.pairs + other.pairs, rows)
        return WindowCounts(
            rows=rows,
            columns={**self.columns, **other.columns, **shared},
            extra=tuple(sorted({*self.extra, *other.extra})),
            pairs=pairs,
        )


def total(parts: Sequence[ColumnCounts]) -> ColumnCounts:
    """Return the counts of all parts of a window, at least one, together."""
    first = parts[0]
    if len(parts) == 1:
        return first
    lows = [part.minimum for part in parts if part.minimum is not None]
    highs = [part.maximum for part in parts if part.maximum is not None]
    new: Counter[str] = Counter()
    for part in parts:
        if part.new:
            new = Counter(dict(commonest(new + Counter(dict(part.new)))))
    return ColumnCounts(
        counts=np.sum([part.counts for part in parts], axis=0),
        missing=sum(part.missing for part in parts),
        rows=sum(part.rows for part in parts),
        below=sum(part.below for part in parts),
        above=sum(part.above for part in parts),
        infinite=sum(part.infinite for part in parts),
        unseen=sum(part.unseen for part in parts),
        new=commonest(new),
        minimum=min(lows, default=None),
        maximum=max(highs, default=None),
        total=sum(part.total for part in parts),
        squares=sum(part.squares for part in parts),
        ordered=first.ordered,
        problem=next((part.problem for part in parts if part.problem), ""),
        edges=first.edges,
    )


def commonest(counts: Mapping[str, int]) -> tuple[tuple[str, int], ...]:
    """Return the commonest categories that the reference lacks, in an order that ties do not change."""
    return tuple(sorted(counts.items(), key=lambda item: (-item[1], item[0]))[:NEW_CATEGORIES])


def choose_edges(ordered: NDArray[np.float32]) -> NDArray[np.float32]:
    """Choose bin edges: the values themselves where they are few, else quantiles; repeated values get their own bin."""
    if not ordered.size:
        return ordered
    values = np.unique(ordered)
    if values.size <= _EXACT_VALUES:
        return _finite(values, _below(values))
    at = np.ceil(np.arange(1, _LEVELS) * (ordered.size / _LEVELS)).astype(np.int64) - 1
    quantiles, repeats = np.unique(ordered[at], return_counts=True)
    return _finite(quantiles, _below(quantiles[repeats > 1]), _below(ordered[:1]), ordered[-1:])


def _below(values: NDArray[np.float32]) -> NDArray[np.float32]:
    with np.errstate(over="ignore"):  # below the lowest number of all there is only an infinity
        found: NDArray[np.float32] = np.nextafter(values, np.float32(-np.inf))
        return found


def _finite(*some: NDArray[np.float32]) -> NDArray[np.float32]:
    edges = np.unique(np.concatenate(some))
    found: NDArray[np.float32] = edges[np.isfinite(edges)]
    return found


def bin_counts(ordered: NDArray[np.float32], edges: NDArray[np.float32]) -> NDArray[np.int64]:
    """Count sorted values in the bins ``(edge before, edge]``; the last bin is everything above the last edge."""
    reached = np.searchsorted(ordered, edges, side="right")
    return np.diff(np.concatenate([[0], reached, [ordered.size]])).astype(np.int64)
