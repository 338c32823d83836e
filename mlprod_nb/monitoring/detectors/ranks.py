"""Linear rank statistics of binned counts, with the moments of their permutation distribution, exact with ties."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mlprod_nb.monitoring.bins import ColumnCounts
from mlprod_nb.monitoring.columns import Floats
from mlprod_nb.monitoring.detectors.hypergeometric import doubled
from mlprod_nb.monitoring.detectors.protocol import Comparison, too_few

MIN_ROWS = 20


@dataclass(frozen=True)
class Moments:
    """The permutation distribution of the sum of the scores of a window's rows.

    Attributes:
        deviate: The sum, standardised.
        skewness: Of the distribution.
    """

    deviate: float
    skewness: float

    @property
    def p_value(self) -> float:
        """Twice the smaller tail of the gamma law (Pearson's type III) that has the distribution's three moments.

        A normal law would be too thin in the longer tail where few rows have the large scores (Mielke, Berry and
        Johnson 1976). In the shorter tail the normal law stands, which is the thicker one there.
        """
        from scipy.special import gammaincc, ndtr

        normal = float(ndtr(-abs(self.deviate)))
        towards = abs(self.skewness) if self.deviate * self.skewness > 0 else 0.0
        if towards < 1e-3:
            return min(1.0, 2 * normal)
        shape = 4 / towards**2
        heavy = float(gammaincc(shape, shape + abs(self.deviate) * shape**0.5))
        return min(1.0, 2 * max(normal, heavy))


def midranks(pooled: NDArray[np.int64]) -> Floats:
    """Return each cell's middle rank among all rows, as a share of them, from just above -0.5 to just below 0.5."""
    middles: Floats = (np.cumsum(pooled) - (pooled - 1) / 2) / (pooled.sum() + 1) - 0.5
    return middles


def moments(pooled: NDArray[np.int64], window: NDArray[np.int64], scores: Floats) -> Moments | None:
    """Return the standardised sum of a window's scores, drawn without replacement from both samples' scores.

    Args:
        pooled: Rows of both samples in each cell.
        window: Rows of the window in each cell.
        scores: Each cell's score.

    Returns:
        ``None`` where all scores are the same.
    """
    total, m = int(pooled.sum()), int(window.sum())
    n = total - m
    away = scores - float((pooled * scores).sum()) / total
    square, cube = (float((pooled * away**power).sum()) / total for power in (2, 3))
    if square <= 1e-15 * float((scores**2).max(initial=0.0)):
        return None
    error = np.sqrt(n * m / (total - 1) * square)
    # The third central moment of a sum without replacement (Cochran 1977, Sampling Techniques, section 2.15).
    skewness = cube * n * m * (n - m) / ((total - 1) * (total - 2)) / error**3
    return Moments(float((window * away).sum()) / error, float(skewness))


def compare(reference: ColumnCounts, window: ColumnCounts, power: int) -> Comparison:
    """Compare two columns of numbers by the sum of a power of the window's midranks.

    The effect is the largest difference of the two cumulative shares.
    """
    n, m = int(reference.counts.sum()), int(window.counts.sum())
    if min(n, m) < MIN_ROWS:
        return Comparison(reason=too_few(min(n, m), MIN_ROWS))
    pooled = reference.counts + window.counts
    found = moments(pooled, window.counts, midranks(pooled) ** power)
    if found is None:
        return Comparison(reason="the column is constant in both")
    gaps = np.abs(np.cumsum(reference.counts) / n - np.cumsum(window.counts) / m)
    exact = np.flatnonzero(pooled)
    if exact.size == 2:  # with two values every score is one of it, and Fisher's exact test knows its law
        first = exact[0]
        p_value = doubled(n + m, int(pooled[first]), m, int(window.counts[first]))
    else:
        p_value = found.p_value
    return Comparison(found.deviate, float(gaps.max()), p_value)
