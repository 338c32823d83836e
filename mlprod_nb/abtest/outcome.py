"""What an endpoint predicts, and what a metric is."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from mlprod_nb.errors import UsageError

Better = Literal["higher", "lower", "same"]
Task = Literal["classification", "regression"]

#: What the name of a column begins with that says what became of a prediction: its reward, whether an interaction came.
EVENT = "event "


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

        It is null where the prediction does not count. A row that a model failed on has ``failed``, its variant, its
        unit and its moment, and null elsewhere; an expression that does not name ``failed`` should be null of it.

        Raises:
            UsageError: The metric does not fit what the endpoint predicts.
        """


@dataclass(frozen=True)
class Measured:
    """A statistic of one variant's rows.

    Attributes:
        estimate: Its value.
        influence: What each row adds to the estimate's error; the mean over the rows is 0, and the variance of the
            estimate is that of the influences' sum over units, divided by the squared number of rows.
    """

    estimate: float
    influence: NDArray[np.float64]


@runtime_checkable
class Statistic(Metric, Protocol):
    """A metric that is no mean of one number per prediction: a quantile, an area under a curve, a ratio.

    ``value`` names the first column that it needs, and so which rows count. Every estimate that is a mean of influences
    up to smaller terms may be compared as means are, with the influences added up per unit (the delta method).
    """

    def others(self, outcome: Outcome) -> Sequence[str]:
        """Return the SQL of the other columns; a row in which one is null does not count."""

    def measure(self, values: NDArray[np.float64], *others: NDArray[np.float64]) -> Measured | None:
        """Return the statistic of these rows, or ``None`` where they are too few or too alike to have one."""


def of_answers(sql: str) -> str:
    """Return an expression that is null of rows that a model failed on, unless it names them."""
    return sql if names_failed(sql) else f"CASE WHEN NOT failed THEN {sql} END"


def names_failed(sql: str) -> bool:
    """Return whether an expression tells rows that a model failed on from answers."""
    return re.search(r"\bfailed\b", sql) is not None


def awaited(metric: Metric, outcome: Outcome) -> str:
    """Return what a metric has no value without, in words."""
    if metric.needs_labels:
        return "feedback"
    columns = [metric.value(outcome), *(metric.others(outcome) if isinstance(metric, Statistic) else ())]
    return "traffic that is old enough" if any(f'"{EVENT}' in sql for sql in columns) else "traffic"


def literal(text: str) -> str:
    """Return a text as a SQL literal."""
    return "'" + text.replace("'", "''") + "'"


def default_metric(task: Task) -> str:
    """Return the name of the metric that a task is judged by where the design names none."""
    return "accuracy" if task == "classification" else "absolute_error"


def require(name: str, outcome: Outcome, task: Task) -> None:
    """Refuse a metric that is for another task."""
    if outcome.task != task:
        fitting = default_metric(outcome.task)
        raise UsageError(
            f"metric {name!r} is for {task}; this endpoint does {outcome.task}.", hint=f"Take {fitting!r}."
        )


def require_two_classes(name: str, outcome: Outcome) -> None:
    """Refuse a metric that needs the probability of the last of two classes."""
    require(name, outcome, "classification")
    if len(outcome.classes) != 2:
        raise UsageError(
            f"metric {name!r} needs two classes; this endpoint has {len(outcome.classes)}.", hint="Take 'accuracy'."
        )


def is_positive(outcome: Outcome) -> str:
    """Return the SQL of the truth as a number: 1 for the last class, 0 for another."""
    return f"(label_class = {literal(outcome.positive)})::DOUBLE"
