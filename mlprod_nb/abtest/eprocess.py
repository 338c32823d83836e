"""Two proportions, exactly and at any time: the safe test for a 2x2 table, and the confidence sequence it gives.

Turner, Ly and Grünwald (2024, "Generic e-variables for exact sequential k-sample tests that allow for optional
stopping", Journal of Statistical Planning and Inference 230; arXiv 2106.02693) show that the likelihood ratio of any
two chances against their mean, weighted by the variants' shares, has expectation at most 1 under every common chance;
Turner and Grünwald (2023, "Exact anytime-valid confidence intervals for contingency tables and beyond", Statistics and
Probability Letters 198; arXiv 2203.09785) that against the hypothesis "the difference is D" the ratio to the nearest
pair of chances on that line (in Kullback-Leibler divergence) does the same. A mixture of such ratios over fixed pairs
is a test martingale: by Ville's inequality it ever reaches ``1 / alpha`` with a chance of at most ``alpha``, at any
base rate, after any number of looks. It depends on four counts alone, so on no order of the rows.

Which pairs are worth having in the mixture depends on the base rate, which nobody knows beforehand. So the evidence
is the *least* over the base rates that the data have not ruled out, by a confidence sequence of their own that takes a
twentieth of alpha: the true base rate is among them at every look with a chance of ``1 - alpha / 20``, and then the
least evidence is at most the evidence of the grid's next rate above the true one, a martingale. So the whole is exact.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from mlprod_nb.abtest import mixture
from mlprod_nb.abtest.estimate import Interval

Array = NDArray[np.float64]

#: The share of alpha that finding the base rate takes.
_BASE_SHARE = 0.05
#: Base rates, a quarter of a logit apart.
_LOGITS = np.arange(-48, 49) / 4
_BASES: Array = 1 / (1 + np.exp(-_LOGITS))
#: An alternative leaves each chance at least this share of its way to 0 or 1.
_LEAST = 0.02
_NEWTON_STEPS = 60
#: What rounding leaves of a chance: a step as small as this is none.
_ROUNDING = float(np.finfo(np.float64).eps)
#: The largest difference that is tried; beyond it the interval ends at 1.
_OUTERMOST = 1 - 1e-9
#: How exact an interval's end is, as a share of the half-width.
_PRECISION = 1e-3


@dataclass(frozen=True)
class Counts:
    """Successes and units of two variants, each unit once; arrays of one shape, or numbers.

    Attributes:
        hits_control: Units of the control that succeeded.
        units_control: Units of the control.
        hits_treatment: Units of the treatment that succeeded.
        units_treatment: Units of the treatment.
    """

    hits_control: Array
    units_control: Array
    hits_treatment: Array
    units_treatment: Array

    @classmethod
    def of(cls, hits_control: float, units_control: float, hits_treatment: float, units_treatment: float) -> Counts:
        """Return the counts of one table."""
        return cls(*(np.array([float(v)]) for v in (hits_control, units_control, hits_treatment, units_treatment)))

    def outcomes(self) -> Array:
        """Return hits and misses of treatment and control along the last axis."""
        treatment = (self.hits_treatment, self.units_treatment - self.hits_treatment)
        control = (self.hits_control, self.units_control - self.hits_control)
        return np.stack([*treatment, *control], axis=-1)


@dataclass(frozen=True)
class Tuning:
    """What is fixed before the data come.

    Attributes:
        alpha: Chance of ever being wrong, two-sided.
        share: The treatment's share of the units of both variants.
        tightest_at: Units for which the mixture is tuned.
    """

    alpha: float
    share: float
    tightest_at: float

    @property
    def needed(self) -> float:
        """The logarithm of the evidence at which the hypothesis falls."""
        return -math.log((1 - _BASE_SHARE) * self.alpha)


def log_evidence(counts: Counts, tuning: Tuning, difference: float = 0.0) -> Array:
    """Return the logarithm of the evidence against one difference, per table.

    Args:
        counts: The tables.
        tuning: What was fixed before.
        difference: The hypothesis: treatment's chance minus control's, between -1 and 1.
    """
    first, last = _base_rates(counts, tuning)
    lowest, highest = int(first.min()), int(last.max())
    ratios, weights = _log_ratios(lowest, highest, tuning, difference)
    outcomes, least = counts.outcomes(), np.full(counts.hits_control.shape, np.inf)
    for at, pairs in enumerate(ratios, start=lowest):
        among = (first <= at) & (at <= last)
        if among.any():
            least[among] = np.minimum(least[among], _log_sum(outcomes[among] @ pairs + weights))
    return least


def _log_sum(logs: Array) -> Array:
    """Return the logarithm of the sum along the last axis; scipy's own takes longer to start than to add."""
    largest = logs.max(axis=-1)
    total: Array = largest + np.log(np.exp(logs - largest[..., None]).sum(axis=-1))
    return total


def p_value(counts: Counts, tuning: Tuning) -> Array:
    """Return the always-valid p-value of no difference as it stands now: the least alpha that would reject."""
    logs = log_evidence(counts, tuning)
    return np.minimum(1.0, np.exp(-logs) / (1 - _BASE_SHARE))


def sequence(counts: Counts, tuning: Tuning) -> Interval:
    """Return the confidence sequence's interval for one table: the differences that have not fallen.

    Args:
        counts: One table with at least one unit in each variant.
        tuning: What was fixed before.
    """
    (n_c,), (n_t,) = counts.units_control, counts.units_treatment
    found = float(counts.hits_treatment[0] / n_t - counts.hits_control[0] / n_c)
    centre = min(_OUTERMOST, max(-_OUTERMOST, found))
    return Interval(_end(counts, tuning, centre, -1.0), _end(counts, tuning, centre, 1.0))


def _end(counts: Counts, tuning: Tuning, centre: float, side: float) -> float:
    from scipy.optimize import brentq

    def beyond(difference: float) -> float:
        return float(log_evidence(counts, tuning, difference)[0]) - tuning.needed

    outcomes = counts.outcomes()[0] + 0.5
    variance = sum(hit * miss / (hit + miss) ** 3 for hit, miss in (outcomes[:2], outcomes[2:]))
    time = float(counts.units_control[0] + counts.units_treatment[0]) / tuning.tightest_at
    reach = math.sqrt(variance) * mixture.factor(time, tuning.alpha)
    if beyond(centre) >= 0:
        return side  # No difference fits: the variants' shares are not the split's, which the sample-ratio check says.
    inner, outer = centre, float(np.clip(centre + side * 0.9 * reach, -_OUTERMOST, _OUTERMOST))
    while beyond(outer) < 0:
        if outer * side >= _OUTERMOST:
            return side
        inner, outer = outer, float(np.clip(outer + side * 0.25 * reach, -_OUTERMOST, _OUTERMOST))
        reach *= 1.2
    return float(brentq(beyond, inner, outer, xtol=_PRECISION * reach))


def _base_rates(counts: Counts, tuning: Tuning) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Return the first and the last base rate of the grid that stays in play.

    A beta mixture over the rate gives its confidence sequence (Ville 1939; Robbins 1970); the last rate is the grid's
    next above it, so that the next above the true rate is among them.
    """
    from scipy.special import betaln

    hits = counts.hits_control + counts.hits_treatment
    misses = counts.units_control + counts.units_treatment - hits
    mixed = (betaln(hits + 0.5, misses + 0.5) - betaln(0.5, 0.5))[..., None]
    logs = mixed - hits[..., None] * np.log(_BASES) - misses[..., None] * np.log1p(-_BASES)
    inside = logs < -math.log(_BASE_SHARE * tuning.alpha)
    rate = (hits / np.maximum(1.0, hits + misses))[..., None]
    top = len(_BASES) - 1
    upto = inside | (rate >= _BASES)
    highest = np.where(upto.any(axis=-1), top - np.argmax(upto[..., ::-1], axis=-1), -1)
    last = np.minimum(highest + 1, top)
    first = np.where(inside.any(axis=-1), np.argmax(inside, axis=-1), last)
    return np.minimum(first, last), last


@lru_cache(maxsize=256)
def _log_ratios(lowest: int, highest: int, tuning: Tuning, difference: float) -> tuple[Array, Array]:
    """Return the log-likelihood ratios, base rate by outcome by pair, and each pair's log weight.

    Outcomes are treatment hit and miss, control hit and miss.
    """
    sizes, weights = mixture.effects()
    share, rate = tuning.share, _BASES[lowest : highest + 1, None]
    step = sizes * np.sqrt(rate * (1 - rate) / (share * (1 - share) * tuning.tightest_at))
    gap = difference + np.concatenate([step, -step], axis=1)
    treatment = _inner(rate + (1 - share) * gap, rate)
    control = _inner(rate - share * gap, rate)
    null_treatment, null_control = _project(treatment, control, share, difference)
    ratios = np.stack(
        [
            np.log(treatment / null_treatment),
            np.log1p(-treatment) - np.log1p(-null_treatment),
            np.log(control / null_control),
            np.log1p(-control) - np.log1p(-null_control),
        ],
        axis=1,
    )
    return ratios, np.log(np.concatenate([weights, weights]) / 2)


def _inner(chance: Array, rate: Array) -> Array:
    return np.clip(chance, _LEAST * rate, 1 - _LEAST * (1 - rate))


def _project(treatment: Array, control: Array, share: float, difference: float) -> tuple[Array, Array]:
    """Return the nearest pairs of chances whose difference is the hypothesis, by Newton's method held in a bracket."""
    if difference == 0:
        mean = share * treatment + (1 - share) * control
        return mean, mean
    least, most = max(0.0, -difference), min(1.0, 1 - difference)
    low, high = np.full_like(control, least), np.full_like(control, most)
    guess = np.clip(
        share * (treatment - difference) + (1 - share) * control, low + 1e-3 * (high - low), high - 1e-3 * (high - low)
    )
    for _ in range(_NEWTON_STEPS):
        moved = guess + difference
        slope_t, slope_c = treatment - moved, control - guess
        value = share * slope_t / (moved * (1 - moved)) + (1 - share) * slope_c / (guess * (1 - guess))
        low, high = np.where(value > 0, guess, low), np.where(value > 0, high, guess)
        bend = -share * (treatment / moved**2 + (1 - treatment) / (1 - moved) ** 2)
        bend -= (1 - share) * (control / guess**2 + (1 - control) / (1 - guess) ** 2)
        found = guess - value / bend
        held = (low <= found) & (found <= high) & (least < found) & (found < most)
        following = np.where(held, found, (low + high) / 2)
        room = np.minimum(following - least, most - following)
        if np.all(np.abs(following - guess) <= 1e-11 * room + _ROUNDING):
            break
        guess = following
    return guess + difference, guess
