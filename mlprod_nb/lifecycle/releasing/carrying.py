"""The jobs that carry releases on and look for new versions: there as long as there is something to look at."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy.engine import Connection

from mlprod_nb import scheduler
from mlprod_nb.lifecycle.context import Context
from mlprod_nb.scheduler import JobSpec
from mlprod_nb.store import releases

ADVANCE, WATCH = "release advance", "release watch"
_EVERY_MINUTE = "* * * * *"
_SECONDS = 1800.0


def ensure(connection: Connection, command: str = ADVANCE, *, now: datetime) -> None:
    """Schedule a look every minute, in the caller's transaction; one that is scheduled stays."""
    if not _jobs(connection, command, now):
        scheduler.add(connection, JobSpec(_EVERY_MINUTE, command, timeout_seconds=_SECONDS), now=now)


def watch_where_asked(context: Context) -> None:
    """Schedule the look for new versions where a model's settings ask for it."""
    if any(table.on_register for table in context.settings.models.values()):
        with context.store.write() as connection:
            ensure(connection, WATCH, now=context.clock())


def clear(context: Context, command: str = ADVANCE) -> None:
    """Take a look off the schedule; that at releases only where none is under way."""
    with context.store.read() as connection:
        idle = _idle(connection, command) and bool(_jobs(connection, command, context.clock()))
    if idle:
        with context.store.write() as connection:
            for job in _jobs(connection, command, context.clock()) if _idle(connection, command) else ():
                scheduler.remove(connection, job, now=context.clock())


def who(context: Context) -> str:
    """Say who looks, and how to let somebody look where nobody does."""
    if scheduler.running(context.root) is not None:
        return "the scheduler looks every minute"
    return "no scheduler runs, so it waits for mlprod up, or mlprod release watch"


def _idle(connection: Connection, command: str) -> bool:
    return command != ADVANCE or not releases.under_way(connection)


def _jobs(connection: Connection, command: str, now: datetime) -> list[int]:
    return [row.job for row in scheduler.list_jobs(connection, now=now).jobs if row.command == command]
