"""A shadow's test: both variants answered the same requests, so each request is compared with itself."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from mlprod_nb.abtest import estimators, paired
from mlprod_nb.abtest.design import Design
from mlprod_nb.abtest.estimate import Arm, Sample
from mlprod_nb.abtest.facts import Facts
from mlprod_nb.abtest.intervals import LEAST_UNITS, Arms, Read
from mlprod_nb.abtest.outcome import Measured, Metric, Outcome, Statistic
from mlprod_nb.abtest.paired_rows import SHADOW_MARK, PairedRows
from mlprod_nb.abtest.power import Baseline
from mlprod_nb.abtest.reading import PATH_POINTS, Lookup, Question, Reading, alphas, lift
from mlprod_nb.abtest.results import LookPoint, MetricLift
from mlprod_nb.abtest.scan import open_scan
from mlprod_nb.abtest.srm import SampleRatioCheck

if TYPE_CHECKING:
    import pyarrow as pa

Array = NDArray[np.float64]


@dataclass(frozen=True)
class _Look:
    """One metric over the pairs up to a moment."""

    arms: Arms
    difference: Sample
    discordant: paired.Discordant | None


def prepare(table: pa.Table, design: Design) -> pa.Table:
    """Keep the control's answers and the treatment's shadow answers, told apart by their prediction ids.

    A shadow's row has the id of the prediction that it shadows, so the id alone pairs them.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    if "shadow" not in table.column_names:
        return table
    shadow = pc.fill_null(table["shadow"].cast(pa.bool_()), False)
    control = table.filter(pc.and_(pc.equal(table["variant"], design.control), pc.invert(shadow)))
    treatment = table.filter(pc.and_(pc.equal(table["variant"], design.treatment), shadow))
    plain, shadowed = (part["prediction_id"].cast(pa.string()) for part in (control, treatment))
    at = treatment.column_names.index("prediction_id")
    control = control.set_column(at, "prediction_id", plain)
    marked = pc.binary_join_element_wise(shadowed, SHADOW_MARK, "")
    treatment = treatment.set_column(at, "prediction_id", marked)
    return pa.concat_tables([control, treatment]).drop_columns(["shadow"])


def facts_of_pairs(facts: Facts) -> Facts:
    """Forget that units met both variants: a shadow's units all do, and none was treated differently."""
    return replace(facts, units_in_two_variants=0)


def no_split(design: Design, facts: Facts) -> SampleRatioCheck:
    """Return a check that says nothing: where both answer each request there is no split to come out wrong."""
    found = {name: facts.variants[name].rows if name in facts.variants else 0 for name in _names(design)}
    return SampleRatioCheck(dict.fromkeys(found, 0.5), found, 1.0, 0, ok=True)


def baseline(table: pa.Table, design: Design, outcome: Outcome) -> Baseline | None:
    """Measure how the primary metric's difference between the answers to one request behaves.

    The variance is a quarter of the difference's, which is what a split in halves has where its difference varies as
    much. ``None`` where fewer than :data:`LEAST_UNITS` units have both answers, or nothing differs.
    """
    metric = design.metric(design.primary)
    with open_scan(prepare(table, design), outcome) as scan:
        rows = scan.pairs(metric, (design.control, design.treatment))
    look = _look(metric, rows)
    if look is None or look.difference.units < LEAST_UNITS or look.difference.unit_variance <= 0:
        return None
    days = float(rows.times.max() - rows.times.min()) / 86_400e6
    return Baseline(
        metric=design.primary,
        mean=look.arms["control"].sample.mean,
        unit_variance=look.difference.unit_variance / 4,
        rows_per_unit=look.difference.rows / look.difference.units,
        rows_per_day=look.difference.rows / days if days > 0 else 0.0,
    )


def read(question: Question) -> Reading:
    """Read every metric in pairs, the primary's path over time with it."""
    lifts: list[MetricLift] = []
    points: tuple[LookPoint, ...] = ()
    obstacle = ""
    for name, metric in question.metrics.items():
        rows = question.scan.pairs(metric, question.variants)
        look = _look(metric, rows)
        obstacle = obstacle or (_obstacle(metric, look) if metric is question.primary else "")
        found = None if look is None else _read(look, question.design, alphas(question.design)[name])
        lifts.append(_lift(question.design, metric, look, found))
        if metric is question.primary:
            points = _path(question.design, metric, rows)
    return Reading(tuple(lifts), points, 0, obstacle)


def _look(metric: Metric, rows: PairedRows) -> _Look | None:
    count = len(rows.units)
    if not count:
        return None
    if isinstance(metric, Statistic):
        sides = [metric.measure(values, *rows.others) for values in (rows.control, rows.treatment)]
    else:
        sides = [Measured(float(values.mean()), values - values.mean()) for values in (rows.control, rows.treatment)]
    control, treatment = sides
    if control is None or treatment is None:
        return None
    gap = Measured(treatment.estimate - control.estimate, treatment.influence - control.influence)
    arms = [estimators.arm(side, rows.units) for side in (control, treatment)]
    once = len(np.unique(rows.units)) == count
    whole = all(bool(np.isin(values, (0.0, 1.0)).all()) for values in (rows.control, rows.treatment))
    discordant = None
    if once and whole and not isinstance(metric, Statistic):
        wins, losses = (int(side.sum()) for side in (rows.treatment > rows.control, rows.treatment < rows.control))
        discordant = paired.Discordant(wins, losses, count)
    return _Look({"control": arms[0], "treatment": arms[1]}, estimators.arm(gap, rows.units).sample, discordant)


def _read(look: _Look, design: Design, alpha: float) -> Read | None:
    if look.difference.units < LEAST_UNITS:
        return None
    if look.discordant is not None:
        interval = paired.sequence(look.discordant, alpha=alpha)
        return Read(interval, paired.p_value(look.discordant), "exact test in pairs, valid at every look")
    if look.difference.unit_variance <= 0:
        return None
    interval = paired.mean_sequence(look.difference, alpha=alpha, tightest_at=design.expected_rows)
    return Read(interval, None, "confidence sequence in pairs, valid at every look")


def look(question: Question) -> Lookup:
    """Return the primary metric over all pairs, to be read at any level."""
    design, metric = question.design, question.primary
    found = _look(metric, question.scan.pairs(metric, question.variants))
    if found is None:
        return Lookup({}, lambda _: None)
    arms = {design.control: found.arms["control"], design.treatment: found.arms["treatment"]}
    return Lookup(arms, lambda alpha: _read(found, design, alpha))


def _path(design: Design, metric: Metric, rows: PairedRows) -> tuple[LookPoint, ...]:
    if not len(rows.times):
        return ()
    ordered = np.sort(rows.times)
    ranks = {max(0, -(-len(ordered) * (k + 1) // PATH_POINTS) - 1) for k in range(PATH_POINTS)}
    points = []
    for edge in sorted({int(ordered[rank]) for rank in ranks}):
        look = _look(metric, rows.until(edge))
        found = None if look is None else _read(look, design, design.alpha)
        if look is not None and found is not None:
            moment: datetime = rows.moment(edge)
            points.append(LookPoint(moment, look.difference.mean, found.interval.lower, found.interval.upper))
    return tuple(points)


def _lift(design: Design, metric: Metric, look: _Look | None, found: Read | None) -> MetricLift:
    arms: dict[str, Arm] = {}
    if look is not None:
        arms = {design.control: look.arms["control"], design.treatment: look.arms["treatment"]}
    line = lift(design, metric, arms, found)
    if look is None or look.discordant is None:
        return line
    return replace(line, mid_p=paired.mcnemar(look.discordant).mid_p)


def _obstacle(metric: Metric, look: _Look | None) -> str:
    if look is None:
        waiting = "feedback" if metric.needs_labels else "traffic"
        return f"no request with both answers has {waiting} yet, so {metric.name} cannot be compared"
    if look.difference.units < LEAST_UNITS:
        return f"{look.difference.units} units have both answers to compare {metric.name} by; {LEAST_UNITS} are needed"
    if look.discordant is None and look.difference.unit_variance <= 0:
        return f"both variants have the same {metric.name} on every request"
    return ""


def _names(design: Design) -> Sequence[str]:
    return design.control, design.treatment
