"""What a verdict rests on, by name, so that one trouble is told from another from look to look.

A verdict's sentence has numbers that change with every look; a cause's name does not. Of each family (performance,
quality, standing, drift) that could be judged, the causes say what is wrong, or that nothing is; of one that could not
be judged, nothing is said, so that silence never passes for recovery.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from mlprod_nb.monitoring.verdict import Evidence, performance_grade
from mlprod_nb.results import Cause, Status, Verdict


def explained(verdict: Verdict, evidence: Evidence) -> Verdict:
    """Return a verdict with its causes."""
    if not evidence.rows:
        return verdict
    found = [*_performance(evidence), *_quality(evidence), *_standing(verdict, evidence)]
    grave = any(cause.grade == verdict.status for cause in found)
    return replace(verdict, causes=(*found, *_drift(verdict, evidence, explained=grave)))


def _performance(evidence: Evidence) -> Iterator[Cause]:
    judged = [row for row in evidence.performance if row.reference is not None]
    if judged:
        yield Cause("performance", performance_grade(judged))


def _quality(evidence: Evidence) -> Iterator[Cause]:
    wrong = {finding.column or finding.check for finding in evidence.quality if finding.severity == "alarm"}
    if not wrong:
        yield Cause("quality", "ok")
    for name in sorted(wrong):
        yield Cause(f"quality: {name}", "alarm")


def _standing(verdict: Verdict, evidence: Evidence) -> Iterator[Cause]:
    """Tell of what a look says beyond the metrics: an estimate without labels, a segment, response times."""
    standing = evidence.standing
    if standing.warnings():
        harm = (
            standing.likely_harm
            and verdict.status == "alarm"
            and not any(row.reference is not None for row in evidence.performance)
        )
        yield Cause("standing", "alarm" if harm else "warn")
    elif standing.judged:
        yield Cause("standing", "ok")


def _drift(verdict: Verdict, evidence: Evidence, *, explained: bool) -> Iterator[Cause]:
    """Tell of everything else: what the verdict says and no other family explains is drift of some kind."""
    if not any(row.tested for row in evidence.columns):
        return
    moved = any(row.drifted for row in (*evidence.columns, *evidence.outcomes))
    grade: Status = "warn" if moved else "ok"
    yield Cause("drift", grade if explained or verdict.status == "ok" else verdict.status)
