"""Scale: did a column of numbers spread out or draw together?"""

from __future__ import annotations

from dataclasses import dataclass

from mlprod_nb.monitoring.bins import ColumnCounts
from mlprod_nb.monitoring.budget import SHAPE_FLOOR
from mlprod_nb.monitoring.detectors import ranks
from mlprod_nb.monitoring.detectors.protocol import Comparison


@dataclass(frozen=True)
class Scale:
    """The rank test of Mood (1954) for spread, with midranks for ties.

    The scores are squared distances of ranks from the middle: bounded, so one wild value cannot raise an alarm. Mean,
    variance and skewness are those of the permutation distribution, exact with ties. The effect is the largest
    difference of cumulative shares, as for ``ks``.

    >>> import numpy as np
    >>> from mlprod_nb.monitoring.bins import ColumnCounts
    >>> before = ColumnCounts(np.array([100, 100, 100, 100]), 0, 400)
    >>> Scale().compare(before, ColumnCounts(np.array([40, 10, 10, 40]), 0, 100)).p_value < 1e-4
    True
    >>> Scale().compare(before, ColumnCounts(np.array([25, 26, 24, 25]), 0, 100)).p_value > 0.5
    True
    """

    name: str = "scale"
    kinds: frozenset[str] = frozenset({"number"})
    floor: float = SHAPE_FLOOR

    def compare(self, reference: ColumnCounts, window: ColumnCounts) -> Comparison:
        """Compare two columns of numbers; fewer than 20 values on either side are not tested."""
        return ranks.compare(reference, window, power=2)
