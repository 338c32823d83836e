"""The rows that a look's result is made of: one frozen record a column, metric, finding or detector's word."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal


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
        looks: Over how many looks, this one the last, the numbers are.
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
    looks: int = 1

    @property
    def tested(self) -> bool:
        """Whether any detector could speak."""
        return self.p_value is not None


@dataclass(frozen=True)
class PairDrift:
    """How two columns move together in the window against the reference.

    Attributes:
        first: One column.
        second: The other.
        before: Their rank correlation in the reference.
        after: In the window.
        p_value: Chance of a change at least as large if nothing changed.
        p_value_corrected: The p-value after Holm's correction over every test of the look.
        drifted: Significant at the look's alpha, and a change of at least 0.1.
        looks: Over how many looks, this one the last, the numbers are.
    """

    first: str
    second: str
    before: float
    after: float
    p_value: float
    p_value_corrected: float
    drifted: bool
    looks: int = 1


@dataclass(frozen=True)
class MetricRow:
    """One metric of one part of the labelled rows.

    Attributes:
        metric: Its name.
        scope: ``"all"``, ``"version flights/3"`` or ``"variant champion"``, which is not that of one version.
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
        p_value_corrected: After Holm's correction over all of its tests in the look.
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
class JointRow:
    """What a detector says of all columns together.

    Attributes:
        detector: Its name.
        statistic: Its statistic.
        effect: At least this share of the rows would have to change to undo the difference.
        p_value: Its p-value; ``None`` where nothing was tested.
        p_value_corrected: After Holm's correction over the detectors of rows.
        drifted: Significant at what the look may spend on them, and larger than the floor.
        columns: Where it drifted, the columns that betray it, clearest first, as far as the detector can name any.
        statement: What was compared and how, or why nothing was.
    """

    detector: str
    statistic: float | None
    effect: float | None
    p_value: float | None
    p_value_corrected: float | None
    drifted: bool
    columns: tuple[str, ...]
    statement: str


@dataclass(frozen=True)
class OnlineRow:
    """When an online detector fired on one stream of the window.

    Attributes:
        stream: What was watched: ``"score"``, ``"errors"``, a column, its missing values or its commonest category.
        detector: The detector's name; empty where there was nothing to watch.
        fired_after: Rows of the stream until it fired for the first time; ``None`` where it did not.
        fired_at: The event time of that row.
        times: How often it fired.
        expected: Rows in which unchanged data would make it fire at most once, on average; ``None`` where not tested.
        statement: This in words, or why nothing was tested.
    """

    stream: str
    detector: str
    fired_after: int | None
    fired_at: datetime | None
    times: int
    expected: float | None
    statement: str
