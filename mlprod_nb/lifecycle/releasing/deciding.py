"""What comes next: a pure function of the plan, where the release stands, the evidence and the moment."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from mlprod_nb.lifecycle.releasing.plan import Plan
from mlprod_nb.lifecycle.releasing.standing import Standing
from mlprod_nb.results import counted

Judged = Literal["harm", "within", "open", "not judged"]
TRIES = 3


@dataclass(frozen=True)
class Finding:
    """One thing on which the candidate is compared with the champion.

    Attributes:
        what: errors, scores, or a metric.
        champion: The champion's value; ``None`` where there is none.
        candidate: The candidate's.
        tolerance: By how much the candidate may be worse.
        judged: ``harm``: it is worse by more, for certain; ``within``: it is not, for certain; ``open``: neither is
            certain; ``not judged``: there is nothing to judge by.
        sentence: In words.
    """

    what: str
    champion: float | None
    candidate: float | None
    tolerance: float
    judged: Judged
    sentence: str


@dataclass(frozen=True)
class Evidence:
    """What a look finds.

    Attributes:
        predictions: The candidate's predictions at this step.
        labels: How many of them have feedback.
        findings: What was compared.
        foreign: What somebody else made of the endpoint meanwhile, in words; empty where nobody did.
        fault: Why the comparison is invalid; empty where it is not.
        obstacle: What hinders the next action now, as a gateway that is down; empty where nothing does.
        approval: What the next action waits for of people; empty where it waits for nobody.
        overtaken: Who gave the alias away at this endpoint meanwhile, in words; empty where nobody did.
    """

    predictions: int = 0
    labels: int = 0
    findings: tuple[Finding, ...] = ()
    foreign: str = ""
    fault: str = ""
    obstacle: str = ""
    approval: str = ""
    overtaken: str = ""


Move = Literal["begin", "finish", "wait", "pause", "revert", "end", "none"]


@dataclass(frozen=True)
class Decision:
    """What comes next.

    Attributes:
        move: ``begin`` the next step; ``finish`` what was begun; ``wait``; ``pause``; ``revert``: bring back what
            served before; ``end``: leave what serves, there is nothing left to release; ``none``: it is over.
        why: In words.
        step: The step to begin.
    """

    move: Move
    why: str = ""
    step: int = -1


def step(plan: Plan, now: Standing, evidence: Evidence, moment: datetime) -> Decision:
    """Return what comes next.

    What was begun is ended first, whatever else: a release never stands between two steps. Then people are heard, then
    harm, and only then is asked whether the evidence suffices.
    """
    if now.phase == "over":
        return Decision("none", f"it is over: {now.ending}.")
    if evidence.overtaken and now.phase != "reverting":
        return Decision("end", evidence.overtaken)
    if now.phase in ("begun", "reverting"):
        return _unfinished(now, evidence)
    if now.stop:
        return Decision("revert", now.stop)
    if now.paused:
        return Decision("wait", f"paused: {now.paused}")
    if evidence.foreign:
        return Decision("pause", evidence.foreign)
    if now.phase == "stands" and plan.steps[now.step].measured:
        held = _held(plan, now, evidence, moment)
        if held is not None:
            return held
    return _go_on(plan, now, evidence)


def _unfinished(now: Standing, evidence: Evidence) -> Decision:
    if now.phase == "begun" and now.tries >= TRIES:
        return Decision("revert", f"it failed {now.tries} times: {now.waits}")
    if now.phase == "begun" and evidence.foreign:
        return Decision("wait", f"paused: {now.paused}") if now.paused else Decision("pause", evidence.foreign)
    if evidence.obstacle:
        return Decision("wait", f"waits for {evidence.obstacle}")
    return Decision("finish", "it was begun and not ended.")


def _held(plan: Plan, now: Standing, evidence: Evidence, moment: datetime) -> Decision | None:
    """Return why a step is not over: harm, an invalid comparison, or evidence that is missing."""
    harm = next((finding for finding in evidence.findings if finding.judged == "harm"), None)
    if harm is not None:
        return Decision("revert", harm.sentence)
    if evidence.fault:
        return Decision("pause", f"the comparison is invalid: {evidence.fault}.")
    missing = lacking(plan, now, evidence, moment)
    if not missing:
        return None
    if now.stood(moment) > plan.longest_wait():
        limit = span(plan.longest_wait())
        return Decision("revert", f"the step has stood for more than {limit} and still waits for {missing[0]}")
    return Decision("wait", f"waits for {'; '.join(missing)}")


def lacking(plan: Plan, now: Standing, evidence: Evidence, moment: datetime) -> list[str]:
    """Return what a step still waits for, in words."""
    missing = []
    if evidence.predictions < plan.min_predictions:
        missing.append(f"predictions: {evidence.predictions:,} of {plan.min_predictions:,}")
    if evidence.labels < plan.min_labels:
        missing.append(f"feedback: {evidence.labels:,} of {plan.min_labels:,}")
    left = timedelta(seconds=plan.hold) - now.stood(moment)
    if left > timedelta():
        missing.append(f"time: {span(timedelta(seconds=math.ceil(left.total_seconds())))} more")
    if plan.proves(now.step):
        proved = {finding.what for finding in evidence.findings if finding.judged == "within"}
        missing += [f"proof that {name} is within {worse:g}" for name, worse in plan.metrics.items()
                    if name not in proved]  # fmt: skip
    if not missing and evidence.obstacle:
        missing.append(evidence.obstacle)
    return missing


def _go_on(plan: Plan, now: Standing, evidence: Evidence) -> Decision:
    following = now.step + 1
    if following >= len(plan.steps):
        return Decision("none", "every step is done.")
    if plan.steps[following].kind != "check" and evidence.obstacle:
        return Decision("wait", f"waits for {evidence.obstacle}")
    if plan.steps[following].kind == "promote" and evidence.approval:
        return Decision("wait", f"waits for approval: {evidence.approval}")
    return Decision("begin", _enough(plan, following, evidence), following)


def _enough(plan: Plan, following: int, evidence: Evidence) -> str:
    """Say on what the next step rests."""
    if not evidence.predictions:
        gated = following > 0 and plan.steps[following - 1].kind == "check"
        return "every gate passes" if gated else "it is the first step" if not following else "it is made again"
    judged = [f"{finding.what} {finding.judged}" for finding in evidence.findings]
    return f"{counted(evidence.predictions, 'prediction')} and no harm ({', '.join(judged) or 'nothing was judged'})"


def span(time: timedelta) -> str:
    """Return a duration as a reader wants it: ``7 days``, ``10 minutes``, ``5 seconds``."""
    seconds = max(0, round(time.total_seconds()))
    for unit, size in (("day", 86_400), ("hour", 3_600), ("minute", 60)):
        if seconds >= size:
            return counted(round(seconds / size), unit)
    return counted(seconds, "second")
