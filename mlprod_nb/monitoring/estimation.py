"""How well a model probably does on rows whose outcome is not known yet.

For a classifier, confidence-based performance estimation (CBPE; Białek, Kuberski, Perrakis and Bifet 2023): a score is
mapped to the share of the reference's rows that came true at such scores, and every metric is taken at its expectation
over such outcomes. For a regressor, direct loss estimation (DLE; the same paper): the expected absolute and squared
error of a row, by a tree over the inputs and the score that is grown on one half of the reference sample and
filled in from the other, so that its leaves are honest (Athey and Imbens 2016); it is fitted at each look, and nothing
but data is stored.

The band is where 95 of 100 realised values would lie if the reference still held: outcomes fall by chance (the delta
method on each row's outcome), and each step of the map, or leaf of the tree, is itself known from so many rows only.

Both see a change of the inputs and are blind to a change of what the inputs mean (concept drift). So whether to believe
them is judged by trials: stretches whose labels have come, estimated as if they had not.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from mlprod_nb.monitoring.calibration import ScoreMap
from mlprod_nb.monitoring.columns import Coded, Floats
from mlprod_nb.monitoring.performance import Estimate
from mlprod_nb.monitoring.traffic import Column, some

_Z = 1.959963984540054
_SMALLEST_PROBABILITY = float(np.finfo(np.float64).eps)
#: Fewer rows than this are not estimated: the delta method needs some.
MIN_ROWS = 50
_LARGEST = float(np.finfo(np.float32).max)


@dataclass(frozen=True)
class Unlabelled:
    """Rows to estimate, of one length.

    Attributes:
        scores: The model's scores.
        predictions: The predicted classes' indices; anything for a regression.
        columns: Input columns, only read for a regression.
    """

    scores: Floats
    predictions: NDArray[Any]
    columns: Mapping[str, Column]

    def take(self, rows: NDArray[np.bool_]) -> Unlabelled:
        """Return some of the rows."""
        columns = {name: some(values, rows) for name, values in self.columns.items()}
        return Unlabelled(self.scores[rows], self.predictions[rows], columns)


class Estimator(Protocol):
    """What estimates rows without labels."""

    def expect(self, rows: Unlabelled) -> tuple[Estimate, ...]:
        """Return every metric that can be expected; none for fewer than 50 rows."""
        ...


@dataclass(frozen=True)
class Confidence:
    """CBPE.

    Attributes:
        map: From a score to the share that came true.
        classes: How many classes there are; for more than two only accuracy is expected, from the predicted class's
            probability.
    """

    map: ScoreMap
    classes: int

    def expect(self, rows: Unlabelled) -> tuple[Estimate, ...]:
        """Return the metrics, accuracy first."""
        count = len(rows.scores)
        if count < MIN_ROWS:
            return ()
        places = self.map.places(rows.scores)
        chance = np.array(self.map.shares)[places]
        spread = chance * (1 - chance)
        if self.classes != 2:
            pieces = iter([("accuracy", float(chance.mean()), np.full(count, 1 / count))])
        else:
            pieces = _binary(rows, chance)
        found = []
        for metric, value, slopes in pieces:
            # Outcomes fall by chance around the map, and the map around the truth: two independent errors.
            steps = np.bincount(places, slopes, minlength=len(self.map.shares))
            variance = float((slopes**2 * spread).sum() + (steps**2 * self.map.variances()).sum())
            found.append(expected(metric, value, math.sqrt(variance), count))
        return tuple(found)


@dataclass(frozen=True)
class Losses:
    """DLE: what errors to expect in each leaf of a tree.

    Attributes:
        leaf: Gives each row's leaf.
        rows: Reference rows in each leaf.
        means: Mean absolute and squared error in each leaf, shape ``(2, leaves)``.
        variances: The variances of the two, shape ``(2, leaves)``.
    """

    leaf: Callable[[Unlabelled], NDArray[np.intp]]
    rows: NDArray[np.int64]
    means: Floats
    variances: Floats

    def expect(self, rows: Unlabelled) -> tuple[Estimate, ...]:
        """Return MAE and RMSE."""
        count = len(rows.scores)
        if count < MIN_ROWS:
            return ()
        shares = np.bincount(self.leaf(rows), minlength=len(self.rows)) / count
        values = self.means @ shares
        errors = np.sqrt(self.variances @ (shares / count + shares**2 / self.rows))
        root = math.sqrt(values[1])
        found = [expected("mae", float(values[0]), float(errors[0]), count)]
        return (*found, expected("rmse", root, float(errors[1]) / (2 * root) if root else 0.0, count))


def expected(metric: str, value: float, error: float, rows: int) -> Estimate:
    """Return an expectation with its band, cut at what the metric can be."""
    top = 1.0 if metric in ("accuracy", "balanced_accuracy", "roc_auc", "brier") else math.inf
    return Estimate(metric, value, error, max(0.0, value - _Z * error), min(top, value + _Z * error), rows)


def _binary(rows: Unlabelled, chance: Floats) -> Iterator[tuple[str, float, Floats]]:
    """Yield each metric of two classes: name, expectation, and its derivative by every row's outcome."""
    scores, count = rows.scores, len(rows.scores)
    yes = (rows.predictions == 1).astype(np.float64)
    clipped = np.clip(scores, _SMALLEST_PROBABILITY, 1 - _SMALLEST_PROBABILITY)
    logits = np.log(clipped) - np.log1p(-clipped)
    right = yes * chance + (1 - yes) * (1 - chance)
    yield "accuracy", float(right.mean()), (2 * yes - 1) / count
    positives, negatives = float(chance.sum()), float((1 - chance).sum())
    if positives > 0 and negatives > 0:
        hit, pass_ = float((yes * chance).sum()) / positives, float(((1 - yes) * (1 - chance)).sum()) / negatives
        slopes = ((yes - hit) / positives - ((1 - yes) - pass_) / negatives) / 2
        yield "balanced_accuracy", (hit + pass_) / 2, slopes
    log_loss = float((-chance * np.log(clipped) - (1 - chance) * np.log1p(-clipped)).mean())
    brier = float((chance * (1 - scores) ** 2 + (1 - chance) * scores**2).mean())
    yield "log_loss", log_loss, -logits / count
    yield "brier", brier, (1 - 2 * scores) / count
    del yes, clipped, logits, right  # what follows takes more memory than all before
    if positives > 0 and negatives > 0:
        yield "roc_auc", *_area(scores, chance)


def _area(scores: Floats, chance: Floats) -> tuple[float, Floats]:
    """Return the expected area under the ROC curve, as the ratio of two expectations, and its derivatives."""
    values, places = np.unique(scores, return_inverse=True)
    ones = np.bincount(places, chance, minlength=len(values))
    zeros = np.bincount(places, 1 - chance, minlength=len(values))
    beaten = (np.cumsum(zeros) - zeros / 2)[places]
    beating = (ones.sum() - np.cumsum(ones) + ones / 2)[places]
    pairs = float(ones.sum() * zeros.sum())
    area = float((chance * beaten).sum()) / pairs
    return area, (beaten - beating - area * (zeros.sum() - ones.sum())) / pairs


def grow(rows: Unlabelled, labels: Floats, *, seed: int = 0) -> Losses | None:
    """Fit what errors a regressor makes, by an honest tree; ``None`` for fewer than 200 labelled rows.

    Args:
        rows: Reference rows with scores and inputs.
        labels: What happened, finite.
        seed: Of the halves: one grows the tree, the other fills it.
    """
    from sklearn.tree import DecisionTreeRegressor

    if len(labels) < 4 * MIN_ROWS:
        return None
    errors = np.abs(rows.scores - labels)
    half = np.random.default_rng(seed).permutation(len(labels)) % 2 == 0
    coding = _Coding.of(rows.take(half), errors[half])
    matrix = coding.matrix(rows)
    tree = DecisionTreeRegressor(max_leaf_nodes=16, min_samples_leaf=MIN_ROWS, random_state=seed)
    tree.fit(matrix[half], errors[half])
    places, nodes = tree.apply(matrix[~half]), tree.apply(matrix)
    # A leaf that the other half does not reach twice takes the mean of all.
    names = [node for node in np.unique(nodes).tolist() if (places == node).sum() > 1]
    filled = [errors[~half][places == node] for node in names] + [errors[~half]]
    number = {node: place for place, node in enumerate(names)}

    def leaf(given: Unlabelled) -> NDArray[np.intp]:
        found = tree.apply(coding.matrix(given))
        return np.array([number.get(node, len(names)) for node in found.tolist()], dtype=np.intp)

    both = [np.stack([values, values**2]) for values in filled]
    return Losses(
        leaf=leaf,
        rows=np.array([len(values) for values in filled]),
        means=np.stack([pair.mean(axis=1) for pair in both], axis=1),
        variances=np.stack([pair.var(axis=1, ddof=1) for pair in both], axis=1),
    )


@dataclass(frozen=True)
class _Coding:
    """Columns as a tree takes them: numbers as they are, categories by the rank of their mean error."""

    ranks: dict[str, dict[str, float]]
    names: tuple[str, ...]

    @classmethod
    def of(cls, rows: Unlabelled, errors: Floats) -> _Coding:
        ranks: dict[str, dict[str, float]] = {}
        for name, column in rows.columns.items():
            if isinstance(column, Coded):
                there = column.codes >= 0
                size = np.bincount(column.codes[there], minlength=len(column.names))
                total = np.bincount(column.codes[there], errors[there], minlength=len(column.names))
                means = {text: t / n for text, t, n in zip(column.names, total, size, strict=True) if n}
                ordered = sorted(means, key=lambda text, m=means: (m[text], text))  # type: ignore[misc]
                ranks[name] = {text: float(rank) for rank, text in enumerate(ordered)}
        return cls(ranks, tuple(rows.columns))

    def matrix(self, rows: Unlabelled) -> Floats:
        columns: list[Floats] = [rows.scores]
        for name in self.names:
            column = rows.columns[name]
            if isinstance(column, Coded):
                codes = np.array([*(self.ranks[name].get(text, -1.0) for text in column.names), -1.0])
                columns.append(codes[column.codes])
            else:
                # A tree compares in float32, and takes no infinite value.
                columns.append(np.where(np.abs(column) < _LARGEST, column, np.nan))
        return np.column_stack(columns)
