"""Two proportions at one look that was fixed in advance: a score interval that holds its level at low base rates."""

from __future__ import annotations

from statistics import NormalDist

import numpy as np

from mlprod_nb.abtest.eprocess import Array, Counts
from mlprod_nb.abtest.estimate import Interval

_HALVINGS = 55
#: A limit beyond this many standard errors is as good as none.
_FURTHEST = 8.0


def score_statistic(counts: Counts, difference: Array) -> Array:
    """Return how many standard errors the counts lie from a difference.

    The standard error is that of the likeliest pair of chances with this difference, times the square root of
    ``n / (n - 1)`` (Miettinen and Nurminen 1985, "Comparative analysis of two rates", Statistics in Medicine 4). At a
    difference of 0 it is the z-test with pooled variance. 0 where the hypothesis leaves nothing to chance.

    Args:
        counts: Tables.
        difference: Treatment's chance minus control's, between -1 and 1; one for each table.
    """
    null = _likeliest_control(counts, difference)
    n_c, n_t = counts.units_control, counts.units_treatment
    found = counts.hits_treatment / n_t - counts.hits_control / n_c
    moved = np.clip(null + difference, 0.0, 1.0)
    variance = (moved * (1 - moved) / n_t + null * (1 - null) / n_c) * (n_c + n_t) / (n_c + n_t - 1)
    gap = found - difference
    error = np.sqrt(np.maximum(variance, 1e-300))
    statistic: Array = np.where(np.abs(gap) < 1e-12, 0.0, gap / error)
    return statistic


def p_value(counts: Counts) -> Array:
    """Return the two-sided p-value of no difference; valid at one look that was fixed in advance."""
    from scipy.special import ndtr

    found: Array = 2 * ndtr(-np.abs(score_statistic(counts, np.zeros_like(counts.hits_control))))
    return found


def bounds(counts: Counts, alpha: float) -> tuple[Array, Array]:
    """Return the ends of the score interval of each table: the differences that the test does not reject."""
    limit = NormalDist().inv_cdf(1 - alpha / 2)
    centre = counts.hits_treatment / counts.units_treatment - counts.hits_control / counts.units_control
    return _end(counts, centre, -1.0, limit), _end(counts, centre, 1.0, limit)


def interval(counts: Counts, *, alpha: float) -> Interval:
    """Return the score interval of one table."""
    (lower,), (upper,) = bounds(counts, alpha)
    return Interval(float(lower), float(upper))


def at_limit(counts: Counts, limit: float) -> Interval:
    """Return the interval of one table at a look whose boundary is ``limit`` standard errors.

    At early looks a variant may have met a handful of events, and far out the score statistic's tail is then heavier
    than the normal one. So 0 is left out only where the root of the deviance (McCullagh and Nelder 1989, "Generalized
    linear models", chapter 4) lies beyond the limit too: the interval is widened by the ratio of the two.
    """
    score = abs(float(score_statistic(counts, np.zeros(1))[0]))
    root = float(deviance_root(counts)[0])
    stretched = limit * score / root if 0 < root < score else limit
    alpha = 2 * (1 - NormalDist().cdf(min(stretched, _FURTHEST)))
    return interval(counts, alpha=alpha)


def deviance_root(counts: Counts) -> Array:
    """Return the root of twice the log-likelihood ratio of two chances against one."""
    from scipy.special import xlogy

    n_c, n_t = counts.units_control, counts.units_treatment
    rate = (counts.hits_control + counts.hits_treatment) / (n_c + n_t)
    total = np.zeros_like(rate)
    for hits, units in ((counts.hits_control, n_c), (counts.hits_treatment, n_t)):
        for seen, expected in ((hits, units * rate), (units - hits, units * (1 - rate))):
            total += xlogy(seen, seen / np.where(expected > 0, expected, 1.0))
    found: Array = np.sqrt(np.maximum(0.0, 2 * total))
    return found


def _end(counts: Counts, centre: Array, side: float, limit: float) -> Array:
    inner, outer = centre.copy(), np.full_like(centre, side)
    for _ in range(_HALVINGS):
        middle = (inner + outer) / 2
        rejected = np.abs(score_statistic(counts, middle)) > limit
        inner, outer = np.where(rejected, inner, middle), np.where(rejected, middle, outer)
    return outer


def _likeliest_control(counts: Counts, difference: Array) -> Array:
    """Return the control's chance under the hypothesis: the root of the paper's cubic that is a chance."""
    n_c, n_t, c, d = counts.units_control, counts.units_treatment, counts.hits_control, difference
    n, hits = n_c + n_t, counts.hits_control + counts.hits_treatment
    third = ((n_t + 2 * n_c) * d - n - hits) / (3 * n)
    first = ((n_c * d - n - 2 * c) * d + hits) / n
    constant = c * d * (1 - d) / n
    q = third**3 - first * third / 2 + constant / 2
    p = np.where(q >= 0, 1.0, -1.0) * np.sqrt(np.maximum(third**2 - first / 3, 0.0))
    cosine = np.clip(np.divide(q, p**3, out=np.zeros_like(q), where=np.abs(p) > 1e-100), -1.0, 1.0)
    root = 2 * p * np.cos((np.pi + np.arccos(cosine)) / 3) - third
    chance: Array = np.clip(root, np.maximum(0.0, -d), np.minimum(1.0, 1 - d))
    return chance
