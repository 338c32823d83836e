"""The gateway as a process of its own on this machine, which survives the notebook's kernel."""

from __future__ import annotations

import fcntl
import threading
import uuid
from contextlib import AbstractContextManager
from pathlib import Path

import psutil

from mlprod_nb import locks, settings
from mlprod_nb.errors import Unavailable
from mlprod_nb.processes import wait_for
from mlprod_nb.settings import Layout
from mlprod_nb.store.gateways import GatewayRecord
from mlprod_nb.targets import asking
from mlprod_nb.targets.protocol import Condition
from mlprod_nb.targets.spawning import Spawned

START_SECONDS = 60.0
STOP_SECONDS = 45.0
_KILLED_SECONDS = 2.0


def start(root: Path, *, after_compaction: str = "") -> GatewayRecord:
    """Start the workspace's gateway and return when it answers; one that runs already is returned.

    Of several calls at once one starts the gateway and the others wait for it.

    Args:
        root: The workspace's directory.
        after_compaction: A module that is run with ``--root`` after each compaction of the prediction log; empty: none.

    Raises:
        Unavailable: The gateway ends before it answers, or does not answer in time; the message has its last words.
    """
    layout = Layout(root)
    with starting_and_stopping(layout):
        found = running(root)
        if found is not None:
            return found
        gateway_id = uuid.uuid4().hex
        spawned = Spawned(layout, gateway_id, after_compaction)
        # Whoever started the gateway takes note of its end, so that it does not stay in the process table.
        threading.Thread(target=spawned.process.wait, name="mlprod-gateway-wait", daemon=True).start()
        try:
            return _await_answer(layout, spawned, gateway_id)
        except BaseException:
            spawned.process.kill()
            raise


def running(root: Path) -> GatewayRecord | None:
    """Return the gateway that answers now, or ``None``.

    One that is there and silent is asked again, until a worker that died or hangs has been replaced. That of the
    workspace of which this one is a copy is not taken for its own: it holds no lock here.
    """
    layout = Layout(root)
    if not layout.settings_file.is_file() or _is_a_copy(layout):
        return None
    return asking.answering(layout, lambda record: record is not None and _held(layout))


def condition(root: Path) -> Condition:
    """Return how the running gateway is; of none, nothing."""
    return asking.condition(running(root), Layout(root))


def stop(root: Path) -> bool:
    """Stop the workspace's gateway after its last request; return whether one ran.

    Raises:
        Unavailable: It runs on another machine, or does not end.
    """
    with starting_and_stopping(Layout(root)):
        record = running(root)
        if record is None:
            return False
        try:
            process = psutil.Process(record.pid)
        except psutil.NoSuchProcess:
            raise Unavailable(f"the gateway at {record.url} runs on another machine; stop it there.") from None
        # Asked once more, now that the process is held by number and time of creation.
        if running(root) != record:
            return False
        if not _end(process):
            raise Unavailable(f"the gateway (process {record.pid}) does not end.")
        return True


def starting_and_stopping(layout: Layout) -> AbstractContextManager[None]:
    """Hold the lock of whoever starts or stops the workspace's gateway from this machine."""
    return locks.held(layout.run / "gateway.lock")


def _held(layout: Layout) -> bool:
    """Return whether a process of a gateway of this workspace lives on this machine."""
    try:
        with layout.gateway_lock.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except FileNotFoundError:
        return False
    return False


def _is_a_copy(layout: Layout) -> bool:
    """Return whether what the state database says of a gateway came with a copy of it: none holds the lock here.

    A database that has an address of its own may have its gateway elsewhere.
    """
    return layout.gateway_lock.exists() and not _held(layout) and not settings.load(layout.root).store.url


def _await_answer(layout: Layout, spawned: Spawned, gateway_id: str) -> GatewayRecord:
    found: list[GatewayRecord] = []

    def answered() -> bool:
        if spawned.process.poll() is not None:
            raise Unavailable(f"the gateway ended before it answered.{spawned.last_words()}")
        found.extend(filter(None, (asking.started(layout, gateway_id),)))
        return bool(found)

    if not wait_for(answered, START_SECONDS):
        raise Unavailable(f"the gateway did not answer within {START_SECONDS:.0f} s.{spawned.last_words()}")
    return found[0]


def _end(process: psutil.Process) -> bool:
    """Ask a process to end, then make it; return whether it is gone.

    The process is known by its number and its time of creation, so no other one is ever signalled in its place.
    """
    try:
        process.terminate()
        if not wait_for(lambda: not _alive(process), STOP_SECONDS):
            process.kill()
    except psutil.NoSuchProcess:
        return True
    except psutil.AccessDenied:
        raise Unavailable(f"the gateway (process {process.pid}) belongs to another user.") from None
    return wait_for(lambda: not _alive(process), _KILLED_SECONDS)


def _alive(process: psutil.Process) -> bool:
    try:
        return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False
