"""Telling people that a job failed, and that it works again, as of any other alert.

A failure is a run that ended in nothing: exit code 2 or more, a time-out, a process that was lost. A verdict that is no
is none: what concluded it has told of it.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from mlprod_nb.store import alerts, notices
from mlprod_nb.store.tables import jobs

#: Exit codes of runs that did not end by themselves.
TIMED_OUT, STOPPED, LOST, REPLACED = 124, 143, -1, -2
_ENDINGS = {0: "ok", 1: "verdict: no", TIMED_OUT: "timed out", STOPPED: "stopped", LOST: "lost", REPLACED: "replaced"}
_USAGE = 2


def failed(exit_code: int) -> bool:
    """Return whether a run ended in nothing, by itself."""
    return exit_code not in (0, 1, STOPPED, REPLACED)


def is_tried_again(job: Any, run: Any) -> bool:
    """Return whether a finished run will be tried again; a command line that is wrong stays wrong."""
    return failed(run.exit_code) and run.exit_code != _USAGE and 0 < run.attempt <= job.retries


def ending(exit_code: int | None) -> str:
    """Return in words how a run ended."""
    if exit_code is None:
        return "running"
    return _ENDINGS.get(exit_code, f"failed, exit code {exit_code}")


def tell(connection: Connection, run: Any, *, now: datetime) -> None:
    """Raise an alert for a job that failed for good, or close that of one that works again.

    It is done in the transaction that records the run's end, so that neither is lost without the other.
    """
    job = connection.execute(sa.select(jobs).where(jobs.c.id == run.job_id)).one()
    subject, cause = f"job {job.id}", "job:failed"
    if not failed(run.exit_code):
        for alert in alerts.recover(connection, subject, [cause], now=now):
            notices.add(connection, alert, "recovered", now=now, detail=f"{job.command}: {ending(run.exit_code)}.")
        return
    if is_tried_again(job, run):
        return
    tries = f" at the last of {run.attempt} attempts" if run.attempt > 1 else ""
    sentence = f"{job.command}: {ending(run.exit_code)}{tries}; it wrote {run.log_path}."
    action = f"%mlprod schedule run {job.id}"
    said = alerts.NewAlert(subject, "job", "alarm", sentence, action, "", "")
    raised = alerts.add(connection, said, [cause], now=now)
    if raised is not None:
        notices.add(connection, raised, "raised", now=now)
