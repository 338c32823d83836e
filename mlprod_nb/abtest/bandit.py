"""A split that follows what is learned: Thompson sampling with a floor, and inference that stays valid under it.

A plain mean is biased once the shares depend on what was seen. Weighting each reward by one over the chance with which
its variant was chosen undoes that, and the floor keeps the weights bounded.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mlprod_nb.abtest import mixture
from mlprod_nb.abtest.estimate import Interval
from mlprod_nb.errors import UsageError

_DRAWS = 4_000


@dataclass(frozen=True)
class Reward:
    """What a variant has earned.

    Attributes:
        hits: Units that succeeded.
        units: Units that were served.
    """

    hits: int
    units: int


def allocate(rewards: Mapping[str, Reward], *, floor: float, seed: int) -> dict[str, float]:
    """Return each variant's share of the next units: its posterior chance to be best, and never below the floor.

    Thompson (1933, Biometrika 25), with uniform priors.

    Args:
        rewards: What each variant has earned.
        floor: The least share of any variant, above 0 and at most one over their number.
        seed: Of the random numbers: the same rewards and seed give the same shares.

    Raises:
        UsageError: The floor cannot be.
    """
    if not 0 < floor * len(rewards) <= 1:
        raise UsageError(f"floor is {floor:g}; it is above 0 and at most {1 / max(1, len(rewards)):g}.")
    rng, names = np.random.default_rng(seed), sorted(rewards)
    draws = np.stack([rng.beta(rewards[n].hits + 1, rewards[n].units - rewards[n].hits + 1, _DRAWS) for n in names])
    best = np.bincount(draws.argmax(axis=0), minlength=len(names)) / _DRAWS
    spare = 1 - floor * len(names)
    return {name: floor + spare * float(share) for name, share in zip(names, best, strict=True)}


@dataclass(frozen=True)
class WeightedSums:
    """Sums over units of the inverse-propensity-weighted difference ``w = r (1{treatment} / p_t - 1{control} / p_c)``.

    Attributes:
        units: Units that were served, all variants.
        total: Sum of ``w``.
        squares: Sum of ``w * w``.
    """

    units: int
    total: float
    squares: float

    @classmethod
    def of(
        cls, reward: NDArray[np.float64], treated: NDArray[np.bool_], chance_treatment: NDArray[np.float64]
    ) -> WeightedSums:
        """Return the sums of arrays with one entry a unit, the chance as it was when the unit came."""
        weighted = np.where(treated, reward / chance_treatment, -reward / (1 - chance_treatment))
        return cls(len(reward), float(weighted.sum()), float(weighted @ weighted))

    def add(self, other: WeightedSums) -> WeightedSums:
        """Return the sums over both."""
        return WeightedSums(self.units + other.units, self.total + other.total, self.squares + other.squares)


def sequence(sums: WeightedSums, *, alpha: float, tightest_at: float) -> Interval:
    """Return the confidence sequence's interval of the difference in mean reward, at any time, under adaptive shares.

    The weighted differences have the true difference as mean whatever the shares, so their sum is a martingale around
    it; its variance is estimated by the sum of squares (Waudby-Smith, Wu, Ramdas, Karampatziakis and Mineiro 2024,
    "Anytime-valid off-policy inference for contextual bandits", ACM/IMS Journal of Data Science 1; Lindeberg-type
    sequences of Waudby-Smith et al. 2024, section 3).

    Args:
        sums: At least two units.
        alpha: Chance of ever being wrong, two-sided.
        tightest_at: Units at which the interval is tightest.
    """
    mean = sums.total / sums.units
    variance = max(0.0, sums.squares - sums.units * mean * mean) / max(1, sums.units - 1)
    half = math.sqrt(variance / sums.units) * mixture.factor(sums.units / tightest_at, alpha)
    return Interval(mean - half, mean + half)
