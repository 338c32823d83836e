"""Jobs in the state database: a cron expression, a command line, and the rules by which it runs."""

from __future__ import annotations

import math
import shlex
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import islice, takewhile
from pathlib import Path
from typing import Any, ClassVar, Literal, get_args

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from mlprod_nb.clock import spell_duration
from mlprod_nb.errors import NotFound, UsageError
from mlprod_nb.results import Result
from mlprod_nb.scheduler import cron, failures
from mlprod_nb.store.tables import job_runs, jobs

Overlap = Literal["wait", "skip", "replace"]
OVERLAPS: tuple[str, ...] = get_args(Overlap)
MOST_RETRIES = 10
#: What a scheduler that looks every second may be late without having missed anything.
PUNCTUAL = timedelta(minutes=1)
_MOST_MISSED = 1_000


@dataclass(frozen=True)
class JobSpec:
    """What a job runs, and when.

    Attributes:
        cron: Five cron fields.
        command: The command line, without ``mlprod``.
        timezone: An IANA time zone.
        timeout_seconds: The longest that one run may take.
        retries: How often a run that failed is tried again.
        retry_seconds: The pause before the first retry; it doubles with each.
        overlap: What becomes of a slot that comes while the job still runs: ``wait``: it is run when that has ended;
            ``skip``: it is let go; ``replace``: the run under way is ended.
        catch_up_seconds: How late a slot that was missed may be run; only the newest is.
    """

    cron: str
    command: str
    timezone: str = "UTC"
    timeout_seconds: float = 3_600.0
    retries: int = 0
    retry_seconds: float = 300.0
    overlap: str = "wait"
    catch_up_seconds: float = 86_400.0


@dataclass(frozen=True)
class JobRow:
    """One job.

    Attributes:
        job: Its number.
        cron: When it runs.
        timezone: In which time zone.
        command: What it runs.
        rules: Its time-out, retries, overlap and catch-up, in words.
        next_at: When it runs next, UTC.
        last_at: When its last run was due, UTC.
        last: How its last run ended, or empty.
        log_path: Where the last run's output is.
        failure: What failed in it, as it told; empty where nothing did, or its output is not on this machine.
    """

    job: int
    cron: str
    timezone: str
    command: str
    rules: str
    next_at: datetime | None
    last_at: datetime | None
    last: str
    log_path: str
    failure: str = ""


@dataclass(frozen=True)
class JobList(Result):
    """The jobs with their last and next runs.

    Attributes:
        jobs: One row a job.
        scheduler: Whether the scheduler runs, and what to do where it does not; empty where nobody asked.
    """

    _frame_field: ClassVar[str] = "jobs"
    _hidden: ClassVar[tuple[str, ...]] = ("scheduler",)

    jobs: tuple[JobRow, ...]
    scheduler: str = ""

    def headline(self) -> str:
        """Say how many there are, and whether anybody runs them."""
        if not self.jobs:
            return "No job is scheduled."
        number = f"{len(self.jobs)} {'job is' if len(self.jobs) == 1 else 'jobs are'} scheduled"
        return f"{number}, and the scheduler is {self.scheduler}." if self.scheduler else f"{number}."


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
    rules = connection.execute(sa.select(jobs).where(jobs.c.id == job)).one()
    query = sa.select(job_runs).where(job_runs.c.job_id == job).order_by(job_runs.c.id.desc()).limit(limit)
    rows = connection.execute(query).all()
    return tuple(JobRun(r.slot, r.started_at, r.finished_at, _ending(connection, rules, r), r.log_path) for r in rows)


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
    _check_rules(spec)
    values = {**spec.__dict__, "command": _bare(spec.command), "created_at": now}
    inserted = connection.execute(sa.insert(jobs).values(**values)).inserted_primary_key
    assert inserted is not None
    return _row(connection, find(connection, inserted[0]), now)


def specs(connection: Connection) -> dict[int, JobSpec]:
    """Return what the jobs run, when and by which rules, by number."""
    names = JobSpec.__dataclass_fields__
    return {job.id: JobSpec(**{name: getattr(job, name) for name in names}) for job in live(connection)}


def remove(connection: Connection, job: int, *, now: datetime) -> None:
    """Take a job off the schedule; its past runs stay.

    Raises:
        NotFound: There is no such job.
    """
    find(connection, job)
    connection.execute(sa.update(jobs).where(jobs.c.id == job).values(removed_at=now))


def list_jobs(connection: Connection, *, now: datetime, root: Path | None = None) -> JobList:
    """Return the jobs with their last and next runs, oldest job first.

    Args:
        connection: A transaction.
        now: The present moment.
        root: The workspace's directory, where the output lies in which a run told what failed; else left out.
    """
    return JobList(tuple(_row(connection, job, now, root) for job in live(connection)))


def live(connection: Connection) -> list[Any]:
    """Return the jobs that were not removed, oldest first."""
    return list(connection.execute(sa.select(jobs).where(jobs.c.removed_at.is_(None)).order_by(jobs.c.id)))


def find(connection: Connection, job: int) -> Any:
    """Return a job.

    Raises:
        NotFound: There is none of that number.
    """
    known = {row.id: row for row in live(connection)}
    if job not in known:
        raise NotFound("job", str(job), [str(number) for number in known], hint="See: mlprod schedule list")
    return known[job]


def _row(connection: Connection, job: Any, now: datetime, root: Path | None = None) -> JobRow:
    newest = sa.select(job_runs).where(job_runs.c.job_id == job.id).order_by(job_runs.c.id.desc()).limit(1)
    last = connection.execute(newest).first()
    failed = last is not None and last.exit_code is not None and failures.failed(last.exit_code)
    return JobRow(
        job=job.id,
        cron=job.cron,
        timezone=job.timezone,
        command=job.command,
        rules=_rules(job),
        next_at=cron.next_slot(job.cron, job.timezone, now),
        last_at=last.slot if last else None,
        last=_ending(connection, job, last) if last else "",
        log_path=last.log_path if last else "",
        failure=failures.told(root / last.log_path) if root and last and failed else "",
    )


def _ending(connection: Connection, job: Any, run: Any) -> str:
    """Return how a run ended; in brackets which attempt it was, or how late it came and what was missed before it."""
    words = failures.ending(run.exit_code)
    if run.attempt > 1:
        return f"{words} (attempt {run.attempt} of {job.retries + 1})"
    late = run.started_at - run.slot
    if late <= PUNCTUAL:
        return words
    missed = _missed_before(connection, job, run)
    before = f", {missed}{'+' if missed == _MOST_MISSED else ''} missed before it" if missed else ""
    return f"{words} ({spell_duration(late.total_seconds() // 60 * 60)} late{before})"


def _missed_before(connection: Connection, job: Any, run: Any) -> int:
    """Return how many slots passed between the run before and this one; of a great many, how many at least."""
    slot = job_runs.c.slot
    earlier = sa.select(sa.func.max(slot)).where((job_runs.c.job_id == job.id) & (slot < run.slot))
    since = connection.scalar(earlier) or job.created_at
    passed = takewhile(lambda slot: slot < run.slot, cron.slots(job.cron, job.timezone, since))
    return sum(1 for _ in islice(passed, _MOST_MISSED))


def _rules(job: Any) -> str:
    """Say by which rules a job runs; what is as usual is not said."""
    usual = JobSpec("", "")
    rules = [f"at most {spell_duration(job.timeout_seconds)}"]
    if job.retries:
        pause = spell_duration(job.retry_seconds)
        rules.append(f"{job.retries} {'retry' if job.retries == 1 else 'retries'} after {pause}")
    if job.overlap != usual.overlap:
        rules.append({"skip": "skips what overlaps", "replace": "ends what overlaps"}[job.overlap])
    if job.catch_up_seconds != usual.catch_up_seconds:
        late = job.catch_up_seconds
        rules.append(f"caught up for {spell_duration(late)}" if late else "never caught up")
    return ", ".join(rules)


def _check_rules(spec: JobSpec) -> None:
    for name, seconds, least in (
        ("time-out", spec.timeout_seconds, "more than 0"),
        ("pause before a retry", spec.retry_seconds, "more than 0"),
        ("catch-up", spec.catch_up_seconds, "0 or more"),
    ):
        enough = seconds > 0 or (seconds == 0 and least == "0 or more")
        if not (enough and math.isfinite(seconds)):
            raise UsageError(f"the {name} is {seconds:g} s; it is {least}.")
    if not 0 <= spec.retries <= MOST_RETRIES:
        raise UsageError(f"{spec.retries} retries are not possible; 0 to {MOST_RETRIES} are.")
    if spec.overlap not in OVERLAPS:
        raise NotFound("overlap rule", spec.overlap, OVERLAPS)


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
