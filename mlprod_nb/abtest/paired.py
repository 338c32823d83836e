"""A shadow scores the same requests, so the two variants are compared request by request.

What varies between requests drops out of the difference, so a shadow needs a fraction of the traffic that a split does.
For right-or-wrong metrics only the requests on which exactly one variant is right tell anything (McNemar 1947).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mlprod_nb.abtest import mixture
from mlprod_nb.abtest.estimate import Interval, Sample

Array = NDArray[np.float64]

#: The beta mixture over the treatment's share of the discordant requests.
_SPREAD = 5.0
#: The beta mixture over the share of requests that are discordant, which may be rare.
_RARE_SPREAD = 0.5
#: The share of alpha that the interval's width takes for the share of discordant requests.
_DISCORDANT_SHARE = 0.05
_ENDS = 1e-12


@dataclass(frozen=True)
class Discordant:
    """Requests counted by who was right.

    Attributes:
        wins: Requests on which the treatment alone was right.
        losses: Requests on which the control alone was right.
        pairs: All requests with both answers.
    """

    wins: int
    losses: int
    pairs: int

    @property
    def difference(self) -> float:
        """Treatment's share of right answers minus control's."""
        return (self.wins - self.losses) / self.pairs


@dataclass(frozen=True)
class McNemarTest:
    """McNemar's test, read once.

    Attributes:
        exact: The p-value of the exact binomial test; holds its level.
        mid_p: The same with half the chance of what was observed: closer to its level, a reading aid (Fagerland,
            Lydersen and Laake 2013, BMC Medical Research Methodology 13).
    """

    exact: float
    mid_p: float


def mcnemar(counts: Discordant) -> McNemarTest:
    """Test once, at a number of requests that was fixed in advance, whether both variants are equally often right."""
    from scipy.special import bdtr, betaln

    total, few = counts.wins + counts.losses, min(counts.wins, counts.losses)
    if total == 0:
        return McNemarTest(1.0, 1.0)
    tail = float(bdtr(few, total, 0.5))
    point = math.exp(-float(betaln(few + 1, total - few + 1)) - math.log(total + 1) - total * math.log(2))
    return McNemarTest(min(1.0, 2 * tail), min(1.0, 2 * tail - point))


def log_evidence(wins: Array, losses: Array, share: float = 0.5, spread: float = _SPREAD) -> Array:
    """Return the logarithm of the evidence that the treatment's share of the discordant requests is not ``share``.

    Where no variant is better, each discordant request falls to either side with chance one half, whatever the base
    rate. The likelihood under a share drawn from a symmetric beta distribution, over that under one half, is a test
    martingale (Robbins 1970): it ever reaches ``1 / alpha`` with a chance of at most ``alpha``, exactly.
    """
    from scipy.special import betaln

    mixed = betaln(wins + spread, losses + spread) - betaln(spread, spread)
    found: Array = mixed - wins * math.log(share) - losses * math.log1p(-share)
    return found


def p_value(counts: Discordant) -> float:
    """Return the always-valid p-value of "both are equally often right" as it stands now."""
    evidence = log_evidence(np.array(float(counts.wins)), np.array(float(counts.losses)))
    return math.exp(-max(0.0, float(evidence)))


def sequence(counts: Discordant, *, alpha: float) -> Interval:
    """Return the exact confidence sequence's interval of the difference in shares of right answers.

    The difference is ``discordant * (2 * wins_share - 1)``. Each factor has an exact confidence sequence by its own
    beta mixture, the second with 95 % of alpha; both hold at once with a chance of ``1 - alpha``. The interval leaves
    out 0 exactly where the test on the discordant requests rejects at 95 % of alpha.

    Args:
        counts: At least one pair.
        alpha: Chance of ever being wrong, two-sided.
    """
    total = counts.wins + counts.losses
    low, high = _share(counts.wins, counts.losses, (1 - _DISCORDANT_SHARE) * alpha, _SPREAD)
    rare, often = _share(total, counts.pairs - total, _DISCORDANT_SHARE * alpha, _RARE_SPREAD)
    down, up = 2 * low - 1, 2 * high - 1
    return Interval(down * (often if down < 0 else rare), up * (rare if up < 0 else often))


def _share(hits: int, misses: int, alpha: float, spread: float) -> tuple[float, float]:
    from scipy.optimize import brentq

    def beyond(share: float) -> float:
        evidence = log_evidence(np.array(float(hits)), np.array(float(misses)), share, spread)
        return float(evidence) + math.log(alpha)

    centre = min(1 - 2 * _ENDS, max(2 * _ENDS, hits / max(1, hits + misses)))
    ends = []
    for edge, closed in ((_ENDS, 0.0), (1 - _ENDS, 1.0)):
        ends.append(float(brentq(beyond, edge, centre, xtol=1e-10)) if beyond(edge) > 0 > beyond(centre) else closed)
    return ends[0], ends[1]


def mean_sequence(differences: Sample, *, alpha: float, tightest_at: float) -> Interval:
    """Return the confidence sequence's interval of a mean of paired differences, at any time.

    As :func:`mlprod_nb.abtest.sequential.sequence`, for one sample: its clock is the number of effective pairs.

    Args:
        differences: Treatment minus control, with some variance.
        alpha: Chance of ever being wrong, two-sided.
        tightest_at: Effective pairs at which the interval is tightest.
    """
    error = math.sqrt(differences.unit_variance / differences.units)
    effective = differences.row_variance / error**2
    half = error * mixture.factor(effective / tightest_at, alpha)
    return Interval(differences.mean - half, differences.mean + half)
