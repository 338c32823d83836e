"""PCA reconstruction: do the window's rows still lie where the reference's rows lie?"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mlprod_nb.monitoring.budget import SHAPE_FLOOR
from mlprod_nb.monitoring.columns import Floats
from mlprod_nb.monitoring.detectors import kolmogorov
from mlprod_nb.monitoring.detectors.rows import Encoding, JointComparison, Samples
from mlprod_nb.results import format_pair

MIN_ROWS = 40
_KEPT = 0.8


@dataclass(frozen=True)
class PrincipalComponents:
    """The two-sample test of Kolmogorov and Smirnov on the squared residual of each row outside the main components.

    The components (Pearson 1901; the residual as a test statistic: Jackson and Mudholkar 1979) are those of one random
    half of the reference, as many as hold 80 % of its variance. The rows that they were fitted on lie nearer to them
    than any others, so the window is compared with the other half only, which they have not seen: if nothing changed,
    both are new to them alike, and the p-value is exact. A correlation that broke shows as larger residuals, whatever
    the columns do one by one. The effect is the largest difference of the residuals' cumulative shares.

    >>> from mlprod_nb.monitoring.detectors.rows import read
    >>> x, y = np.random.default_rng(0).normal(size=(2, 1600))
    >>> kinds, before = {"x": "number", "y": "number"}, {"x": x[:800], "y": x[:800] + 0.3 * y[:800]}
    >>> after = {"x": x[800:], "y": x[800:] + 0.3 * y[800:]}
    >>> PrincipalComponents().compare(read(kinds, before, after), 0).p_value > 0.05
    True
    >>> flipped = {"x": -after["x"], "y": after["y"]}
    >>> PrincipalComponents().compare(read(kinds, before, flipped), 0).p_value < 1e-9
    True
    """

    name: str = "pca"
    floor: float = SHAPE_FLOOR

    def compare(self, samples: Samples, seed: int) -> JointComparison:
        """Compare; fewer than 40 rows on either side, or fewer than two columns that vary, are not tested."""
        from scipy import stats

        reason = samples.too_few(MIN_ROWS)
        if reason:
            return JointComparison(reason=reason)
        order = np.random.default_rng(seed).permutation(samples.rows[0])
        fitted, held_out = (
            {name: values[rows] for name, values in samples.reference.items()} for rows in np.array_split(order, 2)
        )
        encoding = Encoding.of(samples, fitted)
        basis = encoding(fitted)
        varied = np.ptp(basis, axis=0) > 0
        if varied.sum() < 2:
            return JointComparison(reason="it takes two columns that vary in the reference")
        mean, main = _components(basis[:, varied])
        before, after = (_residuals(encoding(rows)[:, varied] - mean, main) for rows in (held_out, samples.window))
        found = stats.ks_2samp(before, after, method="asymp")
        if kolmogorov.exactly(len(before), len(after), float(found.pvalue)):
            found = stats.ks_2samp(before, after, method="exact")
        share = f"mean residual {format_pair(before.mean(), '→', after.mean())}"
        return JointComparison(
            statistic=float(found.statistic),
            effect=float(found.statistic),
            p_value=float(found.pvalue),
            statement=f"{len(main)} of {basis[:, varied].shape[1]} components of {len(basis):,} reference rows, "
            f"on {len(before):,} others and {len(after):,} window rows: {share}",
        )


def _components(basis: Floats) -> tuple[Floats, Floats]:
    """Return the mean, and the components that hold 80 % of the variance, never all, shape ``(kept, columns)``."""
    mean = basis.mean(axis=0)
    _, sizes, directions = np.linalg.svd(basis - mean, full_matrices=False)
    held = np.cumsum(sizes**2) / (sizes**2).sum()
    kept = min(int(np.searchsorted(held, _KEPT)) + 1, basis.shape[1] - 1)
    return mean, directions[:kept]


def _residuals(points: Floats, main: Floats) -> Floats:
    residuals: Floats = ((points - points @ main.T @ main) ** 2).sum(axis=1)
    return np.round(residuals, 12)
