"""Two models on the same rows: the difference of a metric with its interval, read once.

What varies between rows drops out of a difference that is taken row by row. Right-or-wrong is compared by Tango's score
interval, which holds its level for few and for rare disagreements; every other metric by Student's t on what each row,
or each unit of rows that belong together, adds to the difference (the delta method; DeLong, DeLong and Clarke-Pearson
1988 for areas under the ROC curve, whose influences are in :mod:`mlprod_nb.abtest.estimators`).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mlprod_nb.abtest.estimate import Interval
from mlprod_nb.abtest.estimators import Auc, RootMeanSquare, arm
from mlprod_nb.abtest.outcome import Measured
from mlprod_nb.gates.protocol import NotTested
from mlprod_nb.gates.rows import FEWEST, Predicted
from mlprod_nb.monitoring.columns import Floats
from mlprod_nb.monitoring.performance import HIGHER_IS_BETTER

_SMALLEST_PROBABILITY = float(np.finfo(np.float64).eps)
_EDGE = 1 - 1e-12


@dataclass(frozen=True)
class Paired:
    """One metric of two models on the same rows.

    Attributes:
        metric: Its name.
        candidate: The candidate's value.
        champion: The champion's value.
        worse: By how much the candidate is worse, in the metric's units; negative where it is better.
        interval: The interval of that.
        units: How many rows, or units of rows, it rests on.
        method: In words, by which method.
    """

    metric: str
    candidate: float
    champion: float
    worse: float
    interval: Interval
    units: int
    method: str


def default_metric(predicted: Predicted) -> str:
    """Return the metric that a task is judged by: the absolute error, or Brier's score.

    It is bounded: one sure error, which a forest makes easily, would decide the log loss of all rows.
    """
    if predicted.task == "regression":
        return "mae"
    return "brier" if _matrix(predicted) is not None or len(predicted.classes) == 2 else "accuracy"


def compare(
    metric: str, candidate: Predicted, champion: Predicted, *, alpha: float, units: NDArray[np.int64] | None = None
) -> Paired:
    """Compare two models on the same rows.

    Args:
        metric: Which one; see :data:`METRICS`.
        candidate: What the candidate said.
        champion: What the champion said about the same rows, in the same order.
        alpha: Chance that the interval leaves out the true difference, two-sided.
        units: A whole number a row that names its unit, where rows belong together.

    Raises:
        NotTested: The rows are too few, or the metric does not fit the task.
    """
    count = len(candidate.rows.labels)
    groups = np.arange(count) if units is None else units
    distinct = len(np.unique(groups))
    if distinct < FEWEST:
        what = "held-out rows" if units is None else "units of held-out rows"
        raise NotTested(f"{distinct} {what} are too few to compare by; {FEWEST} are needed")
    sides = [measured(metric, side) for side in (candidate, champion)]
    sign = -1.0 if metric in HIGHER_IS_BETTER else 1.0
    gap = Measured(sign * (sides[0].estimate - sides[1].estimate), sign * (sides[0].influence - sides[1].influence))
    if metric == "accuracy" and distinct == count:
        right = [side.rows.labels == side.rows.predictions for side in (candidate, champion)]
        lost, won = int((right[1] & ~right[0]).sum()), int((right[0] & ~right[1]).sum())
        found, method = tango(lost, won, count, alpha=alpha), "Tango's score interval"
    else:
        found, method = student(gap, groups, alpha=alpha), "Student's t on paired differences"
    return Paired(metric, sides[0].estimate, sides[1].estimate, gap.estimate, found, distinct, method)


def student(gap: Measured, units: NDArray[np.int64], *, alpha: float) -> Interval:
    """Return the interval of a mean of paired differences (Student 1908), whole units being independent."""
    from scipy.special import stdtrit

    sample = arm(gap, units).sample
    half = float(stdtrit(sample.units - 1, 1 - alpha / 2)) * math.sqrt(sample.unit_variance / sample.units)
    return Interval(gap.estimate - half, gap.estimate + half)


def tango(more: int, less: int, pairs: int, *, alpha: float) -> Interval:
    """Return the score interval of a difference of two proportions of the same rows.

    Tango 1998, "Equivalence test and confidence interval for the difference in proportions for the paired-sample
    design", Statistics in Medicine 17: all differences that the score test does not reject.

    Args:
        more: Rows on which only the first event came true.
        less: Rows on which only the second did.
        pairs: All rows.
        alpha: Chance that the interval leaves out the true difference, two-sided.
    """
    from scipy.optimize import brentq
    from scipy.special import ndtri

    z = float(ndtri(1 - alpha / 2))

    def root(target: float) -> float:
        def beyond(difference: float) -> float:
            return _score(more, less, pairs, difference) - target

        # The score falls as the difference rises; where it has not crossed the target at an end, the end is it.
        low, high = beyond(-_EDGE), beyond(_EDGE)
        if low <= 0:
            return -1.0
        return 1.0 if high >= 0 else float(brentq(beyond, -_EDGE, _EDGE, xtol=1e-12))

    return Interval(root(z), root(-z))


def _score(more: int, less: int, pairs: int, difference: float) -> float:
    """Return the score statistic of a difference, its variance under that difference (Tango's equation 8)."""
    b = (2 * pairs - more + less) * difference - more - less
    c = -less * difference * (1 - difference)
    share = (math.sqrt(max(0.0, b * b - 8 * pairs * c)) - b) / (4 * pairs)
    variance = pairs * (2 * share + difference * (1 - difference))
    return (more - less - pairs * difference) / math.sqrt(max(variance, 1e-300))


def measured(metric: str, predicted: Predicted) -> Measured:
    """Return a metric of one model, and what each row adds to its error.

    Raises:
        NotTested: The metric does not fit the task, or the rows do not allow it.
    """
    if metric not in METRICS:
        raise NotTested(f"there is no metric {metric!r}; there is {', '.join(METRICS)}")
    found = METRICS[metric](predicted)
    if found is None:
        raise NotTested(f"{metric} cannot be computed for this task on these rows")
    return found


def _mean(values: Floats) -> Measured:
    return Measured(float(values.mean()), values - values.mean())


def _positive(predicted: Predicted) -> Floats | None:
    """Return 1 where the last of two classes came true, 0 elsewhere; ``None`` for any other task."""
    return (predicted.rows.labels == 1).astype(np.float64) if len(predicted.classes) == 2 else None


def _matrix(predicted: Predicted) -> Floats | None:
    """Return the probability of each class, a row an array; ``None`` where it is not known."""
    found, classes = predicted.probabilities, len(predicted.classes)
    if found is None or classes < 2 or np.shape(found) != (len(predicted.rows.labels), classes):
        return None
    return np.asarray(found, dtype=np.float64)


def _accuracy(predicted: Predicted) -> Measured | None:
    if predicted.task == "regression":
        return None
    return _mean((predicted.rows.labels == predicted.rows.predictions).astype(np.float64))


def _brier(predicted: Predicted) -> Measured | None:
    """Return Brier's score; of several classes his own (1950), the sum over the classes."""
    positive = _positive(predicted)
    if positive is not None:
        return _mean((predicted.rows.scores - positive) ** 2)
    given = _matrix(predicted)
    if given is None:
        return None
    came = np.arange(given.shape[1]) == np.asarray(predicted.rows.labels, dtype=np.int64)[:, np.newaxis]
    return _mean(((given - came) ** 2).sum(axis=1))


def _log_loss(predicted: Predicted) -> Measured | None:
    positive = _positive(predicted)
    if positive is None:
        given = _matrix(predicted)
        if given is None:
            return None
        of_truth = given[np.arange(len(given)), np.asarray(predicted.rows.labels, dtype=np.int64)]
        return _mean(-np.log(np.clip(of_truth, _SMALLEST_PROBABILITY, 1.0)))
    clipped = np.clip(predicted.rows.scores, _SMALLEST_PROBABILITY, 1 - _SMALLEST_PROBABILITY)
    return _mean(-np.log(np.where(positive > 0, clipped, 1 - clipped)))


def _roc_auc(predicted: Predicted) -> Measured | None:
    positive = _positive(predicted)
    return None if positive is None else Auc().measure(predicted.rows.scores, positive)


def _mae(predicted: Predicted) -> Measured | None:
    if predicted.task != "regression":
        return None
    return _mean(np.abs(predicted.rows.scores - predicted.rows.labels))


def _rmse(predicted: Predicted) -> Measured | None:
    if predicted.task != "regression":
        return None
    return RootMeanSquare().measure((predicted.rows.scores - predicted.rows.labels) ** 2)


METRICS: dict[str, Callable[[Predicted], Measured | None]] = {
    "accuracy": _accuracy,
    "brier": _brier,
    "log_loss": _log_loss,
    "roc_auc": _roc_auc,
    "mae": _mae,
    "rmse": _rmse,
}
"""The metrics by which two models can be compared on the same rows."""
