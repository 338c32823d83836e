"""The scheduler as a process of its own on this machine, which survives the notebook's kernel.

It holds a lock on ``.mlprod/run/scheduler.lock`` as long as it lives and writes its process id there; so whether one
runs is what the system knows, not what a file says.
"""

from __future__ import annotations

import fcntl
import signal
import subprocess
import sys
import threading
from contextlib import AbstractContextManager
from pathlib import Path
from typing import IO

import psutil

from mlprod_nb import locks, settings
from mlprod_nb.errors import Unavailable
from mlprod_nb.processes import wait_for
from mlprod_nb.scheduler.runs import Runner, loop
from mlprod_nb.settings import Layout
from mlprod_nb.store import Store

_START_SECONDS, _STOP_SECONDS = 60.0, 30.0


def start(root: Path) -> int:
    """Start the workspace's scheduler and return its process id; one that runs already is left alone.

    Raises:
        Unavailable: It does not start.
    """
    with _start_lock(root):
        pid = running(root)
        if pid is not None:
            return pid
        log = Layout(root).run / "scheduler.log"
        with log.open("ab") as out:
            process = subprocess.Popen(  # noqa: S603 (our own module, arguments as a list)
                [sys.executable, "-P", "-m", "mlprod_nb.scheduler", "--root", str(root)],
                cwd=root,
                env=settings.outliving(),
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                start_new_session=True,
            )
        # Whoever started it takes note of its end, so that it does not stay in the process table.
        threading.Thread(target=process.wait, name="mlprod-scheduler-wait", daemon=True).start()
        if not wait_for(lambda: running(root) == process.pid or process.poll() is not None, _START_SECONDS):
            process.kill()
        if running(root) != process.pid:
            raise Unavailable("the scheduler did not start.", hint=f"See {log.relative_to(root)}.")
        return process.pid


def stop(root: Path) -> bool:
    """Stop the workspace's scheduler and the runs under way; return whether one ran.

    Raises:
        Unavailable: It does not end.
    """
    if not Layout(root).run.is_dir():
        return False
    with _start_lock(root):
        pid = running(root)
        if pid is None:
            return False
        try:
            process = psutil.Process(pid)
            # Asked once more, now that the process is held by number and time of creation.
            if running(root) == pid:
                process.send_signal(signal.SIGTERM)
        except psutil.NoSuchProcess:
            return True
        if not wait_for(lambda: running(root) is None, _STOP_SECONDS):
            raise Unavailable(f"the scheduler (process {pid}) does not end.")
        return True


def running(root: Path) -> int | None:
    """Return the process id of the workspace's scheduler on this machine, or ``None`` where none runs."""
    path = _lock_path(root)
    if not path.exists():
        return None
    with path.open() as file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            text = file.read().strip()
            return int(text) if text.isdigit() else None
        return None


def serve(root: Path, stop_event: threading.Event) -> int:
    """Be the workspace's scheduler until ``stop_event`` is set; return the exit code.

    A second scheduler of one workspace on one machine ends at once with exit code 0.
    """
    layout = Layout(root)
    layout.run.mkdir(parents=True, exist_ok=True)
    with _lock_path(root).open("a+") as file:
        # Somebody who asks whether we run holds the lock for a moment.
        if not wait_for(lambda: _try_lock(file), 2.0):
            return 0
        store = Store(settings.load(root).store.url or Store.sqlite_url(layout.database))
        try:
            store.migrate()
            file.seek(0)
            file.truncate()
            file.write(str(psutil.Process().pid))
            file.flush()
            loop(Runner(store, root), stop=stop_event)
        finally:
            file.seek(0)
            file.truncate()
            store.close()
    return 0


def _lock_path(root: Path) -> Path:
    return Layout(root).run / "scheduler.lock"


def _try_lock(file: IO[str]) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _start_lock(root: Path) -> AbstractContextManager[None]:
    return locks.held(Layout(root).run / "scheduler-start.lock")
