"""Hellinger: how far are the square roots of the shares apart?"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mlprod_nb.monitoring.bins import ColumnCounts
from mlprod_nb.monitoring.budget import SHAPE_FLOOR
from mlprod_nb.monitoring.columns import Floats
from mlprod_nb.monitoring.detectors import permutation
from mlprod_nb.monitoring.detectors.protocol import Comparison


@dataclass(frozen=True)
class Hellinger:
    """The distance of Hellinger (1909) over ten groups of the reference, or over its categories.

    The root of one minus the sum of ``sqrt(p q)``, 0 to 1. The p-value is by permutations, for the reason that
    ``jensen_shannon`` has. The effect is the total variation distance.

    >>> from mlprod_nb.monitoring.bins import ColumnCounts
    >>> before = ColumnCounts(np.array([500, 300, 200, 0]), 0, 1000)
    >>> Hellinger().compare(before, ColumnCounts(np.array([102, 58, 40, 0]), 0, 200)).p_value > 0.9
    True
    >>> Hellinger().compare(before, ColumnCounts(np.array([60, 60, 40, 40]), 0, 200)).p_value < 1e-4
    True
    """

    name: str = "hellinger"
    kinds: frozenset[str] = frozenset({"number", "category"})
    floor: float = SHAPE_FLOOR

    def compare(self, reference: ColumnCounts, window: ColumnCounts) -> Comparison:
        """Compare two columns; fewer than two groups that expect ten rows are not tested."""
        return permutation.compare(_distances, reference, window)


def _distances(p: Floats, q: Floats) -> Floats:
    found: Floats = np.sqrt(((np.sqrt(q) - np.sqrt(p)) ** 2).sum(axis=1) / 2)
    return found
