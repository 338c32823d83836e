"""Anderson–Darling: did the distribution of a column of numbers change, above all in its tails?"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mlprod_nb.monitoring.bins import ColumnCounts
from mlprod_nb.monitoring.budget import SHAPE_FLOOR
from mlprod_nb.monitoring.columns import Floats
from mlprod_nb.monitoring.detectors import bridge
from mlprod_nb.monitoring.detectors.protocol import Comparison


@dataclass(frozen=True)
class AndersonDarling:
    """The two-sample test of Anderson and Darling (Pettitt 1976; Scholz and Stephens 1987) on binned counts.

    Squared differences of the cumulative shares, each divided by its variance: a change in the tails counts as much as
    one in the middle. Its law is that of the ties and bins at hand. The effect is the largest difference of the
    cumulative shares, as for ``ks``.

    >>> from mlprod_nb.monitoring.bins import ColumnCounts
    >>> before = ColumnCounts(np.array([10, 190, 190, 10]), 0, 400)
    >>> AndersonDarling().compare(before, ColumnCounts(np.array([2, 48, 48, 2]), 0, 100)).p_value > 0.9
    True
    >>> AndersonDarling().compare(before, ColumnCounts(np.array([30, 35, 35, 0]), 0, 100)).p_value < 0.001
    True
    """

    name: str = "anderson_darling"
    kinds: frozenset[str] = frozenset({"number"})
    floor: float = SHAPE_FLOOR

    def compare(self, reference: ColumnCounts, window: ColumnCounts) -> Comparison:
        """Compare two columns of numbers; fewer than 20 values on either side are not tested."""
        return bridge.compare(reference, window, _by_variance)


def _by_variance(shares: Floats) -> Floats:
    reached = np.cumsum(shares)[:-1]
    weights: Floats = shares[:-1] / (reached * (1 - reached))
    return weights
