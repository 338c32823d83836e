"""Robbins' method of mixtures: from one guess of the effect to a bound that holds for every effect, at every look.

A likelihood ratio against one effect is a test martingale; so is a mixture of them over effects that were fixed before
the data came (Robbins 1970, "Statistical methods related to the law of the iterated logarithm", Annals of Mathematical
Statistics 41). Here the effects are worth about :data:`_CENTRE` standard errors at the rows for which the test is
tuned, both signs alike, spread log-normally; a tenth of the weight is spread wide, so that a test tuned for the wrong
number of rows loses a little width and never its error rate. Against Robbins' normal mixture it is 6 % narrower where
it is tuned, and finds an effect more often, because effects that nobody could find by then have no weight.
"""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

_CENTRE, _NARROW, _WIDE, _WIDE_WEIGHT = 2.4, 0.45, 1.5, 0.1
_NODES = 21
#: Where the search for a boundary starts, in standard errors.
_FURTHEST = 30.0
_NEWTON_STEPS = 100


@lru_cache(maxsize=1)
def effects() -> tuple[Array, Array]:
    """Return the sizes of the effects, in standard errors at the rows of the tuning, and their weights."""
    logs = np.linspace(-3.0, 3.0, _NODES)
    narrow, wide = (np.exp(-0.5 * (logs / spread) ** 2) for spread in (_NARROW, _WIDE))
    weights = (1 - _WIDE_WEIGHT) * narrow / narrow.sum() + _WIDE_WEIGHT * wide / wide.sum()
    return _CENTRE * np.exp(logs), weights


def log_evidence(statistic: Array, time: Array) -> Array:
    """Return the logarithm of the mixture's likelihood ratio against no effect.

    Args:
        statistic: The difference in standard errors at this look.
        time: How far the test is, as a multiple of the rows for which it is tuned; of the same shape.
    """
    return _evidence(np.abs(statistic), time)[0]


def boundary(time: Array, alpha: float) -> Array:
    """Return how many standard errors the difference must be worth for evidence of ``1 / alpha`` at each time.

    The evidence is convex in the difference, so Newton's method from outside comes down on the boundary.
    """
    found = np.full_like(time, _FURTHEST)
    for _ in range(_NEWTON_STEPS):
        evidence, slope = _evidence(found, time)
        step = (evidence + math.log(alpha)) / slope
        found = found - step
        if np.all(np.abs(step) <= 1e-12 * found):
            break
    return found


def _evidence(size: Array, time: Array) -> tuple[Array, Array]:
    """Return the evidence and its slope over the size of the statistic."""
    sizes, weights = effects()
    scaled = sizes * np.sqrt(time)[..., None]
    tilt = scaled * size[..., None]
    # log cosh without overflow.
    logs = np.log(weights) + tilt + np.log1p(np.exp(-2 * tilt)) - math.log(2) - scaled**2 / 2
    top = logs.max(axis=-1, keepdims=True)
    parts = np.exp(logs - top)
    total = parts.sum(axis=-1)
    slope: Array = (parts * scaled * np.tanh(tilt)).sum(axis=-1) / total
    return np.log(total) + top[..., 0], slope


@lru_cache(maxsize=4096)
def factor(time: float, alpha: float) -> float:
    """Return :func:`boundary` at one time."""
    return float(boundary(np.array([time]), alpha)[0])
