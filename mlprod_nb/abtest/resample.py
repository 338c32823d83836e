"""The bootstrap over units, where nobody trusts a formula: seeded and bounded."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mlprod_nb.abtest.estimate import Interval

Array = NDArray[np.float64]


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
