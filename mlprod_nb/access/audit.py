"""The audit trail: a chain in which every entry's digest covers the one before.

Guarantee: an entry that is edited, removed from the middle, inserted or moved is found by :func:`verify`. That entries
were cut off at the end shows only against a digest kept elsewhere: :func:`head` gives it, as :func:`verify`'s anchor.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from datetime import UTC, datetime

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from mlprod_nb.store import tables

GENESIS = "0" * 64


@dataclass(frozen=True)
class AuditEntry:
    """One entry.

    Attributes:
        at: When.
        actor: Who.
        action: What was done.
        subject: To what.
        detail: More about it.
        previous_digest: The digest of the entry before.
        digest: SHA-256 over all of the above.
    """

    at: datetime
    actor: str
    action: str
    subject: str
    detail: str
    previous_digest: str
    digest: str


@dataclass(frozen=True)
class AuditVerification:
    """Whether the trail is whole.

    Attributes:
        ok: Whether every digest follows from the one before.
        entries: How many entries were looked at, the first broken one included.
        problem: Which entry is the first that does not; empty where all do.
    """

    ok: bool
    entries: int
    problem: str


def record(
    connection: Connection, *, actor: str, action: str, subject: str, detail: str = "", now: datetime
) -> AuditEntry:
    """Append an entry, in the caller's transaction: what it records happens with it or not at all."""
    facts = (now.astimezone(UTC), actor, action, subject, detail, head(connection))
    entry = AuditEntry(*facts, digest=_digest(*facts))
    connection.execute(sa.insert(tables.audit).values(**entry.__dict__))
    return entry


def show(connection: Connection, limit: int | None = 20) -> list[AuditEntry]:
    """Return the newest entries, newest first; all where there is no limit."""
    return [_entry(row) for row in connection.execute(sa.select(tables.audit).order_by(_id().desc()).limit(limit))]


def head(connection: Connection) -> str:
    """Return the newest entry's digest."""
    query = sa.select(tables.audit.c.digest).order_by(_id().desc()).limit(1)
    return connection.scalar(query) or GENESIS


def verify(connection: Connection, *, anchor: str = "") -> AuditVerification:
    """Recompute every digest.

    Args:
        connection: The store.
        anchor: What :func:`head` gave at some time and was kept elsewhere: it must be in the chain. Empty: none.
    """
    previous, count, anchored = GENESIS, 0, anchor in ("", GENESIS)
    for row in connection.execute(sa.select(tables.audit).order_by(_id())):
        entry = _entry(row)
        count += 1
        problem = _problem(entry, previous)
        if problem:
            what = f"audit entry {count} ({entry.action} {entry.subject} by {entry.actor})"
            return AuditVerification(False, count, f"{what} {problem}")
        previous, anchored = entry.digest, anchored or entry.digest == anchor
    if not anchored:
        return AuditVerification(
            False, count, f"the audit trail lacks {anchor[:12]}…, its head at an earlier time: it was cut."
        )
    return AuditVerification(True, count, "")


def _problem(entry: AuditEntry, previous: str) -> str:
    facts = (entry.at, entry.actor, entry.action, entry.subject, entry.detail, entry.previous_digest)
    if entry.digest != _digest(*facts):
        return "was edited: its digest does not match."
    return "" if entry.previous_digest == previous else "does not follow the one before: one was removed or moved."


def _id() -> sa.Column[int]:
    return tables.audit.c.id


def _entry(row: sa.Row[tuple[object, ...]]) -> AuditEntry:
    return AuditEntry(**{name: getattr(row, name) for name in AuditEntry.__dataclass_fields__})


def _digest(at: datetime, actor: str, action: str, subject: str, detail: str, previous: str) -> str:
    facts = [at.strftime("%Y-%m-%dT%H:%M:%S.%fZ"), actor, action, subject, detail, previous]
    return hashlib.sha256(json.dumps(facts, ensure_ascii=False).encode("utf-8", "surrogatepass")).hexdigest()
