"""Chi-square: did the shares of the categories change?"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mlprod_nb.monitoring.bins import ColumnCounts
from mlprod_nb.monitoring.budget import SHAPE_FLOOR
from mlprod_nb.monitoring.detectors.protocol import Comparison

MIN_EXPECTED = 10


@dataclass(frozen=True)
class ChiSquare:
    """Pearson's test of homogeneity of two samples, in which the reference is a sample too.

    Categories that expect fewer than ten rows on either side are pooled, rarest first. The choice looks only at both
    samples together, so it does not spoil the p-value. The effect is the total variation distance: the share of the
    rows that would have to change category.

    >>> from mlprod_nb.monitoring.bins import ColumnCounts
    >>> before = ColumnCounts(np.array([500, 300, 200, 0]), 0, 1000)
    >>> ChiSquare().compare(before, ColumnCounts(np.array([102, 58, 40, 0]), 0, 200)).p_value > 0.9
    True
    >>> ChiSquare().compare(before, ColumnCounts(np.array([60, 60, 40, 40]), 0, 200)).p_value < 1e-9
    True
    """

    name: str = "chi_square"
    kinds: frozenset[str] = frozenset({"category"})
    floor: float = SHAPE_FLOOR

    def compare(self, reference: ColumnCounts, window: ColumnCounts) -> Comparison:
        """Compare two columns of categories; fewer than two categories that expect ten rows are not tested."""
        from scipy.special import chdtrc

        if np.count_nonzero(reference.counts + window.counts) < 2:
            return Comparison(reason="the column is constant in both" if window.counts.sum() else "no values")
        before, after = pool(reference.counts, window.counts)
        if len(before) < 2:
            return Comparison(reason=f"{window.counts.sum()} values are too few for two groups of {MIN_EXPECTED}")
        n, m = int(before.sum()), int(after.sum())
        pooled = (before + after) / (n + m)
        gaps = after / m - before / n
        statistic = float((gaps**2 / pooled).sum()) * n * m / (n + m)
        return Comparison(statistic, float(np.abs(gaps).sum()) / 2, float(chdtrc(len(before) - 1, statistic)))


def pool(reference: NDArray[np.int64], window: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Merge the rarest categories until each group expects ten rows in both samples; one group if that cannot be."""
    both = reference + window
    n, m = int(reference.sum()), int(window.sum())
    if not min(n, m):
        return reference.sum(keepdims=True), window.sum(keepdims=True)
    needed = MIN_EXPECTED * (n + m) / min(n, m)
    order = np.argsort(-both, kind="stable")
    sizes = both[order]
    kept = int((sizes >= needed).sum())
    while kept and 0 < sizes[kept:].sum() < needed:
        kept -= 1
    starts = np.arange(kept + 1) if sizes[kept:].sum() else np.arange(kept)
    if not len(starts):
        return reference.sum(keepdims=True), window.sum(keepdims=True)
    return np.add.reduceat(reference[order], starts), np.add.reduceat(window[order], starts)
