"""Endpoint revisions: appended, decided once, never edited.

A revision is *proposed* by a verb, then *decided* exactly once: ``active`` by the gateway that loaded it, ``rejected``
where it would not load, ``withdrawn`` where nobody answered in time. Guarantee: of two that decide one revision, one
wins and the other is told; so a revision that a verb reported as failed never receives a request.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from mlprod_nb.routing import EndpointSpec
from mlprod_nb.store.tables import revision_outcomes, revisions

OutcomeName = Literal["active", "rejected", "withdrawn"]


@dataclass(frozen=True)
class Outcome:
    """How a revision was decided.

    Attributes:
        outcome: ``"active"``, ``"rejected"`` or ``"withdrawn"``.
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


def active(connection: Connection) -> dict[str, Revision]:
    """Return each endpoint's newest active revision; endpoints that were taken away are left out."""
    newest: dict[str, Revision] = {}
    for revision in _select(connection, revision_outcomes.c.outcome == "active"):
        newest[revision.endpoint] = revision
    return {name: revision for name, revision in newest.items() if revision.spec is not None}


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
