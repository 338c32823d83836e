"""How well a model does on labelled predictions, each metric with its sampling error.

Intervals: Agresti–Coull for accuracy (Agresti and Coull 1998), the same per class for balanced accuracy, the mean of
per-row losses for log loss, Brier score and MAE, the delta method for RMSE and R², and DeLong, DeLong and
Clarke-Pearson (1988) by midranks (Sun and Xu 2014) for the area under the ROC curve.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mlprod_nb.monitoring.columns import Floats, is_missing, ranks_of
from mlprod_nb.registry.bundles import ClassLabel, Task, spellings

Codes = NDArray[np.int64]
HIGHER_IS_BETTER = frozenset({"accuracy", "balanced_accuracy", "roc_auc", "r2"})
_Z = 1.959963984540054
_SMALLEST_PROBABILITY = float(np.finfo(np.float64).eps)


@dataclass(frozen=True)
class Estimate:
    """One metric on some rows: what it is, or what is expected of rows without labels.

    Attributes:
        metric: Its name.
        value: Its value, or its expectation.
        standard_error: Its sampling error, or how far a realised value may be from the expectation by chance.
        lower: Lower end of the 95 % interval.
        upper: Upper end of the 95 % interval.
        rows: How many rows it is made of; labelled ones, unless it is expected.
    """

    metric: str
    value: float
    standard_error: float
    lower: float
    upper: float
    rows: int


@dataclass(frozen=True)
class Labelled:
    """Labelled predictions; for a classification ``labels`` and ``predictions`` are indices into the classes.

    Attributes:
        labels: What happened, shape ``(rows,)``.
        predictions: What was predicted, shape ``(rows,)``.
        scores: The model's scores, shape ``(rows,)``.
    """

    labels: NDArray[Any]
    predictions: NDArray[Any]
    scores: Floats

    def take(self, rows: NDArray[np.bool_]) -> Labelled:
        """Return some of the rows."""
        if rows.all():  # a million rows need no copy
            return self
        return Labelled(self.labels[rows], self.predictions[rows], self.scores[rows])


def class_codes(values: Sequence[Any] | NDArray[Any], classes: Sequence[ClassLabel]) -> Codes:
    """Return each value's index in the classes, in any usual spelling of them; -1 where it is missing or no class."""
    known: dict[str, int] = {}
    for index, label in enumerate(classes):
        for spelling in spellings(label):
            known.setdefault(spelling, index)
    items = values.tolist() if isinstance(values, np.ndarray) else list(values)
    return np.array([-1 if is_missing(v) else known.get(str(v), -1) for v in items], dtype=np.int64)


def evaluate(task: Task, classes: Sequence[ClassLabel], rows: Labelled) -> tuple[Estimate, ...]:
    """Return every metric that the rows allow, in a fixed order; none for fewer than two rows."""
    if len(rows.labels) < 2:
        return ()
    if task == "regression":
        return _regression(rows)
    found = [_accuracy(rows), _balanced_accuracy(rows, len(classes))]
    if len(classes) == 2:
        positive = rows.labels == 1
        found += [_log_loss(positive, rows.scores), _mean("brier", (rows.scores - positive) ** 2)]
        if 0 < positive.sum() < len(positive):
            found.append(_roc_auc(positive, rows.scores))
    return tuple(found)


def main_estimate(task: Task, rows: Labelled) -> Estimate | None:
    """Return the one metric that is shown over time: accuracy or MAE; ``None`` for fewer than two rows."""
    if len(rows.labels) < 2:
        return None
    return _mean("mae", np.abs(rows.scores - rows.labels)) if task == "regression" else _accuracy(rows)


def worse_by(metric: str, value: float, reference: float) -> float:
    """Return by how much a metric is worse than the reference, in its own units; negative where it is better."""
    return reference - value if metric in HIGHER_IS_BETTER else value - reference


def _estimate(metric: str, value: float, error: float, rows: int, bounds: tuple[float, float]) -> Estimate:
    lower, upper = max(bounds[0], value - _Z * error), min(bounds[1], value + _Z * error)
    return Estimate(metric, float(value), float(error), float(lower), float(upper), int(rows))


def _smoothed_variance(hits: float, rows: int) -> float:
    share = (hits + 2) / (rows + 4)
    return share * (1 - share) / (rows + 4)


def _accuracy(rows: Labelled) -> Estimate:
    count = len(rows.labels)
    hits = int((rows.labels == rows.predictions).sum())
    share, error = hits / count, math.sqrt(_smoothed_variance(hits, count))
    centre = (hits + 2) / (count + 4)
    lower, upper = max(0.0, centre - _Z * error), min(1.0, centre + _Z * error)
    return Estimate("accuracy", share, error, lower, upper, count)


def _balanced_accuracy(rows: Labelled, classes: int) -> Estimate:
    totals = np.bincount(rows.labels, minlength=classes)
    hits = np.bincount(rows.labels[rows.labels == rows.predictions], minlength=classes)
    present = np.flatnonzero(totals)
    recall = hits[present] / totals[present]
    variances = [_smoothed_variance(float(hits[c]), int(totals[c])) for c in present]
    error = math.sqrt(sum(variances)) / len(present)
    return _estimate("balanced_accuracy", float(recall.mean()), error, len(rows.labels), (0, 1))


def _mean(metric: str, losses: Floats) -> Estimate:
    error = float(losses.std(ddof=1)) / math.sqrt(len(losses))
    return _estimate(metric, float(losses.mean()), error, len(losses), (0, math.inf))


def _log_loss(positive: NDArray[np.bool_], scores: Floats) -> Estimate:
    clipped = np.clip(scores, _SMALLEST_PROBABILITY, 1 - _SMALLEST_PROBABILITY)
    return _mean("log_loss", -np.log(np.where(positive, clipped, 1 - clipped)))


def _roc_auc(positive: NDArray[np.bool_], scores: Floats) -> Estimate:
    ranks = ranks_of(scores)
    hits, misses = scores[positive], scores[~positive]
    m, n = len(hits), len(misses)
    area = (ranks[positive].sum() - m * (m + 1) / 2) / (m * n)
    placed_hits = (ranks[positive] - ranks_of(hits)) / n
    placed_misses = 1 - (ranks[~positive] - ranks_of(misses)) / m
    variance = (placed_hits.var(ddof=1) / m if m > 1 else 0.25) + (placed_misses.var(ddof=1) / n if n > 1 else 0.25)
    return _estimate("roc_auc", float(area), math.sqrt(max(variance, 0.25 / (m * n))), m + n, (0, 1))


def _regression(rows: Labelled) -> tuple[Estimate, ...]:
    labels = rows.labels.astype(np.float64)
    errors = rows.scores - labels
    squares = errors**2
    count, mse = len(labels), float(squares.mean())
    root = math.sqrt(mse)
    root_error = float(squares.std(ddof=1)) / math.sqrt(count) / (2 * root) if root else 0.0
    found = [_mean("mae", np.abs(errors)), _estimate("rmse", root, root_error, count, (0, math.inf))]
    spread = (labels - labels.mean()) ** 2
    variance = float(spread.mean())
    if variance > 0:
        influence = -(squares - mse) / variance + mse * (spread - variance) / variance**2
        error = float(influence.std(ddof=1)) / math.sqrt(count)
        found.append(_estimate("r2", 1 - mse / variance, error, count, (-math.inf, 1)))
    return tuple(found)
