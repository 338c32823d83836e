"""The job that carries releases on: there as long as one is under way."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy.engine import Connection

from mlprod_nb import scheduler
from mlprod_nb.lifecycle.context import Context
from mlprod_nb.scheduler import JobSpec
from mlprod_nb.store import releases

COMMAND = "release advance"
_EVERY_MINUTE = "* * * * *"
_SECONDS = 600.0


def ensure(connection: Connection, *, now: datetime) -> None:
    """Schedule a look every minute, in the transaction that begins a release."""
    if not _jobs(connection, now):
        scheduler.add(connection, JobSpec(_EVERY_MINUTE, COMMAND, timeout_seconds=_SECONDS), now=now)


def clear(context: Context) -> None:
    """Take the job off the schedule where no release is under way."""
    with context.store.read() as connection:
        idle = not releases.under_way(connection) and bool(_jobs(connection, context.clock()))
    if idle:
        with context.store.write() as connection:
            if not releases.under_way(connection):
                for job in _jobs(connection, context.clock()):
                    scheduler.remove(connection, job, now=context.clock())


def _jobs(connection: Connection, now: datetime) -> list[int]:
    return [row.job for row in scheduler.list_jobs(connection, now=now).jobs if row.command == COMMAND]
