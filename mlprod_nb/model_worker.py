"""Model workers: processes of their own for the models that ONNX cannot express.

``python -m mlprod_nb.model_worker`` is a *nursery*: it imports what most models need, and never runs a model itself.
Its standard input is a Unix socket. For each byte that comes with a descriptor it forks a model worker, which answers
on that socket; so a worker that ended is replaced in the time of a fork. On its own socket it writes ``ready`` and a
line for each worker: ``forked PID`` and, in the end, ``ended PID CODE``. It hands on what models print, so much a
second, and ends with its input; the workers end with it.

A worker's messages are four bytes of length (big-endian) and as many bytes of JSON:

* the first names the model: ``{"folder": "…", "task": "classification", "classes": [0, 1], "memory_mib": 2048}`` →
  ``{"ready": true}`` when it has loaded;
* every other carries rows: ``{"rows": 2, "columns": [{"name": "x", "type": "double", "values": [1.0, null]}]}`` →
  ``{"predictions": [0, 1], "scores": [0.1, 0.8]}``;
* what goes wrong is ``{"error": "…"}``; the end of the input ends the process.

A worker has a limit on memory, writes no core file, and reads nothing. This keeps crashes, leaks and the code in a
model away from the gateway; it is not a sandbox against a model that means harm.
"""

from __future__ import annotations

import ctypes
import gc
import importlib
import os
import pickle
import resource
import selectors
import signal
import socket
import sys
import time
import warnings
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, BinaryIO, NoReturn

import orjson

_LENGTH_BYTES = 4
_PR_SET_PDEATHSIG = 1
_ONE_THREAD = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
_MOST_MODELS_NEED = ("cloudpickle", "pandas", "sklearn.compose", "sklearn.ensemble", "sklearn.pipeline", "yaml")
_DTYPES = {"double": "float64", "long": "int64", "boolean": "bool", "string": "object"}
_PRINTED_BYTES = 64 * 1024
_FIRST_TO_GO = b"500"

Answer = Callable[[dict[str, Any]], dict[str, Any]]


def main() -> int:
    """Fork workers until the input ends; return the exit code."""
    for name in _ONE_THREAD:
        os.environ[name] = "1"
    _die_with(os.getppid())
    os.closerange(3, resource.getrlimit(resource.RLIMIT_NOFILE)[0])  # what the gateway's event loop left open
    for name in _MOST_MODELS_NEED:
        importlib.import_module(name)
    gc.freeze()  # a collection in a worker then leaves the shared pages as they are
    warnings.filterwarnings("ignore", category=DeprecationWarning, message=".*fork")  # jemalloc's thread bears it
    with socket.socket(fileno=os.dup(sys.stdin.fileno())) as control:
        _to_nowhere(sys.stdin.fileno())
        return Nursery(control).run()


class Printed:
    """What one worker prints: handed on to standard error, so much a second and no more.

    Args:
        descriptor: The end of the pipe to read from.
    """

    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor
        self._since = 0.0
        self._left = 0
        self._cut = False

    def hand_on(self) -> bool:
        """Read what there is; return whether more may come."""
        data = os.read(self.descriptor, _PRINTED_BYTES)
        now = time.monotonic()
        if now - self._since >= 1:
            self._since, self._left, self._cut = now, _PRINTED_BYTES, False
        kept = data[: self._left]
        self._left -= len(kept)
        if len(kept) < len(data) and not self._cut:
            self._cut = True
            kept += b"\n[a model prints more than is kept]\n"
        with suppress(OSError):  # the log is not the models' to fail on
            os.write(sys.stderr.fileno(), kept)
        return bool(data)


class Nursery:
    """Forks workers, hands on what they print, tells how they ended, and kills what they leave behind.

    Args:
        control: The socket to the gateway.
    """

    def __init__(self, control: socket.socket) -> None:
        self._control = control
        self._selector = selectors.DefaultSelector()
        self._woken, self._wake = socket.socketpair()
        self._wake.setblocking(False)

    def run(self) -> int:
        """Work until the gateway closes its end; return the exit code."""
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.set_wakeup_fd(self._wake.fileno(), warn_on_full_buffer=False)
        self._selector.register(self._control, selectors.EVENT_READ)
        self._selector.register(self._woken, selectors.EVENT_READ)
        self._say("ready")
        while True:
            for key, _ in self._selector.select():
                if isinstance(key.data, Printed):
                    if not key.data.hand_on():
                        self._selector.unregister(key.fd)
                        os.close(key.fd)
                elif key.fileobj is self._woken:
                    self._woken.recv(4096)
                    self._reap()
                elif not self._take():
                    return 0

    def _take(self) -> bool:
        """Fork a worker for a byte that came with a descriptor; return whether there was one."""
        data, descriptors, _, _ = socket.recv_fds(self._control, 1, 1)
        if not data or not descriptors:
            return False
        reading, writing = os.pipe()
        parent = os.getpid()
        pid = os.fork()
        if pid == 0:
            os.close(reading)
            self._become_worker(descriptors[0], writing, parent)
        os.close(descriptors[0])
        os.close(writing)
        self._selector.register(reading, selectors.EVENT_READ, Printed(reading))
        self._say(f"forked {pid}")
        return True

    def _become_worker(self, descriptor: int, printed: int, parent: int) -> NoReturn:
        """Leave the nursery's things and be a worker, in the forked process."""
        code = 1
        try:
            os.setsid()
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            _die_with(parent)
            for key in list(self._selector.get_map().values()):
                os.close(key.fd)
            self._wake.close()
            self._selector.close()
            for standard in (sys.stdout, sys.stderr):
                os.dup2(printed, standard.fileno())
            os.close(printed)
            with socket.socket(fileno=descriptor) as end:
                code = serve(end.makefile("rb"), end.makefile("wb"))
        finally:
            with suppress(Exception):
                sys.stdout.flush()
                sys.stderr.flush()
            os._exit(code)

    def _reap(self) -> None:
        """Tell which workers ended; before a number is free again, kill what is left of its group."""
        while True:
            try:
                ended = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
            except ChildProcessError:
                return
            if ended is None:
                return
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(ended.si_pid, signal.SIGKILL)
            _, status = os.waitpid(ended.si_pid, 0)
            self._say(f"ended {ended.si_pid} {os.waitstatus_to_exitcode(status)}")

    def _say(self, line: str) -> None:
        with suppress(BrokenPipeError):  # a gateway that is gone is found when its socket is read
            self._control.sendall(f"{line}\n".encode())


def serve(requests: BinaryIO, replies: BinaryIO) -> int:
    """Answer the messages of one stream on another, until it ends; return the exit code."""
    hello = _read(requests)
    if hello is None:
        return 0
    try:
        _limit(hello["memory_mib"])
        answer = load(Path(hello["folder"]), hello["task"], hello["classes"])
    except Exception as error:  # noqa: BLE001 (a model's code may raise anything; the gateway is told)
        _write(replies, _encoded({"error": _words(error)}))
        return 1
    _write(replies, _encoded({"ready": True}))
    while (message := _read(requests)) is not None:
        try:
            reply = _encoded(answer(message))
        except Exception as error:  # noqa: BLE001 (as above)
            reply = _encoded({"error": _words(error)})
        _write(replies, reply)
    return 0


def load(folder: Path, task: str, classes: list[Any]) -> Answer:
    """Load a model that MLflow keeps in its scikit-learn flavour; this runs code from the folder.

    Args:
        folder: The model's directory, with its ``MLmodel`` file.
        task: ``"classification"`` or ``"regression"``.
        classes: The labels in the model's order.

    Returns:
        What answers the messages that carry rows.
    """
    model = _unpickled(folder)
    return lambda message: _predict(model, task, classes, message)


def _unpickled(folder: Path) -> Any:
    """Load what ``registry.python_runner`` saved without importing MLflow, which takes seconds; else through it."""
    import yaml

    flavor = yaml.safe_load((folder / "MLmodel").read_text(encoding="utf-8"))["flavors"]["sklearn"]
    if flavor.get("serialization_format") == "cloudpickle" and not flavor.get("code"):
        with (folder / flavor["pickled_model"]).open("rb") as file:
            return pickle.load(file)  # noqa: S301 (to run what is in it is what this process is for)
    import mlflow.sklearn

    return mlflow.sklearn.load_model(str(folder))


def _predict(model: Any, task: str, classes: list[Any], message: dict[str, Any]) -> dict[str, Any]:
    import numpy as np

    frame, rows = _frame(message["columns"]), message["rows"]
    found = np.asarray(model.predict(frame))
    if task == "regression":
        values = found.astype(np.float64).reshape(-1).tolist()
        if len(values) != rows:
            raise ValueError(f"it gives values of the shape {found.shape} for {rows} rows")
        return {"predictions": values, "scores": values}
    probabilities = np.asarray(model.predict_proba(frame), dtype=np.float64)
    if found.shape != (rows,) or probabilities.shape != (rows, len(classes)):
        shapes = f"labels of the shape {found.shape} and probabilities of the shape {probabilities.shape}"
        raise ValueError(f"it gives {shapes} for {rows} rows of {len(classes)} classes")
    labels = found.tolist()
    place = {label: index for index, label in enumerate(classes)}
    column = [1 if len(classes) == 2 else place[label] for label in labels]
    return {"predictions": labels, "scores": probabilities[np.arange(len(labels)), column].tolist()}


def _frame(columns: list[dict[str, Any]]) -> Any:
    """Return the rows as the model met them in training: missing values as NaN, whatever the column."""
    import numpy as np
    import pandas as pd

    if all(column["type"] == "double" for column in columns):  # at once: thirty series cost more than many a model
        matrix = np.array([column["values"] for column in columns], dtype=np.float64).T
        return pd.DataFrame(matrix, columns=[column["name"] for column in columns])
    series = {}
    for column in columns:
        values, dtype = column["values"], _DTYPES[column["type"]]
        if None in values:
            dtype = "object" if column["type"] == "string" else "float64"
            values = [np.nan if value is None else value for value in values]
        series[column["name"]] = pd.Series(values, dtype=dtype)
    return pd.DataFrame(series)


def _limit(memory_mib: int) -> None:
    """Bound what a worker may take, and let its random numbers be its own."""
    import numpy as np

    size = memory_mib * 1024 * 1024
    resource.setrlimit(resource.RLIMIT_AS, (size, size))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    np.random.seed()
    with suppress(OSError):  # where memory runs out all the same, the worker goes before the gateway does
        Path("/proc/self/oom_score_adj").write_bytes(_FIRST_TO_GO)


def _die_with(parent: int) -> None:
    """Tie the process's life to its parent's."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)


def _to_nowhere(descriptor: int) -> None:
    """Let a descriptor read as an empty file."""
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, descriptor)
    os.close(nothing)


def _read(stream: BinaryIO) -> dict[str, Any] | None:
    head = stream.read(_LENGTH_BYTES)
    if len(head) < _LENGTH_BYTES:
        return None
    body = stream.read(int.from_bytes(head, "big"))
    message: dict[str, Any] = orjson.loads(body)
    return message


def _encoded(message: dict[str, Any]) -> bytes:
    return orjson.dumps(message, option=orjson.OPT_SERIALIZE_NUMPY)


def _write(stream: BinaryIO, body: bytes) -> None:
    stream.write(len(body).to_bytes(_LENGTH_BYTES, "big") + body)
    stream.flush()


def _words(error: Exception) -> str:
    return f"{type(error).__name__}: {error}".splitlines()[0][:500]


if __name__ == "__main__":
    raise SystemExit(main())
