"""A p-value by exchanging rows between two samples, on their counts.

If nothing changed, every division of the pooled rows into two samples of these sizes is equally likely, so the window's
counts are multivariate hypergeometric: no approximation, whatever the statistic is.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from mlprod_nb.monitoring.bins import ColumnCounts
from mlprod_nb.monitoring.columns import Floats
from mlprod_nb.monitoring.detectors.chi_square import untested
from mlprod_nb.monitoring.detectors.protocol import Comparison
from mlprod_nb.monitoring.detectors.psi import groups

Statistic = Callable[[NDArray[np.int64]], Floats]
Distance = Callable[[Floats, Floats], Floats]
FEW, MANY = 199, 1999
_ENOUGH = 20
_TAIL = 40


def compare(distance: Distance, reference: ColumnCounts, window: ColumnCounts) -> Comparison:
    """Compare two columns by a distance of shares; the effect is the total variation distance.

    Args:
        distance: Gives the distances of the reference's and the window's shares, both of shape ``(draws, groups)``.
        reference: The reference's counts.
        window: The window's counts; fewer than two groups that expect ten rows are not tested.
    """
    before, after = groups(reference, window)
    if reason := untested(reference, window, before):
        return Comparison(reason=reason)
    n, m = int(before.sum()), int(after.sum())

    def distances(drawn: NDArray[np.int64]) -> Floats:
        return distance((before + after - drawn) / n, drawn / m)

    effect = float(np.abs(after / m - before / n).sum()) / 2
    return Comparison(float(distances(after[np.newaxis])[0]), effect, p_value(distances, before, after))


def p_value(statistic: Statistic, before: NDArray[np.int64], after: NDArray[np.int64], *, seed: int = 0) -> float:
    """Return the chance of a statistic at least as large as the window's.

    Up to 1,999 divisions are drawn; 199 are enough for a p-value that is large (Besag and Clifford 1991). Chances
    below 2 % go on as an exponential from the 40 largest draws with a mean excess two errors longer than theirs, which
    is careful where the tail of the statistic is no longer than that, as those of sums of bounded parts are.

    Args:
        statistic: Gives the statistic of window counts, shape ``(draws, cells)``, as shape ``(draws,)``.
        before: The reference's counts.
        after: The window's counts.
        seed: Of the draws, so that the same data give the same p-value.
    """
    random = np.random.default_rng(seed)
    pooled, size = before + after, int(after.sum())
    observed = float(statistic(after[np.newaxis])[0])
    least = observed - 1e-9 * abs(observed)
    drawn = _draw(random, statistic, pooled, size, FEW)
    if (drawn >= least).sum() < _ENOUGH:
        drawn = np.sort(np.concatenate([drawn, _draw(random, statistic, pooled, size, MANY - FEW)]))
    hits = int((drawn >= least).sum())
    if hits >= _TAIL or len(drawn) == FEW:
        return (hits + 1) / (len(drawn) + 1)
    start = drawn[-_TAIL - 1]
    excess = float((drawn[-_TAIL:] - start).mean()) * (1 + 2 / math.sqrt(_TAIL))
    if not excess:
        return (hits + 1) / (len(drawn) + 1)
    return (_TAIL + 1) / (len(drawn) + 1) * math.exp(-max(observed - start, 0.0) / excess)


def _draw(
    random: np.random.Generator, statistic: Statistic, pooled: NDArray[np.int64], size: int, draws: int
) -> Floats:
    return statistic(random.multivariate_hypergeometric(pooled, size, size=draws, method="marginals"))
