"""Which gateways run and where they answer, and the worker processes of each."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import asdict, dataclass
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from mlprod_nb.store import tables


@dataclass(frozen=True)
class GatewayRecord:
    """One gateway as it announced itself.

    Attributes:
        id: Unique for each start; the same in all its workers.
        pid: The supervisor's process id on its machine.
        url: Where it answers.
        started_at: When it began to answer.
    """

    id: str
    pid: int
    url: str
    started_at: datetime


@dataclass(frozen=True)
class WorkerRecord:
    """One worker process of a gateway.

    Attributes:
        id: Unique for each start of a worker.
        gateway_id: The gateway it belongs to.
        slot: Its place in the gateway, from 0; a successor takes its predecessor's.
        pid: Its process id on the gateway's machine.
        started_at: When it joined.
    """

    id: str
    gateway_id: str
    slot: int
    pid: int
    started_at: datetime


def announce(connection: Connection, record: GatewayRecord) -> None:
    """Record that a gateway answers; by the first of its workers that does."""
    known = sa.select(tables.gateways.c.id).where(tables.gateways.c.id == record.id)
    if connection.scalar(known) is None:
        connection.execute(sa.insert(tables.gateways).values(**asdict(record)))
    else:
        connection.execute(sa.update(tables.gateways).where(tables.gateways.c.id == record.id).values(stopped_at=None))


def retire(connection: Connection, gateway_id: str, *, now: datetime) -> None:
    """Record that a gateway stopped."""
    connection.execute(sa.update(tables.gateways).where(tables.gateways.c.id == gateway_id).values(stopped_at=now))


def join(connection: Connection, worker: WorkerRecord) -> bool:
    """Record that a worker starts, and that whoever held its slot before has ended; tell whether it is the first.

    From this transaction on no revision is decided without it.
    """
    table = tables.gateway_workers.c
    known = connection.scalar(sa.select(table.id).where(table.gateway_id == worker.gateway_id).limit(1))
    _end(connection, worker.gateway_id, tables.gateway_workers.c.slot == worker.slot, now=worker.started_at)
    connection.execute(sa.insert(tables.gateway_workers).values(**asdict(worker)))
    return known is None


def leave(connection: Connection, worker: WorkerRecord, *, now: datetime) -> None:
    """Record that a worker ended; with the last one its gateway stops."""
    _end(connection, worker.gateway_id, tables.gateway_workers.c.id == worker.id, now=now)
    if not workers(connection, worker.gateway_id):
        retire(connection, worker.gateway_id, now=now)


def bury(connection: Connection, dead: Collection[str], *, now: datetime) -> None:
    """Record that workers have ended that could not say so themselves."""
    table = tables.gateway_workers
    lost = sa.and_(table.c.id.in_(list(dead)), table.c.ended_at.is_(None))
    connection.execute(sa.update(table).where(lost).values(ended_at=now))


def workers(connection: Connection, gateway_id: str) -> set[str]:
    """Return the ids of a gateway's workers that have not ended."""
    table = tables.gateway_workers.c
    return set(connection.scalars(sa.select(table.id).where(table.gateway_id == gateway_id, table.ended_at.is_(None))))


def latest(connection: Connection) -> GatewayRecord | None:
    """Return the newest gateway that did not say it stopped, or ``None``; it may have died without a word."""
    table = tables.gateways
    row = connection.execute(
        sa.select(table).where(table.c.stopped_at.is_(None)).order_by(table.c.started_at.desc()).limit(1)
    ).first()
    return None if row is None else GatewayRecord(row.id, row.pid, row.url, row.started_at)


def _end(connection: Connection, gateway_id: str, which: sa.ColumnElement[bool], *, now: datetime) -> None:
    table = tables.gateway_workers
    mine = sa.and_(table.c.gateway_id == gateway_id, table.c.ended_at.is_(None))
    connection.execute(sa.update(table).where(mine, which).values(ended_at=now))
