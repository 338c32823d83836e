"""Claiming runs, holding them and recording their ends: every attempt at a slot is one row.

Guarantee: of any number of schedulers on one state database, one claims a slot's attempt (the table allows each once,
and claiming is one transaction), and no job is held by two at the same time. Whoever lost a run to another is told so
by its next beat, and can write nothing of the state database any more (:mod:`mlprod_nb.store.fencing`).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from mlprod_nb.errors import Refused
from mlprod_nb.scheduler import cron, failures, holders, jobs
from mlprod_nb.scheduler.failures import LOST
from mlprod_nb.scheduler.holders import Leases
from mlprod_nb.store import Store
from mlprod_nb.store.tables import job_runs

#: The attempt of a run that somebody asked for by hand; it is not tried again.
BY_HAND = 0


@dataclass(frozen=True)
class DueSlot:
    """One run that this scheduler has claimed.

    Attributes:
        id: The run's number.
        job: The job's number.
        slot: The moment it was due.
        command: The command line.
        timeout_seconds: The longest it may take.
        log_path: Where its output goes, relative to the workspace's root.
        attempt: Which attempt at the slot it is; 0 where somebody asked for it by hand.
    """

    id: int
    job: int
    slot: datetime
    command: str
    timeout_seconds: float
    log_path: str
    attempt: int


def claim_due(
    connection: Connection, now: datetime, *, limit: int = 100, leases: Leases | None = None
) -> list[DueSlot]:
    """Claim the runs that are due: they are this caller's to execute.

    Of the slots that a job missed only the newest is due, if it is not older than the job's catch-up, and none before
    the job was added. A job that still runs is not due: what came meanwhile is run when it has ended, or never, or at
    once with the run under way ended, as the job's overlap rule says. A slot whose attempt failed is due again after
    the job's pause, twice as long each time, unless a newer slot has come.

    Args:
        connection: A transaction that writes.
        now: The present moment.
        limit: Most runs to claim.
        leases: What this scheduler has seen of other runs.
    """
    leases = leases or Leases()
    claimed: list[DueSlot] = []
    for job in jobs.live(connection):
        if len(claimed) >= limit:
            break
        under_way = running(connection, job, leases, now)
        last = last_run(connection, job.id, now)
        slot = _newest_due(job, last, now)
        if under_way is not None:
            if slot is not None and job.overlap == "replace":
                _ask_to_stop(connection, under_way.id)
            continue
        attempt = 1
        if slot is None and last is not None and failures.is_tried_again(job, last):
            pause = timedelta(seconds=job.retry_seconds * 2 ** (last.attempt - 1))
            if now >= last.finished_at + pause:
                slot, attempt = last.slot, last.attempt + 1
        due = None if slot is None else _claim(connection, job, slot, attempt, now, leases.holder)
        if due is not None:
            claimed.append(due)
    return claimed


def claim_now(connection: Connection, job: int, now: datetime, *, leases: Leases | None = None) -> DueSlot:
    """Claim a run of a job now, whatever its schedule.

    Raises:
        NotFound: There is no such job.
        Refused: It still runs.
    """
    leases = leases or Leases()
    found = jobs.find(connection, job)
    free = running(connection, found, leases, now) is None
    due = _claim(connection, found, now, BY_HAND, now, leases.holder) if free else None
    if due is None:
        raise Refused(f"job {job} still runs.", hint="See: mlprod schedule list")
    return due


def end_orphans(store: Store, leases: Leases) -> None:
    """End what abandoned runs have left running on this machine, each with its whole group.

    An end may take seconds, so no transaction is open meanwhile. Until then such a run counts as one that still runs.
    """
    with store.read() as connection:
        unfinished = connection.execute(sa.select(job_runs).where(job_runs.c.finished_at.is_(None))).all()
    for run in unfinished:
        if leases.abandoned(run) and holders.lives_here(run):
            holders.end_group(int(run.process.partition("/")[0]))


def beat(connection: Connection, run: int) -> str:
    """Count a run's beat up; return ``""``, or why it is to be ended: ``"lost"`` to another, or ``"replaced"``."""
    mine = (job_runs.c.id == run) & job_runs.c.finished_at.is_(None)
    row = connection.execute(sa.select(job_runs.c.stopping).where(mine)).first()
    if row is None:
        return "lost"
    connection.execute(sa.update(job_runs).where(mine).values(beat=job_runs.c.beat + 1))
    return "replaced" if row.stopping else ""


def started(connection: Connection, run: int, process: str) -> None:
    """Record which process a run is, so that it can be ended should its holder die."""
    connection.execute(sa.update(job_runs).where(job_runs.c.id == run).values(process=process))


def finish(connection: Connection, run: int, exit_code: int, *, now: datetime, reason: str = "") -> bool:
    """Record how a run ended, and tell of it; one that has an end keeps it, and ``False`` is returned.

    Args:
        connection: A transaction that writes.
        run: Its number.
        exit_code: How it ended.
        now: The present moment.
        reason: What failed, as the run told it.
    """
    unfinished = (job_runs.c.id == run) & job_runs.c.finished_at.is_(None)
    ending = sa.update(job_runs).where(unfinished).values(finished_at=now, exit_code=exit_code)
    if not connection.execute(ending).rowcount:
        return False
    ended = connection.execute(sa.select(job_runs).where(job_runs.c.id == run)).one()
    failures.tell(connection, ended, now=now, reason=reason)
    return True


def running(connection: Connection, job: Any, leases: Leases, now: datetime) -> Any | None:
    """Return the run of a job that is under way, or ``None``; those whose holder is lost are given up."""
    unfinished = sa.select(job_runs).where((job_runs.c.job_id == job.id) & job_runs.c.finished_at.is_(None))
    for run in connection.execute(unfinished).all():
        if not leases.lost(run):
            return run
        finish(connection, run.id, LOST, now=now)
    return None


def last_run(connection: Connection, job: int, now: datetime) -> Any | None:
    """Return the newest attempt at the newest slot that is not to come, by the clock of now."""
    mine = (job_runs.c.job_id == job) & (job_runs.c.slot <= now)
    query = sa.select(job_runs).where(mine).order_by(job_runs.c.slot.desc(), job_runs.c.attempt.desc()).limit(1)
    return connection.execute(query).first()


def _newest_due(job: Any, last: Any | None, now: datetime) -> datetime | None:
    """Return the newest slot that a job has missed and that its rules do not let go."""
    catch_up = max(timedelta(seconds=job.catch_up_seconds), jobs.PUNCTUAL)
    since = max(now - catch_up, job.created_at)
    if last is not None:
        since = max(since, last.slot)
        if job.overlap == "skip":
            since = max(since, last.finished_at or now)
    return cron.newest_slot(job.cron, job.timezone, since, now) if since < now else None


def _claim(
    connection: Connection, job: Any, slot: datetime, attempt: int, now: datetime, holder: str
) -> DueSlot | None:
    suffix = f"-{attempt}" if attempt > 1 else ""
    log_path = f".mlprod/run/jobs/{job.id}-{slot:%Y%m%dT%H%M%S%f}{suffix}.log"
    values = {"job_id": job.id, "slot": slot, "attempt": attempt, "started_at": now, "log_path": log_path}
    held = {"holder": holder, "process": "", "beat": 0, "stopping": False}
    try:
        with connection.begin_nested():
            inserted = connection.execute(sa.insert(job_runs).values(**values, **held)).inserted_primary_key
    except sa.exc.IntegrityError:
        return None
    assert inserted is not None
    return DueSlot(inserted[0], job.id, slot, job.command, job.timeout_seconds, log_path, attempt)


def _ask_to_stop(connection: Connection, run: int) -> None:
    connection.execute(sa.update(job_runs).where(job_runs.c.id == run).values(stopping=True))
