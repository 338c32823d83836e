"""Fisher's exact test: did the shares of a few categories change, however rare they are?"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mlprod_nb.monitoring.bins import ColumnCounts
from mlprod_nb.monitoring.budget import SHAPE_FLOOR
from mlprod_nb.monitoring.columns import Floats
from mlprod_nb.monitoring.detectors import permutation
from mlprod_nb.monitoring.detectors.chi_square import pool, table, untested
from mlprod_nb.monitoring.detectors.protocol import Comparison

MAX_CATEGORIES = 100


@dataclass(frozen=True)
class FisherExact:
    """Fisher's exact test (1935) of two categories; of more, that of Freeman and Halton (1951) by permutations.

    No category is too rare for it. The statistic is the odds ratio of two categories, and of more the table's
    improbability, minus the logarithm of its chance given its margins. The effect is the total variation distance.

    >>> from mlprod_nb.monitoring.bins import ColumnCounts
    >>> before = ColumnCounts(np.array([998, 2, 0]), 0, 1000)
    >>> FisherExact().compare(before, ColumnCounts(np.array([100, 0, 0]), 0, 100)).p_value > 0.9
    True
    >>> FisherExact().compare(before, ColumnCounts(np.array([94, 6, 0]), 0, 100)).p_value < 1e-4
    True
    """

    name: str = "fisher"
    kinds: frozenset[str] = frozenset({"category"})
    floor: float = SHAPE_FLOOR

    def compare(self, reference: ColumnCounts, window: ColumnCounts) -> Comparison:
        """Compare two columns of categories; more than 100 are not tested."""
        from scipy.special import gammaln
        from scipy.stats import fisher_exact

        before, after = table(reference, window)
        if before[-1] or after[-1]:  # which categories are "all others" was chosen by one sample only
            before, after = pool(reference, window)
        filled = before + after > 0
        before, after = before[filled], after[filled]
        if reason := untested(reference, window, before):
            return Comparison(reason=reason)
        if len(before) > MAX_CATEGORIES:
            return Comparison(reason=f"{len(before):,} categories are too many; chi_square takes them")
        n, m = int(before.sum()), int(after.sum())
        effect = float(np.abs(after / m - before / n).sum()) / 2
        if len(before) == 2:
            ratio, p_value = fisher_exact([after, before])
            return Comparison(float(ratio), effect, min(1.0, float(p_value)))

        def improbability(drawn: NDArray[np.int64]) -> Floats:
            found: Floats = (gammaln(drawn + 1) + gammaln(before + after - drawn + 1)).sum(axis=1)
            return found + constant

        constant = float(gammaln(n + m + 1) - gammaln(n + 1) - gammaln(m + 1) - gammaln(before + after + 1).sum())
        statistic = float(improbability(after[np.newaxis])[0])
        return Comparison(statistic, effect, permutation.p_value(improbability, before, after))
