"""Bearer tokens: 256 random bits each, of which the database keeps a SHA-256 digest only.

A plain digest suffices: against 256 bits of randomness there is no guessing, which is what slow hashes are for.
"""

from __future__ import annotations

import hashlib
import re
import secrets
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from mlprod_nb.access.rights import Role, check_role
from mlprod_nb.clock import iso
from mlprod_nb.errors import UsageError
from mlprod_nb.store import tables

PREFIX = "mlp_"
_FORM = re.compile(r"mlp_[A-Za-z0-9_-]{43}", re.ASCII)
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@-]{0,99}")


@dataclass(frozen=True)
class Principal:
    """Who holds a valid token.

    Attributes:
        name: Whom the token was made for.
        role: What they may do.
    """

    name: str
    role: Role


@dataclass(frozen=True)
class TokenRecord:
    """One token as the database knows it: without its secret.

    Attributes:
        name: Whom it is for.
        role: What they may do.
        created_at: When it was made.
        expires_at: When it ends, or ``None``.
        revoked_at: When it was revoked, or ``None``.
    """

    name: str
    role: Role
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None


def issue(connection: Connection, name: str, role: str, *, now: datetime, expires_at: datetime | None = None) -> str:
    """Make a token and return its secret, which is nowhere else; write it where only its holder can read it.

    Raises:
        NotFound: There is no such role.
        UsageError: The name has other characters than letters, digits and ``. _ @ -``, or the token would have ended.
    """
    if not _NAME.fullmatch(name):
        raise UsageError(f"{name!r} cannot be a holder's name.", hint="Use letters, digits and . _ @ -")
    if expires_at is not None and expires_at <= now:
        raise UsageError("the token would have ended already.")
    secret = PREFIX + secrets.token_urlsafe(32)
    values = {
        "name": name,
        "role": check_role(role),
        "digest": _digest(secret),
        "created_at": now,
        "expires_at": expires_at,
    }
    connection.execute(sa.insert(tables.tokens).values(**values))
    return secret


def verify(connection: Connection, secret: str, *, now: datetime) -> Principal | None:
    """Return who holds a token, or ``None`` where it is unknown, has ended or was revoked.

    The digest is looked up, so the time this takes says nothing about how much of a guess was right.
    """
    if _FORM.fullmatch(secret) is None:
        return None
    table = tables.tokens
    row = connection.execute(sa.select(table).where(table.c.digest == _digest(secret))).first()
    if row is None or row.revoked_at is not None or (row.expires_at is not None and row.expires_at <= now):
        return None
    return Principal(row.name, check_role(row.role))


def known(connection: Connection, secret: str) -> bool:
    """Return whether a token was ever issued, also where it has ended or was revoked."""
    table = tables.tokens
    return connection.execute(sa.select(table.c.id).where(table.c.digest == _digest(secret))).first() is not None


def why_not(connection: Connection, secret: str, *, now: datetime) -> str:
    """Say what is wrong with a token that does not pass: to whom holds it, that it ended is no secret."""
    table = tables.tokens
    row = connection.execute(sa.select(table).where(table.c.digest == _digest(secret))).first()
    if row is not None and row.revoked_at is not None:
        return f"was revoked at {iso(row.revoked_at)}"
    if row is not None and row.expires_at is not None and row.expires_at <= now:
        return f"expired at {iso(row.expires_at)}"
    return "is not valid"


def revoke(connection: Connection, name: str, *, now: datetime) -> int:
    """Revoke all of a holder's tokens; return how many were in force."""
    table = tables.tokens
    mine = (table.c.name == name) & table.c.revoked_at.is_(None)
    return connection.execute(sa.update(table).where(mine).values(revoked_at=now)).rowcount


def list_tokens(connection: Connection) -> list[TokenRecord]:
    """Return all tokens, the oldest first."""
    rows = connection.execute(sa.select(tables.tokens).order_by(tables.tokens.c.id))
    return [TokenRecord(r.name, check_role(r.role), r.created_at, r.expires_at, r.revoked_at) for r in rows]


def _digest(secret: str) -> str:
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()
