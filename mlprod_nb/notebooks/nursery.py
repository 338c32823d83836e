"""A nursery: one process that has imported what notebooks need, and forks a runner and its kernel for each execution.

Every kernel is a fork of its own that has run nothing yet and is ended after its notebook; only the imports are shared.
So a batch pays for them once, and strictness stays what it is: the runner and the kernel are processes as any other,
found by their parents and by the mark in their environment, which a fork writes over the nursery's own.

``python -m mlprod_nb.notebooks.nursery`` reads ``{"folder": …, "mark": …}``, a line for each execution, and answers
with the runner's number, which stays that runner's until the next line, even when it has ended. It ends with its
standard input, and so do its forks.
"""

from __future__ import annotations

import ctypes
import gc
import importlib
import json
import os
import resource
import select
import signal
import subprocess
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, NoReturn, Self

from mlprod_nb.settings import EXECUTION

#: Holds the place of a mark in the environment that a fork inherits.
_PLACE = "0" * 32
_START_SECONDS = 60.0
_IMPORTS = (
    "papermill",
    "nbclient",
    "ipykernel.kernelapp",
    "ipykernel.ipkernel",
    "IPython.core.completerlib",
    "IPython.core.debugger",
    "IPython.core.logger",
    "IPython.core.oinspect",
    "IPython.extensions.storemagic",
    "tornado.platform.asyncio",
    "comm",
    "pandas",
    "pyarrow.parquet",
    "duckdb",
    "scipy.special",
    "scipy.stats",
    "sqlalchemy.dialects.sqlite",
    "onnxruntime",
    "matplotlib.figure",
    "matplotlib.backends.backend_agg",
    "matplotlib.backends.backend_svg",
    "xml.dom.expatbuilder",
    "mlprod_nb.commands",
    "mlprod_nb.workspace",
    "mlprod_nb.reports.show",
    "mlprod_nb.lifecycle.watching.watch",
    "mlprod_nb.lifecycle.alerting.alerts",
    "mlprod_nb.lifecycle.abtests.reading",
    "mlprod_nb.monitoring.monitor",
    "mlprod_nb.prediction_log.reader",
)


class Nursery:
    """A nursery as its caller sees it; several threads may start executions, each of which has its own fork.

    On other systems than Linux, and where the process does not start, there is none: :meth:`start` returns ``None``,
    and the caller starts a runner as for a single execution.
    """

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self._read = b""
        self._asking = threading.Lock()
        #: Whether its block is over: what is still under way in a thread is interrupted then.
        self.closed = False

    def __enter__(self) -> Self:
        if _can_watch():
            self._process = subprocess.Popen(
                [sys.executable, "-m", "mlprod_nb.notebooks.nursery"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                env={**os.environ, EXECUTION: _PLACE},
                start_new_session=True,
            )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End it, and with it all that it forked."""
        self.closed = True
        self._end()

    def _end(self) -> None:
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.communicate()

    def start(self, folder: Path, mark: str) -> Forked | None:
        """Fork a runner for the execution in a folder; return ``None`` where there is no nursery to do it.

        Raises:
            KeyboardInterrupt: It was closed.
        """
        with self._asking:
            if self.closed:
                raise KeyboardInterrupt
            process = self._process
            if process is None or process.stdin is None or len(mark) != len(_PLACE):
                return None
            try:
                os.write(process.stdin.fileno(), json.dumps({"folder": str(folder), "mark": mark}).encode() + b"\n")
                return Forked(self, int(self._line(_START_SECONDS)))
            except (OSError, EOFError, ValueError, subprocess.TimeoutExpired):
                self._end()
                return None

    def _line(self, seconds: float) -> bytes:
        """Return the next line that the process writes.

        Raises:
            EOFError: It has ended.
            TimeoutExpired: None came in time.
        """
        deadline = time.monotonic() + seconds
        while b"\n" not in self._read:
            if self._process is None or self._process.stdout is None:
                raise EOFError
            descriptor = self._process.stdout.fileno()
            if not _readable(descriptor, max(deadline - time.monotonic(), 0)):
                raise subprocess.TimeoutExpired("nursery", seconds)
            data = os.read(descriptor, 4096)
            if not data:
                raise EOFError
            self._read += data
        line, _, self._read = self._read.partition(b"\n")
        return line


def _can_watch() -> bool:
    """Return whether this system tells when a process ends that is not a child of this one."""
    if sys.platform != "linux":
        return False
    try:
        os.close(os.pidfd_open(os.getpid()))
    except OSError:
        return False
    return True


def _readable(descriptor: int, seconds: float | None) -> bool:
    """Wait until there is something to read, or its other end is closed."""
    waiting = select.poll()
    waiting.register(descriptor, select.POLLIN)
    return bool(waiting.poll(None if seconds is None else seconds * 1000))


class Forked:
    """A runner that the nursery forked, with as much of a process's manners as its caller needs.

    Args:
        nursery: What forked it.
        pid: Its number.

    Raises:
        ProcessLookupError: There is no such process.
    """

    stdin = None

    def __init__(self, nursery: Nursery, pid: int) -> None:
        self.pid = pid
        self._nursery = nursery
        self._descriptor = os.pidfd_open(pid)
        self._ended = False

    def wait(self, timeout: float | None = None) -> int:
        """Wait until it has ended.

        Raises:
            TimeoutExpired: It has not, in time.
            KeyboardInterrupt: It was ended with its nursery.
        """
        if not self._ended:
            if not _readable(self._descriptor, timeout):
                raise subprocess.TimeoutExpired("runner", timeout or 0)
            self._ended = True
            os.close(self._descriptor)
            if self._nursery.closed:
                raise KeyboardInterrupt
        return 0

    def poll(self) -> int | None:
        """Return ``None`` while it runs."""
        with suppress(subprocess.TimeoutExpired):
            return self.wait(0)
        return None

    def kill(self) -> None:
        """Kill it."""
        if not self._ended:
            with suppress(ProcessLookupError):
                signal.pidfd_send_signal(self._descriptor, signal.SIGKILL)


class WaitingKernel:
    """A kernel that is forked and waits to hear where to connect; to Jupyter a process as ``Popen`` gives it."""

    stdin = stdout = stderr = None

    def __init__(self) -> None:
        reading, self._writing = os.pipe()
        self.returncode: int | None = None
        self.pid = os.fork()
        if self.pid == 0:
            os.close(self._writing)
            os.setsid()
            become_kernel(reading)
        os.close(reading)

    def launch(self, connection_file: str, cwd: str, environment: dict[str, str]) -> None:
        """Let it begin."""
        with suppress(BrokenPipeError), os.fdopen(self._writing, "wb") as pipe:
            pipe.write(told(connection_file, cwd, environment))

    def poll(self) -> int | None:
        """Return how it ended, or ``None`` while it runs."""
        return self._reap(os.WNOHANG)

    def wait(self) -> int | None:
        """Wait until it has ended."""
        return self._reap(0)

    def send_signal(self, number: int) -> None:
        """Send it a signal, unless it has ended."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        """Kill it."""
        self.send_signal(signal.SIGKILL)

    def terminate(self) -> None:
        """Ask it to end."""
        self.send_signal(signal.SIGTERM)

    def _reap(self, how: int) -> int | None:
        if self.returncode is None:
            pid, status = os.waitpid(self.pid, how)
            if pid:
                self.returncode = os.waitstatus_to_exitcode(status)
        return self.returncode


def main() -> None:
    """Import, then fork a runner for each line, until the input ends."""
    from mlprod_nb.notebooks import __main__ as runner

    runner.skip_slow_imports()
    if sys.path and sys.path[0] == str(Path.cwd()):
        del sys.path[0]  # -m puts it there; a kernel's own is where its notebook runs
    gc.disable()  # nothing is garbage yet
    for name in _IMPORTS:
        with suppress(ImportError):
            importlib.import_module(name)
    skip_debugger()
    gc.freeze()  # a collection in a fork then leaves the shared pages as they are
    gc.enable()
    left = b""
    while data := os.read(0, 65536):
        *lines, left = (left + data).split(b"\n")
        for line in lines:
            _reap()
            asked = json.loads(line)
            pid = os.fork()
            if pid == 0:
                _become_runner(Path(asked["folder"]), asked["mark"])
            os.write(1, b"%d\n" % pid)


def _reap() -> None:
    """Take note of the forks that have ended."""
    with suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass


def skip_debugger() -> None:
    """Let ipykernel find no debugger: it is half of a kernel's start, and nobody debugs here.

    A notebook can still import it.
    """
    if "debugpy" in sys.modules:
        return
    sys.modules["debugpy"] = None  # type: ignore[assignment]
    try:
        importlib.import_module("ipykernel.debugger")
    finally:
        del sys.modules["debugpy"]


def _become_runner(folder: Path, mark: str) -> NoReturn:
    """Leave the nursery's things and be a runner, in the forked process."""
    from mlprod_nb.notebooks import __main__ as runner

    try:
        os.setsid()
        _carry(mark)
        runner.write_log(folder)
        # Before the runner has threads: a fork copies one of them only.
        runner.main(folder, WaitingKernel())
    finally:
        with suppress(Exception):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(0)


def _carry(mark: str) -> None:
    """Write the execution's mark over the place that the nursery's environment holds for it.

    The system shows a process's environment as it was when a program was started in it. A fork starts none; so the
    letters themselves are changed, in this process's copy of them.
    """
    system = ctypes.CDLL(None)
    system.getenv.restype = ctypes.c_void_p
    place = system.getenv(EXECUTION.encode())
    ctypes.memmove(place, mark.encode(), len(_PLACE))
    os.environ[EXECUTION] = mark


def told(connection_file: str, cwd: str, environment: dict[str, str]) -> bytes:
    """Return what a waiting kernel is told: where to connect and to run, and its environment."""
    environment = {**environment, "JPY_PARENT_PID": str(os.getpid())}
    return json.dumps({"file": connection_file, "cwd": cwd, "environment": environment}).encode()


def become_kernel(reading: int) -> NoReturn:
    """Wait to hear where to connect, and be a kernel, to the end of this process."""
    import atexit

    code = 1
    try:
        nowhere = os.open(os.devnull, os.O_RDONLY)
        os.dup2(nowhere, 0)
        os.close(nowhere)
        with os.fdopen(reading, "rb") as pipe:
            said = pipe.read()
        if not said:
            os._exit(0)
        _begin(json.loads(said))
        atexit._run_exitfuncs()
        code = 0
    finally:
        os._exit(code)


def _begin(said: dict[str, str | dict[str, str]]) -> None:
    import numpy as np
    from ipykernel.kernelapp import IPKernelApp

    environment = said["environment"]
    assert isinstance(environment, dict)
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(str(said["cwd"]))
    # Python's own generator is seeded anew after a fork, numpy's is not.
    np.random.seed()
    # ipykernel reads who started it when it is imported, which was before.
    sys.argv = ["ipykernel_launcher.py", "-f", str(said["file"]), f"--IPKernelApp.parent_handle={os.getppid()}"]
    app = IPKernelApp.instance(outstream_class="mlprod_nb.notebooks.outstream.BoundedOutStream")
    app.initialize()
    app.shell.set_custom_exc((MemoryError,), _say_out_of_memory)
    app.start()


def _say_out_of_memory(shell: Any, kind: Any, error: Any, trace: Any, tb_offset: int | None = None) -> None:
    """Show the error; to do so, take what the runner left above the kernel's limit of memory."""
    _, most = resource.getrlimit(resource.RLIMIT_DATA)
    resource.setrlimit(resource.RLIMIT_DATA, (most, most))
    shell.showtraceback((kind, error, trace), tb_offset=tb_offset)


if __name__ == "__main__":
    main()
