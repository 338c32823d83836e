"""Running what is due: each run is a process group of its own, with a time-out, a log and an exit code."""

from __future__ import annotations

import logging
import os
import shlex
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import sqlalchemy as sa

from mlprod_nb.clock import Clock, utc_now
from mlprod_nb.errors import MlprodError
from mlprod_nb.scheduler import jobs
from mlprod_nb.scheduler.jobs import DueSlot
from mlprod_nb.settings import JOB
from mlprod_nb.store import Store

#: The shell door. ``-P`` keeps the workspace's own files from standing in for Python's modules.
COMMAND: tuple[str, ...] = (sys.executable, "-P", "-m", "mlprod_nb.cli")
MOST_AT_ONCE = 4
_STEP_SECONDS = 0.05
_TERM_SECONDS = 5.0
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Runner:
    """Where and how runs are executed.

    Attributes:
        store: The state database.
        root: The workspace's directory, in which runs start.
        prefix: What comes before a job's command line.
        clock: Gives the present moment.
    """

    store: Store
    root: Path
    prefix: Sequence[str] = COMMAND
    clock: Clock = utc_now

    def execute(self, due: DueSlot, stop: threading.Event | None = None) -> int:
        """Execute a claimed run to its end, record the exit code and return it.

        A run that takes longer than its time-out is ended with all processes of its group and has exit code 124; one
        that is ended because ``stop`` was set has 143.
        """
        exit_code = jobs.LOST
        try:
            exit_code = _run([*self.prefix, *shlex.split(due.command)], self.root, due, stop or threading.Event())
        finally:
            with self.store.write() as connection:
                jobs.finish(connection, due.id, exit_code, now=self.clock())
        return exit_code


def loop(runner: Runner, *, stop: threading.Event, poll_seconds: float = 1.0) -> None:
    """Claim and execute what is due until ``stop`` is set; runs under way are ended then."""
    threads: list[threading.Thread] = []
    while not stop.is_set():
        threads = [thread for thread in threads if thread.is_alive()]
        try:
            with runner.store.write() as connection:
                claimed = jobs.claim_due(connection, runner.clock(), limit=MOST_AT_ONCE - len(threads))
        except (MlprodError, sa.exc.SQLAlchemyError) as error:
            # A state database that is away for a while comes back; missed slots are caught up.
            _log.warning("the state database did not answer: %s", error)
            claimed = []
        for due in claimed:
            _log.info("job %s: %s", due.job, due.command)
            thread = threading.Thread(target=_guarded, args=(runner, due, stop), name=f"job-{due.job}")
            thread.start()
            threads.append(thread)
        stop.wait(poll_seconds)
    for thread in threads:
        thread.join()


def _guarded(runner: Runner, due: DueSlot, stop: threading.Event) -> None:
    try:
        exit_code = runner.execute(due, stop)
        _log.info("job %s: exit code %s", due.job, exit_code)
    except (OSError, MlprodError, sa.exc.SQLAlchemyError):
        _log.exception("job %s could not be run", due.job)


def _run(command: list[str], root: Path, due: DueSlot, stop: threading.Event) -> int:
    log_path = root / due.log_path
    log_path.parent.mkdir(parents=True, exist_ok=True)
    deadline = time.monotonic() + due.timeout_seconds
    with log_path.open("ab") as log:
        process = subprocess.Popen(  # noqa: S603 (a command line that our own grammar has parsed, as a list)
            command,
            cwd=root,
            env={**os.environ, JOB: str(due.job)},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
        try:
            while process.poll() is None:
                if stop.wait(_STEP_SECONDS) or time.monotonic() > deadline:
                    break
            if process.returncode is not None:
                return process.returncode
            return jobs.STOPPED if stop.is_set() else jobs.TIMED_OUT
        finally:
            _end_group(process)


def _end_group(process: subprocess.Popen[bytes]) -> None:
    """End the run's whole process group, also what it left behind; nothing happens where all have gone."""
    for number, seconds in ((signal.SIGTERM, _TERM_SECONDS), (signal.SIGKILL, _TERM_SECONDS)):
        try:
            os.killpg(process.pid, number)
        except (ProcessLookupError, PermissionError):
            break
        until = time.monotonic() + seconds
        while time.monotonic() < until and _group_lives(process):
            time.sleep(_STEP_SECONDS)
    process.wait()


def _group_lives(process: subprocess.Popen[bytes]) -> bool:
    process.poll()
    try:
        os.killpg(process.pid, 0)
    except (ProcessLookupError, PermissionError):
        return False
    return True
