"""Giving an endpoint a new state: a revision is proposed, the gateway takes it or refuses it, then the aliases follow.

Guarantee: :func:`commit` returns only when its revision serves in every worker, so that no later request meets the one
before; where it raises, the endpoint serves what it served before, and the aliases are where they were. A rollback
needs no registry: where that does not answer, the earlier state serves and the aliases' moves are owed.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from mlprod_nb.errors import MlprodError, NotFound, Refused, Unavailable
from mlprod_nb.lifecycle.alerting import waiting
from mlprod_nb.lifecycle.alias_moves import aliases, owed, protecting
from mlprod_nb.lifecycle.alias_moves.aliases import AliasMove
from mlprod_nb.lifecycle.context import Context
from mlprod_nb.progress import uninterrupted
from mlprod_nb.routing import EndpointSpec
from mlprod_nb.store import revisions
from mlprod_nb.store.revisions import Outcome, Revision

_POLL_SECONDS = 0.02
_ANSWER_SECONDS = 15.0
_SETTLE_SECONDS = 60.0


@dataclass(frozen=True)
class TrafficRow:
    """One variant's part of an endpoint's traffic.

    Attributes:
        variant: The variant's name.
        version: The model version behind it, as ``flights/3``.
        share: Its share of the traffic, percent; 0 for a shadow.
        shadow: Whether it scores the same rows after the reply, and never answers.
    """

    variant: str
    version: str
    share: float
    shadow: bool = False


@dataclass(frozen=True)
class Change:
    """What a verb wants of an endpoint.

    Attributes:
        endpoint: The endpoint's name.
        spec: The wanted state; ``None`` takes the endpoint away.
        moves: The aliases that move with it.
        reason: Why.
        dry_run: Show only.
        restores: The number of the revision that the state equals.
    """

    endpoint: str
    spec: EndpointSpec | None
    reason: str
    dry_run: bool
    moves: tuple[AliasMove, ...] = ()
    restores: int | None = None


@dataclass(frozen=True)
class Committed:
    """What came of a change.

    Attributes:
        revision: The revision that serves.
        owed: The aliases' moves that a rollback could not make.
    """

    revision: Revision
    owed: tuple[AliasMove, ...] = ()


def existing(context: Context, endpoint: str) -> Revision:
    """Return an endpoint's active revision.

    Raises:
        NotFound: The endpoint does not exist.
    """
    known = active(context)
    if endpoint not in known:
        hint = "" if known else "Nothing is deployed yet: mlprod deploy MODEL@ALIAS"
        raise NotFound("endpoint", endpoint, known, hint=hint)
    return known[endpoint]


def as_of(context: Context, endpoint: str, number: int) -> Revision:
    """Return an endpoint's revision by its number, whether it serves still or not.

    Raises:
        NotFound: There is no such revision, or it never served.
    """
    with context.store.read() as connection:
        served = [r for r in revisions.history(connection, endpoint) if r.outcome and r.outcome.outcome == "active"]
    found = next((revision for revision in served if revision.number == number), None)
    if found is None:
        raise NotFound(f"revision of {endpoint!r}", str(number), [str(revision.number) for revision in served])
    return found


def describe(spec: EndpointSpec | None) -> str:
    """Return a state in words: ``champion flights/1 50 %, challenger flights/2 50 %``."""
    rows = traffic(spec) if spec else ()
    return ", ".join(f"{row.variant} {row.version} {'shadow' if row.shadow else f'{row.share:g} %'}" for row in rows)


def traffic(spec: EndpointSpec) -> tuple[TrafficRow, ...]:
    """Return a state as rows."""
    shares = spec.shares()
    answering = (TrafficRow(v.name, v.model_version, round(100 * shares[v.name], 2)) for v in spec.variants)
    return (*answering, *(TrafficRow(v.name, v.model_version, 0.0, shadow=True) for v in spec.shadows))


def active(context: Context) -> dict[str, Revision]:
    """Return each endpoint's active revision."""
    with context.store.read() as connection:
        return revisions.active(connection)


def commit(context: Context, change: Change) -> Committed:
    """Propose, wait for the gateway's decision, then let the aliases follow.

    Raises:
        Refused: The gateway does not run, or did not take the revision.
        Unavailable: The registry is not there, so what served before serves again.
    """
    context.change()
    gateway = context.target.running(context.root)
    if gateway is None:
        raise Refused("the gateway is not running.", hint="Start it with: mlprod up")
    # An interrupt withdraws what is not decided yet; what is decided is made whole.
    with uninterrupted() as interrupted, owed.announced(context, change.moves) as announce:
        revision = _propose(context, change, announce)
        context.progress.step("waiting for the gateway to load it")
        outcome = _await_outcome(context, revision, interrupted)
        if outcome.outcome != "active":
            raise Refused(
                f"endpoint {change.endpoint!r} did not take revision {revision.number}: {outcome.detail}",
                hint="It serves what it served before.",
            )
        done = _follow(context, change, revision, gateway.id)
        waiting.settle(context, change.endpoint, change.spec)
        return done


def _follow(context: Context, change: Change, revision: Revision, gateway_id: str) -> Committed:
    """Let workers and aliases follow a revision that serves."""
    context.progress.step("waiting for every worker to serve it")
    _await_workers(context, revision, gateway_id)
    done: list[AliasMove] = []
    try:
        if change.moves and not context.registry.reachable():
            raise Unavailable("the MLflow registry is not there.", hint="Check [registry] tracking_uri in mlprod.toml.")
        for move in change.moves:
            aliases.apply(context, move)
            done.append(move)
    except MlprodError:
        if change.restores is None:
            _undo(context, change, revision, done)
            raise
        return Committed(revision, _owe(context, change, done))
    return Committed(revision)


def _owe(context: Context, change: Change, done: list[AliasMove]) -> tuple[AliasMove, ...]:
    """Take back in the journal the moves that were not made, so that it tells what the registry holds."""
    left = tuple(move for move in change.moves if move not in done)
    _take_back(context, left, f"the registry did not answer when {change.endpoint} was rolled back")
    return left


def _take_back(context: Context, moves: tuple[AliasMove, ...], reason: str) -> None:
    with context.store.write() as connection:
        for move in moves:
            back = protecting.taken_back(context, move.reversed())
            aliases.write_journal(context, connection, back, reason=reason)


def _propose(context: Context, change: Change, announce: owed.Announce = owed.tell_nobody) -> Revision:
    clear = protecting.clear if change.restores is None else protecting.taken_back
    moves = [clear(context, move) for move in change.moves]
    with context.store.write() as connection:
        if any(waiting.endpoint == change.endpoint for waiting in revisions.undecided(connection)):
            raise Refused(
                f"endpoint {change.endpoint!r} is being changed by someone else.", hint="Try again in a moment."
            )
        revision = revisions.propose(
            connection,
            change.endpoint,
            change.spec,
            actor=context.caller.actor,
            command=context.caller.command,
            reason=change.reason,
            now=context.clock(),
            restores=change.restores,
        )
        for move in moves:
            aliases.write_journal(context, connection, move, reason=change.reason, revision_id=revision.id)
        announce(revision.id)
        context.audit(connection, "route", change.endpoint, f"revision {revision.number}: {describe(change.spec)}")
    return revision


def _await_outcome(context: Context, revision: Revision, interrupted: Callable[[], bool]) -> Outcome:
    """Wait for the gateway; withdraw the revision where it does not answer, or where the user interrupts."""
    deadline = time.monotonic() + context.settings.model_worker.start_timeout_seconds + _ANSWER_SECONDS
    detail = "the gateway did not answer in time"
    while time.monotonic() < deadline:
        outcome = _outcome(context, revision)
        if outcome is not None:
            return outcome
        if interrupted():
            detail = "interrupted"
            break
        time.sleep(_POLL_SECONDS)
    with context.store.write() as connection:
        revisions.decide(connection, revision.id, "withdrawn", detail=detail, now=context.clock())
    outcome = _outcome(context, revision)
    assert outcome is not None
    return outcome


def _await_workers(context: Context, revision: Revision, gateway_id: str) -> None:
    """Wait until every worker has settled on an active revision.

    Raises:
        Unavailable: One does not, and does not end either.
    """
    deadline = time.monotonic() + _SETTLE_SECONDS
    while time.monotonic() < deadline:
        with context.store.read() as connection:
            if revisions.all_settled(connection, revision.id, gateway_id):
                return
        time.sleep(_POLL_SECONDS)
    raise Unavailable(
        f"revision {revision.number} of endpoint {revision.endpoint!r} is active, but not every worker serves it yet.",
        hint="See: mlprod status",
    )


def outcome(context: Context, revision: Revision) -> Outcome:
    """Return how a revision is decided that a process proposed and did not wait for."""
    with uninterrupted() as interrupted:
        return _outcome(context, revision) or _await_outcome(context, revision, interrupted)


def _outcome(context: Context, revision: Revision) -> Outcome | None:
    with context.store.read() as connection:
        found = revisions.get(connection, revision.id)
    return found.outcome if found else None


def _undo(context: Context, change: Change, failed: Revision, done: list[AliasMove]) -> None:
    """Bring endpoint and aliases back after the registry refused a move."""
    for move in done:
        aliases.apply(context, move.reversed())
    with context.store.read() as connection:
        past = [
            r for r in revisions.history(connection, change.endpoint) if r.outcome and r.outcome.outcome == "active"
        ]
    before = past[-2] if len(past) > 1 else None
    back = Change(
        change.endpoint,
        before.spec if before else None,
        f"revision {failed.number} could not move its alias",
        dry_run=False,
        restores=before.number if before else None,
    )
    _take_back(context, change.moves, "the registry did not take the move")
    _await_outcome(context, _propose(context, back), lambda: False)
