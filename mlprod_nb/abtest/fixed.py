"""The fixed-horizon test: read once, at the number of predictions that the design named."""

from __future__ import annotations

from dataclasses import dataclass

from mlprod_nb.abtest.estimate import Difference, Interval


@dataclass(frozen=True)
class FixedTest:
    """Welch's t-test on linearised unit scores.

    Attributes:
        interval: The confidence interval of the difference.
        p_value: Two-sided.
        degrees_of_freedom: After Welch and Satterthwaite.
    """

    interval: Interval
    p_value: float
    degrees_of_freedom: float


def welch(difference: Difference, *, alpha: float) -> FixedTest:
    """Test the difference once; valid at one look that was fixed in advance.

    With one prediction a unit this is Welch's t-test exactly; with more it is the delta method with Welch and
    Satterthwaite's degrees of freedom (Welch 1947).

    Args:
        difference: At least two units a variant, and a standard error above 0.
        alpha: Chance of a false alarm, two-sided.
    """
    from scipy.special import stdtr, stdtrit

    parts = [s.unit_variance / s.units for s in (difference.control, difference.treatment)]
    freedom = sum(parts) ** 2 / sum(
        part**2 / (s.units - 1) for part, s in zip(parts, (difference.control, difference.treatment), strict=True)
    )
    half = float(stdtrit(freedom, 1 - alpha / 2)) * difference.standard_error
    statistic = abs(difference.value) / difference.standard_error
    interval = Interval(difference.value - half, difference.value + half)
    return FixedTest(interval, 2 * float(stdtr(freedom, -statistic)), freedom)
