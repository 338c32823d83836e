"""Jobs: a cron expression and a command line, run by the scheduler process."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

from mlprod_nb import scheduler
from mlprod_nb.errors import Refused
from mlprod_nb.lifecycle.alerting import notifying
from mlprod_nb.lifecycle.context import Context
from mlprod_nb.results import Result, Verdict, duration
from mlprod_nb.scheduler import JobList, JobSpec, failures
from mlprod_nb.scheduler import export as outside
from mlprod_nb.scheduler.export import File, Numbered, Place

_LOG_LINES = 20


@dataclass(frozen=True)
class JobAdded(Result):
    """A job is stored.

    Attributes:
        job: Its number.
        command: What it runs.
        cron: When.
        timezone: In which time zone.
        rules: Its time-out, retries, overlap and catch-up, in words.
        next_at: When it runs first, UTC.
        scheduler: Whether the scheduler runs.
        remarks: Which of the names in its line the workspace does not have yet, in sentences.
    """

    job: int
    command: str
    cron: str
    timezone: str
    rules: str
    next_at: datetime | None
    scheduler: str
    remarks: tuple[str, ...] = ()

    def headline(self) -> str:
        """Say what will run."""
        return f"Job {self.job} is scheduled: {self.command}"


@dataclass(frozen=True)
class JobRan(Result):
    """A job was run.

    Attributes:
        verdict: Whether its command said yes.
        job: Its number.
        command: What it ran.
        exit_status: 0 done, 1 the verdict is no, 2 usage, 3 failed.
        output: The last lines that it wrote.
        log: The file with all of them.
    """

    verdict: Verdict
    job: int
    command: str
    exit_status: int
    output: str
    log: str


@dataclass(frozen=True)
class JobRemoved(Result):
    """A job will not run any more.

    Attributes:
        job: Its number.
    """

    job: int

    def headline(self) -> str:
        """Say so."""
        return f"Job {self.job} is removed; its past runs stay."


@dataclass(frozen=True)
class ScheduleExport(Result):
    """The jobs for an outside scheduler.

    Attributes:
        kind: cron, systemd, github, airflow or kubernetes.
        into: The directory that they were written into; empty where they are only shown.
        files: The files.
    """

    kind: str
    into: str
    files: tuple[File, ...]

    def headline(self) -> str:
        """Return the files' text, as it is; or say where they were written."""
        if self.into:
            return f"Written into {self.into}: {', '.join(file.name for file in self.files)}"
        if len(self.files) == 1:
            return self.files[0].text.rstrip()
        return "\n\n".join(f"# {file.name}\n{file.text.rstrip()}" for file in self.files)

    def sections(self) -> tuple[()]:
        """Show nothing besides."""
        return ()


def add(context: Context, spec: JobSpec) -> JobAdded:
    """Store a job; the grammar has parsed its command line before."""
    with context.store.write() as connection:
        job = scheduler.add(connection, spec, now=context.clock())
        context.audit(connection, "schedule add", f"job {job.job}", f"{spec.cron} {spec.timezone}: {job.command}")
    return JobAdded(job.job, job.command, job.cron, job.timezone, job.rules, job.next_at, whether_run(context))


def export(context: Context, kind: str, into: str) -> ScheduleExport:
    """Write the jobs for an outside scheduler, to be read or into a directory.

    Raises:
        Refused: A file of another content is there already; nothing is written then.
    """
    with context.store.read() as connection:
        known = scheduler.specs(connection)
    name = context.settings.name or context.root.name
    place = Place(context.root.resolve(), name=re.sub(r"[^A-Za-z0-9_-]+", "-", name).strip("-") or "mlprod")
    found = outside.export(kind, [Numbered(number, spec) for number, spec in known.items()], place)
    folder = Path(into)
    if into:
        other = [file.name for file in found if _differs(folder / file.name, file.text)]
        if other:
            raise Refused(f"{folder / other[0]} is there and differs.", hint="Move it away, or name another directory.")
        context.change()
        folder.mkdir(parents=True, exist_ok=True)
        for file in found:
            (folder / file.name).write_text(file.text, encoding="utf-8")
    return ScheduleExport(kind, str(folder) if into else "", found)


def _differs(path: Path, text: str) -> bool:
    return path.exists() and path.read_text(encoding="utf-8", errors="replace") != text


def list_jobs(context: Context) -> JobList:
    """List jobs, and say whether anybody runs them."""
    with context.store.read() as connection:
        listed = scheduler.list_jobs(connection, now=context.clock(), root=context.root)
    return replace(listed, scheduler=whether_run(context))


def whether_run(context: Context) -> str:
    """Say whether the scheduler runs, and what to do where it does not."""
    if scheduler.running(context.root):
        return "running"
    if not context.settings.scheduler.enabled:
        return "turned off in mlprod.toml: see mlprod schedule export"
    return "not running: mlprod up starts it"


def run(context: Context, job: int) -> JobRan:
    """Run a job now, in a process of its own, as the scheduler would."""
    scheduler.end_orphans(context.store, scheduler.Leases())
    with context.store.write() as connection:
        due = scheduler.claim_now(connection, job, context.clock())
        context.audit(connection, "schedule run", f"job {job}", due.command)
    runner = scheduler.Runner(context.store, context.root, clock=context.clock)
    status = runner.execute(due)
    notifying.deliver(context)
    log = Path(due.log_path)
    log = log if log.is_absolute() else context.root / log
    lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
    verdict = Verdict("ok" if status == 0 else "alarm", f"job {job}: {_ended(status, due.timeout_seconds)}")
    return JobRan(verdict, job, due.command, status, "\n".join(lines[-_LOG_LINES:]), str(log))


def _ended(status: int, timeout_seconds: float) -> str:
    if status == failures.TIMED_OUT:
        return f"it took longer than its time-out of {duration(timeout_seconds)}, and was ended."
    return {0: "done.", 1: "the verdict is no."}.get(status, f"it failed with exit code {status}.")


def remove(context: Context, job: int) -> JobRemoved:
    """Remove a job."""
    with context.store.write() as connection:
        scheduler.remove(connection, job, now=context.clock())
        context.audit(connection, "schedule remove", f"job {job}")
    return JobRemoved(job)
