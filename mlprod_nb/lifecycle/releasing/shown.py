"""A release as its verbs show it: steps, evidence, journal, and what comes next."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar

from mlprod_nb.lifecycle.context import Context
from mlprod_nb.lifecycle.releasing import permission
from mlprod_nb.lifecycle.releasing.deciding import Evidence, Finding, lacking
from mlprod_nb.lifecycle.releasing.plan import Plan
from mlprod_nb.lifecycle.releasing.standing import Standing, of
from mlprod_nb.results import Result, Section, Verdict, counted
from mlprod_nb.store import releases
from mlprod_nb.store.releases import Event, Release

_MARKS = {"harm": "✗ harm", "within": "✓ within", "open": "– open", "not judged": "– not judged"}


@dataclass(frozen=True)
class StepRow:
    """One step of a release.

    Attributes:
        step: Its number, from 1.
        what: check, shadow, the candidate's share of the traffic, or promote.
        state: done, stands, begun, to come, or what it ended with.
        since: When it began to stand.
        revision: The revision that it made.
        rests_on: Why it began.
    """

    step: int
    what: str
    state: str
    since: datetime | None
    revision: int | None
    rests_on: str


@dataclass(frozen=True)
class EventRow:
    """One entry of a release's journal.

    Attributes:
        at: When.
        actor: Who.
        what: What happened.
        step: At which step, from 1.
        detail: In words.
    """

    at: datetime
    actor: str
    what: str
    step: int
    detail: str


@dataclass(frozen=True)
class AdvanceRow:
    """One release after a look.

    Attributes:
        release: Its number.
        endpoint: The endpoint's name.
        version: The candidate.
        state: under way, paused, promoted, rolled back, refused or stopped.
        step: The step that stands.
        sentence: What it waits for, or how it ended.
    """

    release: int
    endpoint: str
    version: str
    state: str
    step: str
    sentence: str


@dataclass(frozen=True)
class AdvanceResult(Result):
    """Every release that was carried on.

    Attributes:
        releases: One row a release.
    """

    releases: tuple[AdvanceRow, ...]
    _frame_field: ClassVar[str] = "releases"

    @property
    def exit_code(self) -> int:
        """1 where one was rolled back or refused in this look."""
        return int(any(row.state in ("rolled back", "refused") for row in self.releases))

    def headline(self) -> str:
        """Say how many there are."""
        if not self.releases:
            return "No release is under way."
        return f"{counted(len(self.releases), 'release')} looked after."


@dataclass(frozen=True)
class ReleaseResult(Result):
    """Where a release stands; exit code 1 where its version does not serve.

    Attributes:
        verdict: How it stands, in a sentence.
        release: Its number.
        endpoint: The endpoint's name.
        version: The candidate.
        state: under way, paused, promoted, rolled back, refused or stopped.
        step: The step that stands.
        carried_on: Who carries it on.
        steps: One row a step.
        evidence: What the look compared; empty where nothing stands.
        journal: What happened, the newest first.
        end_waits_for: The approvals that the last step will wait for; empty where none is lacking.
    """

    verdict: Verdict
    release: int
    endpoint: str
    version: str
    state: str
    step: str
    carried_on: str
    steps: tuple[StepRow, ...]
    evidence: tuple[Finding, ...]
    journal: tuple[EventRow, ...]
    end_waits_for: str = ""
    _frame_field: ClassVar[str] = "steps"
    _hidden: ClassVar[tuple[str, ...]] = ("steps", "evidence", "journal")

    def row(self) -> AdvanceRow:
        """Return the release in one row."""
        sentence = self.verdict.sentence
        return AdvanceRow(self.release, self.endpoint, self.version, self.state, self.step, sentence)

    def sections(self) -> list[Section]:
        """Show the steps, what was compared, and what happened."""
        facts = list(super().sections())
        steps = tuple((r.step, r.what, r.state, r.since, r.revision, r.rests_on) for r in self.steps)
        found = tuple((_MARKS[f.judged], f.what, f.champion, f.candidate, f.sentence) for f in self.evidence)
        told = tuple((e.at, e.actor, e.what, e.step or None, e.detail) for e in self.journal)
        shown = [Section("steps", ("step", "what", "state", "since", "revision", "rests on"), steps)]
        if found:
            shown.append(Section("evidence", ("judged", "what", "champion", "candidate", "finding"), found))
        journal = Section("journal (newest first)", ("at", "who", "what", "step", "detail"), told, detail=True)
        return [*facts, *shown, *([journal] if told else [])]


def result(context: Context, number: int, evidence: Evidence | None = None) -> ReleaseResult:
    """Return where a release stands.

    Args:
        context: The workspace.
        number: The release's number.
        evidence: What a look found; where there was none, nothing is compared.
    """
    with context.store.read() as connection:
        release = releases.find(connection, number)
    plan, standing = Plan.from_dict(release.given.plan), of(release)
    found = evidence or Evidence()
    state = standing.ending or ("paused" if standing.paused else "under way")
    verdict = _verdict(context, release, plan, standing, found)
    said = bool(found.approval) and found.approval.rstrip(".") in verdict.sentence
    return ReleaseResult(
        verdict=verdict,
        release=release.id,
        endpoint=release.given.endpoint,
        version=release.given.version,
        state=state,
        step=str(plan.steps[standing.step]) if standing.step >= 0 else "",
        carried_on=_carrier(context) if state == "under way" else "",
        steps=_steps(plan, release, standing),
        evidence=found.findings,
        journal=tuple(_entry(event) for event in reversed(release.events)),
        end_waits_for="" if standing.ending or said else permission.ahead(context, release.given, plan),
    )


def _verdict(context: Context, release: Release, plan: Plan, standing: Standing, found: Evidence) -> Verdict:
    given = release.given
    who = f"release {release.id} of {given.version} to {given.endpoint!r}"
    ended = release.events[-1].detail if release.events else ""
    if standing.ending == "promoted":
        return Verdict("ok", f"{who} is done: it has all traffic and {given.version.split('/')[0]}@{plan.alias}.")
    if standing.ending:
        return Verdict("warn" if standing.ending == "stopped" else "alarm", f"{who} is {standing.ending}: {ended}")
    at = f"stands at {plan.steps[standing.step]}" if standing.step >= 0 else "has not begun"
    if standing.paused:
        action = f"%mlprod release resume {given.endpoint}"
        return Verdict("warn", f"{who} {at} and is paused: {standing.paused}", action)
    missing = lacking(plan, standing, found, context.clock()) if found.predictions else []
    waits = f"waits for {'; '.join(missing)}" if missing else standing.waits
    tail = f" and {waits}" if waits else ""
    return Verdict("ok", f"{who} {at}{tail}".rstrip(".") + ".")


def _carrier(context: Context) -> str:
    from mlprod_nb import scheduler

    if scheduler.running(context.root) is not None:
        return "the scheduler, every minute"
    return "nobody, since no scheduler runs: mlprod up, or mlprod release advance"


def _steps(plan: Plan, release: Release, standing: Standing) -> tuple[StepRow, ...]:
    rows = []
    for at, step in enumerate(plan.steps):
        begun = next((event for event in reversed(release.events) if event.kind == "begun" and event.step == at), None)
        stands = next((e for e in reversed(release.events) if e.kind in ("stands", "promoted") and e.step == at), None)
        made = stands.revision if stands is not None and stands.revision else None
        why = begun.detail.partition("): ")[2] if begun is not None else ""
        rows.append(StepRow(at + 1, str(step), _state(standing, at), stands.at if stands else None, made, why))
    return tuple(rows)


def _state(standing: Standing, at: int) -> str:
    if at < standing.step or (at == standing.step and standing.ending == "promoted"):
        return "done"
    if at > standing.step:
        return "to come" if standing.ending is None else "–"
    return standing.ending or ("paused" if standing.paused else standing.phase)


def _entry(event: Event) -> EventRow:
    return EventRow(event.at, event.actor, event.kind, event.step + 1, event.detail)
