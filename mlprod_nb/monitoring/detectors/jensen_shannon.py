"""Jensen–Shannon: how well could one tell by a row which of the two samples it is from?"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mlprod_nb.monitoring.bins import ColumnCounts
from mlprod_nb.monitoring.budget import SHAPE_FLOOR
from mlprod_nb.monitoring.columns import Floats
from mlprod_nb.monitoring.detectors import permutation
from mlprod_nb.monitoring.detectors.protocol import Comparison


@dataclass(frozen=True)
class JensenShannon:
    """The Jensen–Shannon distance (Lin 1991) over ten groups of the reference, or over its categories.

    The square root of the mean divergence, in nats, of the two samples from their mixture; 0 to 0.83. The p-value is
    by permutations: against the law for large samples, 5 times as many as stated were below 1e-4 with 40 categories
    and a window of 500 rows. The effect is the total variation distance.

    >>> from mlprod_nb.monitoring.bins import ColumnCounts
    >>> before = ColumnCounts(np.array([500, 300, 200, 0]), 0, 1000)
    >>> JensenShannon().compare(before, ColumnCounts(np.array([102, 58, 40, 0]), 0, 200)).p_value > 0.9
    True
    >>> JensenShannon().compare(before, ColumnCounts(np.array([60, 60, 40, 40]), 0, 200)).p_value < 1e-4
    True
    """

    name: str = "jensen_shannon"
    kinds: frozenset[str] = frozenset({"number", "category"})
    floor: float = SHAPE_FLOOR

    def compare(self, reference: ColumnCounts, window: ColumnCounts) -> Comparison:
        """Compare two columns; fewer than two groups that expect ten rows are not tested."""
        return permutation.compare(_distances, reference, window)


def _distances(p: Floats, q: Floats) -> Floats:
    from scipy.special import rel_entr

    divergence = (rel_entr(p, (p + q) / 2) + rel_entr(q, (p + q) / 2)).sum(axis=1) / 2
    found: Floats = np.sqrt(np.maximum(divergence, 0))
    return found
