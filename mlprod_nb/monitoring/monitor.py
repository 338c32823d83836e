"""One look at an endpoint: counts, quality, drift, performance, and the verdict."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from mlprod_nb.columns import arrow_values
from mlprod_nb.monitoring import (
    arrivals,
    causes,
    counting,
    derived,
    drift,
    duplicates,
    error_rate,
    labels,
    plots,
    pooling,
    power,
    quality,
    reaction_sections,
    reaction_series,
    row_tests,
    scoring,
    traffic,
    verdict,
)
from mlprod_nb.monitoring.bins import WindowCounts
from mlprod_nb.monitoring.budget import Budget
from mlprod_nb.monitoring.detectors import choose
from mlprod_nb.monitoring.examination import Request, Subject, examine
from mlprod_nb.monitoring.plots import Figure
from mlprod_nb.monitoring.profile import Profile
from mlprod_nb.monitoring.result import MonitorResult
from mlprod_nb.monitoring.rows import ColumnDrift, Finding
from mlprod_nb.monitoring.standing import Standing
from mlprod_nb.monitoring.stretches import ends_of

if TYPE_CHECKING:
    import pyarrow as pa

    from mlprod_nb.prediction_log.matching import Unmatched

_PICTURES = 3


@dataclass(frozen=True)
class MonitorInput:
    """What one look needs.

    Attributes:
        endpoint: The endpoint's name.
        profile: The reference profile of the version.
        window: Labelled predictions as ``PredictionLog.labelled`` gives them; their inputs may be left out where
            ``counts`` and ``rows`` are given, and ``request`` does not need them.
        reference: The reference sample: columns, an Arrow table or the path of ``reference.parquet``. Only
            what works on rows needs it, since the profile serves everything else.
        since: The window's beginning, for the record.
        until: The window's end, for the record.
        model_version: The version whose score and performance are judged, as ``flights/3``; every row where empty.
        alibi: Run alibi-detect's detectors too.
        alibi_detectors: Names of these, as it calls them; the default ones where empty.
        alibi_folder: Where those that are fitted to the version's reference are kept; ``None``: nowhere.
        joint: Test all columns together too, on a sample of the rows.
        online: Watch the window row by row too, to say when a change began.
        looks_per_year: How many looks are planned in a year.
        yearly_alpha: Chance of at least one false alarm in a year of looks at data that never change.
        in_report: Whether a report runs this look, so that running one is not what comes next.
        detectors: Names of the detectors to run; the default ones and those of other packages where empty.
        counts: The window counted, labels left out, as ``counting.count_predictions`` counts it; ``None``: it is
            counted here.
        rows: Reads the window's predictions with their inputs, or a sample of them, for what works on rows; ``None``:
            ``window`` has them.
        request: What is asked about the model beyond its metrics.
        earlier: Up to 12 windows of the same length before this one, newest first, counted like it.
        refused: Requests that were refused in the window's time; ``None`` where that was not read.
        unmatched: Feedback that names no prediction of the endpoint; ``None`` where that was not read.
        reactions: The interactions and rewards about the window's predictions, as ``PredictionLog.reactions`` gives
            them; ``None`` where that was not read.
        now: The present moment, for how fresh the events are; ``None`` where a report must say the same again.
    """

    endpoint: str
    profile: Profile
    window: pa.Table
    reference: Mapping[str, Any] | pa.Table | Path | None = None
    since: datetime | None = None
    until: datetime | None = None
    model_version: str = ""
    alibi: bool = False
    alibi_detectors: tuple[str, ...] = ()
    alibi_folder: Path | None = None
    joint: bool = False
    online: bool = False
    looks_per_year: int = 52
    yearly_alpha: float = 0.05
    in_report: bool = False
    detectors: tuple[str, ...] = ()
    counts: WindowCounts | None = None
    rows: Callable[[], pa.Table] | None = None
    request: Request = field(default_factory=Request)
    earlier: tuple[WindowCounts, ...] = ()
    refused: error_rate.Refusals | None = None
    unmatched: Unmatched | None = None
    reactions: pa.Table | None = None
    now: datetime | None = None

    @property
    def budget(self) -> Budget:
        """How many false alarms are allowed."""
        return Budget(self.yearly_alpha, self.looks_per_year)


def run(given: MonitorInput) -> MonitorResult:
    """Compare a window of live traffic with the reference.

    Inputs are judged on every prediction of the window, whichever version made it; score, prediction, label and
    performance on those of ``model_version``.

    Raises:
        MissingExtra: alibi-detect is asked for and not installed.
        NotFound: A detector is asked for that does not exist.
    """
    detectors = choose(given.detectors)
    outcomes = scoring.read(given.profile, given.window)
    own = outcomes.of(given.model_version)
    counted = _counted(given, outcomes)
    windows = pooling.pools(given.profile, derived.judged(given.profile, counted, _span(given)), given.earlier)
    moved = drift.compare(given.profile, windows, given.budget, detectors, pairs=not given.detectors)
    performance = scoring.compare(given.profile, outcomes, given.model_version, given.budget)
    standing, remarks = examine(_subject(given, outcomes, counted, moved.columns))
    given = replace(given, rows=cache(given.rows)) if given.rows is not None else given
    plain = (*quality.findings(given.profile, counted), *_twice(given, counted))
    found = (*plain, *_arrivals(given), *_label_findings(given, outcomes), *remarks)
    rows = row_tests.run(given, outcomes)
    seen = (moved.columns, moved.outcomes, performance, found, rows.alibi)
    about = (given.model_version, given.in_report, rows.joint, rows.online, standing)
    evidence = verdict.Evidence(given.endpoint, given.window.num_rows, *seen, *about, pairs=moved.pairs)
    return MonitorResult(
        verdict=causes.explained(verdict.conclude(evidence), evidence),
        endpoint=given.endpoint,
        model_version=given.model_version,
        since=given.since,
        until=given.until,
        rows=given.window.num_rows,
        version_rows=int(own.sum()),
        labelled_share=float(outcomes.known[own].mean()) if own.any() else 0.0,
        columns=moved.columns,
        outcomes=moved.outcomes,
        pairs=moved.pairs,
        spending=power.spending(given.budget, given.profile.rows, windows, moved.tests, given.since, given.until),
        performance=performance,
        quality=found,
        alibi=rows.alibi,
        joint=rows.joint,
        online=rows.online,
        standing=standing,
        alpha=given.budget.per_look,
        method=_method(given, tuple(detector.name for detector in detectors), windows),
        figures=_figures(given, counted, moved.columns, outcomes),
        standing_figures=_standing_figures(standing) if given.request.thorough else (),
        reaction_figures=reaction_sections.figures(standing.reactions) if given.request.thorough else (),
    )


def _counted(given: MonitorInput, outcomes: scoring.Outcomes) -> WindowCounts:
    if given.counts is None:
        return counting.count_predictions(given.profile, given.window, outcomes, given.model_version)
    return counting.with_labels(given.counts, given.profile, outcomes, given.model_version)


def _span(given: MonitorInput) -> float | None:
    """Return how long the window is, seconds."""
    if given.since is not None and given.until is not None:
        return (given.until - given.since).total_seconds()
    ends = ends_of(given.window)
    return None if ends is None else float(ends[1] - ends[0])


def _subject(
    given: MonitorInput, outcomes: scoring.Outcomes, counted: WindowCounts, columns: Sequence[ColumnDrift]
) -> Subject:
    def rows(table: pa.Table, outcomes: scoring.Outcomes) -> traffic.Traffic:
        read = counting.inputs(table) if given.request.needs_columns else {}
        columns = traffic.read_columns(given.profile.columns, read)
        return traffic.of_version(outcomes, table, columns, given.model_version)

    inputs = {column.name for column in given.profile.columns}
    earlier, own = given.request.earlier, outcomes.of(given.model_version)
    read = counting.inputs(given.window) if given.request.segments else {}
    return Subject(
        profile=given.profile,
        request=given.request,
        window=rows(given.window, outcomes),
        inputs={name: column.filter(own) for name, column in read.items()},
        counted=counted,
        drifted=tuple(row for row in columns if row.drifted and row.column in inputs),
        given_reference=given.reference,
        earlier=None if earlier is None else rows(earlier, scoring.read(given.profile, earlier)),
        alpha=given.budget.performance,
        refused=given.refused,
        **_users(given),
    )


def _users(given: MonitorInput) -> dict[str, reaction_series.Side | None]:
    """Return what users did in the window and before; nothing where they did nothing in either, as mostly."""
    now, before = given.reactions, given.request.reactions_before
    if not any(found is not None and found.num_rows for found in (now, before)):
        return {}
    sides = {"users": (given.window, now), "users_before": (given.request.earlier, before)}
    return {
        name: None if rows is None or found is None else reaction_series.side_of(rows, found)
        for name, (rows, found) in sides.items()
    }


def _standing_figures(standing: Standing) -> tuple[Figure, ...]:
    found = [plots.trials(standing.estimation)] if standing.estimation is not None else []
    found += [plots.reliability(standing.reliability)] if standing.reliability is not None else []
    return tuple(figure for figure in found if figure is not None)


def _figures(
    given: MonitorInput, counted: WindowCounts, columns: Sequence[ColumnDrift], outcomes: scoring.Outcomes
) -> tuple[Figure, ...]:
    figures = []
    if "event_time" in given.window.column_names and given.window.num_rows:
        moments = arrow_values(given.window.column("event_time").combine_chunks()).view("datetime64[us]")
        metric, points = scoring.series(given.profile, outcomes, given.model_version, moments)
        before = next((e.value for e in given.profile.performance if e.metric == metric), None)
        figures.append(plots.over_time(metric, points, before))
    for row in [row for row in columns if row.drifted][:_PICTURES]:
        column = given.profile.column(row.column)
        figures.append(plots.column_figure(column, counted.columns[row.column]) if column else None)
    return tuple(figure for figure in figures if figure is not None)


def _twice(given: MonitorInput, counted: WindowCounts) -> Iterator[Finding]:
    """Say what is there twice; rows are compared where they are read anyway."""

    def read() -> dict[str, Any]:
        return counting.inputs(given.window if given.rows is None else given.rows())

    yield from duplicates.columns(given.profile, counted, read)
    reference = given.reference
    if reference is not None and (given.request.thorough or given.joint or given.alibi or given.online):
        yield from duplicates.rows(given.profile, read(), row_tests.read_reference(reference) or {})


def _arrivals(given: MonitorInput) -> tuple[Finding, ...]:
    rows = given.window.num_rows
    return (
        *arrivals.volume(rows, [window.rows for window in given.earlier]),
        *arrivals.freshness(given.window, given.until, given.now),
        *arrivals.refused(error_rate.by_reason(given.refused or ()), rows),
    )


def _label_findings(given: MonitorInput, outcomes: scoring.Outcomes) -> list[Finding]:
    found = []
    own = outcomes.of(given.model_version)
    if given.window.num_rows and not own.any():
        text = f"{given.model_version} made none of these predictions: score and performance were not tested"
        found.append(Finding("", "version", "warn", 0.0, text))
    strange = labels.unusable(given.profile, given.window, outcomes, own)
    if own.any() and not outcomes.known[own].any() and not strange:
        whose = "" if own.all() else f" of {given.model_version}"
        text = f"no prediction{whose} has a label: performance was not tested"
        found.append(Finding("", "labels", "info", 0.0, text))
    return [*found, *strange, *labels.stray(given.unmatched)]


def _method(given: MonitorInput, detectors: tuple[str, ...], windows: Sequence[pooling.Pool]) -> dict[str, str]:
    import pyarrow as pa
    import scipy

    packages = {
        "numpy": np.__version__,
        "scipy": scipy.__version__,
        "pyarrow": pa.__version__,
    }
    method = {
        "chance of a false alarm": given.budget.describe(),
        "tests": ", ".join(detectors) + "; Holm's correction over all of them; a drift moves 3 % of the rows or more",
        "windows": pooling.describe(windows),
        "reference": f"{given.profile.rows:,} rows",
    }
    if given.alibi:
        from importlib.metadata import version

        from mlprod_nb.monitoring.detectors.alibi import LICENCE

        packages["alibi-detect"] = version("alibi-detect")
        method["licence"] = LICENCE
    method["packages"] = ", ".join(f"{name} {number}" for name, number in packages.items())
    return method
