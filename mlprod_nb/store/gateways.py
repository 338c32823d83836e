"""Which gateway processes run, where they answer."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from mlprod_nb.store import tables


@dataclass(frozen=True)
class GatewayRecord:
    """One gateway process as it announced itself.

    Attributes:
        id: Unique for each start.
        pid: Process id on its machine.
        url: Where it answers.
        started_at: When it began to answer.
    """

    id: str
    pid: int
    url: str
    started_at: datetime


def announce(connection: Connection, record: GatewayRecord) -> None:
    """Record that a gateway answers."""
    connection.execute(sa.insert(tables.gateways).values(**record.__dict__))


def retire(connection: Connection, gateway_id: str, *, now: datetime) -> None:
    """Record that a gateway stopped."""
    connection.execute(sa.update(tables.gateways).where(tables.gateways.c.id == gateway_id).values(stopped_at=now))


def latest(connection: Connection) -> GatewayRecord | None:
    """Return the newest gateway that did not say it stopped, or ``None``; it may have died without a word."""
    table = tables.gateways
    row = connection.execute(
        sa.select(table).where(table.c.stopped_at.is_(None)).order_by(table.c.started_at.desc()).limit(1)
    ).first()
    return None if row is None else GatewayRecord(row.id, row.pid, row.url, row.started_at)
