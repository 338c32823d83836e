"""Cramér–von Mises windows: did the distribution of a stream of numbers change?"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from mlprod_nb.monitoring.columns import Floats
from mlprod_nb.monitoring.detectors.online.protocol import Basis, State, chance, complete, windows


@dataclass(frozen=True)
class CramerVonMisesWindows:
    """The test of Cramér and von Mises on windows of 25, 50, … 800 rows, one after the other.

    Small windows find large changes soon, large ones find small changes. The statistic of a window of ``w`` places
    against a reference of ``n`` rows is ``1 + w/n`` times the one-sample statistic's limit (Anderson 1962); the
    threshold is the point that it passes with the chance one window may spend, from the limit's moment generating
    function (Smirnov 1936) by the saddlepoint formula of Lugannani and Rice (1980).

    >>> basis, random = Basis(1000, None, 100_000), np.random.default_rng(0)
    >>> state, fired = CramerVonMisesWindows().update(basis, CramerVonMisesWindows().start(basis), random.random(5000))
    >>> fired
    ()
    >>> CramerVonMisesWindows().update(basis, state, random.random(800) ** 2)[1][0] <= 100
    True
    """

    name: str = "cvm"
    kinds: frozenset[str] = frozenset({"places"})

    def start(self, basis: Basis) -> State | str:
        """Return an empty state; a reference of fewer than 25 rows cannot be compared with."""
        return {"kept": []} if windows(basis) else f"the reference has {basis.rows} values; it takes 25"

    def update(self, basis: Basis, state: State, values: Floats) -> tuple[State, tuple[int, ...]]:
        """Compare each window that these places complete."""
        before = np.asarray(state["kept"], dtype=np.float64)
        kept, completed = complete(before, values, windows(basis))
        fired: set[int] = set()
        for start, rows in completed:
            size = rows.shape[1]
            over = np.flatnonzero(_statistic(rows) / (1 + size / basis.rows) > threshold(chance(basis, size)))
            fired.update((start + (over + 1) * size - len(before)).tolist())
        return {"kept": kept.tolist()}, tuple(sorted(fired))


def _statistic(rows: Floats) -> Floats:
    size = rows.shape[1]
    middles = (np.arange(size) + 0.5) / size
    statistic: Floats = ((np.sort(rows, axis=1) - middles) ** 2).sum(axis=1) + 1 / (12 * size)
    return statistic


@lru_cache(maxsize=1024)
def threshold(chance: float) -> float:
    """Return the point that the limit of the statistic passes with a chance of at most a fifth."""
    from scipy.optimize import brentq

    target = math.log(min(chance, 0.2))
    # The tail falls as exp(-π² x / 2), so this is beyond the point.
    most = 1.0 - 2 * target / math.pi**2
    return float(brentq(lambda point: math.log(survival(point)) - target, 0.2, most, xtol=1e-10))


def survival(point: float) -> float:
    """Return the chance that the limit of the statistic passes a point above its mean, 1/6."""
    from scipy.optimize import brentq
    from scipy.special import log_ndtr
    from scipy.stats import norm

    # With y = sqrt(2 t) in (0, pi) the cumulant generating function is K = log(y / sin y) / 2; its slope is the point.
    y = float(brentq(lambda y: _slope(y) - point, 1e-3, math.pi - 1e-9, xtol=1e-13))
    t, k = y * y / 2, 0.5 * math.log(y / math.sin(y))
    r = math.sqrt(max(2 * (t * point - k), 1e-12))
    u = t * math.sqrt(_curvature(y))
    return float(math.exp(log_ndtr(-r)) + norm.pdf(r) * (1 / u - 1 / r))


def _slope(y: float) -> float:
    return (1 / y - 1 / math.tan(y)) / (2 * y)


def _curvature(y: float) -> float:
    """Return the second derivative of the cumulant generating function by t, where dt = y dy."""
    inner = -1 / y**2 + 1 / math.sin(y) ** 2
    return (inner / (2 * y) - (1 / y - 1 / math.tan(y)) / (2 * y * y)) / y
