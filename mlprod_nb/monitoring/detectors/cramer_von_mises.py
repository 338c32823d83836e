"""Cramér–von Mises: did the distribution of a column of numbers change, a little everywhere?"""

from __future__ import annotations

from dataclasses import dataclass

from mlprod_nb.monitoring.bins import ColumnCounts
from mlprod_nb.monitoring.budget import SHAPE_FLOOR
from mlprod_nb.monitoring.columns import Floats
from mlprod_nb.monitoring.detectors import bridge
from mlprod_nb.monitoring.detectors.protocol import Comparison


@dataclass(frozen=True)
class CramerVonMises:
    """The two-sample test of Cramér and von Mises (Anderson 1962) on binned counts.

    The statistic sums the squared differences of the cumulative shares over all rows, so it sees a change that is small
    and everywhere better than ``ks``. Its law is that of the ties and bins at hand. The effect is the largest
    difference of the cumulative shares, as for ``ks``.

    >>> import numpy as np
    >>> from mlprod_nb.monitoring.bins import ColumnCounts
    >>> before = ColumnCounts(np.array([100, 100, 100, 100]), 0, 400)
    >>> CramerVonMises().compare(before, ColumnCounts(np.array([26, 25, 24, 25]), 0, 100)).p_value > 0.9
    True
    >>> CramerVonMises().compare(before, ColumnCounts(np.array([60, 20, 10, 10]), 0, 100)).p_value < 1e-8
    True
    """

    name: str = "cramer_von_mises"
    kinds: frozenset[str] = frozenset({"number"})
    floor: float = SHAPE_FLOOR

    def compare(self, reference: ColumnCounts, window: ColumnCounts) -> Comparison:
        """Compare two columns of numbers; fewer than 20 values on either side are not tested."""
        return bridge.compare(reference, window, _by_rows)


def _by_rows(shares: Floats) -> Floats:
    return shares[:-1]
