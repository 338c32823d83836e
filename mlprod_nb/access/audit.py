"""The audit trail: who did what to what, each entry chained to the one before by SHA-256.

An entry's digest covers its fields and the digest before it, as canonical JSON. Guarantee: :func:`verify` finds any
entry that was edited, removed from the middle or moved. What it cannot find alone is a trail cut off at its end or
written anew from some entry on; for that, keep what :func:`head` gives in another place and pass it as ``anchor``.
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
"""The digest before the first entry."""


@dataclass(frozen=True)
class AuditEntry:
    """One entry.

    Attributes:
        id: Its number in the store, growing.
        at: When.
        actor: Who.
        action: What was done.
        subject: To what.
        detail: More about it.
        previous_digest: The digest of the entry before, :data:`GENESIS` for the first.
        digest: SHA-256 in hex over all of the above but the number.
    """

    id: int
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
        ok: No entry is broken, and the anchor, where one was given, is in the chain.
        entries: How many entries are in order, counted from the first.
        first_broken: The number of the first entry that is not, or ``None``.
        problem: What is wrong, in one sentence; empty where nothing is.
    """

    ok: bool
    entries: int
    first_broken: int | None
    problem: str


def record(connection: Connection, *, actor: str, action: str, subject: str, detail: str, now: datetime) -> AuditEntry:
    """Append one entry, in the caller's transaction: it is kept exactly if what it tells of is kept."""
    previous = head(connection)
    digest = _digest(now, (actor, action, subject, detail), previous)
    values = {
        "at": now.astimezone(UTC),
        "actor": actor,
        "action": action,
        "subject": subject,
        "detail": detail,
        "previous_digest": previous,
        "digest": digest,
    }
    key = connection.execute(sa.insert(tables.audit).values(**values)).inserted_primary_key
    assert key is not None
    return AuditEntry(key[0], now.astimezone(UTC), actor, action, subject, detail, previous, digest)


def head(connection: Connection) -> str:
    """Return the last entry's digest, or :data:`GENESIS`: the anchor that proves later that nothing was cut off."""
    newest = sa.select(tables.audit.c.digest).order_by(tables.audit.c.id.desc()).limit(1)
    return connection.scalar(newest) or GENESIS


def show(connection: Connection, limit: int = 100) -> list[AuditEntry]:
    """Return the newest entries, newest first."""
    query = sa.select(tables.audit).order_by(tables.audit.c.id.desc()).limit(limit)
    return [_entry(row) for row in connection.execute(query)]


def verify(connection: Connection, *, anchor: str = "") -> AuditVerification:
    """Follow the chain from its first entry.

    Args:
        connection: The store.
        anchor: What :func:`head` gave at some time and was kept elsewhere; empty: none.
    """
    previous, good, anchored = GENESIS, 0, anchor in ("", GENESIS)
    for row in connection.execute(sa.select(tables.audit).order_by(tables.audit.c.id)):
        entry = _entry(row)
        problem = _problem(entry, previous)
        if problem:
            return AuditVerification(False, good, entry.id, problem)
        previous, good, anchored = entry.digest, good + 1, anchored or entry.digest == anchor
    if not anchored:
        problem = (
            f"the audit trail ends at {previous[:12]}… and does not hold the anchor {anchor[:12]}…: it was cut off."
        )
        return AuditVerification(False, good, None, problem)
    return AuditVerification(True, good, None, "")


def _problem(entry: AuditEntry, previous: str) -> str:
    what = f"audit entry {entry.id} ({entry.action} {entry.subject} by {entry.actor})"
    if entry.digest != _digest(
        entry.at, (entry.actor, entry.action, entry.subject, entry.detail), entry.previous_digest
    ):
        return f"{what} was edited: its digest does not match."
    if entry.previous_digest != previous:
        return f"{what} does not follow the entry before it: one was removed, inserted or moved."
    return ""


def _digest(at: datetime, words: tuple[str, str, str, str], previous: str) -> str:
    actor, action, subject, detail = words
    fields = {
        "at": at.astimezone(UTC).isoformat(timespec="microseconds"),
        "actor": actor,
        "action": action,
        "subject": subject,
        "detail": detail,
        "previous_digest": previous,
    }
    text = json.dumps(fields, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(text.encode("ascii")).hexdigest()


def _entry(row: sa.Row[tuple[object, ...]]) -> AuditEntry:
    return AuditEntry(**{name: getattr(row, name) for name in AuditEntry.__dataclass_fields__})
