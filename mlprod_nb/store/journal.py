"""The journal: every registration, every import and every move of an alias, appended, never edited.

Moves of a route are explained by the revisions themselves. An alias that moved with a revision names it, and counts
only where that revision became active.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from mlprod_nb.store import tables

Kind = Literal["alias", "register", "import"]
#: What makes a version.
MAKING = ("register", "import")


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
        revision_id: The revision that it moved with, or ``None``.
    """

    at: datetime
    actor: str
    kind: Kind
    subject: str
    before: str
    after: str
    reason: str
    command: str
    revision_id: int | None = None


def append(connection: Connection, entry: JournalEntry) -> None:
    """Append one entry, in the caller's transaction."""
    connection.execute(sa.insert(tables.journal).values(**entry.__dict__))


def of_revisions(connection: Connection, revision_ids: list[int]) -> list[JournalEntry]:
    """Return the alias moves that came with these revisions and count, oldest first."""
    return _select(connection, tables.journal.c.revision_id.in_(revision_ids))[::-1]


def alone(connection: Connection, models: Collection[str]) -> list[JournalEntry]:
    """Return the moves of these models' aliases that came with no revision, oldest first."""
    mine = sa.or_(sa.false(), *(tables.journal.c.subject.startswith(f"{model}@", autoescape=True) for model in models))
    return _select(connection, mine & (tables.journal.c.kind == "alias") & tables.journal.c.revision_id.is_(None))[::-1]


def imports(connection: Connection, models: Collection[str]) -> list[JournalEntry]:
    """Return the imports of these models' versions, oldest first; ``before`` says where each is from."""
    mine = sa.or_(sa.false(), *(tables.journal.c.subject.startswith(f"{model}/", autoescape=True) for model in models))
    return _select(connection, mine & (tables.journal.c.kind == "import"))[::-1]


def arrived(connection: Connection, version: str) -> bool:
    """Return whether the import of a version was written down."""
    return bool(_select(connection, (tables.journal.c.subject == version) & (tables.journal.c.kind == "import")))


def made(connection: Connection, version: str) -> bool:
    """Return whether the registration or the import of a version was written down."""
    return bool(_select(connection, (tables.journal.c.subject == version) & tables.journal.c.kind.in_(MAKING)))


def maker(connection: Connection, version: str) -> str:
    """Return who registered or imported a version; empty where nobody did here."""
    found = _select(connection, (tables.journal.c.subject == version) & tables.journal.c.kind.in_(MAKING))
    return found[0].actor if found else ""


def newest_of(connection: Connection, subject: str) -> JournalEntry | None:
    """Return the newest move of one alias that counts, or ``None``."""
    return next(
        iter(_select(connection, (tables.journal.c.subject == subject) & (tables.journal.c.kind == "alias"))), None
    )


def registered(connection: Connection) -> set[str]:
    """Return the names of the models that were registered or imported here."""
    table = tables.journal.c
    subjects = connection.scalars(sa.select(table.subject).where(table.kind.in_(MAKING)).distinct())
    return {subject.partition("/")[0] for subject in subjects}


def names(connection: Connection) -> tuple[dict[str, list[str]], dict[str, list[str]]]:
    """Return by model the versions that were made here, newest first, and the aliases that were set here."""
    versions: dict[str, list[str]] = {}
    aliases: dict[str, dict[str, str]] = {}
    for entry in _select(connection, sa.true()):
        if entry.kind in MAKING:
            versions.setdefault(entry.subject.partition("/")[0], []).append(entry.subject)
        else:
            aliases.setdefault(entry.subject.partition("@")[0], {}).setdefault(entry.subject, entry.after)
    standing = {model: sorted(name for name, after in of.items() if after) for model, of in aliases.items()}
    return versions, standing


def _select(connection: Connection, condition: sa.ColumnElement[bool]) -> list[JournalEntry]:
    table, outcomes = tables.journal, tables.revision_outcomes
    counts = table.c.revision_id.is_(None) | (outcomes.c.outcome == "active")
    query = (
        sa.select(table)
        .select_from(table.outerjoin(outcomes, outcomes.c.revision_id == table.c.revision_id))
        .where(condition & counts)
        .order_by(table.c.id.desc())
    )
    names = JournalEntry.__dataclass_fields__
    return [JournalEntry(**{name: getattr(row, name) for name in names}) for row in connection.execute(query)]
