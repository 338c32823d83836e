"""Always-valid inference: a confidence sequence, which may be read at any time and any number of times."""

from __future__ import annotations

from mlprod_nb.abtest import mixture
from mlprod_nb.abtest.estimate import Difference, Interval

#: Effective rows at which the sequence is tightest where the design does not say.
TIGHTEST_AT = 20_000


def sequence(difference: Difference, *, alpha: float, tightest_at: float = TIGHTEST_AT) -> Interval:
    """Return the confidence sequence's interval at this look.

    An asymptotic confidence sequence (Waudby-Smith, Arbour, Sinha, Kennedy and Ramdas 2024, "Time-uniform central
    limit theory and asymptotic confidence sequences", Annals of Statistics 52; arXiv 2103.06476): the boundary for a
    Brownian motion, by the mixture of :mod:`mlprod_nb.abtest.mixture`, with estimated variance.

    The chance that the sequence ever leaves out the true difference is at most ``alpha``, as the number of
    observations at the first look grows. It is taken on the absolute difference: on relative lifts such sequences
    fail at low base rates. Its clock is the number of effective rows, so that units which come back count for what
    they bring. Proportions of units that come once have an exact one: :mod:`mlprod_nb.abtest.eprocess`.

    Args:
        difference: Both variants with some variance.
        alpha: Chance of ever being wrong, two-sided.
        tightest_at: Effective rows at which the interval is tightest; must be fixed before the data come.
    """
    half = difference.guarded_error * factor(difference.effective_rows, alpha=alpha, tightest_at=tightest_at)
    return Interval(difference.value - half, difference.value + half)


def factor(rows: float, *, alpha: float, tightest_at: float) -> float:
    """Return the half-width of the sequence in standard errors after ``rows`` observations."""
    return mixture.factor(rows / tightest_at, alpha)
