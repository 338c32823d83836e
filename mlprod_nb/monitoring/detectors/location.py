"""Location: did a column of numbers move up or down?"""

from __future__ import annotations

from dataclasses import dataclass

from mlprod_nb.monitoring.bins import ColumnCounts
from mlprod_nb.monitoring.budget import SHAPE_FLOOR
from mlprod_nb.monitoring.detectors import ranks
from mlprod_nb.monitoring.detectors.protocol import Comparison


@dataclass(frozen=True)
class Location:
    """The rank-sum test of Wilcoxon (1945), with midranks for ties.

    It finds a small move of the whole column, as a slow creep is, on fewer rows than ``ks``. The scores are bounded, so
    one wild value cannot raise an alarm; mean, variance and skewness are those of the permutation distribution, exact
    with ties. The effect is the largest difference of cumulative shares, as for ``ks``.

    >>> import numpy as np
    >>> from mlprod_nb.monitoring.bins import ColumnCounts
    >>> before = ColumnCounts(np.array([100, 100, 100, 100]), 0, 400)
    >>> Location().compare(before, ColumnCounts(np.array([45, 25, 20, 10]), 0, 100)).p_value < 1e-4
    True
    >>> Location().compare(before, ColumnCounts(np.array([40, 10, 10, 40]), 0, 100)).p_value > 0.5
    True
    """

    name: str = "location"
    kinds: frozenset[str] = frozenset({"number"})
    floor: float = SHAPE_FLOOR

    def compare(self, reference: ColumnCounts, window: ColumnCounts) -> Comparison:
        """Compare two columns of numbers; fewer than 20 values on either side are not tested."""
        return ranks.compare(reference, window, power=1)
