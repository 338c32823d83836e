"""The journal: every move of an alias or a route, appended, never edited."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from mlprod_nb.store import tables

Kind = Literal["alias", "route", "deploy", "undeploy", "rollback", "register", "abtest"]


@dataclass(frozen=True)
class JournalEntry:
    """One move.

    Attributes:
        at: When.
        actor: Who.
        kind: What was moved.
        subject: The alias (``flights@champion``) or the endpoint.
        before: What it was, in words users type; empty where it was not there.
        after: What it became.
        reason: Why, as the user said.
        command: The line that did it.
    """

    at: datetime
    actor: str
    kind: Kind
    subject: str
    before: str
    after: str
    reason: str
    command: str


def append(connection: Connection, entry: JournalEntry) -> None:
    """Append one entry, in the caller's transaction."""
    connection.execute(sa.insert(tables.journal).values(**entry.__dict__))


def entries(connection: Connection, *, subject: str = "", limit: int = 100) -> list[JournalEntry]:
    """Return the newest entries first, of one subject or of all."""
    table = tables.journal
    query = sa.select(table).order_by(table.c.id.desc()).limit(limit)
    if subject:
        query = query.where(table.c.subject == subject)
    return [
        JournalEntry(**{name: getattr(row, name) for name in JournalEntry.__dataclass_fields__})
        for row in connection.execute(query)
    ]
