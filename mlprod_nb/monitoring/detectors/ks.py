"""Kolmogorov–Smirnov: did the distribution of a column of numbers change?"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mlprod_nb.monitoring.bins import ColumnCounts
from mlprod_nb.monitoring.budget import SHAPE_FLOOR
from mlprod_nb.monitoring.detectors import kolmogorov
from mlprod_nb.monitoring.detectors.protocol import Comparison, too_few

MIN_ROWS = 20


@dataclass(frozen=True)
class KolmogorovSmirnov:
    """The two-sample test of Kolmogorov and Smirnov on binned counts.

    The statistic is the largest difference of the two cumulative shares, which is also the effect: at least that
    share of the rows must have moved. Small samples get the exact p-value (Hodges 1958), large ones the one-sample
    law at ``n m / (n + m)`` rows; both as scipy has them. Ties and bins make the test careful, never rash.

    >>> from mlprod_nb.monitoring.bins import ColumnCounts
    >>> before = ColumnCounts(np.array([100, 100, 100, 100]), 0, 400)
    >>> KolmogorovSmirnov().compare(before, ColumnCounts(np.array([26, 25, 24, 25]), 0, 100)).p_value > 0.9
    True
    >>> KolmogorovSmirnov().compare(before, ColumnCounts(np.array([60, 20, 10, 10]), 0, 100)).p_value < 1e-8
    True
    """

    name: str = "ks"
    kinds: frozenset[str] = frozenset({"number"})
    floor: float = SHAPE_FLOOR

    def compare(self, reference: ColumnCounts, window: ColumnCounts) -> Comparison:
        """Compare two columns of numbers; fewer than 20 values on either side are not tested."""
        n, m = int(reference.counts.sum()), int(window.counts.sum())
        if min(n, m) < MIN_ROWS:
            return Comparison(reason=too_few(min(n, m), MIN_ROWS))
        if np.count_nonzero(reference.counts + window.counts) < 2:
            return Comparison(reason="the column is constant in both")
        gaps = np.abs(np.cumsum(reference.counts) / n - np.cumsum(window.counts) / m)
        statistic = float(gaps.max())
        return Comparison(statistic, statistic, _p_value(reference, window, statistic))


def _p_value(reference: ColumnCounts, window: ColumnCounts, statistic: float) -> float:
    n, m = int(reference.counts.sum()), int(window.counts.sum())
    chance = kolmogorov.survival(round(n * m / (n + m)), statistic)
    if kolmogorov.exactly(n, m, chance):
        from scipy import stats

        bins = np.arange(len(reference.counts))
        samples = np.repeat(bins, reference.counts), np.repeat(bins, window.counts)
        return float(stats.ks_2samp(*samples, method="exact").pvalue)
    return chance
