"""Fisher windows: did the rate of a stream of truths change?"""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from mlprod_nb.monitoring.columns import Floats
from mlprod_nb.monitoring.detectors.online.protocol import Basis, State, chance, complete, windows


@dataclass(frozen=True)
class FisherWindows:
    """Fisher's exact test (1935) on windows of 25, 50, … 800 rows, one after the other.

    How many true rows a window may have follows from the hypergeometric law, two-sided by doubling the smaller tail:
    exact, however rare they are, so an unchanged stream fires at most as often as stated.

    >>> basis, random = Basis(1000, 0.1, 100_000), np.random.default_rng(0)
    >>> state, fired = FisherWindows().update(basis, FisherWindows().start(basis), random.random(5000) < 0.1)
    >>> fired
    ()
    >>> FisherWindows().update(basis, state, random.random(800) < 0.3)[1][0] <= 200
    True
    """

    name: str = "fisher"
    kinds: frozenset[str] = frozenset({"truths"})

    def start(self, basis: Basis) -> State | str:
        """Return an empty state; a reference of fewer than 25 rows cannot be compared with."""
        return {"kept": []} if windows(basis) else f"the reference has {basis.rows} values; it takes 25"

    def update(self, basis: Basis, state: State, values: Floats) -> tuple[State, tuple[int, ...]]:
        """Compare each window that these truths complete."""
        before = np.asarray(state["kept"], dtype=np.float64)
        kept, completed = complete(before, np.asarray(values, dtype=np.float64), windows(basis))
        fired: set[int] = set()
        for start, rows in completed:
            size = rows.shape[1]
            fewest, most = bounds(basis, size)
            true = np.rint(rows.sum(axis=1))
            over = np.flatnonzero((true < fewest) | (true > most))
            fired.update((start + (over + 1) * size - len(before)).tolist())
        return {"kept": kept.astype(int).tolist()}, tuple(sorted(fired))


@lru_cache(maxsize=1024)
def bounds(basis: Basis, size: int) -> tuple[int, int]:
    """Return the fewest and the most true rows that a window of that size may have without firing."""
    from scipy.stats import hypergeom

    spend = chance(basis, size) / 2
    law = [basis.rows + size, size]

    def high(found: int) -> bool:
        return bool(hypergeom.sf(found - 1, law[0], basis.positives + found, law[1]) <= spend)

    def low(found: int) -> bool:
        return bool(hypergeom.cdf(found, law[0], basis.positives + found, law[1]) > spend)

    # Both tails shrink the farther the window's count is from what the reference leads one to expect.
    return bisect_left(range(size + 1), True, key=low), bisect_left(range(size + 1), True, key=high) - 1
