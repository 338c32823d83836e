"""ADWIN: did the mean of a stream move, wherever it did?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mlprod_nb.monitoring.budget import SHAPE_FLOOR
from mlprod_nb.monitoring.columns import Floats
from mlprod_nb.monitoring.detectors.online.protocol import Basis, State

#: Rows between two comparisons, and in the smallest bucket.
CLOCK = 32
#: Buckets of one size, beyond which the two oldest become one.
_BUCKETS = 5
_SMALLEST = 2 * CLOCK


@dataclass(frozen=True)
class AdaptiveWindow:
    """The adaptive window of Bifet and Gavaldà (2007), which begins with the reference.

    The window holds all rows since the last change, as sums over buckets of exponentially growing size. Every 32 rows
    it is cut at each border between buckets; where the means of the two parts differ by more than a bound that they
    pass with the stated chance (Bernstein's, theirs in section 4.1, over all cuts together), and by 0.03 or more, it
    fires and drops the older part. As the bound is a sure one, it fires much more seldom than stated.

    >>> basis, random = Basis(1000, None, 100_000), np.random.default_rng(0)
    >>> state, fired = AdaptiveWindow().update(basis, AdaptiveWindow().start(basis), random.random(5000))
    >>> fired
    ()
    >>> AdaptiveWindow().update(basis, state, 0.3 + 0.7 * random.random(800))[1][0] <= 300
    True
    """

    name: str = "adwin"
    kinds: frozenset[str] = frozenset({"places", "truths"})

    def start(self, basis: Basis) -> State | str:
        """Return a window of the reference alone; one of fewer than 64 rows cannot be compared with."""
        if basis.rows < _SMALLEST:
            return f"the reference has {basis.rows} values; it takes {_SMALLEST}"
        squares = 1 / 3 if basis.rate is None else basis.rate
        mean = 0.5 if basis.rate is None else basis.rate
        return {"kept": [], "buckets": [[basis.rows, mean * basis.rows, squares * basis.rows]]}

    def update(self, basis: Basis, state: State, values: Floats) -> tuple[State, tuple[int, ...]]:
        """Add these rows, 32 at a time."""
        before = state["kept"]
        rows = np.concatenate([np.asarray(before, dtype=np.float64), np.asarray(values, dtype=np.float64)])
        whole = len(rows) // CLOCK
        parts = rows[: whole * CLOCK].reshape(-1, CLOCK)
        sums, squares = parts.sum(axis=1).tolist(), (parts**2).sum(axis=1).tolist()
        buckets = [list(bucket) for bucket in state["buckets"]]
        fired = []
        for place, (total, square) in enumerate(zip(sums, squares, strict=True)):
            buckets.append([CLOCK, total, square])
            _merge(buckets)
            cut = _cut(np.array(buckets), CLOCK / basis.expected)
            if cut:
                fired.append((place + 1) * CLOCK - len(before))
                del buckets[:cut]
        return {"kept": rows[whole * CLOCK :].tolist(), "buckets": buckets}, tuple(fired)


def _merge(buckets: list[list[Any]]) -> None:
    """Join the two oldest of any six buckets of one size, newest sizes first; the reference stays as it is."""
    size, last = CLOCK, len(buckets)
    while True:
        first = last
        while first > 0 and buckets[first - 1][0] == size:
            first -= 1
        if last - first <= _BUCKETS:
            return
        older, newer = buckets[first], buckets[first + 1]
        buckets[first : first + 2] = [[a + b for a, b in zip(older, newer, strict=True)]]
        size, last = 2 * size, first + 1


def _cut(buckets: NDArray[np.float64], chance: float) -> int:
    """Return how many of the oldest buckets go: up to the newest border that the means differ across, or none."""
    rows, sums, squares = np.cumsum(buckets, axis=0).T
    total, mean = rows[-1], sums[-1] / rows[-1]
    variance = max(squares[-1] / total - mean**2, 0.0)
    before, after = rows[:-1], total - rows[:-1]
    useful = (before >= _SMALLEST) & (after >= _SMALLEST)
    if not useful.any():
        return 0
    weight = 1 / before + 1 / after
    tail = np.log(2 * useful.sum() / min(chance, 0.5))
    bound = np.sqrt(2 * variance * tail * weight) + 2 / 3 * tail * weight
    gap = np.abs(sums[:-1] / before - (sums[-1] - sums[:-1]) / after)
    over = np.flatnonzero(useful & (gap > np.maximum(bound, SHAPE_FLOOR)))
    return int(over[-1]) + 1 if over.size else 0
