"""The G test: did the shares of the categories change, by the likelihood ratio?"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mlprod_nb.monitoring.bins import ColumnCounts
from mlprod_nb.monitoring.budget import SHAPE_FLOOR
from mlprod_nb.monitoring.detectors.chi_square import pool, untested
from mlprod_nb.monitoring.detectors.protocol import Comparison


@dataclass(frozen=True)
class GTest:
    """The likelihood-ratio test of homogeneity of two samples (Wilks 1938; Sokal and Rohlf 1981).

    Categories that expect fewer than ten rows are pooled, as for ``chi_square``. The p-value is that of the statistic
    divided by Williams' factor (1976), without which the test is rash on small groups. The effect is the total
    variation distance.

    >>> from mlprod_nb.monitoring.bins import ColumnCounts
    >>> before = ColumnCounts(np.array([500, 300, 200, 0]), 0, 1000)
    >>> GTest().compare(before, ColumnCounts(np.array([102, 58, 40, 0]), 0, 200)).p_value > 0.9
    True
    >>> GTest().compare(before, ColumnCounts(np.array([60, 60, 40, 40]), 0, 200)).p_value < 1e-6
    True
    """

    name: str = "g_test"
    kinds: frozenset[str] = frozenset({"category"})
    floor: float = SHAPE_FLOOR

    def compare(self, reference: ColumnCounts, window: ColumnCounts) -> Comparison:
        """Compare two columns of categories; fewer than two categories that expect ten rows are not tested."""
        from scipy.special import chdtrc, xlogy

        before, after = pool(reference, window)
        if reason := untested(reference, window, before):
            return Comparison(reason=reason)
        n, m, freedom = int(before.sum()), int(after.sum()), len(before) - 1
        total, both = n + m, before + after
        statistic = 2 * float(
            sum(xlogy(cells, cells * total / (rows * both)).sum() for cells, rows in ((before, n), (after, m)))
        )
        spread = (total / n + total / m - 1) * (float((total / both).sum()) - 1)
        factor = 1 + spread / (6 * total * freedom)
        effect = float(np.abs(after / m - before / n).sum()) / 2
        return Comparison(statistic, effect, float(chdtrc(freedom, max(statistic, 0.0) / factor)))
