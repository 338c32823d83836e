"""The tails of the hypergeometric law, without ``scipy.stats``, which takes a second to import."""

from __future__ import annotations

import numpy as np

from mlprod_nb.monitoring.columns import Floats

# Beyond so many standard deviations and steps from the mode a chance is below the smallest number, 1e-308.
_DEVIATIONS = 40
_STEPS = 800


def tails(total: int, marked: int, drawn: int, found: int) -> tuple[float, float]:
    """Return the chances of at most, and of at least, so many marked ones among those drawn without replacement.

    Chances relative to that of the mode follow from one another by ``p(k + 1) / p(k) = (K - k) (n - k) / ((k + 1) (N -
    K - n + k + 1))`` (Johnson, Kemp and Kotz 2005, section 6.2), and their sum is one. So no large logarithms are
    subtracted, which would cost half of the digits.

    Args:
        total: How many there are.
        marked: How many of them are marked.
        drawn: How many are drawn.
        found: How many marked ones are among these.
    """
    first, last = max(0, drawn + marked - total), min(marked, drawn)
    share = marked / total
    spread = (drawn * share * (1 - share) * (total - drawn) / max(total - 1, 1)) ** 0.5
    mode = min(max((drawn + 1) * (marked + 1) // (total + 2), first), last)
    far = int(_DEVIATIONS * spread) + _STEPS
    lowest, highest = max(first, mode - far), min(last, mode + far)
    up = np.arange(mode, highest, dtype=np.float64)
    rising = (marked - up) * (drawn - up) / ((up + 1) * (total - marked - drawn + up + 1))
    down = np.arange(mode, lowest, -1, dtype=np.float64)
    falling = down * (total - marked - drawn + down) / ((marked - down + 1) * (drawn - down + 1))
    with np.errstate(under="ignore"):
        chances: Floats = np.concatenate([np.cumprod(falling)[::-1], [1.0], np.cumprod(rising)])
        whole = chances.sum()
        place = found - lowest
        return float(chances[: max(place + 1, 0)].sum() / whole), float(chances[max(place, 0) :].sum() / whole)


def doubled(total: int, marked: int, drawn: int, found: int) -> float:
    """Return Fisher's exact test, two-sided by doubling the smaller tail; the arguments are those of :func:`tails`."""
    return min(1.0, 2 * min(tails(total, marked, drawn, found)))
