"""Total variation: what share of the rows would have to change category?"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mlprod_nb.monitoring.bins import ColumnCounts
from mlprod_nb.monitoring.budget import SHAPE_FLOOR
from mlprod_nb.monitoring.columns import Floats
from mlprod_nb.monitoring.detectors import permutation
from mlprod_nb.monitoring.detectors.chi_square import pool, untested
from mlprod_nb.monitoring.detectors.protocol import Comparison


@dataclass(frozen=True)
class TotalVariation:
    """Half the sum of the absolute differences of the shares (Gibbs and Su 2002), with a p-value by permutations.

    It is the effect of every detector of categories, tested in itself: common categories count more than in
    ``chi_square``, rare ones less. Categories that expect fewer than ten rows are pooled.

    >>> from mlprod_nb.monitoring.bins import ColumnCounts
    >>> before = ColumnCounts(np.array([500, 300, 200, 0]), 0, 1000)
    >>> TotalVariation().compare(before, ColumnCounts(np.array([102, 58, 40, 0]), 0, 200)).p_value > 0.9
    True
    >>> found = TotalVariation().compare(before, ColumnCounts(np.array([60, 60, 40, 40]), 0, 200))
    >>> round(found.statistic, 9), found.p_value < 1e-4
    (0.2, True)
    """

    name: str = "total_variation"
    kinds: frozenset[str] = frozenset({"category"})
    floor: float = SHAPE_FLOOR

    def compare(self, reference: ColumnCounts, window: ColumnCounts) -> Comparison:
        """Compare two columns of categories; fewer than two categories that expect ten rows are not tested."""
        before, after = pool(reference, window)
        if reason := untested(reference, window, before):
            return Comparison(reason=reason)
        n, m = int(before.sum()), int(after.sum())

        def distances(drawn: NDArray[np.int64]) -> Floats:
            found: Floats = np.abs(drawn / m - (before + after - drawn) / n).sum(axis=1) / 2
            return found

        distance = float(distances(after[np.newaxis])[0])
        return Comparison(distance, distance, permutation.p_value(distances, before, after))
