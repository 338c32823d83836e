"""Less variance by covariates that no variant can have changed: what a unit was like, or what a fixed model says.

Deng, Xu, Kohavi and Walker (2013, "Improving the sensitivity of online controlled experiments by utilizing
pre-experiment data", WSDM; CUPED), with several covariates; a model's prediction as the covariate is that of Guo et al.
(2021, "Machine learning for variance reduction in online experiments", NeurIPS 34). What is subtracted has the same
expectation in both variants, so the difference stays unbiased; of the variance ``1 - R^2`` stays.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from mlprod_nb.abtest.estimate import Sample

Array = NDArray[np.float64]

#: What a covariate begins with that is the prediction of a version, the same for whichever variant answered.
PREDICTION_OF = "prediction of "
#: Covariates that others explain up to this share count for nothing.
_COLLINEAR = 1e-10


@dataclass(frozen=True)
class UnitMoments:
    """First and second moments over the units of one variant: all that an adjustment needs, and additive in one scan.

    The first two numbers of a unit are its rows ``n`` and its sum of values ``s``; then come its covariates.

    Attributes:
        units: Units.
        means: Means of the numbers, of length ``2 + covariates``.
        covariance: Their sample covariance.
        squares: Sum of squared values over the rows.
    """

    units: int
    means: Array
    covariance: Array
    squares: float

    @classmethod
    def of(cls, rows: Array, totals: Array, covariates: Array, squares: float) -> UnitMoments:
        """Return the moments of arrays with one entry a unit; covariates are units by covariates."""
        numbers = np.column_stack([rows, totals, covariates])
        return cls(len(rows), numbers.mean(axis=0), np.atleast_2d(np.cov(numbers, rowvar=False)), squares)

    def linearised(self) -> tuple[float, Array, Array]:
        """Return the mean per row, the linearised score's covariance with itself and the covariates, and theirs."""
        mean_rows, mean_total = self.means[:2]
        mean = float(mean_total / mean_rows)
        size = len(self.means)
        change = np.zeros((size - 1, size))
        change[0, :2] = -mean / mean_rows, 1 / mean_rows
        change[1:, 2:] = np.eye(size - 2)
        spread = change @ self.covariance @ change.T
        return mean, spread[0], spread[1:, 1:]


def version_of(covariate: str) -> str:
    """Return the version whose prediction a covariate is, as ``flights/2``; an empty text where it is an input."""
    return covariate[len(PREDICTION_OF) :].strip() if covariate.startswith(PREDICTION_OF) else ""


def symmetric(upper: Sequence[float] | Array, size: int) -> Array:
    """Return the symmetric matrix of so many rows with this upper triangle, row by row."""
    found = np.zeros((size, size))
    found[np.triu_indices(size)] = upper
    whole: Array = found + np.triu(found, 1).T
    return whole


def adjust(variants: Mapping[str, UnitMoments]) -> dict[str, Sample]:
    """Return each variant's sample after the covariates, their slopes pooled over all variants.

    Args:
        variants: Moments of every variant, with the same covariates; at least two units each.
    """
    parts = {name: moments.linearised() for name, moments in variants.items()}
    units = sum(moments.units for moments in variants.values())
    shared = sum(variants[name].units * part[2] for name, part in parts.items()) / units
    with_value = sum(variants[name].units * part[1][1:] for name, part in parts.items()) / units
    centre = sum(moments.units * moments.means[2:] for moments in variants.values()) / units
    slopes = np.linalg.pinv(np.atleast_2d(shared), rcond=_COLLINEAR, hermitian=True) @ np.atleast_1d(with_value)
    found = {}
    for name, moments in variants.items():
        mean, with_score, among = parts[name]
        variance = float(with_score[0] - 2 * slopes @ with_score[1:] + slopes @ among @ slopes)
        rows = round(float(moments.means[0]) * moments.units)
        by_row = max(0.0, moments.squares - rows * mean * mean) / max(1, rows - 1)
        sample = Sample(moments.units, rows, mean, by_row, max(0.0, float(with_score[0])))
        kept = max(0.0, variance) / sample.unit_variance if sample.unit_variance > 0 else 1.0
        shifted = mean - float(slopes @ (moments.means[2:] - centre))
        found[name] = replace(sample, mean=shifted, row_variance=by_row * kept, unit_variance=max(0.0, variance))
    return found


def variance_kept(before: Mapping[str, UnitMoments], after: Mapping[str, Sample]) -> float:
    """Return the share of the difference's variance that the adjustment left."""
    raw = sum(float(moments.linearised()[1][0]) / moments.units for moments in before.values())
    return sum(sample.unit_variance / sample.units for sample in after.values()) / raw if raw > 0 else 1.0
