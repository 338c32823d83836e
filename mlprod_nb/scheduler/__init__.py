"""Jobs: command lines that run on a schedule, in time zones, each slot once.

A job is a cron expression and a command line, the same words as in a shell or a cell. The scheduler is a process of its
own that claims what is due and runs each as its own process group, with a time-out, a log and an exit code.

Guarantee: one slot of a job runs at most once, however many schedulers look at one state database.
"""

from mlprod_nb.scheduler.jobs import (
    DueSlot,
    JobList,
    JobRow,
    JobRun,
    JobSpec,
    add,
    claim_due,
    claim_now,
    finish,
    list_jobs,
    remove,
    runs_of,
)
from mlprod_nb.scheduler.process import running, start, stop
from mlprod_nb.scheduler.runs import Runner, loop

__all__ = [
    "DueSlot",
    "JobList",
    "JobRow",
    "JobRun",
    "JobSpec",
    "Runner",
    "add",
    "claim_due",
    "claim_now",
    "finish",
    "list_jobs",
    "loop",
    "remove",
    "running",
    "runs_of",
    "start",
    "stop",
]
