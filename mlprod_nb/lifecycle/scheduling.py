"""Jobs: a cron expression and a command line, run by the scheduler process."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from mlprod_nb.results import Result


@dataclass(frozen=True)
class JobAdded(Result):
    """A job is stored.

    Attributes:
        job: Its number.
        command: What it runs.
        cron: When.
        timezone: In which time zone.
        next_at: When it runs first, UTC.
    """

    job: int
    command: str
    cron: str
    timezone: str
    next_at: datetime

    def headline(self) -> str:
        """Say what will run."""
        return f"Job {self.job} is scheduled: {self.command}"


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
