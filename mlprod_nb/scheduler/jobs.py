"""Jobs in the state database: a cron expression and a command line; every run is one row per slot.

Guarantee: of any number of schedulers on one state database, one claims a slot (the table allows each job's slot once,
and claiming is one transaction), and no job runs twice at the same time.
"""

from __future__ import annotations

import math
import shlex
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, ClassVar

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from mlprod_nb.errors import NotFound, Refused, UsageError
from mlprod_nb.results import Result
from mlprod_nb.scheduler import cron
from mlprod_nb.store.tables import job_slots, jobs

#: How far back a missed slot is caught up, and only the newest one.
CATCH_UP = timedelta(hours=24)
#: A run without an end is given up this long after its time-out.
GRACE = timedelta(minutes=1)
#: Exit codes of runs that did not end by themselves.
TIMED_OUT, STOPPED, LOST = 124, 143, -1
_ENDINGS = {0: "ok", 1: "verdict: no", TIMED_OUT: "timed out", STOPPED: "stopped", LOST: "lost"}


@dataclass(frozen=True)
class JobSpec:
    """What a job runs, and when.

    Attributes:
        cron: Five cron fields.
        command: The command line, without ``mlprod``.
        timezone: An IANA time zone.
        timeout_seconds: The longest that one run may take.
    """

    cron: str
    command: str
    timezone: str = "UTC"
    timeout_seconds: float = 3_600.0


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
    """

    id: int
    job: int
    slot: datetime
    command: str
    timeout_seconds: float
    log_path: str


@dataclass(frozen=True)
class JobRow:
    """One job.

    Attributes:
        job: Its number.
        cron: When it runs.
        timezone: In which time zone.
        command: What it runs.
        timeout_seconds: The longest that one run may take.
        next_at: When it runs next, UTC.
        last_at: When its last run was due, UTC.
        last: How its last run ended, or empty.
        log_path: Where the last run's output is.
    """

    job: int
    cron: str
    timezone: str
    command: str
    timeout_seconds: float
    next_at: datetime | None
    last_at: datetime | None
    last: str
    log_path: str


@dataclass(frozen=True)
class JobList(Result):
    """The jobs with their last and next runs.

    Attributes:
        jobs: One row a job.
    """

    _frame_field: ClassVar[str] = "jobs"

    jobs: tuple[JobRow, ...]

    def headline(self) -> str:
        """Say how many there are."""
        if not self.jobs:
            return "No job is scheduled."
        return f"{len(self.jobs)} {'job is' if len(self.jobs) == 1 else 'jobs are'} scheduled."


@dataclass(frozen=True)
class JobRun:
    """One run of a job.

    Attributes:
        slot: When it was due, UTC.
        started_at: When it began.
        finished_at: When it ended; ``None`` while it runs.
        ending: How it ended, in words.
        log_path: Where its output is.
    """

    slot: datetime
    started_at: datetime
    finished_at: datetime | None
    ending: str
    log_path: str


def runs_of(connection: Connection, job: int, *, limit: int) -> tuple[JobRun, ...]:
    """Return a job's last runs, newest first."""
    query = sa.select(job_slots).where(job_slots.c.job_id == job).order_by(job_slots.c.slot.desc()).limit(limit)
    rows = connection.execute(query)
    return tuple(JobRun(r.slot, r.started_at, r.finished_at, _ending(r), r.log_path) for r in rows)


def add(connection: Connection, spec: JobSpec, *, now: datetime) -> JobRow:
    """Store a job; its first run is the first slot after ``now``. The grammar has read its command line before.

    Args:
        connection: A transaction.
        spec: The job; ``mlprod`` before the command is taken off.
        now: The present moment.

    Raises:
        UsageError: The expression, the time-out or the command is wrong.
        NotFound: There is no such time zone.
    """
    cron.check(spec.cron, spec.timezone)
    if not (spec.timeout_seconds > 0 and math.isfinite(spec.timeout_seconds)):
        raise UsageError(f"the time-out is {spec.timeout_seconds:g} s; it is more than 0.")
    command = _bare(spec.command)
    values = {
        "cron": spec.cron,
        "timezone": spec.timezone,
        "command": command,
        "timeout_seconds": spec.timeout_seconds,
        "created_at": now,
    }
    inserted = connection.execute(sa.insert(jobs).values(**values)).inserted_primary_key
    assert inserted is not None
    next_at = cron.next_slot(spec.cron, spec.timezone, now)
    return JobRow(inserted[0], spec.cron, spec.timezone, command, spec.timeout_seconds, next_at, None, "", "")


def remove(connection: Connection, job: int, *, now: datetime) -> None:
    """Take a job off the schedule; its past runs stay.

    Raises:
        NotFound: There is no such job.
    """
    _find(connection, job)
    connection.execute(sa.update(jobs).where(jobs.c.id == job).values(removed_at=now))


def list_jobs(connection: Connection, *, now: datetime) -> JobList:
    """Return the jobs with their last and next runs, oldest job first."""
    rows = []
    for job in _live(connection):
        last = _last_run(connection, job.id)
        rows.append(
            JobRow(
                job=job.id,
                cron=job.cron,
                timezone=job.timezone,
                command=job.command,
                timeout_seconds=job.timeout_seconds,
                next_at=cron.next_slot(job.cron, job.timezone, now),
                last_at=last.slot if last else None,
                last=_ending(last) if last else "",
                log_path=last.log_path if last else "",
            )
        )
    return JobList(tuple(rows))


def claim_due(connection: Connection, now: datetime, *, limit: int = 100) -> list[DueSlot]:
    """Claim the runs that are due: they are this caller's to execute.

    Of the slots that a job missed only the newest within 24 hours is due, and none before the job was added. A job
    that still runs is not due; its newest slot is caught up when it has ended.

    Args:
        connection: A transaction that writes.
        now: The present moment.
        limit: Most runs to claim.
    """
    claimed: list[DueSlot] = []
    for job in _live(connection):
        if len(claimed) >= limit:
            break
        if _still_runs(connection, job, now):
            continue
        last = _last_run(connection, job.id)
        since = max(now - CATCH_UP, job.created_at, *((last.slot,) if last is not None else ()))
        slot = cron.newest_slot(job.cron, job.timezone, since, now)
        due = None if slot is None else _claim(connection, job, slot, now)
        if due is not None:
            claimed.append(due)
    return claimed


def claim_now(connection: Connection, job: int, now: datetime) -> DueSlot:
    """Claim a run of a job now, whatever its schedule.

    Raises:
        NotFound: There is no such job.
        Refused: It still runs.
    """
    found = _find(connection, job)
    due = None if _still_runs(connection, found, now) else _claim(connection, found, now, now)
    if due is None:
        raise Refused(f"job {job} still runs.", hint="See: mlprod schedule list")
    return due


def finish(connection: Connection, run: int, exit_code: int, *, now: datetime) -> None:
    """Record how a run ended; one that has an end keeps it."""
    unfinished = (job_slots.c.id == run) & job_slots.c.finished_at.is_(None)
    connection.execute(sa.update(job_slots).where(unfinished).values(finished_at=now, exit_code=exit_code))


def _claim(connection: Connection, job: Any, slot: datetime, now: datetime) -> DueSlot | None:
    log_path = f".mlprod/run/jobs/{job.id}-{slot:%Y%m%dT%H%M%S%f}.log"
    values = {"job_id": job.id, "slot": slot, "started_at": now, "log_path": log_path}
    try:
        with connection.begin_nested():
            inserted = connection.execute(sa.insert(job_slots).values(**values)).inserted_primary_key
    except sa.exc.IntegrityError:
        return None
    assert inserted is not None
    return DueSlot(inserted[0], job.id, slot, job.command, job.timeout_seconds, log_path)


def _still_runs(connection: Connection, job: Any, now: datetime) -> bool:
    """Return whether a run of the job is under way; one that is long past its time-out is given up as lost."""
    unfinished = sa.select(job_slots).where((job_slots.c.job_id == job.id) & job_slots.c.finished_at.is_(None))
    for run in connection.execute(unfinished).all():
        if now < run.started_at + timedelta(seconds=job.timeout_seconds) + GRACE:
            return True
        finish(connection, run.id, LOST, now=now)
    return False


def _live(connection: Connection) -> list[Any]:
    return list(connection.execute(sa.select(jobs).where(jobs.c.removed_at.is_(None)).order_by(jobs.c.id)))


def _find(connection: Connection, job: int) -> Any:
    live = {row.id: row for row in _live(connection)}
    if job not in live:
        raise NotFound("job", str(job), [str(known) for known in live], hint="See: mlprod schedule list")
    return live[job]


def _last_run(connection: Connection, job: int) -> Any:
    query = sa.select(job_slots).where(job_slots.c.job_id == job).order_by(job_slots.c.slot.desc()).limit(1)
    return connection.execute(query).first()


def _ending(run: Any) -> str:
    if run.finished_at is None:
        return "running"
    return _ENDINGS.get(run.exit_code, f"failed, exit code {run.exit_code}")


def _bare(command: str) -> str:
    try:
        words = shlex.split(command)
    except ValueError as error:
        raise UsageError(f"the command line {command!r} cannot be read: {error}.") from None
    if words and words[0] in ("mlprod", "%mlprod"):
        words = words[1:]
    if not words:
        raise UsageError("the command line is empty.", hint='As in: mlprod schedule add "0 6 * * 1" "status"')
    return shlex.join(words)
