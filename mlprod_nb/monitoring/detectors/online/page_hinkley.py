"""Page–Hinkley: did the mean of a stream move?"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from mlprod_nb.monitoring.columns import Floats
from mlprod_nb.monitoring.detectors.online.protocol import Basis, State

#: Moves of less than twice this many standard deviations are not looked for.
_ALLOWANCE = 0.1
MIN_ROWS = 100


@dataclass(frozen=True)
class PageHinkley:
    """The cumulative sum of Page (1954), as Hinkley (1971) has it, of moves in either direction from the reference.

    It adds up how far the standardised values lie from the reference's mean, less an allowance ``k`` of a tenth of a
    standard deviation, or more where the reference is small; the threshold ``h`` is where a run of unchanged rows is as
    long as stated: ``(exp(θh) - θh - 1) / (θk)`` (Siegmund 1985, without his correction for the overshoot, which would
    make it rasher), in which θ solves ``E exp(θ (x - k)) = 1`` for places or truths as they are, not as if they were
    normal. The reference's mean is taken to be wrong by two of its standard errors.

    >>> basis, random = Basis(10_000, None, 100_000), np.random.default_rng(0)
    >>> state, fired = PageHinkley().update(basis, PageHinkley().start(basis), random.random(5000))
    >>> fired
    ()
    >>> PageHinkley().update(basis, state, 0.2 + 0.8 * random.random(800))[1][0] <= 200
    True
    """

    name: str = "page_hinkley"
    kinds: frozenset[str] = frozenset({"places", "truths"})

    def start(self, basis: Basis) -> State | str:
        """Return two sums of zero; a reference of fewer than 100 rows or that never varies cannot be compared with."""
        if basis.rows < MIN_ROWS:
            return f"the reference has {basis.rows} values; it takes {MIN_ROWS}"
        if basis.rate is not None and not 0 < basis.rate < 1:
            return "the reference never varies"
        return {"up": 0.0, "down": 0.0}

    def update(self, basis: Basis, state: State, values: Floats) -> tuple[State, tuple[int, ...]]:
        """Add these rows to both sums; a sum that fired begins anew."""
        rate = 0.5 if basis.rate is None else basis.rate
        away = (np.asarray(values, dtype=np.float64) - rate) / _spread(basis)
        after: dict[str, float] = {}
        fired: set[int] = set()
        for name, sign in (("up", 1.0), ("down", -1.0)):
            after[name], rows = _run(float(state[name]), sign * away - _allowance(basis), threshold(basis, sign))
            fired.update(rows)
        return after, tuple(sorted(fired))


def _run(total: float, steps: Floats, height: float) -> tuple[float, list[int]]:
    """Return the sum after the steps, and after how many of them it passed the height, where it began anew."""
    fired: list[int] = []
    done = 0
    while done < len(steps):
        path = total + np.cumsum(steps[done:])
        sums = path - np.minimum(np.minimum.accumulate(path), 0.0)
        over = int(np.argmax(sums > height)) if (sums > height).any() else -1
        if over < 0:
            return float(sums[-1]), fired
        total, done = 0.0, done + over + 1
        fired.append(done)
    return total, fired


def _spread(basis: Basis) -> float:
    return math.sqrt(1 / 12) if basis.rate is None else math.sqrt(basis.rate * (1 - basis.rate))


def _allowance(basis: Basis) -> float:
    return max(_ALLOWANCE, 4 / math.sqrt(basis.rows))


@lru_cache(maxsize=1024)
def threshold(basis: Basis, sign: float) -> float:
    """Return the height in standard deviations at which one of the two directions has half of the alarms."""
    from scipy.optimize import brentq

    drift = _allowance(basis) - 2 / math.sqrt(basis.rows)
    if _largest(basis, sign) <= drift:
        return math.inf  # it cannot rise: a rate of nearly 0 has no room to fall
    most = 1.0
    while _cumulant(basis, sign, most) < most * drift:
        most *= 2
    root = float(brentq(lambda theta: _cumulant(basis, sign, theta) - theta * drift, 1e-6, most, xtol=1e-12))
    target = 2 * basis.expected * root * drift
    height = float(brentq(lambda x: math.exp(x) - x - 1 - target, 0.0, 10 + math.log1p(target), xtol=1e-9))
    return height / root


def _largest(basis: Basis, sign: float) -> float:
    rate = 0.5 if basis.rate is None else basis.rate
    return (1 - rate if sign > 0 else rate) / _spread(basis)


def _cumulant(basis: Basis, sign: float, theta: float) -> float:
    """Return ``log E exp(θ x)`` of the standardised value, without overflow."""
    if basis.rate is None:
        reach = theta * math.sqrt(3)
        return reach + math.log(-math.expm1(-2 * reach) / (2 * reach))
    up, rate = _largest(basis, sign), basis.rate if sign > 0 else 1 - basis.rate
    down = _largest(basis, -sign)
    return theta * up + math.log(rate + (1 - rate) * math.exp(-theta * (up + down)))
