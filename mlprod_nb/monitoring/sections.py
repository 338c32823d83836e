"""The tables that a look's result is shown as, longest ones cut."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from mlprod_nb.monitoring.budget import MISSING, SHARE, Spending
from mlprod_nb.monitoring.rows import AlibiRow, ColumnDrift, Finding, JointRow, MetricRow, OnlineRow, PairDrift
from mlprod_nb.results import AlertChange, Section, format_interval, percent

#: Tables for those who look closer.
DETAIL = (
    "labels",
    "is the estimate to be believed",
    "trials of the estimate",
    "calibration",
    "response time",
    "error rate",
    "interactions and rewards by variant",
    "interactions and rewards over time",
    "on these measurements",
)
#: How a look was made, rather than what it found.
METHOD = ("budget for false alarms", "method")
#: How many rows of a table are shown.
SHOWN = 30
#: How many pairs of columns are shown where fewer drifted.
SHOWN_PAIRS = 5


def day(moment: datetime | None) -> str:
    """Return a moment as a reader wants it, and ``…`` for an open end."""
    return moment.strftime("%Y-%m-%d %H:%M").removesuffix(" 00:00") if moment else "…"


def short(value: float | None, digits: int = 3) -> float | None:
    """Return a number rounded to some significant digits."""
    return None if value is None else float(f"{value:.{digits}g}")


def since_last_report(changes: Sequence[AlertChange]) -> Section:
    """Return the table of what changed since the looks before."""
    rows = tuple((row.change, row.cause, row.note, day(row.since) if row.since else "now") for row in changes)
    return Section("since the last report", ("state", "cause", "note", "since"), rows)


def drift(title: str, rows: Sequence[ColumnDrift]) -> Section:
    """Return the table of columns, or of the score, the prediction and the label."""
    shown = rows[:SHOWN]
    weighed = any(row.impact is not None for row in rows)
    table = tuple(
        (
            row.column.strip("_"),
            ("✗ drifted" if row.drifted else "✓ stable") if row.tested else "not tested",
            row.statement if row.tested else row.statement.removeprefix("not tested: "),
            None if row.effect is None else percent(row.effect),
            short(row.psi, 2),
            short(row.p_value_corrected, 2),
            *([short(row.impact, 2)] if weighed else []),
        )
        for row in shown
    )
    more = f" (first {SHOWN} of {len(rows)})" if len(rows) > SHOWN else ""
    head = ("column", "drift", "what happened", "rows moved", "PSI", "p, corrected", *(["impact"] if weighed else []))
    return Section(title + more, head, table)


def performance(rows: Sequence[MetricRow]) -> Section:
    """Return the table of metrics where there are labels."""
    table = tuple(
        (
            row.metric.replace("_", " "),
            row.scope,
            "✗ worse" if row.worse else ("✓ holds" if row.reference is not None else ""),
            short(row.reference, 4),
            short(row.value, 4),
            format_interval(row.lower, row.upper, digits=4, to="…"),
            row.rows,
        )
        for row in rows[:SHOWN]
    )
    return Section(
        "performance", ("metric", "of", "judgement", "reference", "window", "95 % interval", "labelled rows"), table
    )


def quality(rows: Sequence[Finding]) -> Section:
    """Return the table of findings about the data."""
    marks = {"info": "· noted", "warn": "! look", "alarm": "✗ broken"}
    table = tuple((row.column.strip("_"), marks[row.severity], row.statement) for row in rows[:SHOWN])
    more = f" (first {SHOWN} of {len(rows)})" if len(rows) > SHOWN else ""
    return Section("data quality" + more, ("column", "grade", "finding"), table)


def budget(spending: Spending | None) -> Section:
    """Return the table of the budget for false alarms, and of the power that it leaves."""
    if spending is None:
        return Section("budget for false alarms", (), ())
    year = f"{100 * spending.yearly_alpha:.3g} % over {spending.looks_per_year:,} looks"
    look = f"{100 * spending.this_look:.2g} %, two fifths of it over {spending.tests:,} tests of drift"
    facts = [("a year allows", year), ("this look spends", look)]
    if spending.looks_so_far is not None and spending.spent is not None and spending.left is not None:
        spent = f"{100 * spending.spent:.2g} % by {spending.looks_so_far:,} looks of this length; "
        facts.append(("spent this year, at most", spent + f"{100 * spending.left:.2g} % are left"))
    facts += [("plan", spending.note)] if spending.note else []
    facts += [
        (
            f"found with 80 % in {one.rows:,} rows" + (f" of {one.looks} looks" if one.looks > 1 else ""),
            f"a shift of {one.shift_sd:.2g} sd; missing {percent(MISSING)} → {percent(one.missing)}; a category"
            f" {percent(SHARE)} → {percent(one.share)}; a rank correlation 0 → {one.correlation:.2f}",
        )
        for one in spending.findable
    ]
    return Section("budget for false alarms", (), tuple(facts))


def pairs(rows: Sequence[PairDrift]) -> Section:
    """Return the table of the correlations that changed, or of the few that differ most."""
    drifted = sum(row.drifted for row in rows)
    shown = rows[: min(max(drifted, SHOWN_PAIRS), SHOWN)]
    table = tuple(
        (
            f"{row.first}, {row.second}",
            "✗ drifted" if row.drifted else "✓ stable",
            f"{row.before:+.2f} → {row.after:+.2f}" + (f" over the last {row.looks} looks" if row.looks > 1 else ""),
            short(row.p_value_corrected, 2),
        )
        for row in shown
    )
    more = f" (first {len(shown)} of {len(rows)})" if len(rows) > len(shown) else ""
    return Section("pairs of columns" + more, ("columns", "drift", "rank correlation", "p, corrected"), table)


def joint(rows: Sequence[JointRow]) -> Section:
    """Return the table of the tests of all columns together."""
    table = tuple(
        (
            row.detector.replace("_", " "),
            ("✗ drifted" if row.drifted else "✓ stable") if row.p_value is not None else "not tested",
            ", ".join(row.columns),
            None if row.effect is None else percent(row.effect),
            short(row.p_value_corrected, 2),
            row.statement,
        )
        for row in rows[:SHOWN]
    )
    head = ("detector", "drift", "betrayed by", "rows moved, at least", "p, corrected", "on what")
    return Section("all columns together", head, table)


def online(rows: Sequence[OnlineRow]) -> Section:
    """Return the table of when online detectors fired, those that did first, soonest first."""
    fired = sorted((row for row in rows if row.fired_at is not None), key=lambda row: (row.fired_at, row.stream))
    ranked = [*fired, *(row for row in rows if row.fired_at is None)]
    table = tuple(
        (
            row.stream,
            row.detector.replace("_", " ") or "–",
            ("fired" if row.times else "silent") if row.expected is not None else "not tested",
            row.statement,
        )
        for row in ranked[:SHOWN]
    )
    more = f" (first {SHOWN} of {len(rows)})" if len(rows) > SHOWN else ""
    return Section("row by row" + more, ("stream", "detector", "state", "when"), table)


def alibi(rows: Sequence[AlibiRow], licence: str) -> Section:
    """Return the table of alibi-detect's words; who reads it reads its licence."""
    table = tuple(
        (
            row.detector,
            row.column or "all columns together",
            ("✗ drifted" if row.drifted else "✓ stable") if row.p_value is not None else _unjudged(row.statement),
            short(row.p_value_corrected, 2),
            row.statement,
        )
        for row in rows[:SHOWN]
    )
    return Section(f"alibi-detect ({licence})", ("detector", "column", "drift", "p, corrected", "on what"), table)


def _unjudged(statement: str) -> str:
    return "not tested" if statement.startswith("not tested") else statement.split(" ")[0].replace("did", "silent")
