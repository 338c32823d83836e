"""Sample-ratio mismatch: do the variants hold the shares of units that the split gave them?

A split that does not come out as designed (lost rows, a redirect, a broken hash) makes every comparison worthless,
whatever its lift (Fabijan et al. 2019, "Diagnosing sample ratio mismatch in online controlled experiments"). The check
is read at every look, so it is a sequential one: a chi-square test read a thousand times at 0.001 gives ten to thirty
times as many alarms.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

#: Below this p-value the split is broken: the chance of ever saying so of a split that is not.
ALARM_BELOW = 0.001
#: More than this share of units met in two variants makes a test invalid.
MOST_IN_TWO_VARIANTS = 0.01
#: How sure the mixture is of the designed shares, in units: for gross mismatches, for small ones, for tiny ones.
_CONCENTRATIONS = (10.0, 1_000.0, 100_000.0)


@dataclass(frozen=True)
class SampleRatioCheck:
    """Whether the split came out as designed, counted in units.

    Attributes:
        expected: Share of the units that each variant should have.
        observed: Units that each variant has.
        p_value: Always-valid: below any level with at most that chance, however often it is read; 1 where one variant
            holds all traffic.
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
    return check_periods([(shares, observed)], units_in_two_variants=units_in_two_variants)


def check_periods(
    periods: Sequence[tuple[Mapping[str, float], Mapping[str, int]]], *, units_in_two_variants: int
) -> SampleRatioCheck:
    """Compare the units with the split of each period; the periods' evidence multiplies, as independent bets do.

    Args:
        periods: The shares, and the units that the variants met under them.
        units_in_two_variants: Units that met more than one variant.
    """
    evidence, wanted, counts = 0.0, dict[str, float](), dict[str, int]()
    for shares, observed in periods:
        live = {name: share for name, share in shares.items() if share > 0}
        met = [observed.get(name, 0) for name in live]
        parts = np.array(list(live.values())) / sum(live.values())
        if len(live) > 1 and sum(met) > 0:
            evidence += float(log_evidence(np.array(met, float), parts))
        # Where no unit has come yet, the shares alone are told.
        size = max(sum(met), 1 if len(periods) == 1 else 0)
        for name, count, part in zip(live, met, parts, strict=True):
            counts[name] = counts.get(name, 0) + count
            wanted[name] = wanted.get(name, 0.0) + size * float(part)
    expected = {name: count / max(1e-300, sum(wanted.values())) for name, count in wanted.items()}
    total, p_value = sum(counts.values()), math.exp(-max(0.0, evidence))
    trusted = p_value >= ALARM_BELOW and units_in_two_variants <= MOST_IN_TWO_VARIANTS * max(1, total)
    return SampleRatioCheck(expected, counts, p_value, units_in_two_variants, trusted)


def log_evidence(counts: NDArray[np.float64], shares: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the logarithm of the evidence against the shares; the last axis holds the variants.

    The multinomial test martingale of Lindon and Malek (2022, "Anytime-valid inference for multinomial count data",
    NeurIPS 35; arXiv 2011.03567): the likelihood under shares drawn from a Dirichlet distribution around the designed
    ones, over that under the designed ones; here the mean over three concentrations. Whenever it is read, it is ever
    above ``1 / alpha`` with a chance of at most ``alpha`` (Ville 1939). It depends on the counts alone, so on no order.
    """
    from scipy.special import gammaln, logsumexp

    total, null = counts.sum(axis=-1), (counts * np.log(shares)).sum(axis=-1)
    terms = [
        (gammaln(sure * shares + counts) - gammaln(sure * shares)).sum(axis=-1)
        + gammaln(sure)
        - gammaln(sure + total)
        - null
        for sure in _CONCENTRATIONS
    ]
    found: NDArray[np.float64] = logsumexp(np.stack(terms), axis=0) - math.log(len(_CONCENTRATIONS))
    return found
