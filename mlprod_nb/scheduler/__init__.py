"""Jobs: command lines that run on a schedule, in time zones, each slot once.

A job is a cron expression and a command line, the same words as in a shell or a cell. The scheduler is a process of its
own that claims what is due and runs each as its own process group, with a time-out, a log and an exit code.

Guarantee: one attempt at a job's slot runs at most once, however many schedulers look at one state database; a slot has
more than one attempt only where the job asks for retries. None begins before the one before has ended; of one on a
machine that is cut off nobody can know, so it is given up, and can then change nothing of the state database.
"""

from mlprod_nb.scheduler.claims import DueSlot, claim_due, claim_now, end_orphans, finish
from mlprod_nb.scheduler.holders import Leases
from mlprod_nb.scheduler.jobs import OVERLAPS, JobList, JobRow, JobRun, JobSpec, add, list_jobs, remove, runs_of, specs
from mlprod_nb.scheduler.process import running, start, stop
from mlprod_nb.scheduler.runs import Runner, loop

__all__ = [
    "OVERLAPS",
    "DueSlot",
    "JobList",
    "JobRow",
    "JobRun",
    "JobSpec",
    "Leases",
    "Runner",
    "add",
    "claim_due",
    "claim_now",
    "end_orphans",
    "finish",
    "list_jobs",
    "loop",
    "remove",
    "running",
    "runs_of",
    "specs",
    "start",
    "stop",
]
