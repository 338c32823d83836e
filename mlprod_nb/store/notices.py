"""Notices: what people are to be told of an alert, kept until it arrived.

Guarantee: a notice is written in the transaction of what it tells, so neither is lost without the other; it is sent at
least once to each address, and twice only where the sender died between the sending and the record of it.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from mlprod_nb.store import tables

Event = Literal["raised", "recovered", "still open", "done", "failed", "left alone"]
#: A claim older than this is of a process that died.
STALE = timedelta(minutes=2)


@dataclass(frozen=True)
class Notice:
    """One notice that is not everywhere yet.

    Attributes:
        id: Its number.
        alert: The alert's number.
        event: What happened.
        detail: What happened, in words, where the alert does not say it.
        tries: How often it was sent.
        arrived: The addresses, by name, where it arrived.
        problem: What went wrong the last time.
    """

    id: int
    alert: int
    event: Event
    detail: str
    tries: int
    arrived: tuple[str, ...]
    problem: str


def add(connection: Connection, alert: int, event: Event, *, now: datetime, detail: str = "") -> None:
    """Keep a notice to be sent, in the caller's transaction."""
    values = {"alert_id": alert, "event": event, "detail": detail, "at": now, "state": "waiting", "tries": 0}
    connection.execute(sa.insert(tables.alert_notices).values(**values, arrived=[], problem=""))


def waiting(connection: Connection) -> list[Notice]:
    """Return what did not arrive everywhere yet, oldest first."""
    table = tables.alert_notices
    rows = connection.execute(sa.select(table).where(table.c.state == "waiting").order_by(table.c.id))
    return [
        Notice(row.id, row.alert_id, row.event, row.detail, row.tries, tuple(row.arrived), row.problem) for row in rows
    ]


def untried(connection: Connection) -> list[int]:
    """Return the numbers of those that nobody has tried to send."""
    table = tables.alert_notices.c
    return list(connection.scalars(sa.select(table.id).where(table.state == "waiting", table.tries == 0)))


def told_since(connection: Connection, alert: int, event: Event, since: datetime) -> bool:
    """Return whether there is a notice of an event since a moment."""
    table = tables.alert_notices.c
    mine = sa.and_(table.alert_id == alert, table.event == event, table.at >= since)
    return connection.scalar(sa.select(table.id).where(mine).limit(1)) is not None


def claim(connection: Connection, notice: int, *, now: datetime) -> bool:
    """Take a notice to send it; ``False`` where another process has it."""
    table = tables.alert_notices
    free = sa.or_(table.c.claimed_at.is_(None), table.c.claimed_at < now - STALE)
    mine = sa.and_(table.c.id == notice, table.c.state == "waiting", free)
    done = connection.execute(sa.update(table).where(mine).values(claimed_at=now, tries=table.c.tries + 1))
    return bool(done.rowcount)


def settle(connection: Connection, notice: int, arrived: Collection[str], problem: str) -> None:
    """Record where a notice arrived; without a problem it is done."""
    values = {"arrived": sorted(arrived), "problem": problem, "claimed_at": None}
    state = "waiting" if problem else "sent"
    table = tables.alert_notices
    connection.execute(sa.update(table).where(table.c.id == notice).values(**values, state=state))
