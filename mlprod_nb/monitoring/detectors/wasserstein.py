"""Wasserstein: by how much did the values of a column of numbers move, in their own unit?"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mlprod_nb.monitoring.bins import ColumnCounts
from mlprod_nb.monitoring.budget import SHAPE_FLOOR
from mlprod_nb.monitoring.columns import Floats
from mlprod_nb.monitoring.detectors import permutation
from mlprod_nb.monitoring.detectors.bridge import untested
from mlprod_nb.monitoring.detectors.protocol import Comparison

#: How many of the edges the permutations look at.
EDGES = 100


@dataclass(frozen=True)
class Wasserstein:
    """The earth mover's distance (Vaserstein 1969) on binned counts, with a p-value by permutations.

    The statistic is how far the values moved on average, in the column's unit, taking those of a bin as spread evenly
    and one beyond the reference's range as that range's end; but it is never below the difference of the means. The
    permutations look at no more than 100 of the edges. The effect is the largest difference of the cumulative shares.

    >>> edges = np.arange(1.0, 5.0)
    >>> before = ColumnCounts(np.array([100, 100, 100, 100, 0]), 0, 400, edges=edges)
    >>> Wasserstein().compare(before, ColumnCounts(np.array([26, 25, 24, 25, 0]), 0, 100)).p_value > 0.5
    True
    >>> found = Wasserstein().compare(before, ColumnCounts(np.array([60, 20, 10, 10, 0]), 0, 100))
    >>> round(found.statistic, 3), found.p_value < 1e-5
    (0.625, True)
    """

    name: str = "wasserstein"
    kinds: frozenset[str] = frozenset({"number"})
    floor: float = SHAPE_FLOOR

    def compare(self, reference: ColumnCounts, window: ColumnCounts) -> Comparison:
        """Compare two columns of numbers; fewer than 20 values on either side, or no edges, are not tested."""
        if reason := untested(reference, window):
            return Comparison(reason=reason)
        if len(reference.edges) < 2:
            return Comparison(reason="the reference has no two edges, so there is no unit to measure in")
        before, after, edges = reference.counts, window.counts, reference.edges
        n, m = int(before.sum()), int(after.sum())
        gaps = np.abs(np.cumsum(before) / n - np.cumsum(after) / m)
        statistic = max(_distance(gaps, edges), _between_means(window))
        ends = _some(before + after)
        starts = np.concatenate([[0], ends[:-1] + 1])
        before, after = np.add.reduceat(before, starts), np.add.reduceat(after, starts)
        lengths = np.diff(edges[np.minimum(ends, len(edges) - 1)])

        def distances(drawn: NDArray[np.int64]) -> Floats:
            apart = np.cumsum(drawn / m - (before + after - drawn) / n, axis=1)[:, :-1]
            found: Floats = np.abs(apart) @ lengths
            return found

        return Comparison(statistic, float(gaps.max()), permutation.p_value(distances, before, after))


def _distance(gaps: Floats, edges: Floats) -> float:
    """Return the area between two cumulative shares, which are straight in each bin but one of a single value."""
    alone = np.nextafter(edges[:-1].astype(np.float32), np.float32(np.inf)) >= edges[1:]
    heights = np.where(alone, gaps[:-2], (gaps[:-2] + gaps[1:-1]) / 2)
    return float(heights @ np.diff(edges))


def _some(pooled: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the last bins of at most 100 groups of about as many rows of both samples; the last bin is one of them."""
    reached = np.cumsum(pooled)
    wanted = np.arange(1, EDGES) * (reached[-1] / EDGES)
    ends: NDArray[np.int64] = np.unique(np.append(np.searchsorted(reached, wanted), len(pooled) - 1))
    return ends


def _between_means(window: ColumnCounts) -> float:
    finite = window.present - window.infinite
    return abs(window.total) / finite if finite > 0 else 0.0
