"""A split that follows what is learned: Thompson sampling with a floor, and how a test under it is read.

Shares that depend on what was seen bias a plain mean, and pooling all rows compares unlike times. But shares move by
revisions, so between two of them they stand still, and a test under a bandit is one whose split was changed many times:
its variants are compared in each period, and the differences averaged (:mod:`mlprod_nb.abtest.periods`). Shares that
were fixed before a period's rows came are as good as any others there, whatever they followed: given the past, each
period's difference has the true one as its mean, so the weighted sum is a martingale around it (Zhang, Janson, Murphy
2020, "Inference for batched bandits", NeurIPS 33). The floor gives every period enough units of each variant.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from mlprod_nb.errors import UsageError

#: The least share of any variant where the design does not say.
FLOOR = 0.1
#: Fewer units than this in a variant, and the shares stay.
LEAST_UNITS = 30
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
    check_floor(floor, len(rewards))
    rng, names = np.random.default_rng(seed), sorted(rewards)
    draws = np.stack([rng.beta(rewards[n].hits + 1, rewards[n].units - rewards[n].hits + 1, _DRAWS) for n in names])
    best = np.bincount(draws.argmax(axis=0), minlength=len(names)) / _DRAWS
    spare = 1 - floor * len(names)
    return {name: floor + spare * float(share) for name, share in zip(names, best, strict=True)}


def check_floor(floor: float, variants: int) -> None:
    """Refuse a floor that cannot be."""
    if not 0 < floor * variants <= 1:
        raise UsageError(f"floor is {floor:g}; it is above 0 and at most {1 / max(1, variants):.4g}.")
