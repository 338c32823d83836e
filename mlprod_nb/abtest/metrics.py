"""Metrics: small objects that name one number per prediction; one scan of the log then serves all of them.

A metric's value is a SQL expression over the columns of a prediction row, so that the scan
(:mod:`mlprod_nb.abtest.scan`) can add it up per unit without moving rows into Python:

=================  ========================================================================
column             what it holds
=================  ========================================================================
``prediction``     the predicted class as text; null for regression
``score``          probability of the last class (binary), of the predicted class, or the value
``label_class``    the true class as text, one of the endpoint's classes; null without feedback
``label_number``   the true value as a number; null without feedback
``latency_ms``     milliseconds from the request's arrival to its answer
``failed``         whether the variant's model failed on the row; what it would have answered is null above
=================  ========================================================================
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from mlprod_nb import extensions
from mlprod_nb.abtest.estimators import Auc, Quantile, RootMeanSquare
from mlprod_nb.abtest.outcome import (
    Better,
    Metric,
    Outcome,
    Task,
    default_metric,
    is_positive,
    literal,
    of_answers,
    require,
    require_two_classes,
)
from mlprod_nb.errors import NotFound

__all__ = [
    "BUILT_IN",
    "ENTRY_POINTS",
    "AbsoluteError",
    "Accuracy",
    "Better",
    "Brier",
    "CalibrationBias",
    "Capped",
    "ErrorRate",
    "Expression",
    "Latency",
    "LogLoss",
    "Metric",
    "Outcome",
    "PositiveRate",
    "Task",
    "available",
    "default_metric",
    "find",
    "literal",
]

ENTRY_POINTS = "mlprod_nb.metrics"


@dataclass(frozen=True)
class Accuracy:
    """The share of predictions that equal the label."""

    name: str = "accuracy"
    better: Better = "higher"
    needs_labels: bool = True
    tolerance: float = 0.0

    def value(self, outcome: Outcome) -> str:
        """Return 1 for a right prediction and 0 for a wrong one."""
        require(self.name, outcome, "classification")
        return "prediction = label_class"


@dataclass(frozen=True)
class Brier:
    """The mean squared distance of the probability from the truth (Brier 1950); two classes only."""

    name: str = "brier"
    better: Better = "lower"
    needs_labels: bool = True
    tolerance: float = 0.0

    def value(self, outcome: Outcome) -> str:
        """Return the squared distance."""
        require_two_classes(self.name, outcome)
        distance = f"(score - {is_positive(outcome)})"
        return f"CASE WHEN isfinite(score) THEN {distance} * {distance} END"


@dataclass(frozen=True)
class LogLoss:
    """The mean negative logarithm of the probability that the true class was given; two classes only.

    Probabilities are held 1e-15 away from 0 and 1, as scikit-learn did, so that one sure error does not count for all.
    """

    name: str = "log_loss"
    better: Better = "lower"
    needs_labels: bool = True
    tolerance: float = 0.0

    def value(self, outcome: Outcome) -> str:
        """Return the negative logarithm."""
        require_two_classes(self.name, outcome)
        held = "least(1 - 1e-15, greatest(1e-15, score))"
        given = f"CASE WHEN label_class = {literal(outcome.positive)} THEN {held} ELSE 1 - {held} END"
        return f"CASE WHEN isfinite(score) THEN -ln({given}) END"


@dataclass(frozen=True)
class CalibrationBias:
    """The mean probability minus the share of the last class: above 0 where the model promises too much."""

    name: str = "calibration_bias"
    better: Better = "same"
    needs_labels: bool = True
    tolerance: float = 0.02

    def value(self, outcome: Outcome) -> str:
        """Return the probability minus the truth."""
        require_two_classes(self.name, outcome)
        return f"CASE WHEN isfinite(score) THEN score - {is_positive(outcome)} END"


@dataclass(frozen=True)
class Expression:
    """A metric of the user's own: a SQL expression over the columns of a prediction row (see the module).

    Attributes:
        name: How users write it.
        sql: The expression; null where a prediction does not count. It runs in an in-memory database that holds the
            rows of the test alone.
        better: Which way is better.
        needs_labels: Whether it waits for feedback.
        tolerance: As a guardrail: by how much it may get worse.
    """

    name: str
    sql: str
    better: Better
    needs_labels: bool = True
    tolerance: float = 0.0

    def value(self, outcome: Outcome) -> str:  # noqa: ARG002 (fits every task)
        """Return the expression, null of rows that a model failed on unless it names them."""
        return of_answers(self.sql)


@dataclass(frozen=True)
class Capped:
    """A metric whose values are cut at a limit, so that a few extreme ones do not make its mean noisy.

    The limit is a quantile of the first rows of both variants together, fixed by the design (winsorising: Tukey 1962,
    "The future of data analysis", Annals of Mathematical Statistics 33).

    Attributes:
        metric: The metric.
        limit: No value above this.
    """

    metric: Metric
    limit: float

    @property
    def name(self) -> str:
        """The metric's own name."""
        return self.metric.name

    @property
    def better(self) -> Better:
        """As the metric."""
        return self.metric.better

    @property
    def needs_labels(self) -> bool:
        """As the metric."""
        return self.metric.needs_labels

    @property
    def tolerance(self) -> float:
        """As the metric."""
        return self.metric.tolerance

    def value(self, outcome: Outcome) -> str:
        """Return the value or the limit, whichever is less."""
        value = f"({self.metric.value(outcome)})::DOUBLE"
        return f"CASE WHEN isfinite({value}) THEN least({value}, {self.limit!r}) END"


@dataclass(frozen=True)
class AbsoluteError:
    """The mean absolute distance of the predicted value from the true one, in the label's own units."""

    name: str = "absolute_error"
    better: Better = "lower"
    needs_labels: bool = True
    tolerance: float = 0.0

    def value(self, outcome: Outcome) -> str:
        """Return the distance."""
        require(self.name, outcome, "regression")
        return "CASE WHEN isfinite(score) AND isfinite(label_number) THEN abs(score - label_number) END"


@dataclass(frozen=True)
class PositiveRate:
    """The share of predictions that are the last class; needs no labels."""

    name: str = "positive_rate"
    better: Better = "same"
    needs_labels: bool = False
    tolerance: float = 0.05

    def value(self, outcome: Outcome) -> str:
        """Return 1 for the last class and 0 for another."""
        require(self.name, outcome, "classification")
        return f"prediction = {literal(outcome.positive)}"


@dataclass(frozen=True)
class Latency:
    """The mean time from a request's arrival to its answer, in milliseconds."""

    name: str = "latency_ms"
    better: Better = "lower"
    needs_labels: bool = False
    tolerance: float = 5.0

    def value(self, outcome: Outcome) -> str:  # noqa: ARG002 (fits every task)
        """Return the milliseconds; the scan leaves out what is no finite number."""
        return "latency_ms"


@dataclass(frozen=True)
class ErrorRate:
    """The share of rows that the variant's model failed on, of all that it was asked."""

    name: str = "error_rate"
    better: Better = "lower"
    needs_labels: bool = False
    tolerance: float = 0.01

    def value(self, outcome: Outcome) -> str:  # noqa: ARG002 (fits every task)
        """Return 1 for a row that the model failed on and 0 for one that it answered."""
        return "failed"


BUILT_IN: Mapping[str, Metric] = {
    metric.name: metric
    for metric in (
        Accuracy(),
        Brier(),
        LogLoss(),
        Auc(),
        CalibrationBias(),
        AbsoluteError(),
        RootMeanSquare(),
        PositiveRate(),
        Latency(),
        ErrorRate(),
        Quantile(),
    )
}


def available() -> dict[str, Metric]:
    """Return every metric by name: the built-in ones, and those that installed packages bring."""
    brought = extensions.load(ENTRY_POINTS)
    return {**BUILT_IN, **{name: metric for name, metric in brought.items() if name not in BUILT_IN}}


def find(name: str, besides: Iterable[str] = ()) -> Metric:
    """Return one metric.

    Args:
        name: Its name.
        besides: Names that exist elsewhere, for the message.

    Raises:
        NotFound: There is none of that name; the message names the nearest.
    """
    known = available()
    if name not in known:
        raise NotFound("metric", name, [*known, *besides])
    return known[name]
