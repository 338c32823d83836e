"""Maximum mean discrepancy: did the joint distribution change, as a Gaussian kernel sees it?"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mlprod_nb.monitoring.columns import Floats
from mlprod_nb.monitoring.detectors.rows import Encoding, JointComparison, Samples, upper_tail

MIN_ROWS = 40
PERMUTATIONS = 499
_BLOCK = 100
_FEWEST_BLOCKS = 8
_SMALLEST_BLOCK = 10
_MEDIAN_ROWS = 500
Singles = NDArray[np.float32]


@dataclass(frozen=True)
class MaximumMeanDiscrepancy:
    """The kernel two-sample test of Gretton et al. (2012) in blocks (Zaremba, Gretton and Blaschko 2013).

    The kernel is Gaussian with the median distance of the pooled rows as its width. Rows are dealt into blocks of about
    100 a side; in each the unbiased MMD² is ranked among those of 499 random splits of the block's own rows. So the
    memory is that of one block, each block's p-value is exact (Phipson and Smyth 2010), the blocks are independent, and
    their sum as normal deviates (Stouffer 1949) reaches p-values far below one over the number of permutations.

    The kernel is at most 1, so rows that share all but ``t`` of their distribution have an MMD of at most ``t √2``: the
    effect is MMD / √2. That is careful for many columns, and of 2,000 rows a side specks are not seen anyway: so there
    is no floor.

    >>> from mlprod_nb.monitoring.detectors.rows import read
    >>> x, kinds = np.random.default_rng(0).normal(size=1600), {"x": "number"}
    >>> MaximumMeanDiscrepancy().compare(read(kinds, {"x": x[:800]}, {"x": x[800:]}), 0).p_value > 0.05
    True
    >>> MaximumMeanDiscrepancy().compare(read(kinds, {"x": x[:800]}, {"x": x[800:] + 1}), 0).p_value < 1e-9
    True
    """

    name: str = "mmd"
    floor: float = 0.0

    def compare(self, samples: Samples, seed: int) -> JointComparison:
        """Compare; fewer than 40 rows on either side are not tested."""
        reason = samples.too_few(MIN_ROWS)
        if reason:
            return JointComparison(reason=reason)
        pooled = samples.pooled()
        points = Encoding.of(samples, pooled)(pooled)
        points = points[:, np.ptp(points, axis=0) > 0]
        if not points.shape[1]:
            return JointComparison(reason="every column is constant in both")
        random = np.random.default_rng(seed)
        width = _median_distance(points, random)
        sides = [random.permutation(rows) for rows in np.split(np.arange(sum(samples.rows)), [samples.rows[0]])]
        blocks = _blocks(*samples.rows)
        parts = list(zip(*(np.array_split(side, blocks) for side in sides), strict=True))
        found = [_block(points[np.concatenate(part)], len(part[0]), width, random) for part in parts]
        discrepancy = float(np.mean([value for value, _ in found]))
        deviate = float(np.sum([deviate for _, deviate in found])) / np.sqrt(len(found))
        return JointComparison(
            statistic=discrepancy,
            effect=float(np.sqrt(max(discrepancy, 0.0) / 2)),
            p_value=upper_tail(deviate),
            statement=f"Gaussian kernel of width {width:.3g} on {samples.rows[0]:,} reference and {samples.rows[1]:,} "
            f"window rows in {blocks} block{'' if blocks == 1 else 's'}: MMD² {discrepancy:.2g}",
        )


def _blocks(n: int, m: int) -> int:
    """Return how many blocks there are: of about 100 rows a side, and at least 8 where that leaves 10 rows each."""
    few = min(n, m)
    return max(few // _BLOCK, min(_FEWEST_BLOCKS, few // _SMALLEST_BLOCK), 1)


def _median_distance(points: Floats, random: np.random.Generator) -> float:
    some = points[np.sort(random.permutation(len(points))[:_MEDIAN_ROWS])]
    squares = _squares(some.astype(np.float32))
    apart = squares[np.triu_indices(len(some), 1)]
    apart = apart[apart > 1e-6]
    return float(np.sqrt(np.median(apart))) if apart.size else 1.0


def _squares(points: Singles) -> Singles:
    """Return the squared distances of all pairs, shape ``(rows, rows)``."""
    lengths = (points**2).sum(axis=1)
    squares: Singles = np.maximum(lengths[:, None] + lengths[None, :] - 2 * points @ points.T, 0)
    return squares


def _block(points: Floats, n: int, width: float, random: np.random.Generator) -> tuple[float, float]:
    """Return a block's unbiased MMD², and the normal deviate of its rank among random splits of its rows.

    With ``z`` a split as ones and zeros, all sums within and between its sides follow from ``K z``.
    """
    from scipy.special import ndtri

    kernel = np.exp(_squares(points.astype(np.float32)) / np.float32(-2 * width**2))
    np.fill_diagonal(kernel, 0)
    m = len(points) - n
    splits = np.tile(np.repeat(np.array([1, 0], dtype=np.float32), [n, m]), (PERMUTATIONS + 1, 1))
    random.permuted(splits[1:], axis=1, out=splits[1:])
    sums = splits @ kernel
    within = np.einsum("ij,ij->i", sums, splits, dtype=np.float64)
    from_first, total = sums.sum(axis=1, dtype=np.float64), float(kernel.sum(dtype=np.float64))
    between = from_first - within
    other = total - within - 2 * between
    values = within / (n * (n - 1)) + other / (m * (m - 1)) - 2 * between / (n * m)
    # Splits that give the same value to within rounding count as at least as large: careful, never rash.
    reached = 1 + int((values[1:] >= values[0] - 1e-6).sum())
    return float(values[0]), float(-ndtri(_inside(reached / (PERMUTATIONS + 1))))


def _inside(p_value: float) -> float:
    """Return a p-value short of 1, whose normal deviate is finite; only a p-value of 1 changes."""
    return min(p_value, 1 - 0.5 / (PERMUTATIONS + 1))
