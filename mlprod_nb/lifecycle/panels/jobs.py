"""The jobs panel: what runs when, how the last runs ended, and what they wrote."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import ClassVar

from mlprod_nb import scheduler
from mlprod_nb.lifecycle import scheduling
from mlprod_nb.lifecycle.context import Context
from mlprod_nb.results import Result, Section, duration
from mlprod_nb.scheduler.jobs import JobRow, JobRun

_RUNS = 8
_LOG_BYTES = 2_000


@dataclass(frozen=True)
class JobCard:
    """One job.

    Attributes:
        job: Its number.
        cron: When it runs.
        timezone: In which time zone.
        command: What it runs.
        next_at: When it runs next, UTC.
        runs: Its last runs, newest first.
        output: The end of what its last run wrote.
        failure: What failed in it, as it told.
    """

    job: int
    cron: str
    timezone: str
    command: str
    next_at: datetime | None
    runs: tuple[JobRun, ...]
    output: str
    failure: str = ""


@dataclass(frozen=True)
class JobsView(Result):
    """The jobs with their last runs.

    Attributes:
        running: Whether the scheduler runs.
        enabled: Whether ``up`` starts it.
        scheduler: Whether it runs, in words, and what to do where it does not.
        jobs: One row a job.
    """

    running: bool
    enabled: bool
    scheduler: str
    jobs: tuple[JobCard, ...]

    _frame_field: ClassVar[str] = "jobs"
    _hidden: ClassVar[tuple[str, ...]] = ("running", "enabled")

    def headline(self) -> str:
        """Say how many there are, and whether they run."""
        if not self.jobs:
            return "No job is scheduled."
        number = f"{len(self.jobs)} {'job is' if len(self.jobs) == 1 else 'jobs are'} scheduled"
        return f"{number}." if self.running else f"{number}, and the scheduler is {self.scheduler}."

    def sections(self) -> tuple[Section, ...]:
        """Return the jobs, their last runs, and what failed."""
        jobs = tuple((card.job, card.cron, card.timezone, card.command, card.next_at) for card in self.jobs)
        runs = tuple((card.job, *_told(run)) for card in self.jobs for run in card.runs)
        failed = tuple((card.job, card.failure) for card in self.jobs if card.failure)
        found = (
            Section("jobs", ("job", "cron", "timezone", "command", "next at"), jobs),
            Section("last runs", ("job", "due", "ending", "took", "log"), runs),
            Section("what failed", ("job", "as it told"), failed),
        )
        return (Section("", (), (("scheduler", self.scheduler),)), *(section for section in found if section.rows))


def look(context: Context) -> JobsView:
    """Return the jobs, oldest first."""
    with context.store.read() as connection:
        listed = scheduler.list_jobs(connection, now=context.clock(), root=context.root).jobs
        runs = {row.job: scheduler.runs_of(connection, row.job, limit=_RUNS) for row in listed}
    cards = tuple(_card(context.root, row, runs[row.job]) for row in listed)
    whether = (scheduler.running(context.root) is not None, context.settings.scheduler.enabled)
    return JobsView(*whether, scheduling.whether_run(context), cards)


def _card(root: Path, row: JobRow, runs: tuple[JobRun, ...]) -> JobCard:
    output = _end(root / row.log_path) if row.log_path else ""
    return JobCard(row.job, row.cron, row.timezone, row.command, row.next_at, runs, output, row.failure)


def _told(run: JobRun) -> tuple[datetime, str, str, str]:
    """Return when a run was due, how it ended, how long it took and where its output is."""
    took = duration((run.finished_at - run.started_at).total_seconds()) if run.finished_at else ""
    return run.slot, run.ending, took, run.log_path


def _end(log: Path) -> str:
    """Return the last lines of a file that may be gone, or may be large."""
    try:
        with log.open("rb") as file:
            size = file.seek(0, 2)
            file.seek(max(0, size - _LOG_BYTES))
            text = file.read().decode("utf-8", "replace")
    except OSError:
        return ""
    return text.partition("\n")[2] if size > _LOG_BYTES else text
