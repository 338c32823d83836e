"""Missing rate: do more or fewer rows lack a value?"""

from __future__ import annotations

from dataclasses import dataclass

from mlprod_nb.monitoring.bins import ColumnCounts
from mlprod_nb.monitoring.budget import MISSING_FLOOR
from mlprod_nb.monitoring.detectors.hypergeometric import doubled
from mlprod_nb.monitoring.detectors.protocol import Comparison, too_few

MIN_ROWS = 20


@dataclass(frozen=True)
class MissingRate:
    """Fisher's exact test of the missing rate, two-sided by doubling the smaller tail.

    Given how many rows lack a value in both samples together, their number in the window is hypergeometric if nothing
    changed: no approximation, however rare they are (Fisher 1935). The effect is the difference of the rates.

    >>> import numpy as np
    >>> from mlprod_nb.monitoring.bins import ColumnCounts
    >>> none = np.zeros(1, dtype=np.int64)
    >>> MissingRate().compare(ColumnCounts(none, 100, 10_000), ColumnCounts(none, 50, 1_000)).p_value < 1e-9
    True
    >>> MissingRate().compare(ColumnCounts(none, 100, 10_000), ColumnCounts(none, 10, 1_000)).p_value > 0.9
    True
    """

    name: str = "missing"
    kinds: frozenset[str] = frozenset({"number", "category"})
    floor: float = MISSING_FLOOR

    def compare(self, reference: ColumnCounts, window: ColumnCounts) -> Comparison:
        """Compare two columns of either kind; fewer than 20 rows, or no or only missing values, are not tested."""
        n, m, lacking = reference.rows, window.rows, reference.missing + window.missing
        if min(n, m) < MIN_ROWS:
            return Comparison(reason=too_few(min(n, m), MIN_ROWS, "row"))
        if lacking in (0, n + m):
            return Comparison(reason="no value is missing in either" if not lacking else "every value is missing")
        gap = window.missing / m - reference.missing / n
        return Comparison(gap, abs(gap), doubled(n + m, lacking, m, window.missing))
