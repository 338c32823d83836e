"""How many units an A/B test needs, and how many days that is."""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import NormalDist
from typing import TYPE_CHECKING

from mlprod_nb.abtest import metrics, planned, sequential
from mlprod_nb.abtest.design import METHODS, Method
from mlprod_nb.abtest.metrics import Outcome
from mlprod_nb.abtest.outcome import Metric, Statistic, awaited
from mlprod_nb.abtest.scan import open_scan
from mlprod_nb.errors import NotFound, Refused, UsageError
from mlprod_nb.results import Result, duration

if TYPE_CHECKING:
    import pyarrow as pa

_NORMAL = NormalDist()


@dataclass(frozen=True)
class Baseline:
    """How a metric behaves today.

    Attributes:
        metric: The metric's name.
        mean: Its mean over predictions.
        unit_variance: Variance of the linearised unit scores.
        rows_per_unit: Predictions a unit brings.
        rows_per_day: Predictions a day; 0 where unknown.
        days_late: Days after which a prediction counts.
    """

    metric: str
    mean: float
    unit_variance: float
    rows_per_unit: float = 1.0
    rows_per_day: float = 0.0
    days_late: float = 0.0

    def rows_within(self, days: float) -> float:
        """Return how many predictions count after so many days of a test."""
        return self.rows_per_day * max(0.0, days - self.days_late)


@dataclass(frozen=True)
class Aim:
    """What a test shall be able to do.

    Attributes:
        effect: The smallest difference worth finding, in the metric's units.
        alpha: Chance of a false alarm, two-sided.
        power: Chance to find the effect.
        method: How the test is read.
        looks: Planned looks, for ``"planned"``.
        treatment_share: The treatment's share of the units.
    """

    effect: float
    alpha: float = 0.05
    power: float = 0.8
    method: Method = "always-valid"
    looks: int = 5
    treatment_share: float = 0.5


@dataclass(frozen=True)
class PlanResult(Result):
    """What a test needs.

    Attributes:
        metric: The metric.
        baseline: Its mean today.
        effect: The smallest difference worth finding.
        alpha: Chance of a false alarm.
        power: Chance to find the effect.
        method: How the test is read.
        units: Units in both variants together.
        rows: Predictions in both variants together.
        days: Days at today's traffic until the last of them counts, or ``None`` where it is unknown.
    """

    metric: str
    baseline: float
    effect: float
    alpha: float
    power: float
    method: str
    units: int
    rows: int
    days: float | None

    def headline(self) -> str:
        """Say what it takes."""
        time = f", about {duration(86_400 * self.days)} at today's traffic" if self.days is not None else ""
        found = f"a difference of {self.effect:g} in {self.metric}"
        return f"To find {found} takes {self.units:,} units ({self.rows:,} predictions){time}."


def plan(baseline: Baseline, aim: Aim) -> PlanResult:
    """Return how many units and predictions find an effect.

    The number of standard errors that the true difference must be worth is ``z_{1-alpha/2} + z_power`` for a fixed
    test, the drift of the alpha-spending boundaries for planned looks, and the sequence's factor at its tightest point
    plus ``z_power`` for an always-valid one (a lower bound of its power: it may stop earlier).

    Raises:
        UsageError: The effect, alpha, power or share cannot be.
        Refused: The metric does not vary.
    """
    _check(aim)
    if baseline.unit_variance <= 0:
        raise Refused(f"{baseline.metric} does not vary, so no test of it can be planned.")
    share = aim.treatment_share
    variance = baseline.unit_variance / share + baseline.unit_variance / (1 - share)
    units = math.ceil(variance * (errors_needed(aim) / aim.effect) ** 2)
    rows = math.ceil(units * baseline.rows_per_unit)
    days = rows / baseline.rows_per_day + baseline.days_late if baseline.rows_per_day > 0 else None
    return PlanResult(baseline.metric, baseline.mean, aim.effect, aim.alpha, aim.power, aim.method, units, rows, days)


def errors_needed(aim: Aim) -> float:
    """Return how many standard errors the effect must be worth at the end."""
    if aim.method == "planned":
        return planned.drift_for_power(aim.looks, aim.alpha, aim.power)
    if aim.method in ("always-valid", "paired"):
        critical = sequential.factor(1.0, alpha=aim.alpha, tightest_at=1.0)
    else:
        critical = _NORMAL.inv_cdf(1 - aim.alpha / 2)
    return critical + _NORMAL.inv_cdf(aim.power)


def chance(baseline: Baseline, aim: Aim, rows: float) -> float:
    """Return the chance that this many predictions find the effect; for always-valid methods a lower bound."""
    share = aim.treatment_share
    units = rows / baseline.rows_per_unit
    variance = baseline.unit_variance * (1 / share + 1 / (1 - share))
    if units <= 0 or variance <= 0:
        return 0.0
    critical = errors_needed(aim) - _NORMAL.inv_cdf(aim.power)
    return _NORMAL.cdf(aim.effect / (variance / units) ** 0.5 - critical)


def baseline(table: pa.Table, metric: str | Metric, outcome: Outcome, *, days_late: float = 0.0) -> Baseline:
    """Measure how a metric behaves in a table of labelled predictions, all variants together.

    Args:
        table: The predictions.
        metric: The metric, or the name of one that everybody has.
        outcome: What the endpoint predicts.
        days_late: Days after which a prediction counts: younger ones are no part of today's traffic.

    Raises:
        NotFound: There is no such metric.
        UsageError: The metric does not fit what the endpoint predicts.
        Refused: No prediction counts for it yet.
    """
    with open_scan(table, outcome) as scan:
        found, facts = metrics.find(metric) if isinstance(metric, str) else metric, scan.facts()
        if isinstance(found, Statistic):
            (arms,) = scan.measures(found, tuple(facts.variants))
        else:
            arms = {name: part.arm() for name, part in scan.sums({found.name: found})[found.name].items()}
        last = max(scan.moments(found, tuple(facts.variants), [1.0]), default=None) if days_late else facts.last
    samples = [arm.sample for arm in arms.values()]
    rows = sum(sample.rows for sample in samples)
    if not rows:
        waiting = awaited(found, outcome)
        raise Refused(f"there is no {waiting} for {found.name} yet.", hint=f"Plan again when {waiting} has come in.")
    units = sum(sample.units for sample in samples)
    assert facts.first is not None
    assert last is not None
    days = (last - facts.first).total_seconds() / 86_400
    return Baseline(
        metric=found.name,
        mean=sum(sample.mean * sample.rows for sample in samples) / rows,
        unit_variance=sum(sample.unit_variance * sample.units for sample in samples) / units,
        rows_per_unit=rows / units,
        rows_per_day=rows / days if days > 0 else 0.0,
        days_late=days_late,
    )


def _check(aim: Aim) -> None:
    if aim.method not in METHODS:
        raise NotFound("method", aim.method, METHODS)
    if not (aim.effect > 0 and math.isfinite(aim.effect)):
        raise UsageError(f"effect is {aim.effect:g}; it is more than 0, in the metric's own units.")
    for name, value in (("alpha", aim.alpha), ("power", aim.power), ("treatment_share", aim.treatment_share)):
        if not 0 < value < 1:
            raise UsageError(f"{name} is {value:g}; it lies between 0 and 1.")
