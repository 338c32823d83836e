"""Running what is due: each run is a process group of its own, with a time-out, a log and an exit code."""

from __future__ import annotations

import contextlib
import logging
import os
import shlex
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from mlprod_nb import processes
from mlprod_nb.clock import Clock, utc_now
from mlprod_nb.errors import MlprodError
from mlprod_nb.scheduler import claims, failures, holders
from mlprod_nb.scheduler.claims import DueSlot
from mlprod_nb.scheduler.holders import Leases
from mlprod_nb.settings import JOB, job_mark
from mlprod_nb.store import Store, notices

#: The shell door. ``-P`` keeps the workspace's own files from standing in for Python's modules.
COMMAND: tuple[str, ...] = (sys.executable, "-P", "-m", "mlprod_nb.cli")
MOST_AT_ONCE = 4
SEND: tuple[str, ...] = ("alerts", "send")
#: Waits for a line before it becomes the program. The scheduler writes it when it has recorded the process; where it
#: has died before, the line never comes, and nothing runs that nobody could find.
_GATE = ("/bin/sh", "-c", 'read -r line && exec "$@" </dev/null', "sh")
_SEND_SECONDS = 300.0
_STEP_SECONDS = 0.05
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

    def send(self, stop: threading.Event) -> None:
        """Send what is to be told of failed jobs, by a process of its own; what does not arrive waits for the next."""
        process = subprocess.Popen(  # noqa: S603 (our own command line, as a list)
            [*self.prefix, *SEND],
            cwd=self.root,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        deadline = time.monotonic() + _SEND_SECONDS
        try:
            while process.poll() is None and time.monotonic() < deadline and not stop.wait(_STEP_SECONDS):
                pass
        finally:
            holders.end_group(process.pid, process.poll)
            process.wait()

    def execute(self, due: DueSlot, stop: threading.Event | None = None) -> int:
        """Execute a claimed run to its end, record the exit code and return it.

        A run that is ended early is ended with all processes of its group. Its exit code is then

        - 124: it took longer than its time-out;
        - 143: ``stop`` was set;
        - -1: another scheduler gave it up, or the state database was away for long;
        - -2: its job's next slot came.
        """
        exit_code = failures.LOST
        try:
            exit_code = _run(self, due, stop or threading.Event())
        finally:
            reason = failures.told(self.root / due.log_path) if failures.failed(exit_code) else ""
            with self.store.write() as connection:
                claims.finish(connection, due.id, exit_code, now=self.clock(), reason=reason)
        return exit_code


def loop(runner: Runner, *, stop: threading.Event, poll_seconds: float = 1.0) -> None:
    """Claim and execute what is due until ``stop`` is set; runs under way are ended then."""
    threads: list[threading.Thread] = []
    leases, executing, sent = Leases(), set[int](), 0
    leases.executing = executing
    while not stop.is_set():
        threads = [thread for thread in threads if thread.is_alive()]
        try:
            claims.end_orphans(runner.store, leases)
            with runner.store.write() as connection:
                free = MOST_AT_ONCE - len(threads)
                claimed = claims.claim_due(connection, runner.clock(), limit=free, leases=leases)
                told = max(notices.untried(connection), default=0)
        except (MlprodError, sa.exc.SQLAlchemyError) as error:
            # A state database that is away for a while comes back; missed slots are caught up.
            _log.warning("the state database did not answer: %s", error)
            claimed, told = [], 0
        if told > sent:
            # One that cannot be sent is not tried again and again.
            sent = told
            threads.append(_started(runner.send, stop))
        for due in claimed:
            _log.info("job %s: %s", due.job, due.command)
            executing.add(due.id)
            threads.append(_started(_guarded, runner, due, stop, executing))
        stop.wait(poll_seconds)
    for thread in threads:
        thread.join()


def _started(target: Callable[..., None], *arguments: Any) -> threading.Thread:
    thread = threading.Thread(target=target, args=arguments)
    thread.start()
    return thread


def _guarded(runner: Runner, due: DueSlot, stop: threading.Event, executing: set[int]) -> None:
    try:
        exit_code = runner.execute(due, stop)
        _log.info("job %s: exit code %s", due.job, exit_code)
    except (OSError, MlprodError, sa.exc.SQLAlchemyError):
        _log.exception("job %s could not be run", due.job)
    finally:
        executing.discard(due.id)


def _run(runner: Runner, due: DueSlot, stop: threading.Event) -> int:
    """Be a run from its beginning to its end; return its exit code."""
    log_path = runner.root / due.log_path
    log_path.parent.mkdir(parents=True, exist_ok=True)
    deadline = time.monotonic() + due.timeout_seconds
    with log_path.open("ab") as log:
        process = subprocess.Popen(  # noqa: S603 (a command line that our own grammar has parsed, as a list)
            [*_GATE, *runner.prefix, *shlex.split(due.command)],
            cwd=runner.root,
            env={**os.environ, JOB: job_mark(due.id, runner.root)},
            stdin=subprocess.PIPE,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
        try:
            with runner.store.write() as connection:
                claims.started(connection, due.id, processes.identity(process.pid))
            _open_gate(process)
            held = _Held(runner, due.id)
            while process.poll() is None:
                if stop.wait(_STEP_SECONDS):
                    return failures.STOPPED
                if time.monotonic() > deadline:
                    return failures.TIMED_OUT
                ended_by = held.beat()
                if ended_by is not None:
                    return ended_by
            return process.returncode
        finally:
            # What the run has left behind goes too.
            holders.end_group(process.pid, process.poll)
            process.wait()
            _close(process)


def _open_gate(process: subprocess.Popen[bytes]) -> None:
    """Let a process that waits become the program, where it has not been ended meanwhile."""
    assert process.stdin is not None
    with contextlib.suppress(BrokenPipeError):
        process.stdin.write(b"\n")
        process.stdin.flush()
    _close(process)


def _close(process: subprocess.Popen[bytes]) -> None:
    assert process.stdin is not None
    with contextlib.suppress(BrokenPipeError):
        process.stdin.close()


class _Held:
    """A run that is held: now and then its beat is counted up."""

    def __init__(self, runner: Runner, run: int) -> None:
        self._runner = runner
        self._run = run
        self._next = self._heard = time.monotonic()

    def beat(self) -> int | None:
        """Count the beat up when it is time; return the exit code with which the run is to be ended, or ``None``."""
        now = time.monotonic()
        if now < self._next:
            return None
        self._next = now + holders.BEAT_SECONDS
        try:
            with self._runner.store.write() as connection:
                said = claims.beat(connection, self._run)
        except (MlprodError, sa.exc.SQLAlchemyError) as error:
            # Others may give the run up soon: it ends before they do.
            _log.warning("the state database did not answer: %s", error)
            return failures.LOST if now - self._heard > holders.LEASE_SECONDS / 2 else None
        self._heard = now
        return {"lost": failures.LOST, "replaced": failures.REPLACED}.get(said)
