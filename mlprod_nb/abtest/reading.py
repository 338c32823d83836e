"""Reading the data as the design says: which predictions count, and which interval is valid for them.

The fixed and the planned method read at points that the design fixed (a number of predictions with a value), so their
answer is the same whenever and however often somebody asks. Looks are found from event times: look ``k`` of ``K`` is
made of the first ``k / K`` of the expected predictions.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from mlprod_nb.abtest import bayes, covariates, intervals, periods, planned, resample, srm
from mlprod_nb.abtest.design import Design
from mlprod_nb.abtest.estimate import Arm
from mlprod_nb.abtest.futility import conditional_power
from mlprod_nb.abtest.intervals import LEAST_UNITS, Arms, Read, comparable
from mlprod_nb.abtest.outcome import Metric, Statistic, awaited
from mlprod_nb.abtest.results import LookPoint, MetricLift
from mlprod_nb.abtest.scan import Scan
from mlprod_nb.abtest.srm import SampleRatioCheck

#: Points of the sequence over time.
PATH_POINTS = 20


@dataclass(frozen=True)
class Reading:
    """What the data say under the design's method.

    Attributes:
        lifts: One a metric, the primary first.
        path: The primary metric's interval over time.
        look: The planned look that is read, from 1; 0 before the first, or where looks are not planned.
        obstacle: Why the primary metric has no interval, or empty.
        conditional_power: The chance that the plan still finds the minimal effect, were it there; ``None`` where no
            effect or no plan was named.
        moments: The event times of the looks that were read, the last one with them; empty where all rows are read.
    """

    lifts: tuple[MetricLift, ...]
    path: tuple[LookPoint, ...]
    look: int
    obstacle: str
    conditional_power: float | None = None
    moments: tuple[datetime, ...] = ()


@dataclass(frozen=True)
class Lookup:
    """The primary metric at the look that is read.

    Attributes:
        arms: The metric per variant.
        at: Reads it at a type I error.
    """

    arms: Arms
    at: Callable[[float], Read | None]


@dataclass(frozen=True)
class Question:
    """What is read.

    Attributes:
        scan: The open scan.
        design: The design.
        metrics: The primary metric first, then the guardrails, by name.
        share: The treatment's share of the units of both variants; of the first period where there are several.
        periods: The numbers of the periods with different splits; empty where there is one split.
    """

    scan: Scan
    design: Design
    metrics: Mapping[str, Metric]
    share: float
    periods: tuple[int, ...] = ()

    @property
    def primary(self) -> Metric:
        """The metric that decides."""
        return self.metrics[self.design.primary]

    @property
    def variants(self) -> tuple[str, str]:
        """The control and the treatment."""
        return self.design.control, self.design.treatment

    def now(self, metric: Metric) -> Arms:
        """Return a metric per variant over all rows, compared within each period."""
        return self._together([[_now(scan, metric, self)] for scan in self._scans()])[0]

    def plain(self, metric: Metric) -> Arms:
        """Return the same of a mean, without the design's covariates."""
        return self._together([[_plain(scan, metric)] for scan in self._scans()])[0]

    def path(self, metric: Metric, moments: Sequence[datetime]) -> list[Arms]:
        """Return a metric per variant over the rows up to each moment, compared within each period."""
        return self._together([_path(scan, metric, self, moments) for scan in self._scans()])

    def by_period(self, metric: Metric) -> list[Arms]:
        """Return the same, a period each."""
        return [_now(scan, metric, self) for scan in self._scans()]

    def _scans(self) -> list[Scan]:
        return [self.scan.in_period(number) for number in self.periods] or [self.scan]

    def _together(self, parts: Sequence[Sequence[Arms]]) -> list[Arms]:
        # A bandit is read in one way from its first period on.
        if len(parts) == 1 and self.design.allocation == "fixed":
            return list(parts[0])
        return [periods.combine(at, self.variants) for at in zip(*parts, strict=True)]


def _now(scan: Scan, metric: Metric, question: Question) -> Arms:
    if isinstance(metric, Statistic):
        return scan.measures(metric, question.variants)[0]
    if question.design.covariates and scan.adjusts(metric):
        return adjusted(scan, metric, question.design)[0]
    return _plain(scan, metric)


def _plain(scan: Scan, metric: Metric) -> Arms:
    return {name: part.arm() for name, part in scan.sums({metric.name: metric})[metric.name].items()}


def _path(scan: Scan, metric: Metric, question: Question, moments: Sequence[datetime]) -> list[Arms]:
    if isinstance(metric, Statistic):
        return list(scan.measures(metric, question.variants, moments))
    if question.design.covariates and scan.adjusts(metric):
        return adjusted(scan, metric, question.design, moments)
    sums = scan.path(metric, question.variants, moments)
    return [{name: part.arm() for name, part in at.items()} for at in sums]


def sample_ratio(
    question: Question, splits: Mapping[int, Mapping[str, float]], variants: Sequence[str], crossing: int = 0
) -> SampleRatioCheck:
    """Compare the units that the variants met with the split of each period.

    Args:
        question: Whose rows.
        splits: Each variant's share of the traffic, by period.
        variants: The variants to count.
        crossing: Units that met more than one variant.
    """
    parts = [question.scan.in_period(at) for at in splits] if question.periods else [question.scan]
    shares = [{name: split.get(name, 0.0) for name in variants} for split in splits.values()]
    met = [(share, part.units(variants)) for share, part in zip(shares, parts, strict=True)]
    return srm.check_periods(met, units_in_two_variants=crossing)


def variance_kept(question: Question) -> float | None:
    """Return the share of the variance that the design's covariates leave of the primary metric's difference."""
    design, metric = question.design, question.primary
    if not design.covariates or question.periods or not question.scan.adjusts(metric):
        return None
    (moments,) = question.scan.unit_moments(metric, question.variants, design.covariates)
    if len(moments) < len(question.variants):
        return None
    return covariates.variance_kept(moments, covariates.adjust(moments))


def adjusted(scan: Scan, metric: Metric, design: Design, moments: Sequence[datetime] | None = None) -> list[Arms]:
    """Return a metric per variant after the design's covariates, up to each moment or over all rows."""
    found = scan.unit_moments(metric, (design.control, design.treatment), design.covariates, moments)
    return [{name: Arm(sample) for name, sample in covariates.adjust(part).items()} if part else {} for part in found]


def read(question: Question, arms: Mapping[str, Arms]) -> Reading:
    """Read the scan as the design says.

    Args:
        question: What is read.
        arms: Each metric per variant over all rows.
    """
    obstacle = _obstacle(question, arms[question.design.primary])
    if question.design.method == "always-valid":
        return _always_valid(question, arms, obstacle)
    return _at_looks(question, arms, obstacle)


def alphas(design: Design) -> dict[str, float]:
    """Return each metric's type I error: the primary has alpha, the guardrails share as much again (Bonferroni)."""
    shared = {g.metric: design.alpha / len(design.guardrails) for g in design.guardrails}
    return {design.primary: design.alpha, **shared}


def _always_valid(question: Question, arms: Mapping[str, Arms], obstacle: str) -> Reading:
    design, levels = question.design, alphas(question.design)
    lifts = []
    for name, metric in question.metrics.items():
        found = intervals.always_valid(design, arms[name], alpha=levels[name], share=question.share)
        lifts.append(lift(design, metric, arms[name], found))
    fractions = [(k + 1) / PATH_POINTS for k in range(PATH_POINTS)]
    moments = question.scan.moments(question.primary, question.variants, fractions)
    points = []
    for moment, part in zip(moments, question.path(question.primary, moments), strict=True):
        now = intervals.always_valid(design, part, alpha=design.alpha, share=question.share)
        if now is not None:
            points.append(_point(moment, design, part, now))
    return Reading(tuple(lifts), tuple(points), 0, obstacle)


def _at_looks(question: Question, arms: Mapping[str, Arms], obstacle: str) -> Reading:
    design = question.design
    moments = _look_moments(question, arms[design.primary])
    if not moments:
        unread = tuple(lift(design, metric, arms[name], None) for name, metric in question.metrics.items())
        return Reading(unread, (), 0, obstacle)
    parts = question.path(question.primary, moments)
    found = _look_reads(question, question.primary, dict(zip(moments, parts, strict=True)), design.alpha)
    crossed = (at for at, now in enumerate(found) if now is not None and now.interval.excludes_zero)
    at = next(crossed, len(moments) - 1)
    lifts = [lift(design, question.primary, parts[at], found[at])]
    for name, level in list(alphas(design).items())[1:]:
        metric = question.metrics[name]
        guard_parts = question.path(metric, moments[: at + 1])
        guard = _look_reads(question, metric, dict(zip(moments[: at + 1], guard_parts, strict=True)), level)[at]
        lifts.append(lift(design, metric, guard_parts[at], guard))
    points = [
        _point(moment, design, part, now)
        for moment, part, now in zip(moments, parts, found, strict=True)
        if now is not None
    ]
    chance = _conditional_power(question, parts[at])
    return Reading(tuple(lifts), tuple(points), at + 1, obstacle, chance, tuple(moments[: at + 1]))


def look(question: Question, moments: Sequence[datetime]) -> Lookup:
    """Return the primary metric at the look that is read, to be read at any level.

    Args:
        question: What is read.
        moments: The event times of the looks up to it; empty where all rows are read.
    """
    design, metric = question.design, question.primary
    if design.method == "always-valid":
        arms = question.now(metric)
        return Lookup(arms, lambda alpha: intervals.always_valid(design, arms, alpha=alpha, share=question.share))
    looks = question.path(metric, moments)
    if design.method == "fixed":
        return Lookup(looks[-1], lambda alpha: intervals.once(design, looks[-1], alpha=alpha))
    # The plan's own fractions: how much of it a part of the rows has done is known only in the end.
    done = [(k + 1) / design.looks for k in range(len(looks))]
    return Lookup(looks[-1], lambda alpha: intervals.at_looks(design, looks, alpha=alpha, done=done)[-1])


def _look_moments(question: Question, arms: Arms) -> list[datetime]:
    design = question.design
    looks = design.looks if design.method == "planned" else 1
    rows = sum(arms[name].sample.rows for name in question.variants if name in arms)
    if question.periods:  # a period with few units has no part in the samples, but in the plan
        rows = question.scan.count(question.primary, question.variants)
    wanted = [design.expected_rows * (k + 1) / looks for k in range(looks)]
    fractions = [count / rows for count in wanted if count <= rows]
    return question.scan.moments(question.primary, question.variants, fractions) if fractions else []


def _look_reads(question: Question, metric: Metric, looks: Mapping[datetime, Arms], alpha: float) -> list[Read | None]:
    design = question.design
    if design.method != "fixed":
        return intervals.at_looks(design, list(looks.values()), alpha=alpha)
    if design.interval == "bootstrap" and not isinstance(metric, Statistic):
        return [_drawn(question, metric, moment, alpha) if comparable(design, part) else None
                for moment, part in looks.items()]  # fmt: skip
    return [intervals.once(design, part, alpha=alpha) for part in looks.values()]


def _drawn(question: Question, metric: Metric, moment: datetime, alpha: float) -> Read:
    """Return the bootstrap's reading; where the units of each variant are all alike it is a point, and says so."""
    control, treatment = (question.scan.unit_totals(metric, name, moment) for name in question.variants)
    interval = resample.mean_difference(control, treatment, resample.Resampling(alpha=alpha))
    return Read(interval, None, "bootstrap over units, read once")


def _conditional_power(question: Question, arms: Arms) -> float | None:
    """Return the chance that the rest of the plan finds the minimal effect in the better direction."""
    design, difference = question.design, comparable(question.design, arms)
    if design.method != "planned" or design.minimal_effect <= 0 or difference is None:
        return None
    if difference.standard_error <= 0:
        return None
    done = min(1.0, (difference.control.rows + difference.treatment.rows) / design.expected_rows)
    fractions = [(k + 1) / design.looks for k in range(design.looks)]
    last = planned.boundaries(fractions, design.alpha)[-1]
    sign = -1.0 if question.primary.better == "lower" else 1.0
    return conditional_power(
        sign * difference.value / difference.standard_error,
        done,
        drift=design.minimal_effect / difference.standard_error / done**0.5,
        limit=last,
    )


def _obstacle(question: Question, arms: Arms) -> str:
    design, metric = question.design, question.primary
    missing = [name for name in (design.control, design.treatment) if name not in arms]
    waiting = awaited(metric, question.scan.outcome)
    if len(missing) == 2:
        return f"no {waiting} has come in, so {metric.name} cannot be computed"
    if missing:
        return f"variant {missing[0]!r} has no {waiting} yet"
    units = {name: arms[name].sample.units for name in (design.control, design.treatment)}
    few = min(units, key=lambda name: units[name])
    if units[few] < LEAST_UNITS:
        noun = "unit" if units[few] == 1 else "units"
        return f"variant {few!r} has {units[few]} {noun} with a value of {metric.name}; {LEAST_UNITS} are needed"
    if comparable(design, arms) is None:
        means = {name: arms[name].sample.mean for name in units}
        if means[design.control] != means[design.treatment]:
            told = " and ".join(f"{mean:g} for every unit of {name!r}" for name, mean in means.items())
            return f"{metric.name} is {told}, so there is no variance to judge the difference by"
        return f"{metric.name} is the same for every unit, so there is no variance to judge a difference by"
    return ""


def lift(design: Design, metric: Metric, arms: Arms, found: Read | None) -> MetricLift:
    """Return a metric's line of the result."""
    control, treatment = arms.get(design.control), arms.get(design.treatment)
    means = [None if arm is None else arm.sample.mean for arm in (control, treatment)]
    difference = None if means[0] is None or means[1] is None else means[1] - means[0]
    interval = None if found is None else found.interval
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
        units_control=control.sample.units if control else 0,
        units_treatment=treatment.sample.units if treatment else 0,
        rows_control=control.sample.rows if control else 0,
        rows_treatment=treatment.sample.rows if treatment else 0,
        p_value=None if found is None else found.p_value,
        read_by="" if found is None else found.method,
        arm=design.treatment,
        chance_to_win=_chance_to_win(design, metric, arms),
    )


def _chance_to_win(design: Design, metric: Metric, arms: Arms) -> float | None:
    difference = comparable(design, arms)
    if metric.better == "same" or difference is None or design.method == "paired":
        return None
    hits = arms[design.control].hits, arms[design.treatment].hits
    if hits[0] is not None and hits[1] is not None:
        units = difference.control.units, difference.treatment.units
        chance = bayes.chance_to_win_proportion(hits[0], units[0], hits[1], units[1])
        return 1 - chance if metric.better == "lower" else chance
    return bayes.chance_to_win(difference, lower_is_better=metric.better == "lower")


def _point(moment: datetime, design: Design, arms: Arms, found: Read) -> LookPoint:
    difference = arms[design.treatment].sample.mean - arms[design.control].sample.mean
    return LookPoint(moment, difference, found.interval.lower, found.interval.upper)
