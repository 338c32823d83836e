"""From findings to one verdict: what, why, and the line to run next."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from mlprod_nb.monitoring import labels
from mlprod_nb.monitoring.performance import HIGHER_IS_BETTER
from mlprod_nb.monitoring.quality import TINY
from mlprod_nb.monitoring.rows import AlibiRow, ColumnDrift, Finding, JointRow, MetricRow, OnlineRow, PairDrift
from mlprod_nb.monitoring.sections import day
from mlprod_nb.monitoring.standing import Standing
from mlprod_nb.registry.bundles import SCORE_COLUMN
from mlprod_nb.results import Status, Verdict, format_interval, format_pair

#: Without labels, a score of which a tenth of the rows moved, by columns that the model leans on, is an alarm.
SCORE_ALARM = 0.1
IMPACT_ALARM = 0.02
_CAUSES = 3
#: The metric that judges a model's predictions as a whole: the first of these that the task has.
_WHOLE = ("log_loss", "mae", "accuracy")
#: Findings that chance does not explain, and that no test speaks of; first what was asked for and cannot be done.
_FACTS = ("segment", "fairness", labels.CHECK, "infinite", "constant", "version", "range", "unseen categories", "dates")


@dataclass(frozen=True)
class Evidence:
    """What the verdict is made of; the attributes are those of the result."""

    endpoint: str
    rows: int
    columns: tuple[ColumnDrift, ...]
    outcomes: tuple[ColumnDrift, ...]
    performance: tuple[MetricRow, ...]
    quality: tuple[Finding, ...]
    alibi: tuple[AlibiRow, ...]
    model_version: str
    in_report: bool
    joint: tuple[JointRow, ...] = ()
    online: tuple[OnlineRow, ...] = ()
    standing: Standing = field(default_factory=Standing)
    pairs: tuple[PairDrift, ...] = ()


def conclude(evidence: Evidence) -> Verdict:
    """Return the verdict.

    It is an alarm where

    - performance is significantly and materially worse, unless the loss over all predictions clearly fell;
    - a column that the model needs is gone, unreadable or empty;
    - there are no labels to judge by, and both the score and columns that the model leans on moved far, or an estimate
      that proved right on past labels is worse.

    Any other drift, a grave finding or an empty window is a warning. Otherwise all is well. Online detectors say when
    what was found began, and raise nothing by themselves.
    """
    report = "" if evidence.in_report else f"%mlprod report {evidence.endpoint} drift"
    retrain = f"%mlprod retrain {evidence.endpoint}"
    if not evidence.rows:
        return Verdict("warn", "the window is empty, so nothing was tested.", f"%mlprod logs {evidence.endpoint}")
    worse = [row for row in evidence.performance if row.worse]
    grade = performance_grade(evidence.performance)
    broken = [finding for finding in evidence.quality if finding.severity == "alarm"]
    drifted = [row for row in evidence.columns if row.drifted]
    moved = [row for row in evidence.outcomes if row.drifted]
    if grade == "alarm":
        causes = [*_broken(broken), *_moved(moved), *_drift(drifted, evidence), *_began(drifted, evidence)]
        return Verdict("alarm", _sentence([_fell(worse[0]), *causes]), retrain)
    if broken:
        return Verdict("alarm", _sentence([*_broken(broken), *_drift(drifted, evidence), _holds(evidence)]), report)
    if _likely_harm(evidence, drifted, moved):
        signs = [*evidence.standing.warnings(), *_moved(moved), *_drift(drifted, evidence)]
        return Verdict("alarm", _sentence([*signs, *_began(drifted, evidence), _holds(evidence)]), report)
    together = [*_pairs(evidence.pairs), *_joint(evidence.joint), *_alibi(evidence.alibi)]
    standing = evidence.standing.warnings()
    notable = [finding for finding in evidence.quality if finding.severity == "warn" and finding.check in _FACTS]
    if not any(row.tested for row in evidence.columns):
        return Verdict("warn", _sentence([_calm(evidence), _holds(evidence)]), report)
    if worse or drifted or moved or together or notable or standing:
        parts = [*(_fell(row) for row in worse[:1]), *standing, *_drift(drifted, evidence), *_moved(moved)]
        parts += together[:1] if not drifted else []
        parts += [_find(notable[0])] if notable and not drifted else []
        parts += _began(drifted, evidence)
        return Verdict("warn", _sentence([*parts, _holds(evidence)]), report)
    return Verdict("ok", _sentence([_calm(evidence), _holds(evidence)]))


def performance_grade(rows: Sequence[MetricRow]) -> Status:
    """Return how grave it is that metrics are worse: a warning where the loss over all predictions clearly fell.

    Months of few positives are ranked worse and predicted better: that is no reason to wake somebody.
    """
    if not any(row.worse for row in rows):
        return "ok"
    whole = next((row for name in _WHOLE for row in rows if row.metric == name and row.reference is not None), None)
    return "warn" if whole is not None and _improved(whole) else "alarm"


def _improved(row: MetricRow) -> bool:
    """Say whether the whole interval lies on the better side of the reference."""
    assert row.reference is not None
    return row.lower > row.reference if row.metric in HIGHER_IS_BETTER else row.upper < row.reference


def _sentence(parts: Sequence[str]) -> str:
    text = "; ".join(dict.fromkeys(part for part in parts if part))
    return text + "."


def _fell(row: MetricRow) -> str:
    assert row.reference is not None
    verb = "fell" if row.metric in HIGHER_IS_BETTER else "rose"
    name = row.metric.replace("_", " ")
    return (
        f"{name} {verb} from {format_pair(row.reference, 'to', row.value)}"
        f" (95 % interval {format_interval(row.lower, row.upper)}, {row.rows:,} labelled rows)"
    )


def _holds(evidence: Evidence) -> str:
    known = [row for row in evidence.performance if row.reference is not None and not row.worse]
    if performance_grade(evidence.performance) == "alarm":
        return ""
    if known:
        return f"{known[0].metric.replace('_', ' ')} holds at {known[0].value:.3g}"
    elsewhere = next((finding for finding in evidence.quality if finding.check == "version"), None)
    return _find(elsewhere) if elsewhere else "there are too few labels to judge the model's accuracy"


def _drift(drifted: Sequence[ColumnDrift], evidence: Evidence) -> list[str]:
    if not drifted:
        return []
    causes = ", ".join(f"{row.column} ({row.statement})" for row in drifted[:_CAUSES])
    how = ", above all" if len(drifted) > _CAUSES else ":"
    return [f"{len(drifted)} of {len(evidence.columns)} columns drifted{how} {causes}"]


def _moved(moved: Sequence[ColumnDrift]) -> list[str]:
    return [f"the {row.column.strip('_')} moved ({row.statement})" for row in moved[:_CAUSES]]


def _broken(broken: Sequence[Finding]) -> list[str]:
    return [_find(finding) for finding in broken[:_CAUSES]]


def _find(finding: Finding) -> str:
    return f"{finding.column}: {finding.statement}" if finding.column else finding.statement


def _alibi(rows: Sequence[AlibiRow]) -> list[str]:
    return [
        f"alibi-detect's {row.detector} sees drift" + (f" in {row.column}" if row.column else "")
        for row in rows
        if row.drifted
    ]


def _began(drifted: Sequence[ColumnDrift], evidence: Evidence) -> list[str]:
    """Say when an online detector fired first on the score, the errors or a column that drifted."""
    named = ("score", "errors", *(row.column for row in drifted))
    fired = [
        (row.fired_at, row) for row in evidence.online if row.fired_at is not None and row.stream.split(" ")[0] in named
    ]
    if not fired:
        return []
    _, first = min(fired, key=lambda pair: pair[0])
    return [f"the first to show in the order of rows was {first.stream}, at {day(first.fired_at)}"]


def _pairs(rows: Sequence[PairDrift]) -> list[str]:
    changed = [f"{row.first} and {row.second} ({row.before:+.2f} → {row.after:+.2f})" for row in rows if row.drifted]
    if not changed:
        return []
    more = f", and {len(changed) - _CAUSES} pairs more" if len(changed) > _CAUSES else ""
    return [f"columns move together otherwise than before, by rank correlation: {', '.join(changed[:_CAUSES])}{more}"]


def _joint(rows: Sequence[JointRow]) -> list[str]:
    return [
        f"the columns drifted together, as {row.detector.replace('_', ' ')} sees"
        + (f" in {', '.join(row.columns)}" if row.columns else "")
        for row in rows
        if row.drifted
    ]


def _likely_harm(evidence: Evidence, drifted: Sequence[ColumnDrift], moved: Sequence[ColumnDrift]) -> bool:
    if any(row.reference is not None for row in evidence.performance):
        return False
    if evidence.standing.likely_harm:
        return True
    score = next((row for row in moved if row.column == SCORE_COLUMN), None)
    leaned_on = any(row.impact is None or row.impact >= IMPACT_ALARM for row in drifted)
    return score is not None and (score.effect or 0.0) >= SCORE_ALARM and leaned_on


def _calm(evidence: Evidence) -> str:
    tested = sum(row.tested for row in evidence.columns)
    untested = len(evidence.columns) - tested
    rest = f", {untested} could not be tested" if untested else ""
    if not tested:
        return f"no column could be tested on {evidence.rows:,} prediction{'' if evidence.rows == 1 else 's'}"
    few = ", which is too few to see any but a very large change" if evidence.rows < TINY else ""
    return f"no drift in {tested} tested columns{rest}, on {evidence.rows:,} predictions{few}"
