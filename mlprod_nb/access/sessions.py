"""Sessions of browsers that read reports: begun with a token, ended by the clock, by its holder or with the token.

The browser keeps the session's secret, 256 random bits of their own, in a cookie that no script can read, and never the
token. The secret opens reports and nothing else: no route takes it as a bearer token.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from datetime import datetime, timedelta

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from mlprod_nb.access import tokens
from mlprod_nb.access.rights import check_role
from mlprod_nb.access.tokens import Principal
from mlprod_nb.store import tables

LASTS = timedelta(hours=12)
_LONGEST = 100


def begin(connection: Connection, token: str, *, now: datetime) -> str | None:
    """Begin a session with a token; return its secret, or ``None`` where the token is not valid.

    Sessions that have ended are removed on the way.
    """
    if tokens.verify(connection, token, now=now) is None:
        return None
    table = tables.report_sessions
    connection.execute(sa.delete(table).where((table.c.expires_at <= now) | table.c.ended_at.is_not(None)))
    holder = connection.scalar(sa.select(tables.tokens.c.id).where(tables.tokens.c.digest == _digest(token)))
    secret = secrets.token_urlsafe(32)
    values = {"digest": _digest(secret), "token_id": holder, "created_at": now, "expires_at": now + LASTS}
    connection.execute(sa.insert(table).values(**values))
    return secret


def verify(connection: Connection, secret: str, *, now: datetime) -> Principal | None:
    """Return whose session it is, or ``None`` where there is none, it has ended, or its token has."""
    if not secret or len(secret) > _LONGEST:
        return None
    session, token = tables.report_sessions.c, tables.tokens.c
    query = (
        sa.select(token.name, token.role)
        .select_from(tables.report_sessions.join(tables.tokens, session.token_id == token.id))
        .where(session.digest == _digest(secret), session.expires_at > now, session.ended_at.is_(None))
        .where(token.revoked_at.is_(None), token.expires_at.is_(None) | (token.expires_at > now))
    )
    row = connection.execute(query).first()
    return Principal(row.name, check_role(row.role)) if row else None


def end(connection: Connection, secret: str, *, now: datetime) -> None:
    """End a session."""
    table = tables.report_sessions
    mine = (table.c.digest == _digest(secret)) & table.c.ended_at.is_(None)
    connection.execute(sa.update(table).where(mine).values(ended_at=now))


def form_key(secret: str, purpose: str) -> str:
    """Return what a form of this session carries, so that no page of another origin can make one (RFC 2104)."""
    return hmac.new(secret.encode(), purpose.encode(), hashlib.sha256).hexdigest()


def fits(key: str, secret: str, purpose: str) -> bool:
    """Return whether a form's key is this session's for a purpose; the time this takes tells nothing of it."""
    return hmac.compare_digest(key.encode("utf-8", "replace"), form_key(secret, purpose).encode())


def _digest(secret: str) -> str:
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()
