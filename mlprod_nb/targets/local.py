"""The gateway as a process of its own on this machine, which survives the notebook's kernel."""

from __future__ import annotations

import fcntl
import subprocess
import sys
import threading
import uuid
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from mlprod_nb import locks, process_log, settings
from mlprod_nb.errors import Unavailable
from mlprod_nb.processes import wait_for
from mlprod_nb.settings import Layout
from mlprod_nb.store import Store, gateways
from mlprod_nb.store.gateways import GatewayRecord

_START_SECONDS = 60.0
_STOP_SECONDS = 45.0
_ANSWER_SECONDS = 2.0
_REPLACE_SECONDS = 8.0
_LOG_LINES = 8


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
    with _lock(layout):
        found = running(root)
        if found is not None:
            return found
        gateway_id = uuid.uuid4().hex
        began = _log_size(layout)
        process = _spawn(layout, gateway_id, after_compaction)
        try:
            return _await_answer(layout, process, gateway_id, began)
        except BaseException:
            process.kill()
            raise


def running(root: Path) -> GatewayRecord | None:
    """Return the gateway that answers now, or ``None``.

    The gateway is asked for its id over HTTP, so neither a reused process id nor another program on its port passes
    for it. One that is there and silent is asked again, until a worker that died or hangs has been replaced. That of
    the workspace of which this one is a copy is not taken for its own: it holds no lock here.
    """
    layout = Layout(root)
    if not layout.settings_file.is_file():
        return None
    if _is_a_copy(layout):
        return None
    found: list[GatewayRecord] = []

    def asked() -> bool:
        record = _announced(layout)
        live_id = _live_id(record.url, layout) if record is not None else ""
        if record is not None and live_id == record.id:
            found.append(record)
        return bool(record is None or live_id or not _held(layout))

    wait_for(asked, _REPLACE_SECONDS)
    return found[0] if found else None


@dataclass(frozen=True)
class Condition:
    """How the running gateway is.

    Attributes:
        problem: Why it is not ready; empty where it is.
        workers: How many worker processes run.
        restarts: How many were replaced since it started.
        log: Whether the prediction log can be written: ``ok``; ``on_reserve`` or ``failed``, and why.
        version: The version of mlprod_nb that it runs by; empty for one too old to say so; ``None``: it did not say.
    """

    problem: str = ""
    workers: int = 0
    restarts: int = 0
    log: str = "ok"
    version: str | None = None


def condition(root: Path) -> Condition:
    """Return how the running gateway is; of none, nothing."""
    record = running(root)
    answer = _get(f"{record.url}/health/ready", Layout(root)) if record is not None else None
    if answer is None:
        return Condition()
    workers = answer.get("workers", {})
    problem = "; ".join(str(reason) for reason in answer.get("reasons", ()))
    log = answer.get("log", {})
    words = ": ".join(str(part) for part in (log.get("state", "ok"), log.get("reason", "")) if part)
    numbers = int(workers.get("running", 1)), int(workers.get("restarts", 0))
    return Condition(problem, *numbers, words, str(answer.get("version", "")))


def stop(root: Path) -> bool:
    """Stop the workspace's gateway after its last request; return whether one ran.

    Raises:
        Unavailable: It runs on another machine, or does not end.
    """
    with _lock(Layout(root)):
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


def _lock(layout: Layout) -> AbstractContextManager[None]:
    """Hold the workspace's start-and-stop lock."""
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


def _spawn(layout: Layout, gateway_id: str, after_compaction: str) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "mlprod_nb.serving", "--root", str(layout.root), "--id", gateway_id]
    command += ["--after-compaction", after_compaction] if after_compaction else []
    with _log_file(layout).open("ab") as log:
        process = subprocess.Popen(  # noqa: S603 (our own module, arguments as a list)
            command, cwd=layout.root, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
        )
    # Whoever started the gateway takes note of its end, so that it does not stay in the process table.
    threading.Thread(target=process.wait, name="mlprod-gateway-wait", daemon=True).start()
    return process


def _await_answer(layout: Layout, process: subprocess.Popen[bytes], gateway_id: str, began: int) -> GatewayRecord:

    def answered() -> bool:
        if process.poll() is not None:
            raise Unavailable(f"the gateway ended before it answered.{_last_words(layout, began)}")
        record = _announced(layout)
        return record is not None and record.id == gateway_id and _has_started(record.url, layout)

    if not wait_for(answered, _START_SECONDS):
        raise Unavailable(f"the gateway did not answer within {_START_SECONDS:.0f} s.{_last_words(layout, began)}")
    record = _announced(layout)
    assert record is not None
    return record


def _announced(layout: Layout) -> GatewayRecord | None:
    url = settings.load(layout.root).store.url
    if not url and not layout.database.is_file():
        return None
    store = Store(url or Store.sqlite_url(layout.database))
    try:
        if store.schema_version() is None:
            return None
        with store.read() as connection:
            return gateways.latest(connection)
    finally:
        store.close()


def _live_id(url: str, layout: Layout) -> str:
    answer = _get(f"{url}/health/live", layout)
    return str(answer.get("id", "")) if answer else ""


def _has_started(url: str, layout: Layout) -> bool:
    """Return whether the gateway has loaded what it could; what it could not load it says in its status."""
    answer = _get(f"{url}/health/ready", layout)
    return answer is not None and answer.get("status") in {"ready", "degraded"}


def _get(url: str, layout: Layout) -> dict[str, Any] | None:
    import httpx

    from mlprod_nb.serving.client import trust

    try:
        with httpx.Client(
            verify=trust(url, str(layout.tls / "ca.pem")), timeout=_ANSWER_SECONDS, trust_env=False
        ) as client:
            data = client.get(url).json()
    except (httpx.HTTPError, ValueError):
        return None
    return data if isinstance(data, dict) else None


def _end(process: psutil.Process) -> bool:
    """Ask a process to end, then make it; return whether it is gone.

    The process is known by its number and its time of creation, so no other one is ever signalled in its place.
    """
    try:
        process.terminate()
        if not wait_for(lambda: not _alive(process), _STOP_SECONDS):
            process.kill()
    except psutil.NoSuchProcess:
        return True
    except psutil.AccessDenied:
        raise Unavailable(f"the gateway (process {process.pid}) belongs to another user.") from None
    return wait_for(lambda: not _alive(process), _ANSWER_SECONDS)


def _alive(process: psutil.Process) -> bool:
    try:
        return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def _log_file(layout: Layout) -> Path:
    return layout.run / "gateway.log"


def _log_size(layout: Layout) -> int:
    file = _log_file(layout)
    return file.stat().st_size if file.exists() else 0


def _last_words(layout: Layout, began: int) -> str:
    with _log_file(layout).open("rb") as file:
        file.seek(began)
        lines = file.read().decode(errors="replace").strip().splitlines()
    return " It said: " + " | ".join(map(process_log.read, lines[-_LOG_LINES:])) if lines else ""
