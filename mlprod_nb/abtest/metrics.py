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
=================  ========================================================================
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, Protocol, runtime_checkable

from mlprod_nb.errors import NotFound, UsageError

Better = Literal["higher", "lower", "same"]
Task = Literal["classification", "regression"]
ENTRY_POINTS = "mlprod_nb.metrics"


@dataclass(frozen=True)
class Outcome:
    """What an endpoint predicts.

    Attributes:
        task: ``"classification"`` or ``"regression"``.
        classes: The classes as text, in the model's order; empty for regression.
    """

    task: Task
    classes: tuple[str, ...] = ()

    @property
    def positive(self) -> str:
        """The class whose probability the score is: the last one."""
        return self.classes[-1]


@runtime_checkable
class Metric(Protocol):
    """One number per prediction, compared between variants as a ratio of sums over units.

    Implementations are stateless. Register one in :data:`BUILT_IN`, or from another package under the entry point
    group ``mlprod_nb.metrics``; the conformance suite in ``tests/abtest/test_abtest_metrics.py`` applies to both.
    """

    @property
    def name(self) -> str:
        """How users write it; the unit of measurement is a part of it, as in ``latency_ms``."""

    @property
    def better(self) -> Better:
        """Which way is better; ``"same"`` where any change is unwanted (a guardrail only)."""

    @property
    def needs_labels(self) -> bool:
        """Whether it waits for feedback."""

    @property
    def tolerance(self) -> float:
        """As a guardrail: by how much it may get worse, in its own units, where the design does not say."""

    def value(self, outcome: Outcome) -> str:
        """Return the SQL expression of one prediction's value, a number or a truth value.

        It is null where the prediction does not count.

        Raises:
            UsageError: The metric does not fit what the endpoint predicts.
        """


@dataclass(frozen=True)
class Accuracy:
    """The share of predictions that equal the label."""

    name: str = "accuracy"
    better: Better = "higher"
    needs_labels: bool = True
    tolerance: float = 0.0

    def value(self, outcome: Outcome) -> str:
        """Return 1 for a right prediction and 0 for a wrong one."""
        _require(self.name, outcome, "classification")
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
        _require(self.name, outcome, "classification")
        if len(outcome.classes) != 2:
            raise UsageError(
                f"metric 'brier' needs two classes; this endpoint has {len(outcome.classes)}.", hint="Take 'accuracy'."
            )
        distance = f"(score - (label_class = {literal(outcome.positive)})::DOUBLE)"
        return f"CASE WHEN isfinite(score) THEN {distance} * {distance} END"


@dataclass(frozen=True)
class AbsoluteError:
    """The mean absolute distance of the predicted value from the true one, in the label's own units."""

    name: str = "absolute_error"
    better: Better = "lower"
    needs_labels: bool = True
    tolerance: float = 0.0

    def value(self, outcome: Outcome) -> str:
        """Return the distance."""
        _require(self.name, outcome, "regression")
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
        _require(self.name, outcome, "classification")
        return f"prediction = {literal(outcome.positive)}"


@dataclass(frozen=True)
class Latency:
    """The mean time from a request's arrival to its answer, in milliseconds."""

    name: str = "latency_ms"
    better: Better = "lower"
    needs_labels: bool = False
    tolerance: float = 5.0

    def value(self, outcome: Outcome) -> str:  # noqa: ARG002 (fits every task)
        """Return the milliseconds."""
        return "CASE WHEN isfinite(latency_ms) THEN latency_ms END"


BUILT_IN: Mapping[str, Metric] = {
    metric.name: metric for metric in (Accuracy(), Brier(), AbsoluteError(), PositiveRate(), Latency())
}


def available() -> dict[str, Metric]:
    """Return every metric by name: the built-in ones, and those that installed packages bring."""
    from importlib.metadata import entry_points

    brought = {point.name: point for point in entry_points(group=ENTRY_POINTS) if point.name not in BUILT_IN}
    return {**BUILT_IN, **{name: point.load() for name, point in brought.items()}}


def find(name: str) -> Metric:
    """Return one metric.

    Raises:
        NotFound: There is none of that name; the message names the nearest.
    """
    known = available()
    if name not in known:
        raise NotFound("metric", name, known)
    return known[name]


def default_metric(task: Task) -> str:
    """Return the name of the metric that a task is judged by where the design names none."""
    return "accuracy" if task == "classification" else "absolute_error"


def literal(text: str) -> str:
    """Return a text as a SQL literal."""
    return "'" + text.replace("'", "''") + "'"


def _require(name: str, outcome: Outcome, task: Task) -> None:
    if outcome.task != task:
        fitting = default_metric(outcome.task)
        raise UsageError(
            f"metric {name!r} is for {task}; this endpoint does {outcome.task}.", hint=f"Take {fitting!r}."
        )
