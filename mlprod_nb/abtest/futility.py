"""When to give up on a planned test: the chance that it still finds the effect that would matter is too small."""

from __future__ import annotations

import math
from statistics import NormalDist

#: Below this chance of still finding the minimal effect, were it there, the test may stop.
LEAST_CONDITIONAL_POWER = 0.02

_NORMAL = NormalDist()


def conditional_power(statistic: float, fraction: float, *, drift: float, limit: float) -> float:
    """Return the chance that the last look crosses its boundary upwards, given this look and a true effect.

    Lan and Wittes (1988, "The B-value: a tool for monitoring data", Biometrics 44): with ``B = z sqrt(t)``, ::

        Phi((B + drift (1 - t) - limit) / sqrt(1 - t))

    Stopping where it is below ``g`` raises the chance of missing the effect from ``b`` to at most ``b / (1 - g)`` (Lan,
    Simon and Halperin 1982, Communications in Statistics C 1). The rule is not binding: the boundaries are computed as
    if nobody stopped for it, so going on after it costs no type I error.

    Args:
        statistic: The difference at this look in standard errors, positive where the treatment is better.
        fraction: How much of the plan is done, in (0, 1].
        drift: The mean of the last look's statistic under the effect.
        limit: The last look's boundary, in standard errors.
    """
    left = 1 - fraction
    score = statistic * math.sqrt(fraction) + drift * left - limit
    if left <= 0:
        return float(score >= 0)
    return _NORMAL.cdf(score / math.sqrt(left))
