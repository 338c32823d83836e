"""What a look concludes: the verdict, and every number it rests on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, ClassVar

from mlprod_nb.monitoring import sections
from mlprod_nb.monitoring.budget import Spending
from mlprod_nb.monitoring.plots import Figure
from mlprod_nb.monitoring.rows import AlibiRow, ColumnDrift, Finding, JointRow, MetricRow, OnlineRow, PairDrift
from mlprod_nb.monitoring.standing import Standing
from mlprod_nb.results import AlertChange, Result, Section, Verdict, drawings, percent


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
        version_rows: Those of them that the version made.
        labelled_share: Share of the version's predictions that have a label.
        columns: The model's input columns and what is derived of them, what matters most first.
        outcomes: The score, the predictions and the labels.
        performance: Metrics where there are labels, by version and variant.
        quality: What is wrong with the data.
        alibi: What alibi-detect says, where it was asked.
        alpha: Chance of any false alarm in this look.
        method: How it was done, and with which packages.
        since_last_report: What is new, gone or still open since the looks before.
        pairs: Rank correlations of pairs of columns, those that changed first.
        spending: What the look costs of the year's budget, and what it can find for that.
        joint: What detectors of rows say of all columns together, where they were asked.
        online: When each online detector fired for the first time, where they were asked.
        standing: How the model stands beyond its metrics: label delay, estimates without labels, calibration, segments.
        figures: The main metric over time, and the drifted columns that matter most; not part of ``to_dict``.
        standing_figures: Calibration, and estimates beside what was realised; not part of ``to_dict`` either.
        reaction_figures: What users did over time; not part of it either.
    """

    verdict: Verdict
    endpoint: str
    model_version: str
    since: datetime | None
    until: datetime | None
    rows: int
    version_rows: int
    labelled_share: float
    columns: tuple[ColumnDrift, ...]
    outcomes: tuple[ColumnDrift, ...]
    performance: tuple[MetricRow, ...]
    quality: tuple[Finding, ...]
    alibi: tuple[AlibiRow, ...]
    alpha: float
    method: dict[str, str] = field(default_factory=dict)
    since_last_report: tuple[AlertChange, ...] = ()
    pairs: tuple[PairDrift, ...] = ()
    spending: Spending | None = None
    joint: tuple[JointRow, ...] = ()
    online: tuple[OnlineRow, ...] = ()
    standing: Standing = field(default_factory=Standing)
    figures: tuple[Figure, ...] = ()
    standing_figures: tuple[Figure, ...] = ()
    reaction_figures: tuple[Figure, ...] = ()

    _frame_field: ClassVar[str] = "columns"

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as plain data that JSON can hold, without the pictures."""
        plain = super().to_dict()
        del plain["figures"], plain["standing_figures"], plain["reaction_figures"]
        return plain

    def _repr_html_(self) -> str:
        shown = (*self.figures, *self.standing_figures, *self.reaction_figures)
        pictures = "".join(drawings.image(figure.svg) for figure in shown)
        return super()._repr_html_().removesuffix("</div>") + f"<div>{pictures}</div></div>"

    def sections(self) -> Sequence[Section]:
        """Return the window's facts, then what the verdict rests on, longest tables cut."""
        facts: list[tuple[Any, ...]] = [("endpoint", self.endpoint)]
        facts += [("model version", self.model_version)] if self.model_version else []
        window = f"{sections.day(self.since)} to {sections.day(self.until)}" if self.since or self.until else ""
        facts += [("window", window)] if window else []
        facts += [("predictions", self.rows), ("with a label", self._labelled())]
        tables = (
            sections.since_last_report(self.since_last_report),
            sections.performance(self.performance),
            sections.drift("columns", self.columns),
            sections.drift("score, prediction and label", self.outcomes),
            sections.pairs(self.pairs),
            sections.joint(self.joint),
            sections.online(self.online),
            *self.standing.sections(),
            sections.quality(self.quality),
            sections.alibi(self.alibi, self.method.get("licence", "")),
            sections.budget(self.spending),
            Section("method", (), tuple(self.method.items())),
        )
        return [Section("", (), tuple(facts)), *(self._folded(table) for table in tables if table.rows)]

    def _labelled(self) -> str | None:
        """Say which share has a label, and of which predictions where the window has other versions' too."""
        if self.version_rows == self.rows:
            return percent(self.labelled_share)
        whose = f"of the {self.version_rows:,} of {self.model_version}"
        return f"{percent(self.labelled_share)} {whose}" if self.version_rows else None

    def _folded(self, table: Section) -> Section:
        """Fold what a look shows besides what its verdict rests on, unless the model was looked at thoroughly."""
        title, thorough = table.title.split(" (")[0], bool(self.standing_figures)
        judged = any(row.reference is not None for row in self.performance)
        calm = (title == "pairs of columns" and not any(row.drifted for row in self.pairs)) or (
            title == "estimated performance" and judged
        )
        return replace(table, detail=title in sections.METHOD or (not thorough and (calm or title in sections.DETAIL)))
