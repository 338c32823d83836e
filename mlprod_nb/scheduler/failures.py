"""Telling people that a job failed, and that it works again, as of any other alert.

A failure is a run that ended in nothing: exit code 2 or more, a time-out, a process that was lost. A verdict that is no
is none: what concluded it has told of it.
"""

from __future__ import annotations

import os
from datetime import datetime
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from mlprod_nb.store import alerts, notices
from mlprod_nb.store.tables import jobs

#: Exit codes of runs that did not end by themselves.
TIMED_OUT, STOPPED, LOST, REPLACED = 124, 143, -1, -2
_ENDINGS = {0: "ok", 1: "verdict: no", TIMED_OUT: "timed out", STOPPED: "stopped", LOST: "lost", REPLACED: "replaced"}
_USAGE = 2
#: How the shell begins its one line for an error.
_TOLD = "mlprod: "
#: How much of a log's end is read for it, and how much of it is kept.
_END_BYTES, _LONGEST = 64 * 1024, 500


def failed(exit_code: int) -> bool:
    """Return whether a run ended in nothing, by itself."""
    return exit_code not in (0, 1, STOPPED, REPLACED)


def told(log_path: Path) -> str:
    """Return the last line in which a run told what failed; empty where it told nothing."""
    try:
        with log_path.open("rb") as log:
            log.seek(max(0, log.seek(0, os.SEEK_END) - _END_BYTES))
            written = log.read().decode("utf-8", "replace")
    except OSError:
        return ""
    lines = [line.removeprefix(_TOLD).strip() for line in written.splitlines() if line.startswith(_TOLD)]
    last = lines[-1] if lines else ""
    return last if len(last) <= _LONGEST else f"{last[: _LONGEST - 1]}…"


def is_tried_again(job: Any, run: Any) -> bool:
    """Return whether a finished run will be tried again; a command line that is wrong stays wrong."""
    return failed(run.exit_code) and run.exit_code != _USAGE and 0 < run.attempt <= job.retries


def ending(exit_code: int | None) -> str:
    """Return in words how a run ended."""
    if exit_code is None:
        return "running"
    return _ENDINGS.get(exit_code, f"failed, exit code {exit_code}")


def tell(connection: Connection, run: Any, *, now: datetime, reason: str = "") -> None:
    """Raise an alert for a job that failed for good, or close that of one that works again.

    It is done in the transaction that records the run's end, so that neither is lost without the other.

    Args:
        connection: A transaction that writes.
        run: The run that has ended.
        now: The present moment.
        reason: What failed, as the run told it.
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
    why = f": “{reason}”" if reason else ""
    sentence = f"{job.command}: {ending(run.exit_code)}{tries}{why}; it wrote {run.log_path}."
    action = f"%mlprod schedule run {job.id}"
    said = alerts.NewAlert(subject, "job", "alarm", sentence, action, "", "")
    raised = alerts.add(connection, said, [cause], now=now)
    if raised is not None:
        notices.add(connection, raised, "raised", now=now)
