"""Sample-ratio mismatch: do the variants hold the shares of units that the split gave them?

A split that does not come out as designed (lost rows, a redirect, a broken hash) makes every comparison worthless,
whatever its lift (Fabijan et al. 2019, "Diagnosing sample ratio mismatch in online controlled experiments").
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

#: Below this p-value the split is broken; small, because the check runs at every look.
ALARM_BELOW = 0.001
#: More than this share of units met in two variants makes a test invalid.
MOST_IN_TWO_VARIANTS = 0.01


@dataclass(frozen=True)
class SampleRatioCheck:
    """Whether the split came out as designed, counted in units.

    Attributes:
        expected: Share of the units that each variant should have.
        observed: Units that each variant has.
        p_value: Of the chi-square test of goodness of fit; 1 where one variant holds all traffic.
        units_in_two_variants: Units that met more than one variant.
        ok: Whether the split can be trusted.
    """

    expected: dict[str, float]
    observed: dict[str, int]
    p_value: float
    units_in_two_variants: int
    ok: bool


def check(shares: Mapping[str, float], observed: Mapping[str, int], *, units_in_two_variants: int) -> SampleRatioCheck:
    """Compare the units that the variants met with the split.

    Args:
        shares: Each variant's share of the traffic; variants without one must meet no unit.
        observed: Units that each variant met, a unit in two variants counted in both.
        units_in_two_variants: Units that met more than one variant.
    """
    from scipy.special import chdtrc

    live = {name: share for name, share in shares.items() if share > 0}
    whole = sum(live.values())
    expected = {name: share / whole for name, share in live.items()}
    counts = {name: observed.get(name, 0) for name in live}
    total = sum(counts.values())
    p_value = 1.0
    if len(live) > 1 and total > 0:
        statistic = sum((counts[name] - total * share) ** 2 / (total * share) for name, share in expected.items())
        p_value = float(chdtrc(len(live) - 1, statistic))
    trusted = p_value >= ALARM_BELOW and units_in_two_variants <= MOST_IN_TWO_VARIANTS * max(1, total)
    return SampleRatioCheck(expected, counts, p_value, units_in_two_variants, trusted)
