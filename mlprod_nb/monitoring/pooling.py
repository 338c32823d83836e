"""Pooled windows: this look, and it together with the 3 and the 12 windows before it.

A slow creep is small in every window and large in their sum. Counts can be added, so a longer window costs nothing.
Every pooled window is one more test of the look, and is corrected with the others.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from mlprod_nb.monitoring import counting
from mlprod_nb.monitoring.bins import WindowCounts
from mlprod_nb.monitoring.profile import Profile

#: How many looks are pooled: one, about a month of weekly looks, about a quarter.
LOOKS = (1, 4, 13)


@dataclass(frozen=True)
class Pool:
    """The windows of some looks as one.

    Attributes:
        looks: How many, this one among them.
        counts: Their rows, counted.
    """

    looks: int
    counts: WindowCounts


def pools(profile: Profile, window: WindowCounts, earlier: Sequence[WindowCounts] = ()) -> tuple[Pool, ...]:
    """Return this look's window, and the pooled ones for which there are enough earlier windows with rows.

    Args:
        profile: The reference that all were counted with.
        window: This look's window.
        earlier: The windows before it, of the same length, newest first.
    """
    found = [Pool(1, window)]
    for looks in LOOKS[1:] if window.rows else ():
        parts = earlier[: looks - 1]
        if len(parts) == looks - 1 and all(part.rows for part in parts):
            found.append(Pool(looks, counting.add(profile, (window, *parts))))
    return tuple(found)


def describe(used: Iterable[Pool]) -> str:
    """Return in words which windows were tested, as ``"windows of 1 and 4 looks (1,000 and 4,000 rows)"``."""
    several = list(used)
    looks, rows = _listed(str(pool.looks) for pool in several), _listed(f"{pool.counts.rows:,}" for pool in several)
    noun = "windows" if len(several) > 1 else "window"
    return f"{noun} of {looks} {'looks' if len(several) > 1 else 'look'} ({rows} rows)"


def _listed(items: Iterable[str]) -> str:
    *most, last = items
    return f"{', '.join(most)} and {last}" if most else last
