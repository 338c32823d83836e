"""PSI: the population stability index, as credit scoring has it, with an honest p-value."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mlprod_nb.monitoring.bins import ColumnCounts
from mlprod_nb.monitoring.budget import SHAPE_FLOOR
from mlprod_nb.monitoring.detectors.chi_square import MIN_EXPECTED, Cells, merge, pool, untested
from mlprod_nb.monitoring.detectors.protocol import Comparison

GROUPS = 10


@dataclass(frozen=True)
class StabilityIndex:
    """The population stability index over ten groups of the reference, or over its categories.

    ``sum((q - p) ln(q / p))``, half a row added to each group so that an empty one stays finite. The rule of thumb
    (0.1 is something, 0.25 is much) ignores the sample sizes: by chance alone the index is about
    ``(groups - 1) (1/n + 1/m)``, and divided by ``1/n + 1/m`` it is about chi-square (Yurdakul 2018), which gives the
    p-value. The effect is the total variation distance over the same groups.

    >>> from mlprod_nb.monitoring.bins import ColumnCounts
    >>> before = ColumnCounts(np.array([500, 300, 200, 0]), 0, 1000)
    >>> round(StabilityIndex().compare(before, ColumnCounts(np.array([300, 300, 400, 0]), 0, 1000)).statistic, 3)
    0.24
    >>> StabilityIndex().compare(before, ColumnCounts(np.array([51, 30, 19, 0]), 0, 100)).p_value > 0.9
    True
    """

    name: str = "psi"
    kinds: frozenset[str] = frozenset({"number", "category"})
    floor: float = SHAPE_FLOOR

    def compare(self, reference: ColumnCounts, window: ColumnCounts) -> Comparison:
        """Compare two columns; fewer than two groups that expect ten rows are not tested."""
        from scipy.special import chdtrc

        before, after = groups(reference, window)
        if reason := untested(reference, window, before):
            return Comparison(reason=reason)
        n, m, cells = int(before.sum()), int(after.sum()), len(before)
        p, q = (before + 0.5) / (n + 0.5 * cells), (after + 0.5) / (m + 0.5 * cells)
        index = float(((q - p) * np.log(q / p)).sum())
        effect = float(np.abs(after / m - before / n).sum()) / 2
        return Comparison(index, effect, float(chdtrc(cells - 1, index / (1 / n + 1 / m))))


def groups(reference: ColumnCounts, window: ColumnCounts) -> Cells:
    """Merge neighbouring bins of numbers into ten groups of the reference, and rare categories into one."""
    if not reference.ordered:
        return pool(reference, window)
    n, m = int(reference.counts.sum()), int(window.counts.sum())
    if not min(n, m):
        return reference.counts[:1], window.counts[:1]
    reached = np.cumsum(reference.counts) - reference.counts
    group = np.minimum(reached * GROUPS // n, GROUPS - 1)
    before = np.bincount(group, reference.counts, GROUPS + 1).astype(np.int64)
    after = np.bincount(group, window.counts, GROUPS + 1).astype(np.int64)
    return merge(before, after, MIN_EXPECTED * (n + m) / min(n, m))
