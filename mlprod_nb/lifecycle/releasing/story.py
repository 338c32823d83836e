"""The verbs of releases: begin, carry on, pause, resume, stop, show."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sqlalchemy.engine import Connection

from mlprod_nb.clock import iso
from mlprod_nb.errors import NotFound, Refused, UsageError
from mlprod_nb.lifecycle.abtests import reading
from mlprod_nb.lifecycle.alerting import notifying
from mlprod_nb.lifecycle.context import Context
from mlprod_nb.lifecycle.deploying import revise
from mlprod_nb.lifecycle.releasing import acting, carrying, planning, shown
from mlprod_nb.lifecycle.releasing.evidence import Subject, changed_by, overtaken, variant_name
from mlprod_nb.lifecycle.releasing.plan import Plan
from mlprod_nb.lifecycle.releasing.planning import ReleasePlan
from mlprod_nb.lifecycle.releasing.shown import AdvanceResult, ReleaseResult
from mlprod_nb.lifecycle.releasing.standing import of
from mlprod_nb.lifecycle.watching.watch import main_variant
from mlprod_nb.store import releases
from mlprod_nb.store.releases import NewRelease, Release
from mlprod_nb.store.revisions import Revision

if TYPE_CHECKING:
    from mlprod_nb.abtest import Outcome

_LOOK_SECONDS = 2.0


@dataclass(frozen=True)
class Wanted:
    """What :meth:`mlprod_nb.Workspace.release` takes.

    Attributes:
        version: The candidate.
        endpoint: The endpoint's name; the model's where empty.
        plan: Show only.
        wait: Carry it on here until it is over.
        reason: Why.
    """

    version: str
    endpoint: str = ""
    plan: bool = False
    wait: bool = False
    reason: str = ""


def release(context: Context, wanted: Wanted) -> ReleaseResult | ReleasePlan:
    """Begin a release and carry it on as far as it goes now; one of the same version that is under way goes on.

    Raises:
        NotFound: There is no such version, or nothing serves at the endpoint.
        Refused: Another release of the endpoint is under way, an A/B test runs, or its traffic is split.
    """
    given = prepare(context, wanted)
    if wanted.plan:
        return planning.plan(context, given, Plan.from_dict(given.plan))
    with context.store.read() as connection:
        known = releases.of_endpoint(connection, given.endpoint)
    if known is not None and known.ending is None and known.given.version == given.version:
        number = known.id
    else:
        number = begin(context, given)
    return _wait(context, number) if wanted.wait else _look_once(context, number)


def prepare(context: Context, wanted: Wanted) -> NewRelease:
    """Return what a release would be begun with."""
    chosen = context.registry.resolve(wanted.version)
    endpoint = wanted.endpoint or chosen.model
    known = revise.active(context)
    if endpoint not in known:
        hint = f"There is nothing to release against yet: mlprod deploy {chosen.ref}"
        raise NotFound("endpoint", endpoint, known, hint=hint if not known or not wanted.endpoint else "")
    current = known[endpoint]
    control = main_variant(current.spec, endpoint)
    assert current.spec is not None
    under_way = _under_way(context, endpoint)
    # One that is under way goes on, so that what serves now is its own.
    if under_way is not None and under_way.given.version == chosen.ref:
        return under_way.given
    if under_way is None:
        _refuse_what_cannot_be_released(context, current, chosen.ref)
    manifest = context.bundle_of(control).manifest
    from mlprod_nb.abtest import metrics

    settings = context.settings.model(chosen.model).release
    plan = Plan.of(settings, alias="champion", default_metric=metrics.default_metric(manifest.task))
    _check_metrics(plan, reading.outcome(manifest))
    caller = context.caller
    return NewRelease(
        endpoint, chosen.ref, plan.to_dict(), current.number, caller.actor, caller.command, wanted.reason.strip()
    )


def _under_way(context: Context, endpoint: str) -> Release | None:
    with context.store.read() as connection:
        found = releases.of_endpoint(connection, endpoint)
    return found if found is not None and found.ending is None else None


def _refuse_what_cannot_be_released(context: Context, current: Revision, version: str) -> None:
    endpoint, spec = current.endpoint, current.spec
    assert spec is not None
    heard = [variant for variant in spec.variants if variant.weight > 0]
    if len(heard) > 1:
        hint = f"Route it to one first, as in: mlprod route {endpoint} {heard[0].name}=100"
        raise Refused(f"the traffic of {endpoint!r} is split ({revise.describe(spec)}).", hint=hint)
    if heard[0].model_version == version:
        hint = "Name a newer version; one that a pipeline registered is only here where it wrote to this registry."
        raise Refused(f"{version} serves at {endpoint!r} already.", hint=hint)
    if heard[0].name == variant_name(version):
        raise Refused(f"{heard[0].name!r} is what {heard[0].model_version} is called at {endpoint!r}.",
                      hint="Promote what serves first, so that it is called by its alias.")  # fmt: skip
    with context.store.read() as connection:
        test = reading.latest(connection, endpoint)
    if test is not None and not test.stopped:
        raise Refused(f"an A/B test runs on {endpoint!r}.", hint=f"End it with: mlprod abtest stop {endpoint}")


def _check_metrics(plan: Plan, outcome: Outcome) -> None:
    """Refuse metrics that do not exist or do not fit, before anything begins."""
    from mlprod_nb.abtest import metrics

    for name, worse in plan.metrics.items():
        metrics.find(name).value(outcome)
        if worse < 0:
            raise UsageError(f"metric {name!r} may be worse by {worse:g}; it is 0 or more.")


def begin(context: Context, given: NewRelease, also: Callable[[Connection, int], None] | None = None) -> int:
    """Write a release down, with the job that carries it on.

    Args:
        context: The workspace.
        given: The release.
        also: What is written in the same transaction; takes the release's number.
    """
    now = context.clock()
    with context.store.write() as connection:
        number = releases.begin(connection, given, now=now)
        carrying.ensure(connection, now=now)
        if also is not None:
            also(connection, number)
        context.audit(
            connection, "release", f"release {number}", f"{given.version} to {given.endpoint}: {given.reason}"
        )
    return number


def look(context: Context, number: int) -> ReleaseResult:
    """Carry a release on as far as it goes now."""
    _, evidence = acting.advance(context, number, context.progress.step)
    carrying.clear(context)
    notifying.deliver(context)
    return shown.result(context, number, evidence)


def _look_once(context: Context, number: int) -> ReleaseResult:
    """Look; an interruption is told what becomes of the release, which goes on without this process.

    Raises:
        KeyboardInterrupt: The user interrupted; its text says so.
    """
    try:
        return look(context, number)
    except KeyboardInterrupt:
        left = _interrupted(context, number).state
        said = {
            "under way": "is carried on by the scheduler, until release stop ends it",
            "paused": "is paused: release resume carries it on, release stop ends it",
        }
        raise KeyboardInterrupt(f"release {number} {said.get(left, f'has ended: {left}')}") from None


def _wait(context: Context, number: int) -> ReleaseResult:
    """Look again and again until it is over or paused; an interruption leaves it to the scheduler, or pauses it."""
    pace = threading.Event()
    try:
        found = look(context, number)
        while found.state == "under way":
            pace.wait(_LOOK_SECONDS)
            found = look(context, number)
    except KeyboardInterrupt:
        return _interrupted(context, number)
    return found


def _interrupted(context: Context, number: int) -> ReleaseResult:
    from mlprod_nb import scheduler

    with context.store.read() as connection:
        found = releases.find(connection, number)
    if found.ending is None and scheduler.running(context.root) is None:
        standing = of(found)
        if not standing.paused:
            acting.note(context, found, "paused", standing.step, "interrupted, and no scheduler runs to carry it on.")
    return shown.result(context, number)


def advance(context: Context, endpoint: str) -> AdvanceResult:
    """Carry on every release that is under way, or one endpoint's."""
    with context.store.read() as connection:
        found = [r for r in releases.under_way(connection) if not endpoint or r.given.endpoint == endpoint]
    if endpoint and not found:
        _newest(context, endpoint)
    return AdvanceResult(tuple(look(context, known.id).row() for known in found))


def pause(context: Context, endpoint: str, reason: str) -> ReleaseResult:
    """Keep a release where it stands.

    Raises:
        Refused: It is paused already, or over.
    """
    found = _open(context, endpoint)
    standing = of(found)
    if standing.paused:
        raise Refused(f"release {found.id} is paused already: {standing.paused}")
    why = f"by {context.caller.actor} at {iso(context.clock())}" + (f": {reason.strip()}" if reason.strip() else ".")
    acting.note(context, found, "paused", standing.step, why)
    return shown.result(context, found.id)


def resume(context: Context, endpoint: str, reason: str) -> ReleaseResult:
    """Let a paused release go on; where somebody else routed meanwhile, its step is made again.

    Raises:
        Refused: It is not paused, or over.
    """
    found = _open(context, endpoint)
    standing = of(found)
    if not standing.paused:
        raise Refused(f"release {found.id} of {found.given.version} is not paused.")
    subject = Subject(found, Plan.from_dict(found.given.plan), standing)
    if overtaken(context, subject):  # the look ends it and says why
        return look(context, found.id)
    foreign = changed_by(context, subject)
    present = revise.existing(context, endpoint)
    facts = {"again": True} if foreign else {}
    detail = f"by {context.caller.actor}: {reason.strip()}".rstrip(": ")
    acting.note(context, found, "resumed", standing.step, detail, revision=present.number, facts=facts)
    return look(context, found.id)


def stop(context: Context, endpoint: str, reason: str) -> ReleaseResult:
    """End a release: what served before it serves again."""
    found = _open(context, endpoint)
    why = f"{context.caller.actor} stopped it" + (f": {reason.strip()}" if reason.strip() else ".")
    acting.note(context, found, "stop", of(found).step, why)
    return look(context, found.id)


def show(context: Context, endpoint: str) -> ReleaseResult:
    """Show an endpoint's newest release; change nothing."""
    return shown.result(context, _newest(context, endpoint).id)


def _newest(context: Context, endpoint: str) -> Release:
    with context.store.read() as connection:
        found = releases.of_endpoint(connection, endpoint)
    if found is None:
        revise.existing(context, endpoint)
        raise Refused(f"nothing was ever released to {endpoint!r}.", hint="Begin: mlprod release MODEL/VERSION")
    return found


def _open(context: Context, endpoint: str) -> Release:
    found = _newest(context, endpoint)
    if found.ending is not None:
        raise Refused(f"release {found.id} of {found.given.version} is over: {found.ending}.")
    return found
