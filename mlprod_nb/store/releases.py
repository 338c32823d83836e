"""Releases and what happened to them: appended, never edited; where a release stands is derived from its events.

Guarantee: an endpoint has one release that is not over at most, since only one transaction writes at a time and
:func:`begin` looks before it writes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal, get_args

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from mlprod_nb.errors import NotFound, Refused
from mlprod_nb.store import tables

Ending = Literal["promoted", "rolled back", "refused", "stopped"]
Kind = Literal[
    "begun", "stands", "failed", "waits", "paused", "resumed", "stop", "reverting", "promoted", "rolled back",
    "refused", "stopped",
]  # fmt: skip
ENDINGS: tuple[Ending, ...] = get_args(Ending)


@dataclass(frozen=True)
class NewRelease:
    """What a release is begun with.

    Attributes:
        endpoint: The endpoint's name.
        version: The candidate, as ``flights/4``.
        plan: Its steps and what each needs, as plain data; fixed when it begins.
        before: The number of the revision that served, and to which a rollback goes.
        actor: Who began it.
        command: The line that did.
        reason: Why.
    """

    endpoint: str
    version: str
    plan: dict[str, Any]
    before: int
    actor: str
    command: str
    reason: str


@dataclass(frozen=True)
class Event:
    """One thing that happened to a release.

    Attributes:
        at: When.
        actor: Who.
        kind: ``begun`` and ``stands``: before and after a step's action; ``failed``: the action's try; ``waits``: what
            a look found missing; ``paused``, ``resumed``, ``stop``: what people, or the release itself, asked for;
            ``reverting``: before the rollback; or how it ended.
        step: The step that it is about, from 0; -1 before the first.
        detail: In words; of an action the reason that its revision carries.
        revision: The revision that the step made, or the newest when an action began; 0 where there is none.
        facts: What later looks need.
    """

    at: datetime
    actor: str
    kind: Kind
    step: int
    detail: str
    revision: int = 0
    facts: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Release:
    """A release with its events.

    Attributes:
        id: Its number.
        given: What it was begun with.
        started_at: When.
        events: What happened, oldest first.
    """

    id: int
    given: NewRelease
    started_at: datetime
    events: tuple[Event, ...]

    @property
    def ending(self) -> Ending | None:
        """How it ended, or ``None`` while it is under way."""
        last = self.events[-1].kind if self.events else None
        return next((ending for ending in ENDINGS if ending == last), None)


def begin(connection: Connection, given: NewRelease, *, now: datetime) -> int:
    """Write down a release; return its number.

    Raises:
        Refused: One of that endpoint is under way.
    """
    other = of_endpoint(connection, given.endpoint)
    if other is not None and other.ending is None:
        hint = f"See: mlprod release show {given.endpoint}, or end it: mlprod release stop {given.endpoint}"
        raise Refused(f"release {other.id} of {other.given.version} to {given.endpoint!r} is under way.", hint=hint)
    inserted = connection.execute(
        sa.insert(tables.releases).values(**given.__dict__, started_at=now)
    ).inserted_primary_key
    assert inserted is not None
    return int(inserted[0])


def append(connection: Connection, release: int, event: Event) -> None:
    """Append an event; a release that is over takes none.

    Raises:
        Refused: It is over.
    """
    newest = sa.select(tables.release_events.c.kind).where(tables.release_events.c.release_id == release)
    last = connection.scalar(newest.order_by(tables.release_events.c.id.desc()).limit(1))
    if last in ENDINGS:
        raise Refused(f"release {release} is over: {last}.")
    values = {**event.__dict__, "facts": dict(event.facts)}
    connection.execute(sa.insert(tables.release_events).values(release_id=release, **values))


def find(connection: Connection, release: int) -> Release:
    """Return a release by its number.

    Raises:
        NotFound: There is none.
    """
    found = _select(connection, tables.releases.c.id == release)
    if not found:
        raise NotFound("release", str(release), hint="See: mlprod release show ENDPOINT")
    return found[0]


def of_endpoint(connection: Connection, endpoint: str) -> Release | None:
    """Return an endpoint's newest release, or ``None``."""
    newest = sa.select(sa.func.max(tables.releases.c.id)).where(tables.releases.c.endpoint == endpoint)
    return next(iter(_select(connection, tables.releases.c.id == newest.scalar_subquery())), None)


def under_way(connection: Connection) -> list[Release]:
    """Return the releases that are not over, oldest first."""
    ended = sa.select(tables.release_events.c.release_id).where(tables.release_events.c.kind.in_(ENDINGS))
    return _select(connection, tables.releases.c.id.not_in(ended))


def _select(connection: Connection, condition: sa.ColumnElement[bool]) -> list[Release]:
    table, events = tables.releases, tables.release_events
    rows = connection.execute(sa.select(table).where(condition).order_by(table.c.id)).all()
    mine = sa.select(events).where(events.c.release_id.in_([row.id for row in rows])).order_by(events.c.id)
    happened: dict[int, list[Event]] = {row.id: [] for row in rows}
    for row in connection.execute(mine):
        happened[row.release_id].append(Event(*(getattr(row, name) for name in Event.__dataclass_fields__)))
    names: Sequence[str] = list(NewRelease.__dataclass_fields__)
    return [
        Release(row.id, NewRelease(*(getattr(row, name) for name in names)), row.started_at, tuple(happened[row.id]))
        for row in rows
    ]
