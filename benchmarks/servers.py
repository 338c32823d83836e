"""Starting, measuring and ending the servers that are compared."""

from __future__ import annotations

import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import psutil

from benchmarks.models import quiet_environment
from mlprod_nb.settings import Layout

_START_SECONDS = 120.0
_POLL_SECONDS = 0.01


@dataclass(frozen=True)
class Server:
    """How to start a server.

    Attributes:
        command: Its command line.
        port: The port of the loopback that it will listen on.
        path: What to POST to.
        authorization: The header that lets a request in; empty where it asks for none.
        bodies: What it is sent: ``"bodies"`` of ``dataframe_split``, ``"tensors"`` of the Open Inference Protocol v2.
        tree: The source tree to run it in; ``None``: this one.
    """

    command: Sequence[str]
    port: int
    path: str
    authorization: str = ""
    bodies: str = "bodies"
    tree: Path | None = None


@dataclass(frozen=True)
class Running:
    """A server that answers.

    Attributes:
        url: Where.
        path: What to POST to.
        authorization: The header that lets a request in; empty where the server asks for none.
        first_answer_seconds: From its start to its first good answer.
        process: Its process.
        bodies: What it is sent, as ``Server`` has it.
    """

    url: str
    path: str
    authorization: str
    first_answer_seconds: float
    process: psutil.Process
    bodies: str

    @property
    def memory_mb(self) -> float:
        """Resident memory of the process and all below it, MB (10^6 bytes); what they share counts for each."""
        return float(sum(process.memory_info().rss for process in self._tree())) / 1e6

    @property
    def processor_seconds(self) -> float:
        """What the process and all below it have taken so far."""
        times = [process.cpu_times() for process in self._tree()]
        return float(sum(each.user + each.system for each in times))

    def _tree(self) -> list[psutil.Process]:
        return [self.process, *self.process.children(recursive=True)]


@contextmanager
def ours(
    folder: Path,
    name: str,
    workers: int = 1,
    tree: Path | None = None,
    *,
    encrypt: bool = False,
    copy_to: Path | None = None,
) -> Iterator[Running]:
    """Run the gateway of a workspace, as ``mlprod up`` does.

    Args:
        folder: Holds the workspaces.
        name: The workspace's name, and its endpoint's.
        workers: How many.
        tree: The source tree to run, on a copy of the workspace; ``None``: this one, on the workspace itself.
        encrypt: Whether its log is encrypted, that of a copy of the workspace.
        copy_to: Where the copy of the workspace goes that runs; ``None``: none is made unless it must be.
    """
    root = folder / name
    if tree is not None or encrypt or copy_to is not None:
        root = (copy_to or folder / ("encrypted" if encrypt else "beside")) / name
        shutil.rmtree(root, ignore_errors=True)
        shutil.copytree(folder / name, root, ignore=shutil.ignore_patterns("*.sock"))
    layout = Layout(root)
    port, log = free_port(), "[log]\nencrypt = true\n" if encrypt else ""
    (root / "mlprod.toml").write_text(f"[gateway]\nport = {port}\nworkers = {workers}\n{log}", encoding="utf-8")
    token = (layout.secrets / "local.token").read_text(encoding="utf-8").strip()
    command = [sys.executable, "-m", "mlprod_nb.serving", "--root", str(root)]
    server = Server(command, port, f"/endpoints/{name}/invocations", f"Bearer {token}", tree=tree)
    with started(server, folder) as running:
        yield running


@contextmanager
def mlflow_serve(folder: Path, name: str) -> Iterator[Running]:
    """Run ``mlflow models serve`` with one worker."""
    port = free_port()
    model = str(folder / "mlflow" / name)
    command = [
        sys.executable,
        "-m",
        "mlflow",
        "models",
        "serve",
        "-m",
        model,
        "-p",
        str(port),
        "--env-manager",
        "local",
    ]
    with started(Server(command, port, "/invocations"), folder) as running:
        yield running


@contextmanager
def echo(folder: Path) -> Iterator[Running]:
    """Run the bare echo on the server that the gateway uses."""
    port = free_port()
    command = [sys.executable, "-m", "benchmarks.echo", str(port)]
    with started(Server(command, port, "/"), folder) as running:
        yield running


def free_port() -> int:
    """Return a port of the loopback that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


@contextmanager
def started(server: Server, folder: Path) -> Iterator[Running]:
    """Start a server, wait for its first good answer, and end it in the end.

    Args:
        server: Which.
        folder: Holds the bodies, and takes what the server prints.
    """
    tree, bodies = server.tree, server.bodies
    environment = quiet_environment() | ({"PYTHONPATH": str(tree.resolve())} if tree else {})
    url = f"http://127.0.0.1:{server.port}"
    body = (folder / f"{bodies}-1" / "1.json").read_bytes()
    began = time.monotonic()
    with (folder / "server.log").open("ab") as log:
        process = subprocess.Popen(
            server.command, cwd=tree, env=environment, stdout=log, stderr=log, start_new_session=True
        )
    try:
        _await_answer(process, f"{url}{server.path}", server.authorization, body, began + _START_SECONDS)
        seconds = time.monotonic() - began
        yield Running(url, server.path, server.authorization, seconds, psutil.Process(process.pid), bodies)
    finally:
        _end(process)


def _await_answer(process: subprocess.Popen[bytes], url: str, authorization: str, body: bytes, deadline: float) -> None:
    headers = {"Content-Type": "application/json", "Authorization": authorization}
    with httpx.Client(trust_env=False, timeout=10) as client:
        while True:
            if process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"{process.args!r} does not answer; see server.log")
            try:
                if client.post(url, content=body, headers=headers).status_code == 200:
                    return
            except httpx.HTTPError:
                pass
            time.sleep(_POLL_SECONDS)


def _end(process: subprocess.Popen[bytes]) -> None:
    tree = psutil.Process(process.pid).children(recursive=True) if process.poll() is None else []
    process.terminate()
    try:
        process.wait(45)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    for child in tree:
        if child.is_running():
            child.kill()
