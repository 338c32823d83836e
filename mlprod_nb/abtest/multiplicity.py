"""Several questions in one test: metrics, and variants each against the control."""

from __future__ import annotations

from collections.abc import Sequence


def holm(p_values: Sequence[float]) -> list[float]:
    """Return p-values adjusted so that any false alarm at all is as rare as each level says.

    Holm (1979, "A simple sequentially rejective multiple test procedure", Scandinavian Journal of Statistics 6); holds
    whatever the dependence, and for always-valid p-values at any time.
    """
    count = len(p_values)
    order = sorted(range(count), key=lambda at: p_values[at])
    found, highest = [0.0] * count, 0.0
    for rank, at in enumerate(order):
        highest = max(highest, min(1.0, (count - rank) * p_values[at]))
        found[at] = highest
    return found


def benjamini_hochberg(p_values: Sequence[float]) -> list[float]:
    """Return p-values adjusted so that the expected share of false alarms among all alarms is as each level says.

    Benjamini and Hochberg (1995, "Controlling the false discovery rate", Journal of the Royal Statistical Society B
    57); for independent or positively dependent p-values.
    """
    count = len(p_values)
    order = sorted(range(count), key=lambda at: p_values[at], reverse=True)
    found, lowest = [0.0] * count, 1.0
    for rank, at in enumerate(order):
        lowest = min(lowest, p_values[at] * count / (count - rank))
        found[at] = lowest
    return found
