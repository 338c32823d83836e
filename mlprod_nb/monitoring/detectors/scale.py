"""Scale: did a column of numbers spread out or draw together?"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mlprod_nb.monitoring.bins import ColumnCounts
from mlprod_nb.monitoring.budget import SHAPE_FLOOR
from mlprod_nb.monitoring.detectors.protocol import Comparison

MIN_ROWS = 20


@dataclass(frozen=True)
class Scale:
    """The rank test of Mood (1954) for spread, with midranks for ties.

    The scores are squared distances of ranks from the middle: bounded, so one wild value cannot raise an alarm. Mean
    and variance are those of the permutation distribution, exact with ties. The effect is the largest difference of
    cumulative shares, as for ``ks``.

    >>> from mlprod_nb.monitoring.bins import ColumnCounts
    >>> before = ColumnCounts(np.array([100, 100, 100, 100]), 0, 400)
    >>> Scale().compare(before, ColumnCounts(np.array([40, 10, 10, 40]), 0, 100)).p_value < 1e-4
    True
    >>> Scale().compare(before, ColumnCounts(np.array([25, 26, 24, 25]), 0, 100)).p_value > 0.5
    True
    """

    name: str = "scale"
    kinds: frozenset[str] = frozenset({"number"})
    floor: float = SHAPE_FLOOR

    def compare(self, reference: ColumnCounts, window: ColumnCounts) -> Comparison:
        """Compare two columns of numbers; fewer than 20 values on either side are not tested."""
        from scipy.special import ndtr

        n, m = int(reference.counts.sum()), int(window.counts.sum())
        if min(n, m) < MIN_ROWS:
            return Comparison(reason=f"{min(n, m)} values are too few; it takes {MIN_ROWS}")
        pooled = (reference.counts + window.counts).astype(np.float64)
        total = n + m
        middles = np.cumsum(pooled) - (pooled - 1) / 2
        scores = (middles / (total + 1) - 0.5) ** 2
        mean = float((pooled * scores).sum()) / total
        variance = n * m / (total * (total - 1)) * float((pooled * (scores - mean) ** 2).sum())
        if variance <= 0:
            return Comparison(reason="the column is constant in both")
        statistic = (float((window.counts * scores).sum()) - m * mean) / variance**0.5
        gaps = np.abs(np.cumsum(reference.counts) / n - np.cumsum(window.counts) / m)
        return Comparison(statistic, float(gaps.max()), float(2 * ndtr(-abs(statistic))))
