"""Always-valid inference: a confidence sequence, which may be read at any time and any number of times."""

from __future__ import annotations

import math

from mlprod_nb.abtest.estimate import Difference, Interval

#: Effective rows at which the sequence is tightest where the design does not say.
TIGHTEST_AT = 5_000


def sequence(difference: Difference, *, alpha: float, tightest_at: float = TIGHTEST_AT) -> Interval:
    """Return the confidence sequence's interval at this look.

    The asymptotic confidence sequence of Waudby-Smith, Arbour, Sinha, Kennedy and Ramdas (2024, "Time-uniform central
    limit theory and asymptotic confidence sequences", Annals of Statistics 52; arXiv 2103.06476), Theorem 2.2, which
    is Robbins' (1970) normal mixture with estimated variance. With ``t`` observations, standard error ``se`` and
    mixture scale ``rho`` the half-width is ::

        se * sqrt((t rho^2 + 1) / (t rho^2) * log((t rho^2 + 1) / alpha^2))

    The chance that the sequence ever leaves out the true difference is at most ``alpha``, as the number of
    observations at the first look grows. It is taken on the absolute difference: on relative lifts such sequences
    fail at low base rates. ``t`` is the number of effective rows, so that units which come back count for what they
    bring.

    Args:
        difference: Both variants with some variance.
        alpha: Chance of ever being wrong, two-sided.
        tightest_at: Effective rows at which the interval is tightest; must be fixed before the data come.
    """
    half = difference.guarded_error * factor(difference.effective_rows, alpha=alpha, tightest_at=tightest_at)
    return Interval(difference.value - half, difference.value + half)


def factor(rows: float, *, alpha: float, tightest_at: float) -> float:
    """Return the half-width of the sequence in standard errors after ``rows`` observations."""
    scaled = rows * mixture_variance(alpha, tightest_at)
    return math.sqrt((scaled + 1) / scaled * math.log((scaled + 1) / alpha**2))


def mixture_variance(alpha: float, tightest_at: float) -> float:
    """Return ``rho^2`` for which the sequence is tightest at ``tightest_at`` observations.

    The paper's appendix on tuning the mixture gives ``rho^2 = (-W(-alpha^2 / e) - 1) / t`` with the lower branch of
    Lambert's function. The same number is found here by Newton's method on ``x - log(1 + x) = -2 log(alpha)``, which
    ``x = t rho^2`` solves.
    """
    target = -2 * math.log(alpha)
    x = target + math.log(target + 1) + 1
    for _ in range(50):
        step = (x - math.log1p(x) - target) * (1 + x) / x
        x -= step
        if abs(step) < 1e-13 * x:
            break
    return x / tightest_at
