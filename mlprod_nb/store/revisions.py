"""Endpoint revisions: appended, decided once, never edited.

A revision is *proposed* by a verb, then *decided* exactly once: ``active`` by the worker whose acknowledgement is the
last that was missing, ``rejected`` by the first that cannot load it, ``withdrawn`` where nobody answered in time,
``abandoned`` where the gateway that was asked ended first: none that starts later takes what was asked of it. After
that each worker *settles*: it serves the revision, or nothing of the endpoint. Guarantee: of two that decide one
revision, one wins and the other is told, so a revision that a verb reported as failed never receives a request; an
active revision serves from its decision until every worker has settled on its successor, and no longer.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from mlprod_nb.routing import EndpointSpec
from mlprod_nb.store import gateways
from mlprod_nb.store.tables import revision_acknowledgements, revision_outcomes, revisions

OutcomeName = Literal["active", "rejected", "withdrawn", "abandoned"]


@dataclass(frozen=True)
class Outcome:
    """How a revision was decided.

    Attributes:
        outcome: ``"active"``, ``"rejected"``, ``"withdrawn"`` or ``"abandoned"``.
        detail: Why, where it is not active.
        decided_at: When.
    """

    outcome: OutcomeName
    detail: str
    decided_at: datetime


@dataclass(frozen=True)
class Revision:
    """One state of an endpoint.

    Attributes:
        id: Unique in the workspace, growing.
        endpoint: The endpoint's name.
        number: Counts this endpoint's revisions from 1.
        spec: The state; ``None`` where the endpoint was taken away.
        restores: The number of the revision that this one equals, for a rollback.
        actor: Who made it.
        command: The line that made it.
        reason: Why, as the user said.
        created_at: When it was proposed.
        outcome: How it was decided, or ``None`` while it is not.
    """

    id: int
    endpoint: str
    number: int
    spec: EndpointSpec | None
    restores: int | None
    actor: str
    command: str
    reason: str
    created_at: datetime
    outcome: Outcome | None


def propose(
    connection: Connection,
    endpoint: str,
    spec: EndpointSpec | None,
    *,
    actor: str,
    command: str,
    reason: str,
    now: datetime,
    restores: int | None = None,
) -> Revision:
    """Append a revision that waits for its outcome."""
    latest = connection.scalar(sa.select(sa.func.max(revisions.c.number)).where(revisions.c.endpoint == endpoint))
    number = (latest or 0) + 1
    values: dict[str, Any] = {
        "endpoint": endpoint,
        "number": number,
        "spec": spec.to_dict() if spec else None,
        "restores": restores,
        "actor": actor,
        "command": command,
        "reason": reason,
        "created_at": now,
    }
    inserted = connection.execute(sa.insert(revisions).values(**values)).inserted_primary_key
    assert inserted is not None
    return Revision(inserted[0], endpoint, number, spec, restores, actor, command, reason, now, None)


def decide(connection: Connection, revision_id: int, outcome: OutcomeName, *, detail: str, now: datetime) -> bool:
    """Decide a revision; return whether this call decided it (``False``: it was decided before)."""
    known = connection.scalar(
        sa.select(revision_outcomes.c.outcome).where(revision_outcomes.c.revision_id == revision_id)
    )
    if known is not None:
        return False
    connection.execute(
        sa.insert(revision_outcomes).values(revision_id=revision_id, outcome=outcome, detail=detail, decided_at=now)
    )
    return True


def abandon(connection: Connection, *, now: datetime) -> None:
    """Decide against all that waits, for a gateway that starts: the one that was asked has ended.

    A verb that waits still is told so; of one that was killed, however long ago, nothing comes into force by surprise.
    """
    detail = "the gateway ended before it decided"
    for revision in undecided(connection):
        decide(connection, revision.id, "abandoned", detail=detail, now=now)


def acknowledge(
    connection: Connection,
    revision_id: int,
    worker_id: str,
    *,
    loaded: datetime | None = None,
    settled: datetime | None = None,
) -> None:
    """Record that a worker has loaded a revision and can serve it, or that it has settled on an active one."""
    table = revision_acknowledgements
    mine = sa.and_(table.c.revision_id == revision_id, table.c.worker_id == worker_id)
    if connection.scalar(sa.select(table.c.worker_id).where(mine)) is None:
        connection.execute(sa.insert(table).values(revision_id=revision_id, worker_id=worker_id))
    values = {"loaded_at": loaded} if loaded else {"settled_at": settled}
    connection.execute(sa.update(table).where(mine).values(**values))


def all_loaded(connection: Connection, revision_id: int, gateway_id: str) -> bool:
    """Return whether every living worker of a gateway has loaded a revision."""
    return gateways.workers(connection, gateway_id) <= _acknowledged(
        connection, revision_id, revision_acknowledgements.c.loaded_at
    )


def all_settled(connection: Connection, revision_id: int, gateway_id: str) -> bool:
    """Return whether every living worker of a gateway has settled on a revision; ``False`` where none lives."""
    living = gateways.workers(connection, gateway_id)
    settled = _acknowledged(connection, revision_id, revision_acknowledgements.c.settled_at)
    return bool(living) and living <= settled


def decided(connection: Connection) -> int:
    """Return how many revisions were decided: a number that grows with each decision, and is cheap to ask for."""
    return connection.scalar(sa.select(sa.func.count()).select_from(revision_outcomes)) or 0


def newest_active(connection: Connection) -> dict[str, Revision]:
    """Return each endpoint's newest active revision, also where it took the endpoint away."""
    return {revision.endpoint: revision for revision in _select(connection, revision_outcomes.c.outcome == "active")}


def active(connection: Connection) -> dict[str, Revision]:
    """Return each endpoint's newest active revision; endpoints that were taken away are left out."""
    return {name: revision for name, revision in newest_active(connection).items() if revision.spec is not None}


def undecided(connection: Connection) -> list[Revision]:
    """Return the revisions that wait for an outcome, oldest first."""
    return _select(connection, revision_outcomes.c.revision_id.is_(None))


def history(connection: Connection, endpoint: str) -> list[Revision]:
    """Return all of an endpoint's revisions, oldest first, whatever their outcome."""
    return _select(connection, revisions.c.endpoint == endpoint)


def get(connection: Connection, revision_id: int) -> Revision | None:
    """Return one revision by id, or ``None``."""
    return next(iter(_select(connection, revisions.c.id == revision_id)), None)


def endpoint_names(connection: Connection) -> list[str]:
    """Return the names of all endpoints that ever were."""
    return list(connection.scalars(sa.select(revisions.c.endpoint).distinct().order_by(revisions.c.endpoint)))


def _acknowledged(connection: Connection, revision_id: int, moment: sa.Column[Any]) -> set[str]:
    table = revision_acknowledgements.c
    query = sa.select(table.worker_id).where(table.revision_id == revision_id, moment.is_not(None))
    return set(connection.scalars(query))


def _select(connection: Connection, condition: sa.ColumnElement[bool]) -> list[Revision]:
    outcome = revision_outcomes.c
    query = (
        sa.select(revisions, outcome.outcome, outcome.detail, outcome.decided_at)
        .select_from(revisions.outerjoin(revision_outcomes, outcome.revision_id == revisions.c.id))
        .where(condition)
        .order_by(revisions.c.id)
    )
    return [
        Revision(
            id=row.id,
            endpoint=row.endpoint,
            number=row.number,
            spec=EndpointSpec.from_dict(row.spec) if row.spec else None,
            restores=row.restores,
            actor=row.actor,
            command=row.command,
            reason=row.reason,
            created_at=row.created_at,
            outcome=Outcome(row.outcome, row.detail, row.decided_at) if row.outcome else None,
        )
        for row in connection.execute(query)
    ]
