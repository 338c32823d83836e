"""Reading the data as the design says: which predictions count, and which interval is valid for them.

The fixed and the planned method read at points that the design fixed (a number of predictions with a value), so their
answer is the same whenever and however often somebody asks. Looks are found from event times: look ``k`` of ``K`` is
made of the first ``k / K`` of the expected predictions.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from mlprod_nb.abtest import fixed, planned, sequential
from mlprod_nb.abtest.design import Design
from mlprod_nb.abtest.estimate import Difference, Interval, UnitSums
from mlprod_nb.abtest.metrics import Metric
from mlprod_nb.abtest.results import LookPoint, MetricLift
from mlprod_nb.abtest.scan import Scan

#: Fewer units than this in a variant and no interval is shown: the methods are asymptotic.
LEAST_UNITS = 30
#: Points of the sequence over time.
PATH_POINTS = 20

Sums = Mapping[str, UnitSums]


@dataclass(frozen=True)
class Reading:
    """What the data say under the design's method.

    Attributes:
        lifts: One a metric, the primary first.
        path: The primary metric's interval over time.
        look: The planned look that is read, from 1; 0 before the first, or where looks are not planned.
        obstacle: Why the primary metric has no interval, or empty.
    """

    lifts: tuple[MetricLift, ...]
    path: tuple[LookPoint, ...]
    look: int
    obstacle: str


def read(scan: Scan, design: Design, metrics: Mapping[str, Metric], sums: Mapping[str, Sums]) -> Reading:
    """Read the scan as the design says.

    Args:
        scan: The open scan.
        design: The design.
        metrics: The primary metric first, then the guardrails, by name.
        sums: Each metric's sums per variant over all rows.
    """
    obstacle = _obstacle(design, metrics[design.primary], sums[design.primary])
    if design.method == "always-valid":
        return _always_valid(scan, design, metrics, sums, obstacle)
    return _at_looks(scan, design, metrics, sums, obstacle)


def alphas(design: Design) -> dict[str, float]:
    """Return each metric's type I error: the primary has alpha, the guardrails share as much again (Bonferroni)."""
    shared = {g.metric: design.alpha / len(design.guardrails) for g in design.guardrails}
    return {design.primary: design.alpha, **shared}


def _always_valid(
    scan: Scan, design: Design, metrics: Mapping[str, Metric], sums: Mapping[str, Sums], obstacle: str
) -> Reading:
    levels = alphas(design)
    intervals = {name: _sequence(design, sums[name], levels[name]) for name in metrics}
    lifts = tuple(_lift(design, metric, sums[name], intervals[name]) for name, metric in metrics.items())
    primary = metrics[design.primary]
    fractions = [(k + 1) / PATH_POINTS for k in range(PATH_POINTS)]
    variants = (design.control, design.treatment)
    moments = scan.moments(primary, variants, fractions)
    points = []
    for moment, part in zip(moments, scan.path(primary, variants, moments), strict=True):
        interval = _sequence(design, part, design.alpha)
        if interval is not None:
            points.append(_point(moment, design, part, interval))
    return Reading(lifts, tuple(points), 0, obstacle)


def _sequence(design: Design, sums: Sums, alpha: float) -> Interval | None:
    difference = comparable(design, sums)
    if difference is None:
        return None
    return sequential.sequence(difference, alpha=alpha, tightest_at=design.expected_rows)


def _at_looks(
    scan: Scan, design: Design, metrics: Mapping[str, Metric], sums: Mapping[str, Sums], obstacle: str
) -> Reading:
    primary = metrics[design.primary]
    variants = (design.control, design.treatment)
    moments = _look_moments(scan, design, primary, sums[design.primary])
    if not moments:
        unread = tuple(_lift(design, metric, sums[name], None) for name, metric in metrics.items())
        return Reading(unread, (), 0, obstacle)
    parts = scan.path(primary, variants, moments)
    intervals = _look_intervals(design, parts, design.alpha)
    crossed = (at for at, interval in enumerate(intervals) if interval is not None and interval.excludes_zero)
    at = next(crossed, len(moments) - 1)
    lifts = [_lift(design, primary, parts[at], intervals[at])]
    for name, level in list(alphas(design).items())[1:]:
        guard_parts = scan.path(metrics[name], variants, moments[: at + 1])
        lifts.append(_lift(design, metrics[name], guard_parts[at], _look_intervals(design, guard_parts, level)[at]))
    points = [
        _point(moment, design, part, interval)
        for moment, part, interval in zip(moments, parts, intervals, strict=True)
        if interval is not None
    ]
    return Reading(tuple(lifts), tuple(points), at + 1, obstacle)


def _look_moments(scan: Scan, design: Design, primary: Metric, sums: Sums) -> list[datetime]:
    looks = design.looks if design.method == "planned" else 1
    rows = sum(sums[name].rows for name in (design.control, design.treatment) if name in sums)
    wanted = [design.expected_rows * (k + 1) / looks for k in range(looks)]
    fractions = [count / rows for count in wanted if count <= rows]
    return scan.moments(primary, (design.control, design.treatment), fractions) if fractions else []


def _look_intervals(design: Design, parts: list[dict[str, UnitSums]], alpha: float) -> list[Interval | None]:
    differences = [comparable(design, part) for part in parts]
    if design.method == "fixed":
        return [None if d is None else fixed.welch(d, alpha=alpha).interval for d in differences]
    done = [min(1.0, sum(part[name].rows for name in part) / design.expected_rows) for part in parts]
    usable = [at for at, difference in enumerate(differences) if difference is not None]
    found: list[Interval | None] = [None] * len(parts)
    errors = [d.standard_error for d in differences if d is not None]
    limits = planned.boundaries([done[at] for at in usable], alpha, [1 / error**2 for error in errors])
    for at, limit, error in zip(usable, limits, errors, strict=True):
        difference = differences[at]
        assert difference is not None
        found[at] = Interval(difference.value - limit * error, difference.value + limit * error)
    return found


def comparable(design: Design, sums: Sums) -> Difference | None:
    """Return the difference, or ``None`` where there are too few units or nothing varies."""
    if design.control not in sums or design.treatment not in sums:
        return None
    difference = Difference(sums[design.control].sample(), sums[design.treatment].sample())
    enough = min(difference.control.units, difference.treatment.units) >= LEAST_UNITS
    return difference if enough and difference.standard_error > 0 else None


def _obstacle(design: Design, metric: Metric, sums: Sums) -> str:
    missing = [name for name in (design.control, design.treatment) if name not in sums]
    waiting = "feedback" if metric.needs_labels else "traffic"
    if len(missing) == 2:
        return f"no {waiting} has come in, so {metric.name} cannot be computed"
    if missing:
        return f"variant {missing[0]!r} has no {waiting} yet"
    units = {name: sums[name].units for name in (design.control, design.treatment)}
    few = min(units, key=lambda name: units[name])
    if units[few] < LEAST_UNITS:
        noun = "unit" if units[few] == 1 else "units"
        return f"variant {few!r} has {units[few]} {noun} with a value of {metric.name}; {LEAST_UNITS} are needed"
    if comparable(design, sums) is None:
        return f"{metric.name} is the same for every unit, so there is no variance to judge a difference by"
    return ""


def _lift(design: Design, metric: Metric, sums: Sums, interval: Interval | None) -> MetricLift:
    control, treatment = sums.get(design.control), sums.get(design.treatment)
    means = [None if part is None else part.sample().mean for part in (control, treatment)]
    difference = None if means[0] is None or means[1] is None else means[1] - means[0]
    return MetricLift(
        metric=metric.name,
        role="primary" if metric.name == design.primary else "guardrail",
        better=metric.better,
        control=means[0],
        treatment=means[1],
        difference=difference,
        difference_lower=None if interval is None else interval.lower,
        difference_upper=None if interval is None else interval.upper,
        confidence=1 - alphas(design)[metric.name],
        significant=interval is not None and interval.excludes_zero,
        units_control=control.units if control else 0,
        units_treatment=treatment.units if treatment else 0,
        rows_control=control.rows if control else 0,
        rows_treatment=treatment.rows if treatment else 0,
    )


def _point(moment: datetime, design: Design, sums: Sums, interval: Interval) -> LookPoint:
    difference = sums[design.treatment].sample().mean - sums[design.control].sample().mean
    return LookPoint(moment, difference, interval.lower, interval.upper)
