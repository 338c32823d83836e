"""Bearer tokens: 256 random bits, of which only the SHA-256 digest is stored.

A digest without salt or stretching is enough for a secret of 256 random bits: there is nothing to guess. A token is
found by its digest, so the time that a look-up takes says nothing about any stored secret.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from mlprod_nb.access.rights import ROLES
from mlprod_nb.errors import NotFound, UsageError
from mlprod_nb.store import tables

PREFIX = "mlp_"
_BYTES = 32
_FORM = re.compile(r"mlp_[A-Za-z0-9_-]{43}", re.ASCII)
_LONGEST_NAME = 200


@dataclass(frozen=True)
class Principal:
    """Who a token stands for.

    Attributes:
        name: The holder.
        role: viewer, caller, operator or admin.
    """

    name: str
    role: str


@dataclass(frozen=True)
class TokenRecord:
    """One token as the store knows it, without its secret.

    Attributes:
        name: The holder.
        role: viewer, caller, operator or admin.
        created_at: When it was issued.
        expires_at: From when on it is void, or ``None``.
        revoked_at: When it was revoked, or ``None``.
    """

    name: str
    role: str
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None

    def in_force(self, now: datetime) -> bool:
        """Return whether the token is neither revoked nor expired."""
        return self.revoked_at is None and (self.expires_at is None or now < self.expires_at)


def issue(connection: Connection, name: str, role: str, *, now: datetime, expires_at: datetime | None = None) -> str:
    """Make a token, in the caller's transaction.

    Returns:
        The secret, ``mlp_`` and 43 URL-safe characters. It cannot be had again: write it to a file with
        :func:`mlprod_nb.access.secrets.write_secret` and show it to nobody.

    Raises:
        NotFound: The role does not exist.
        UsageError: The name is empty or too long, or the token would be void from its start.
    """
    if role not in ROLES:
        raise NotFound("role", role, ROLES)
    if not name.strip() or len(name) > _LONGEST_NAME:
        raise UsageError(f"a token's name must have 1 to {_LONGEST_NAME} characters.")
    if expires_at is not None and expires_at <= now:
        raise UsageError(f"the token for {name!r} would expire before it begins.", hint="Give a later moment.")
    secret = PREFIX + secrets.token_urlsafe(_BYTES)
    connection.execute(
        sa.insert(tables.tokens).values(
            name=name, role=role, digest=_digest(secret), created_at=now, expires_at=expires_at
        )
    )
    return secret


def verify(connection: Connection, secret: str, *, now: datetime) -> Principal | None:
    """Return who a secret stands for; ``None`` where it is unknown, malformed, expired or revoked."""
    if _FORM.fullmatch(secret) is None:
        return None
    digest = _digest(secret)
    row = connection.execute(sa.select(tables.tokens).where(tables.tokens.c.digest == digest)).first()
    if row is None or not hmac.compare_digest(row.digest, digest):
        return None
    return Principal(row.name, row.role) if _record(row).in_force(now) else None


def revoke(connection: Connection, name: str, *, now: datetime) -> int:
    """Revoke all tokens of a holder, in the caller's transaction; return how many were not revoked before."""
    table = tables.tokens
    changed = sa.update(table).where((table.c.name == name) & table.c.revoked_at.is_(None)).values(revoked_at=now)
    return connection.execute(changed).rowcount


def list_tokens(connection: Connection) -> list[TokenRecord]:
    """Return every token that was ever issued, oldest first, without secrets."""
    return [_record(row) for row in connection.execute(sa.select(tables.tokens).order_by(tables.tokens.c.id))]


def _record(row: sa.Row[tuple[object, ...]]) -> TokenRecord:
    return TokenRecord(row.name, row.role, row.created_at, row.expires_at, row.revoked_at)


def _digest(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()
