"""The law of a weighted sum of squared differences of two cumulative shares, ties and bins included.

If nothing changed, the differences are a Brownian bridge at the pooled cumulative shares, so the sum is a sum of
chi-squares, each weighted by an eigenvalue of the bridge's covariance (Choulakian, Lockhart and Stephens 1994). The
inverse of that covariance is tridiagonal, which gives a thousand eigenvalues in some milliseconds.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from mlprod_nb.monitoring.bins import ColumnCounts
from mlprod_nb.monitoring.columns import Floats
from mlprod_nb.monitoring.detectors.protocol import Comparison, too_few

MIN_ROWS = 20


def compare(reference: ColumnCounts, window: ColumnCounts, weigh: Callable[[Floats], Floats]) -> Comparison:
    """Compare two columns of numbers by the weighted sum of the squared differences of their cumulative shares.

    The effect is the largest of the differences. Fewer than 20 values on either side are not tested.

    Args:
        reference: What was.
        window: What came.
        weigh: Gives the weight of the difference at the end of each bin but the last, shape ``(bins - 1,)``, from the
            share that each filled bin has of the rows of both, shape ``(bins,)``.
    """
    if reason := untested(reference, window):
        return Comparison(reason=reason)
    pooled = reference.counts + window.counts
    filled = pooled > 0
    n, m, total = int(reference.counts.sum()), int(window.counts.sum()), int(pooled.sum())
    gaps = (np.cumsum(reference.counts) / n - np.cumsum(window.counts) / m)[filled][:-1]
    weights = weigh(pooled[filled] / total)
    statistic = n * m / total * float((weights * gaps**2).sum())
    p_value = exceeds(statistic, spectrum(pooled[filled], weights))
    return Comparison(statistic, float(np.abs(gaps).max()), p_value)


def untested(reference: ColumnCounts, window: ColumnCounts) -> str:
    """Return why two columns of numbers cannot be compared; empty where they can."""
    fewest = int(min(reference.counts.sum(), window.counts.sum()))
    if fewest < MIN_ROWS:
        return too_few(fewest, MIN_ROWS)
    constant = np.count_nonzero(reference.counts + window.counts) < 2
    return "the column is constant in both" if constant else ""


def spectrum(pooled: NDArray[np.int64], weights: Floats) -> Floats:
    """Return the weights of the chi-squares.

    Args:
        pooled: Rows of both samples in each bin, none empty, shape ``(bins,)``.
        weights: What the squared difference at the end of each bin but the last counts, shape ``(bins - 1,)``.
    """
    from scipy.linalg import eigvalsh_tridiagonal

    total = int(pooled.sum())
    steps = pooled / total
    inner = (1 / steps[:-1] + 1 / steps[1:]) / weights
    outer = -1 / steps[1:-1] / np.sqrt(weights[:-1] * weights[1:])
    precisions: Floats = eigvalsh_tridiagonal(inner, outer, lapack_driver="sterf")
    return total / (total - 1) / precisions


def exceeds(statistic: float, weights: Floats) -> float:
    """Return the chance that a sum of weighted chi-squares of one degree of freedom is above a value.

    The saddlepoint of Kuonen (1999), whose relative error stays at some percent far into the tail.
    """
    from scipy.optimize import brentq
    from scipy.special import ndtr

    if statistic <= 0:
        return 1.0
    mean, variance = float(weights.sum()), 2 * float((weights**2).sum())
    if abs(statistic - mean) < 1e-3 * math.sqrt(variance):
        skewness = 8 * float((weights**3).sum()) / variance**1.5
        return float(0.5 - skewness / (6 * math.sqrt(2 * math.pi)))
    # With these ends the derivative of the cumulant is below the statistic at one and above it at the other.
    lowest, highest = -len(weights) / statistic, 1 / (2 * weights.max()) - 1 / (4 * statistic)
    point = brentq(lambda z: float((weights / (1 - 2 * z * weights)).sum()) - statistic, lowest, highest)
    cumulant = -0.5 * float(np.log1p(-2 * point * weights).sum())
    curvature = 2 * float(((weights / (1 - 2 * point * weights)) ** 2).sum())
    root = math.copysign(math.sqrt(max(2 * (point * statistic - cumulant), 0.0)), point)
    return float(ndtr(-(root + math.log(point * math.sqrt(curvature) / root) / root)))
