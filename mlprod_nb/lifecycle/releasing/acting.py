"""Carrying a release on: each action written down before it begins and after it ended, done once whoever is killed.

Guarantee: an endpoint serves what one step of the release says, or what it served before the release. Of an action that
a killed process left, the next look finds the revision by the reason that it carries, and ends it there; where there is
none, it does it anew. The lock of who carries a release on goes with its process.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import replace
from typing import Any
from urllib.parse import quote

from mlprod_nb import locks
from mlprod_nb.errors import MlprodError, Refused
from mlprod_nb.lifecycle.alias_moves import aliases
from mlprod_nb.lifecycle.context import Context
from mlprod_nb.lifecycle.deploying import deploy, revise
from mlprod_nb.lifecycle.deploying.revise import Change
from mlprod_nb.lifecycle.releasing import checking, counters, telling
from mlprod_nb.lifecycle.releasing.deciding import Decision, Evidence, step
from mlprod_nb.lifecycle.releasing.evidence import Subject, champion, changed_by, look, variant_name
from mlprod_nb.lifecycle.releasing.plan import Plan, Step
from mlprod_nb.lifecycle.releasing.standing import Standing, of
from mlprod_nb.routing import EndpointSpec, Variant, resplit
from mlprod_nb.store import releases, revisions
from mlprod_nb.store.releases import Event, Kind, Release
from mlprod_nb.store.revisions import Revision

Tell = Callable[[str], None]
_MOST_MOVES = 50
_LOCK_SECONDS = 5.0


def silent(text: str) -> None:
    """Tell nobody."""


def advance(context: Context, release: int, tell: Tell = silent) -> tuple[Standing, Evidence]:
    """Carry a release on as far as the evidence goes; return where it stands and what the last look found.

    Where another process carries it on at this moment, nothing is done.
    """
    subject = _subject(context, release)
    with alone(context, subject.endpoint) as mine:
        for _ in range(_MOST_MOVES if mine else 0):
            evidence = look(context, subject)
            decision = step(subject.plan, subject.standing, evidence, context.clock())
            tell(_progress(subject, decision))
            if not _follow(context, subject, decision):
                return _subject(context, release).standing, evidence
            subject = _subject(context, release)
    subject = _subject(context, release)
    return subject.standing, look(context, subject)


def _subject(context: Context, release: int) -> Subject:
    with context.store.read() as connection:
        found = releases.find(connection, release)
    return Subject(found, Plan.from_dict(found.given.plan), of(found))


def _progress(subject: Subject, decision: Decision) -> str:
    at, steps = subject.standing.step, subject.plan.steps
    where = f"step {at + 1} of {len(steps)} ({steps[at]})" if at >= 0 else "not begun"
    following = f"begins {steps[decision.step]}: {decision.why}" if decision.move == "begin" else decision.why
    return f"release {subject.release.id} of {subject.release.given.version}: {where}: {following}"


def _follow(context: Context, subject: Subject, decision: Decision) -> bool:
    """Do what was decided; return whether there may be more to do now."""
    if decision.move == "begin":
        return _begin(context, subject, decision)
    if decision.move == "finish":
        return _finish_revert(context, subject) if subject.standing.phase == "reverting" else _finish(context, subject)
    if decision.move == "revert":
        return _revert(context, subject, decision.why)
    if decision.move == "end":
        note(context, subject.release, "stopped", subject.standing.step, decision.why)
        return True
    if decision.move == "pause":
        note(context, subject.release, "paused", subject.standing.step, decision.why, facts={telling.BY_ITSELF: True})
    elif decision.move == "wait" and not subject.standing.paused:
        _remember(context, subject, decision.why)
    return False


def note(context: Context, release: Release, kind: Kind, at: int, detail: str, **more: Any) -> None:
    """Append an event, and the audit trail's entry of it."""
    event = Event(context.clock(), context.caller.actor, kind, at, detail, **more)
    with context.store.write() as connection:
        releases.append(connection, release.id, event)
        if kind != "waits":
            context.audit(connection, "release", f"release {release.id}", f"{kind} {at + 1}: {detail}")
        telling.told(context, connection, release, event)


def _remember(context: Context, subject: Subject, why: str) -> None:
    """Write down what is missing where that is of another kind than before; numbers that only grow are not."""
    if _kind_of(why) != _kind_of(subject.standing.waits):
        note(context, subject.release, "waits", subject.standing.step, why)


def _kind_of(why: str) -> tuple[str, ...]:
    return tuple(part.partition(": ")[0] for part in why.split("; "))


def _begin(context: Context, subject: Subject, decision: Decision) -> bool:
    """Write a step's action down, then do it; return whether it ended."""
    at, steps = decision.step, subject.plan.steps
    reason = f"release {subject.release.id}, step {at + 1} of {len(steps)} ({steps[at]}): {decision.why}"
    note(context, subject.release, "begun", at, reason, revision=_newest(context, subject.endpoint))
    return _finish(context, _subject(context, subject.release.id))


def _finish(context: Context, subject: Subject) -> bool:
    """End a step's action from where it was left; return whether it ended."""
    now, part = subject.standing, subject.step
    try:
        made = _made(context, subject)
        if made is None and part.kind != "check":
            _still_ours(context, subject)
        if part.kind == "check":
            return _check(context, subject)
        number = made.number if made is not None else _do(context, subject, part)
        if part.kind == "promote":
            _name_it(context, subject)
    except MlprodError as error:
        return _failed(context, subject, error)
    if part.kind == "promote":  # one event, so that nobody is killed between two
        ended = f"{subject.release.given.version} has all traffic, by revision {number}."
        note(context, subject.release, "promoted", now.step, ended, revision=number)
        return True
    facts = counters.now(context, subject.endpoint) if part.measured else {}
    note(context, subject.release, "stands", now.step, f"revision {number} serves.", revision=number, facts=facts)
    return True


def _failed(context: Context, subject: Subject, error: MlprodError) -> bool:
    """Write down that an action failed; one that the gateway refused is not left to later looks."""
    note(context, subject.release, "failed", subject.standing.step, str(error))
    if isinstance(error, _NotTaken):
        return _revert(context, _subject(context, subject.release.id), str(error))
    return False


class _NotTaken(Refused):
    """The gateway did not take a step's revision."""


def _check(context: Context, subject: Subject) -> bool:
    """Run the gates; a version that does not pass changes nothing."""
    at = subject.standing.step
    verdict = checking.verdict(context, subject.release.given.version)
    if verdict.exit_code:
        note(context, subject.release, "refused", at, verdict.sentence)
    else:
        note(context, subject.release, "stands", at, verdict.sentence)
    return True


def _do(context: Context, subject: Subject, part: Step) -> int:
    """Route as a step wants; return the revision's number."""
    given, reason = subject.release.given, subject.standing.reason
    if part.kind == "promote":
        promotion = deploy.Promotion(given.version, subject.plan.alias, given.endpoint, reason, dry_run=False)
        return _taken(context, subject, lambda: deploy.promote(context, promotion).revision)
    change = Change(given.endpoint, wanted(context, subject.release, part), reason, dry_run=False)
    return _taken(context, subject, lambda: revise.commit(context, change).revision.number)


def _taken(context: Context, subject: Subject, do: Callable[[], int]) -> int:
    """Do it; tell a revision that was decided against from what can be tried again."""
    try:
        return do()
    except MlprodError as error:
        with context.store.read() as connection:
            past = revisions.history(connection, subject.endpoint)
        last = past[-1] if past else None
        mine = last is not None and last.number > subject.standing.newest and last.reason == subject.standing.reason
        if last is not None and mine and last.outcome is not None and last.outcome.outcome == "rejected":
            raise _NotTaken(str(error)) from None
        raise


def wanted(context: Context, release: Release, part: Step) -> EndpointSpec:
    """Return the state that a step wants: of the units, the fewest possible meet another variant than before."""
    endpoint = release.given.endpoint
    before = revise.as_of(context, endpoint, release.given.before).spec
    present = revise.existing(context, endpoint).spec
    assert before is not None
    assert present is not None
    control = champion(context, release)
    chosen = context.registry.resolve(release.given.version)
    digest = context.registry.fetch_bundle(chosen, context.bundles).digest
    candidate = Variant(variant_name(chosen.ref), chosen.model, chosen.version, digest, part.share)
    kept = tuple(shadow for shadow in before.shadows if shadow.name != candidate.name)
    heard = [replace(control, weight=100 - part.share)] if part.share < 100 else []
    heard += [candidate] if part.share > 0 else []
    unheard = [candidate] if part.share == 0 else [control] if part.share == 100 else []
    spec = EndpointSpec(endpoint, tuple(heard), before.unit, before.salt, (*kept, *unheard))
    return resplit(present, spec)


def _made(context: Context, subject: Subject) -> Revision | None:
    """Return the active revision that an action made before its process died, or ``None``.

    Raises:
        _NotTaken: The gateway decided against it.
    """
    mine = _mine(context, subject)
    if mine is None:
        return None
    found = mine.outcome or revise.outcome(context, mine)
    if found.outcome == "rejected":
        raise _NotTaken(f"revision {mine.number} was not taken: {found.detail}")
    return mine if found.outcome == "active" else None


def _mine(context: Context, subject: Subject) -> Revision | None:
    now = subject.standing
    with context.store.read() as connection:
        past = revisions.history(connection, subject.endpoint)
    return next((r for r in reversed(past) if r.number > now.newest and r.reason == now.reason), None)


def _still_ours(context: Context, subject: Subject) -> None:
    """Refuse to route over what somebody else made in the moment before."""
    foreign = changed_by(context, subject)
    if foreign:
        raise Refused(foreign)


def _name_it(context: Context, subject: Subject) -> None:
    """Make the alias's move that a killed process may have left unmade: the journal tells of it already."""
    model, version = subject.release.given.version.rsplit("/", 1)
    if context.registry.aliases(model).get(subject.plan.alias) != int(version):
        move = aliases.planned(context, model, subject.plan.alias, int(version))
        aliases.apply(context, move)


def _revert(context: Context, subject: Subject, why: str) -> bool:
    """Write the rollback down, then do it; return whether it is done."""
    reason = f"release {subject.release.id} of {subject.release.given.version} is rolled back: {why}"
    newest = _newest(context, subject.endpoint)
    facts = {"stopped": subject.standing.stop == why, "why": why}
    note(context, subject.release, "reverting", subject.standing.step, reason, revision=newest, facts=facts)
    return _finish_revert(context, _subject(context, subject.release.id))


def _finish_revert(context: Context, subject: Subject) -> bool:
    """Bring back what served before the release, if what serves is the release's; return whether it did."""
    release, now = subject.release, subject.standing
    last = next(event for event in reversed(release.events) if event.kind == "reverting")
    ending: Kind = "stopped" if last.facts.get("stopped") else "rolled back"
    try:
        detail = " ".join(filter(None, (_back(context, subject), _alias_beside(context, subject))))
    except MlprodError as error:
        note(context, release, "failed", now.step, str(error))
        return False
    note(context, release, ending, now.step, f"{last.facts.get('why', '')}. {detail}".replace("..", "."))
    return True


def _back(context: Context, subject: Subject) -> str:
    """Roll back to the revision before the release; say what serves."""
    release, now = subject.release, subject.standing
    mine = _mine(context, subject)
    if mine is not None and (mine.outcome or revise.outcome(context, mine)).outcome == "active":
        return f"Revision {mine.number} serves, which equals revision {release.given.before}."
    with context.store.read() as connection:
        present = revisions.newest_active(connection)[subject.endpoint]
        step_reasons = {event.detail for event in release.events if event.kind == "begun"}
    if present.number == release.given.before:
        return f"Revision {present.number} serves, as before."
    if present.spec is None:
        return f"{present.actor} took {subject.endpoint!r} away meanwhile, with revision {present.number}."
    if present.number not in now.own and present.reason not in step_reasons:
        return f"Revision {present.number} of {present.actor} stays, which the release did not make."
    done = deploy.rollback(context, subject.endpoint, to=release.given.before, reason=now.reason, dry_run=False)
    return done.headline()


def _alias_beside(context: Context, subject: Subject) -> str:
    """Say what the alias names where what serves under its name is another version; nothing where they agree."""
    model, alias = subject.release.given.version.rsplit("/", 1)[0], subject.plan.alias
    present = revise.active(context).get(subject.endpoint)
    spec = present.spec if present else None
    serves = next((v for v in spec.variants if (v.model, v.name) == (model, alias)), None) if spec else None
    if serves is None or not context.registry.reachable():
        return ""
    named = context.registry.aliases(model).get(alias)
    if named is None or named == serves.version:
        return ""
    return (
        f"But {model}@{alias} is {model}/{named}: mlprod deploy {model}@{alias} serves it,"
        f" mlprod promote {serves.model_version} moves the alias back."
    )


def _newest(context: Context, endpoint: str) -> int:
    with context.store.read() as connection:
        return len(revisions.history(connection, endpoint))


def alone(context: Context, endpoint: str) -> AbstractContextManager[bool]:
    """Yield whether this process is the only one that carries an endpoint's release on."""
    return locks.tried(context.layout.run / f"releasing-{quote(endpoint, safe='')}.lock", seconds=_LOCK_SECONDS)
