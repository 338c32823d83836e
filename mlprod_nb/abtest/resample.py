"""The bootstrap over units, where nobody trusts a formula: seeded and bounded."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mlprod_nb.abtest.estimate import Interval

Array = NDArray[np.float64]

#: More rows than this are thinned by units before a paired bootstrap of areas, so that it ends in seconds.
MOST_ROWS = 50_000


@dataclass(frozen=True)
class Resampling:
    """How to resample.

    Attributes:
        alpha: Chance that the interval leaves out the truth, two-sided.
        draws: How many samples.
        seed: Of the random numbers: the same seed gives the same interval.
    """

    alpha: float = 0.05
    draws: int = 1_000
    seed: int = 0

    def interval(self, draws: Array) -> Interval:
        """Return the percentile interval (Efron 1979, "Bootstrap methods", Annals of Statistics 7)."""
        low, high = np.quantile(draws, [self.alpha / 2, 1 - self.alpha / 2])
        return Interval(float(low), float(high))


def mean_difference(control: tuple[Array, Array], treatment: tuple[Array, Array], how: Resampling) -> Interval:
    """Return the interval of a difference of means per row; whole units are drawn, with all their rows.

    Args:
        control: Rows and sum of values per unit.
        treatment: The same.
        how: How to resample.
    """
    rng = np.random.default_rng(how.seed)
    means = []
    for rows, totals in (control, treatment):
        count = len(rows)
        chance = np.full(count, 1 / count)
        draws = np.empty(how.draws)
        for at in range(how.draws):
            times = rng.multinomial(count, chance)
            draws[at] = (times @ totals) / (times @ rows)
        means.append(draws)
    return how.interval(means[1] - means[0])


@dataclass(frozen=True)
class ScoredPairs:
    """Two models' scores of the same requests.

    Attributes:
        control: The control's scores.
        treatment: The treatment's scores.
        positive: Whether the truth is the positive class.
        units: A whole number per request that names its unit.
    """

    control: Array
    treatment: Array
    positive: NDArray[np.bool_]
    units: NDArray[np.int64]


def paired_auc(pairs: ScoredPairs, how: Resampling) -> Interval:
    """Return the interval of the difference of two areas under the ROC curve on the same requests.

    Both areas are computed on the same drawn units, so what the requests share drops out. Beyond :data:`MOST_ROWS`
    requests a seeded share of the units stands for all, and the interval is the wider one of fewer requests.
    """
    rng = np.random.default_rng(how.seed)
    _, codes = np.unique(pairs.units, return_inverse=True)
    kept = np.ones(len(codes), bool)
    if len(codes) > MOST_ROWS:
        kept = (rng.random(int(codes.max()) + 1) < MOST_ROWS / len(codes))[codes]
        _, codes = np.unique(codes[kept], return_inverse=True)
    positive = pairs.positive[kept]
    if positive.all() or not positive.any():
        return Interval(-1.0, 1.0)
    areas = [_WeightedArea(scores[kept], positive) for scores in (pairs.control, pairs.treatment)]
    count = int(codes.max()) + 1
    chance = np.full(count, 1 / count)
    draws = np.empty(how.draws)
    for at in range(how.draws):
        weights = rng.multinomial(count, chance)[codes].astype(float)
        draws[at] = areas[1](weights) - areas[0](weights)
    return how.interval(draws[np.isfinite(draws)])


class _WeightedArea:
    """The area under the ROC curve for any weights of the same rows: sorted once."""

    def __init__(self, scores: Array, positive: NDArray[np.bool_]) -> None:
        self._order = np.argsort(scores, kind="stable")
        ordered = scores[self._order]
        self._starts = np.flatnonzero(np.r_[True, ordered[1:] > ordered[:-1]])
        self._positive = positive[self._order].astype(float)

    def __call__(self, weights: Array) -> float:
        """Return the area; not a number where a class has no weight."""
        ordered = weights[self._order]
        ones = np.add.reduceat(ordered * self._positive, self._starts)
        zeros = np.add.reduceat(ordered * (1 - self._positive), self._starts)
        total = ones.sum() * zeros.sum()
        if total == 0:
            return float("nan")
        return float(ones @ (np.cumsum(zeros) - zeros / 2) / total)
