"""What a look concludes: the verdict, and every number it rests on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, ClassVar, Literal

from mlprod_nb.monitoring.plots import Figure
from mlprod_nb.results import Result, Section, Verdict

_SHOWN = 30


@dataclass(frozen=True)
class ColumnDrift:
    """One column, or the model's score, prediction or label, in the window against the reference.

    Attributes:
        column: Its name.
        kind: ``"number"`` or ``"category"``.
        detector: The detector that speaks loudest; empty where nothing was tested.
        statistic: Its statistic.
        effect: The share of the rows that would have to change to undo the difference.
        p_value: Its p-value.
        p_value_corrected: The p-value after Holm's correction over every test of the look.
        psi: The population stability index.
        drifted: Significant at the look's alpha, and larger than the floor.
        impact: ``effect`` times how much the model leans on the column, relative to the column it leans on most;
            ``None`` where that was not measured.
        statement: What happened, in words.
    """

    column: str
    kind: str
    detector: str
    statistic: float | None
    effect: float | None
    p_value: float | None
    p_value_corrected: float | None
    psi: float | None
    drifted: bool
    impact: float | None
    statement: str

    @property
    def tested(self) -> bool:
        """Whether any detector could speak."""
        return self.p_value is not None


@dataclass(frozen=True)
class MetricRow:
    """One metric of one part of the labelled rows.

    Attributes:
        metric: Its name.
        scope: ``"all"``, ``"version flights/3"`` or ``"variant champion"``.
        reference: Its value on the reference; ``None`` for another model version.
        value: Its value in the window.
        lower: Lower end of the value's 95 % interval.
        upper: Upper end of the value's 95 % interval.
        rows: Labelled rows it is made of.
        worse: Significantly and materially worse than the reference.
    """

    metric: str
    scope: str
    reference: float | None
    value: float
    lower: float
    upper: float
    rows: int
    worse: bool


@dataclass(frozen=True)
class Finding:
    """One thing about the quality of the data.

    Attributes:
        column: The column; empty for the window as a whole.
        check: What was looked at, as ``"unseen categories"``.
        severity: ``"info"``, ``"warn"`` or ``"alarm"``.
        value: Its size, mostly a share of the rows.
        statement: What was found, in words.
    """

    column: str
    check: str
    severity: Literal["info", "warn", "alarm"]
    value: float
    statement: str


@dataclass(frozen=True)
class AlibiRow:
    """What one of alibi-detect's detectors says.

    Attributes:
        detector: Its name in alibi-detect.
        column: The column; empty for a test of all columns together.
        p_value: Its p-value; ``None`` where nothing was tested.
        p_value_corrected: After Holm's correction over the rows of the same detector.
        drifted: Significant at the look's alpha for drift.
        statement: What was tested, on what, or why not.
    """

    detector: str
    column: str
    p_value: float | None
    p_value_corrected: float | None
    drifted: bool
    statement: str


@dataclass(frozen=True)
class MonitorResult(Result):
    """What one look at an endpoint's window concludes.

    Attributes:
        verdict: The conclusion, and what to do.
        endpoint: The endpoint.
        model_version: The version whose reference is compared with, as ``flights/3``.
        since: The window's beginning.
        until: The window's end, exclusive.
        rows: Predictions in the window.
        labelled_share: Share of the version's predictions that have a label.
        columns: The model's input columns, what matters most first.
        outcomes: The score, the predictions and the labels.
        performance: Metrics where there are labels, by version and variant.
        quality: What is wrong with the data.
        alibi: What alibi-detect says, where it was asked.
        alpha: Chance of any false alarm in this look.
        method: How it was done, and with which packages.
        figures: The main metric over time, and the drifted columns that matter most; not part of ``to_dict``.
    """

    verdict: Verdict
    endpoint: str
    model_version: str
    since: datetime | None
    until: datetime | None
    rows: int
    labelled_share: float
    columns: tuple[ColumnDrift, ...]
    outcomes: tuple[ColumnDrift, ...]
    performance: tuple[MetricRow, ...]
    quality: tuple[Finding, ...]
    alibi: tuple[AlibiRow, ...]
    alpha: float
    method: dict[str, str] = field(default_factory=dict)
    figures: tuple[Figure, ...] = ()

    _frame_field: ClassVar[str] = "columns"

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as plain data that JSON can hold, without the pictures."""
        plain = super().to_dict()
        del plain["figures"]
        return plain

    def _repr_html_(self) -> str:
        pictures = "".join(figure.svg for figure in self.figures)
        return super()._repr_html_().removesuffix("</div>") + f"<div>{pictures}</div></div>"

    def sections(self) -> Sequence[Section]:
        """Return the window's facts, then what the verdict rests on, longest tables cut."""
        facts: list[tuple[Any, ...]] = [("endpoint", self.endpoint)]
        facts += [("model version", self.model_version)] if self.model_version else []
        window = f"{_day(self.since)} to {_day(self.until)}" if self.since or self.until else ""
        facts += [("window", window)] if window else []
        facts += [("predictions", self.rows), ("with a label", percent(self.labelled_share))]
        tables = (
            _performance(self.performance),
            _drift("columns", self.columns),
            _drift("score, prediction and label", self.outcomes),
            _quality(self.quality),
            _alibi(self.alibi),
            Section("method", (), tuple(self.method.items())),
        )
        return [Section("", (), tuple(facts)), *(table for table in tables if table.rows)]


def _day(moment: datetime | None) -> str:
    return moment.strftime("%Y-%m-%d %H:%M").removesuffix(" 00:00") if moment else "…"


def short(value: float | None, digits: int = 3) -> float | None:
    """Return a number rounded to some significant digits."""
    return None if value is None else float(f"{value:.{digits}g}")


def percent(share: float) -> str:
    """Return a share as a percentage to one place."""
    return f"{100 * share:.1f} %"


def _drift(title: str, rows: Sequence[ColumnDrift]) -> Section:
    shown = rows[:_SHOWN]
    weighed = any(row.impact is not None for row in rows)
    table = tuple(
        (
            row.column.strip("_"),
            ("✗ drifted" if row.drifted else "✓ stable") if row.tested else "not tested",
            row.statement,
            None if row.effect is None else percent(row.effect),
            short(row.psi, 2),
            short(row.p_value_corrected, 2),
            *([short(row.impact, 2)] if weighed else []),
        )
        for row in shown
    )
    more = f" (first {_SHOWN} of {len(rows)})" if len(rows) > _SHOWN else ""
    head = ("column", "drift", "what happened", "rows moved", "PSI", "p, corrected", *(["impact"] if weighed else []))
    return Section(title + more, head, table)


def _performance(rows: Sequence[MetricRow]) -> Section:
    table = tuple(
        (
            row.metric.replace("_", " "),
            row.scope,
            "✗ worse" if row.worse else ("✓ holds" if row.reference is not None else ""),
            short(row.reference, 4),
            short(row.value, 4),
            f"{row.lower:.4g} … {row.upper:.4g}",
            row.rows,
        )
        for row in rows[:_SHOWN]
    )
    return Section(
        "performance", ("metric", "of", "judgement", "reference", "window", "95 % interval", "labelled rows"), table
    )


def _quality(rows: Sequence[Finding]) -> Section:
    marks = {"info": "·", "warn": "! look", "alarm": "✗ broken"}
    table = tuple((row.column.strip("_"), marks[row.severity], row.statement) for row in rows[:_SHOWN])
    more = f" (first {_SHOWN} of {len(rows)})" if len(rows) > _SHOWN else ""
    return Section("data quality" + more, ("column", "", "finding"), table)


def _alibi(rows: Sequence[AlibiRow]) -> Section:
    table = tuple(
        (
            row.detector,
            row.column or "all columns together",
            ("✗ drifted" if row.drifted else "✓ stable") if row.p_value is not None else "not tested",
            short(row.p_value_corrected, 2),
            row.statement,
        )
        for row in rows[:_SHOWN]
    )
    return Section("alibi-detect", ("detector", "column", "drift", "p, corrected", "on what"), table)
