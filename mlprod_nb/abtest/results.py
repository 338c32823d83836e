"""What an A/B analysis returns."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar, Literal

from mlprod_nb.abtest.health import HealthCheck
from mlprod_nb.abtest.outcome import Better
from mlprod_nb.abtest.srm import SampleRatioCheck
from mlprod_nb.results import Result, Section, Verdict, format_interval, format_value, percent

Decision = Literal["ship", "roll back", "keep going", "stop", "invalid"]


@dataclass(frozen=True)
class MetricLift:
    """One metric, treatment against control.

    Attributes:
        metric: The metric's name.
        role: ``"primary"`` or ``"guardrail"``.
        better: Which way is better: ``"higher"``, ``"lower"`` or ``"same"``.
        control: The control's mean; ``None`` where no prediction counts.
        treatment: The treatment's mean.
        difference: Treatment minus control, in the metric's units.
        difference_lower: Lower end of the interval; ``None`` where it cannot be computed.
        difference_upper: Upper end.
        confidence: The interval's level.
        significant: Whether the interval leaves out 0, at a look that counts.
        units_control: Units in the control that count.
        units_treatment: Units in the treatment that count.
        rows_control: Predictions in the control that count.
        rows_treatment: Predictions in the treatment that count.
        p_value: Of no difference, valid as the interval is; ``None`` where the method has none, as at planned looks.
        read_by: By which method the interval was made, in words.
        p_adjusted: The p-value after the design's correction over all metrics that have one.
        chance_to_win: The posterior chance that the treatment is the better one; a reading aid that decides nothing,
            for looking often spoils it.
        arm: The treatment's name.
        mid_p: McNemar's mid-p of a shadow's right-or-wrong metric: a reading aid, for it is valid at one look only.
    """

    metric: str
    role: str
    better: Better
    control: float | None
    treatment: float | None
    difference: float | None
    difference_lower: float | None
    difference_upper: float | None
    confidence: float
    significant: bool
    units_control: int
    units_treatment: int
    rows_control: int
    rows_treatment: int
    p_value: float | None = None
    read_by: str = ""
    p_adjusted: float | None = None
    chance_to_win: float | None = None
    arm: str = ""
    mid_p: float | None = None


@dataclass(frozen=True)
class LookPoint:
    """The primary metric's interval as it stood at one moment.

    Attributes:
        time: Event time up to which predictions count.
        difference: Treatment minus control.
        lower: Lower end of the interval.
        upper: Upper end.
    """

    time: datetime
    difference: float
    lower: float
    upper: float


@dataclass(frozen=True)
class ArmVerdict:
    """One of several treatments against the control.

    Attributes:
        treatment: The variant.
        decision: What its comparison alone says.
        value: The primary metric's mean.
        difference: Treatment minus control.
        difference_lower: Lower end of its interval, at this treatment's part of alpha.
        difference_upper: Upper end.
        p_adjusted: The p-value after Holm's correction over the treatments.
    """

    treatment: str
    decision: Decision
    value: float | None
    difference: float | None
    difference_lower: float | None
    difference_upper: float | None
    p_adjusted: float | None


@dataclass(frozen=True)
class PeriodLift:
    """The primary metric under one of several splits; these differences are averaged.

    Attributes:
        split: The variants' shares of the traffic.
        control: The control's mean; ``None`` where no prediction counts.
        treatment: The treatment's mean.
        difference: Treatment minus control, in the metric's units.
        units_control: Units in the control that count.
        units_treatment: Units in the treatment that count.
    """

    split: str
    control: float | None
    treatment: float | None
    difference: float | None
    units_control: int
    units_treatment: int


@dataclass(frozen=True)
class SegmentLift:
    """The primary metric in one segment, treatment against control.

    Attributes:
        by: The input, or the expression, as the design has it.
        segment: Which of its values, in words.
        control: The control's mean; ``None`` where no prediction counts.
        treatment: The treatment's mean.
        difference: Treatment minus control, in the metric's units.
        difference_lower: Lower end of the interval; ``None`` where it cannot be computed.
        difference_upper: Upper end.
        confidence: The interval's level, after the correction over all segments.
        significant: Whether the interval leaves out 0, at a look that counts.
        reading: What that says, in words.
        units_control: Units in the control that count.
        units_treatment: Units in the treatment that count.
        rows: Predictions in both that count.
    """

    by: str
    segment: str
    control: float | None
    treatment: float | None
    difference: float | None
    difference_lower: float | None
    difference_upper: float | None
    confidence: float
    significant: bool
    reading: str
    units_control: int
    units_treatment: int
    rows: int


@dataclass(frozen=True)
class ABTestResult(Result):
    """The answer of an A/B test.

    Attributes:
        verdict: The conclusion; its exit code is 1 for harm and for an invalid test.
        decision: ``"ship"``, ``"roll back"``, ``"keep going"``, ``"stop"`` or ``"invalid"``.
        design: How the test is read, in one line.
        method: The design's method.
        metrics: One row a metric, the primary first.
        health: What must be in order before any lift is read.
        sample_ratio: Whether the split came out as designed.
        labelled_share: Share of predictions with a label, per variant; empty where no metric needs labels.
        notes: What a reader should know besides.
        started_at: First event time.
        until: Last event time.
        rows: Predictions in both variants.
        path: The interval over time, for plotting.
        power_left: What the rest of the test may still find, in words.
        arms: One row a treatment, where there are several; the rest of the result is about the one that speaks.
        periods: One row a split, where it was changed while the test ran and its periods can be compared.
        segments: The primary metric in each segment that the design names; they decide nothing.
    """

    _frame_field: ClassVar[str] = "metrics"
    _hidden: ClassVar[tuple[str, ...]] = ("path", "method")

    verdict: Verdict
    decision: Decision
    design: str
    method: str
    metrics: tuple[MetricLift, ...]
    health: tuple[HealthCheck, ...]
    sample_ratio: SampleRatioCheck
    labelled_share: dict[str, float]
    notes: tuple[str, ...]
    started_at: datetime | None
    until: datetime | None
    rows: int
    path: tuple[LookPoint, ...]
    power_left: str = ""
    arms: tuple[ArmVerdict, ...] = ()
    periods: tuple[PeriodLift, ...] = ()
    segments: tuple[SegmentLift, ...] = ()

    def sections(self) -> Sequence[Section]:
        """Show the metrics as a reader compares them; ``to_frame`` and ``to_dict`` have every number."""
        facts, *tables = super().sections()
        columns = (
            "metric",
            "better",
            "control",
            "treatment",
            "difference",
            "interval",
            "p (adj.)",
            "to win",
            "read by",
            "units",
            "rows",
        )
        rows = tuple(_row(lift) for lift in self.metrics)
        shown = [table for table in tables if table.title not in ("metrics", "segments")]
        return [facts, Section("metrics", columns, rows), *self._segments(), *shown]

    def _segments(self) -> list[Section]:
        columns = ("by", "segment", "control", "treatment", "difference", "interval", "reading", "units", "rows")
        rows = tuple(_segment_row(lift) for lift in self.segments)
        title = f"segments ({len(rows)} were tried; corrected for all of them)"
        return [Section(title, columns, rows)] if rows else []


def _segment_row(lift: SegmentLift) -> tuple[object, ...]:
    return (
        lift.by,
        lift.segment,
        lift.control,
        lift.treatment,
        "–" if lift.difference is None else f"{lift.difference:+.4g}",
        _interval(lift),
        lift.reading,
        f"{format_value(lift.units_control)} / {format_value(lift.units_treatment)}",
        lift.rows,
    )


def _interval(lift: MetricLift | SegmentLift) -> str:
    if lift.difference_lower is None or lift.difference_upper is None:
        return "–"
    bounds = format_interval(lift.difference_lower, lift.difference_upper, digits=4, signed=True)
    return f"{bounds} ({100 * lift.confidence:.4g} %)"


def _row(lift: MetricLift) -> tuple[object, ...]:
    return (
        lift.metric if lift.role == "primary" else f"{lift.metric} (guardrail)",
        lift.better,
        lift.control,
        lift.treatment,
        "–" if lift.difference is None else f"{lift.difference:+.4g}",
        _interval(lift),
        "–" if lift.p_adjusted is None else f"{lift.p_adjusted:.2g}",
        "–" if lift.chance_to_win is None else f"{percent(lift.chance_to_win)}",
        lift.read_by or "–",
        f"{format_value(lift.units_control)} / {format_value(lift.units_treatment)}",
        f"{format_value(lift.rows_control)} / {format_value(lift.rows_treatment)}",
    )
