"""How far two variants' scores lie apart, at any time: Kolmogorov's distance with an always-valid band.

Howard and Ramdas (2022, "Sequential estimation of quantiles with applications to A/B testing and best-arm
identification", Bernoulli 28, corollary 2): the empirical distribution of ``n`` independent values is ever farther from
the true one than ``0.85 sqrt((log log(e n) + 0.8 log(1612 / alpha)) / n)`` with a chance of at most ``alpha``. Each
variant takes half of alpha; that the two may depend on each other, as a shadow's do, changes nothing in that.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Distance:
    """The greatest difference between two distribution functions.

    Attributes:
        value: As found.
        lower: At least so much is certain.
        upper: At most so much is.
    """

    value: float
    lower: float
    upper: float


def between(control: Array, treatment: Array, *, alpha: float) -> Distance | None:
    """Return the distance of two samples of independent values; ``None`` where one is empty.

    Args:
        control: The control's values, finite.
        treatment: The treatment's.
        alpha: The chance that the true distance ever lies outside.
    """
    if not len(control) or not len(treatment):
        return None
    merged = np.concatenate([control, treatment])
    below = [np.searchsorted(np.sort(part), merged, side="right") / len(part) for part in (control, treatment)]
    found = float(np.max(np.abs(below[0] - below[1])))
    reach = radius(len(control), alpha=alpha / 2) + radius(len(treatment), alpha=alpha / 2)
    return Distance(found, max(0.0, found - reach), min(1.0, found + reach))


def radius(count: int, *, alpha: float) -> float:
    """Return how far an empirical distribution of so many values may be from the true one."""
    return 0.85 * math.sqrt((math.log(1 + math.log(count)) + 0.8 * math.log(1612 / alpha)) / count)
