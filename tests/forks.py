"""Python's command lines as forks of one process that has imported what verbs need, so that none pays for imports.

``python -m tests.forks FOLDER`` waits for the commands that :func:`waiting` writes. Each has its own arguments,
directory, environment, input and outputs; it ends with its caller, and its caller as it ends.
"""

from __future__ import annotations

import atexit
import gc
import importlib
import json
import os
import runpy
import select
import signal
import socket
import subprocess
import sys
import threading
import traceback
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

ROOT = Path(__file__).parents[1]
IMPORTS = (
    "matplotlib.figure",
    "mlflow.pyfunc",
    "mlflow.sklearn",
    "mlprod_nb.lifecycle.status",
    "mlprod_nb.lifecycle.watching.watch",
    "mlprod_nb.magics",
    "mlprod_nb.prediction_log.reader",
    "mlprod_nb.registry.conversion",
    "mlprod_nb.serving.client",
    "mlprod_nb.workspace",
    "onnxruntime",
    "scipy.stats",
    "skl2onnx",
    "sklearn.linear_model",
)
_SOCKET = "forks.socket"
_CALLER = """\
#!{python} -IS
import json, os, socket, sys
with socket.socket(socket.AF_UNIX) as forks:
    forks.connect({address!r})
    words = {words!r} + sys.argv[1:]
    asked = json.dumps([words, os.getcwd(), dict(os.environ)]).encode()
    socket.send_fds(forks, [len(asked).to_bytes(4, "big")], [0, 1, 2])
    forks.sendall(asked)
    code = int(forks.recv(16))
if code < 0:
    os.kill(os.getpid(), -code)
sys.exit(code)
"""


@dataclass(frozen=True)
class Forks:
    """The commands.

    Attributes:
        python: Takes ``-m MODULE`` or ``-c CODE``, and arguments.
        tools: A folder for the front of ``PATH``: with ``mlprod``.
    """

    python: Path
    tools: Path

    def killed(self, module: str, *words: object) -> None:
        """Run a module that kills its own process."""
        command = [str(self.python), "-m", module, *map(str, words)]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
        assert done.returncode == -signal.SIGKILL, done.stderr


@contextmanager
def waiting(folder: Path) -> Iterator[Forks]:
    """Yield the commands, for as long as there is a process to fork."""
    forks = Forks(folder / "python", folder / "tools")
    forks.tools.mkdir()
    for command, words in ((forks.python, []), (forks.tools / "mlprod", ["-m", "mlprod_nb.cli"])):
        text = _CALLER.format(python=sys.executable, address=str(folder / _SOCKET), words=words)
        command.write_text(text, encoding="utf-8")
        command.chmod(0o755)
    server = [sys.executable, "-m", "tests.forks", str(folder)]
    with subprocess.Popen(server, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=ROOT) as process:
        assert process.stdout is not None
        assert process.stdout.readline()
        try:
            yield forks
        finally:
            process.kill()


def main(folder: Path) -> None:
    """Fork for each command until the standard input ends."""
    for name in IMPORTS:
        importlib.import_module(name)
    gc.freeze()  # a collection in a fork then leaves the shared pages as they are
    with socket.create_server(str(folder / _SOCKET), family=socket.AF_UNIX) as listening:
        print("ready", flush=True)
        while listening in select.select([listening, sys.stdin], [], [])[0]:
            connection, _ = listening.accept()
            if os.fork() == 0:
                listening.close()
                try:
                    _answer(connection)
                finally:
                    os._exit(70)  # whatever went wrong, at once, as in _end
            connection.close()
            with suppress(ChildProcessError):
                while os.waitpid(-1, os.WNOHANG)[0]:
                    pass


def _answer(connection: socket.socket) -> NoReturn:
    """Run what a caller asks for in a fork of this fork, and tell how that ended."""
    head, descriptors, _, _ = socket.recv_fds(connection, 4, 3)
    words, folder, environment = json.loads(_read(connection, int.from_bytes(head, "big")))
    child = os.fork()
    if child:
        caller, ended = connection.fileno(), os.pidfd_open(child)
        if caller in select.select([caller, ended], [], [])[0]:
            os.kill(child, signal.SIGKILL)  # the caller has ended
        _, status = os.waitpid(child, 0)
        with suppress(BrokenPipeError):
            connection.sendall(b"%d" % os.waitstatus_to_exitcode(status))
        os._exit(0)
    connection.close()
    for number, descriptor in enumerate(descriptors):
        os.dup2(descriptor, number)
        os.close(descriptor)
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    sys.stdin, sys.stdout, sys.stderr = open(0), open(1, "w"), open(2, "w", buffering=1)  # noqa: SIM115
    _end(_run(*words))


def _read(connection: socket.socket, size: int) -> bytes:
    data = b""
    while len(data) < size:
        more = connection.recv(size - len(data))
        if not more:
            raise EOFError("the caller has ended")
        data += more
    return data


def _run(kind: str, what: str, *arguments: str) -> int:
    """Run a module or a text as Python itself does; return the exit code."""
    sys.argv = [kind, *arguments]
    sys.path[0] = ""
    try:
        if kind == "-m":
            runpy.run_module(what, run_name="__main__", alter_sys=True)
        else:
            exec(compile(what, "<string>", "exec"), {"__name__": "__main__"})
    except SystemExit as end:
        return int(end.code or 0)
    except BaseException:  # noqa: BLE001 (whatever it is, it is told)
        traceback.print_exc()
        return 1
    return 0


def _end(code: int) -> NoReturn:
    """End as Python does, save for the C libraries: they would wait for threads that a fork does not have."""
    threading._shutdown()  # type: ignore[attr-defined]
    atexit._run_exitfuncs()
    sys.stdout.flush()
    os._exit(code)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
