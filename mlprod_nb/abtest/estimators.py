"""Metrics that are no mean of one number per prediction, each with the influence of every row on it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mlprod_nb.abtest.estimate import Arm, Sample
from mlprod_nb.abtest.outcome import Better, Measured, Outcome, is_positive, of_answers, require, require_two_classes

Array = NDArray[np.float64]

#: Fewer rows than this on either side of a quantile, or in either class, and the estimate has no usable variance.
_LEAST_ROWS = 10


@dataclass(frozen=True)
class Quantile:
    """A quantile of the latency; 95 % as built in.

    Its influence is ``(p - 1{x <= q}) / f(q)``, with the density taken between the order statistics that bound the
    quantile's own 95 % interval (Deng, Knoblich and Lu 2018, "Applying the delta method in metric analytics",
    section 4; van der Vaart 1998, "Asymptotic statistics", chapter 21).

    Attributes:
        share: The share of rows below the quantile.
        sql: The column, or an expression over columns.
    """

    name: str = "latency_p95_ms"
    better: Better = "lower"
    needs_labels: bool = False
    tolerance: float = 20.0
    share: float = 0.95
    sql: str = "CASE WHEN isfinite(latency_ms) THEN latency_ms END"

    def value(self, outcome: Outcome) -> str:  # noqa: ARG002 (fits every task)
        """Return the column."""
        return self.sql

    def others(self, outcome: Outcome) -> Sequence[str]:  # noqa: ARG002
        """Need nothing else."""
        return ()

    def measure(self, values: Array, *others: Array) -> Measured | None:  # noqa: ARG002
        """Return the quantile."""
        count, p = len(values), self.share
        if count * min(p, 1 - p) < _LEAST_ROWS:
            return None
        reach = 1.96 * math.sqrt(p * (1 - p) / count)
        low, found, high = np.quantile(values, [max(0.0, p - reach), p, min(1.0, p + reach)])
        if high <= low:
            return None
        below = (values <= found).astype(float)
        return Measured(float(found), (below.mean() - below) * (high - low) / (2 * reach))


@dataclass(frozen=True)
class Auc:
    """The area under the ROC curve; two classes only.

    Its influences are the structural components of DeLong, DeLong and Clarke-Pearson (1988, Biometrics 44), added up
    per unit as Obuchowski (1997, Biometrics 53) does for clustered data.
    """

    name: str = "auc"
    better: Better = "higher"
    needs_labels: bool = True
    tolerance: float = 0.0

    def value(self, outcome: Outcome) -> str:
        """Return the probability."""
        require_two_classes(self.name, outcome)
        return "CASE WHEN isfinite(score) THEN score END"

    def others(self, outcome: Outcome) -> Sequence[str]:
        """Return the truth."""
        return (is_positive(outcome),)

    def measure(self, values: Array, *others: Array) -> Measured | None:
        """Return the area: the chance that a positive row scores above a negative one, ties counted half."""
        positive = others[0] > 0.5
        ones = int(positive.sum())
        zeros = len(values) - ones
        if min(ones, zeros) < _LEAST_ROWS:
            return None
        component = np.empty(len(values))
        component[positive] = _below(values[positive], values[~positive])
        component[~positive] = 1 - _below(values[~positive], values[positive])
        area = float(component[positive].mean())
        size = np.where(positive, len(values) / ones, len(values) / zeros)
        return Measured(area, (component - area) * size)


@dataclass(frozen=True)
class RootMeanSquare:
    """The root mean squared error, in the label's own units; its influence by the delta method."""

    name: str = "rmse"
    better: Better = "lower"
    needs_labels: bool = True
    tolerance: float = 0.0

    def value(self, outcome: Outcome) -> str:
        """Return the squared distance."""
        require(self.name, outcome, "regression")
        distance = "(score - label_number)"
        return f"CASE WHEN isfinite(score) AND isfinite(label_number) THEN {distance} * {distance} END"

    def others(self, outcome: Outcome) -> Sequence[str]:  # noqa: ARG002
        """Need nothing else."""
        return ()

    def measure(self, values: Array, *others: Array) -> Measured | None:  # noqa: ARG002
        """Return the root of the mean."""
        mean = float(values.mean())
        if mean <= 0:
            return None
        root = math.sqrt(mean)
        return Measured(root, (values - mean) / (2 * root))


@dataclass(frozen=True)
class Ratio:
    """A sum over another sum, as reward per click; its influence by the delta method.

    Attributes:
        numerator: SQL over the columns of a prediction row.
        denominator: The same; rows with a null in either do not count.
    """

    name: str
    numerator: str
    denominator: str
    better: Better = "higher"
    needs_labels: bool = True
    tolerance: float = 0.0

    def value(self, outcome: Outcome) -> str:  # noqa: ARG002 (fits every task)
        """Return the numerator, null of rows that a model failed on unless it names them."""
        return of_answers(self.numerator)

    def others(self, outcome: Outcome) -> Sequence[str]:  # noqa: ARG002
        """Return the denominator, in the same way."""
        return (of_answers(self.denominator),)

    def measure(self, values: Array, *others: Array) -> Measured | None:
        """Return the ratio of the sums."""
        below = others[0]
        mean = float(below.mean())
        if mean == 0:
            return None
        ratio = float(values.mean()) / mean
        return Measured(ratio, (values - ratio * below) / mean)


def arm(measured: Measured, units: NDArray[np.int64]) -> Arm:
    """Return a statistic as a sample whose variance comes from the units.

    Args:
        measured: The statistic.
        units: A whole number per row that names its unit.
    """
    rows = len(measured.influence)
    _, codes = np.unique(units, return_inverse=True)
    sums = np.bincount(codes, weights=measured.influence)
    count = len(sums)
    variance = float(sums @ sums) / rows**2 * count * count / max(1, count - 1)
    by_row = float(measured.influence @ measured.influence) / max(1, rows - 1)
    return Arm(Sample(count, rows, measured.estimate, by_row, variance))


def _below(values: Array, others: Array) -> Array:
    """Return for each value the share of the others that are below it, ties counted half."""
    ordered = np.sort(others)
    left, right = (np.searchsorted(ordered, values, side=side) for side in ("left", "right"))
    share: Array = (left + right) / (2 * len(ordered))
    return share
