"""Chi-square: did the shares of the categories change?"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mlprod_nb.monitoring.bins import ColumnCounts
from mlprod_nb.monitoring.budget import SHAPE_FLOOR
from mlprod_nb.monitoring.detectors.protocol import Comparison

MIN_EXPECTED = 10
Cells = tuple[NDArray[np.int64], NDArray[np.int64]]


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

        before, after = pool(reference, window)
        if reason := untested(reference, window, before):
            return Comparison(reason=reason)
        n, m = int(before.sum()), int(after.sum())
        pooled = (before + after) / (n + m)
        gaps = after / m - before / n
        statistic = float((gaps**2 / pooled).sum()) * n * m / (n + m)
        return Comparison(statistic, float(np.abs(gaps).sum()) / 2, float(chdtrc(len(before) - 1, statistic)))


def untested(reference: ColumnCounts, window: ColumnCounts, groups: NDArray[np.int64]) -> str:
    """Return why two columns in these groups cannot be compared; empty where they can."""
    if not min(reference.counts.sum(), window.counts.sum()):
        return "no values"
    if np.count_nonzero(reference.counts + window.counts) < 2:
        return "the column is constant in both"
    return "" if len(groups) > 1 else f"the values make no two groups of {MIN_EXPECTED} or more rows"


def table(reference: ColumnCounts, window: ColumnCounts) -> Cells:
    """Return every category by itself, the window's new ones too; last, in both, all others."""
    news = np.array([size for _, size in window.new], dtype=np.int64)
    before = np.concatenate([reference.counts[:-1], np.zeros(len(news), dtype=np.int64), reference.counts[-1:]])
    return before, np.concatenate([window.counts[:-1], news, [window.counts[-1] - news.sum()]])


def pool(reference: ColumnCounts, window: ColumnCounts) -> Cells:
    """Merge the rarest categories until each group expects ten rows in both samples; one group if that cannot be.

    Which categories stand alone depends on both samples together only. So those that the reference lacks are no group
    as such (the reference has none of them by definition): a common one stands alone, rare ones join the rare.
    """
    before, after = table(reference, window)
    n, m = int(before.sum()), int(after.sum())
    least = MIN_EXPECTED * (n + m) / max(min(n, m), 1)
    if reference.counts[-1]:  # the list of categories was cut by the reference's counts: stay well clear of the cut
        least = max(least, 2 * (n + m) / n * float(reference.counts[:-1].min()) + MIN_EXPECTED)
    return merge(before, after, least)


def merge(before: NDArray[np.int64], after: NDArray[np.int64], least: float) -> Cells:
    """Merge cells of fewer than ``least`` rows in both samples together, and the last cell, into one of as many."""
    both = before + after
    order = np.append(np.argsort(-both[:-1], kind="stable"), len(both) - 1)
    sizes = both[order]
    kept = int((sizes[:-1] >= least).sum())
    while kept and 0 < sizes[kept:].sum() < least:
        kept -= 1
    starts = np.arange(kept + 1) if sizes[kept:].sum() else np.arange(kept)
    if len(starts) < 2:
        return before.sum(keepdims=True), after.sum(keepdims=True)
    return np.add.reduceat(before[order], starts), np.add.reduceat(after[order], starts)
