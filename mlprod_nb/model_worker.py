"""One model in a process of its own, for what ONNX cannot express.

``python -m mlprod_nb.model_worker FOLDER --memory-mib N`` loads an MLflow model and answers on standard output what
comes on standard input. Each message is four bytes of length (big-endian) and as many bytes of JSON:

* the first names the task: ``{"task": "classification", "classes": [0, 1]}`` → ``{"ready": true}`` when it has loaded;
* every other carries rows: ``{"rows": 2, "columns": [{"name": "x", "type": "double", "values": [1.0, null]}]}`` →
  ``{"predictions": [0, 1], "scores": [0.1, 0.8]}``;
* what goes wrong is ``{"error": "…"}``; the end of the input ends the process.

The process has limits on memory, writes no core file, and ends with its parent. It keeps crashes, leaks and the code
in a model away from the gateway; it is not a sandbox against a model that means harm.
"""

from __future__ import annotations

import argparse
import ctypes
import os
import resource
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

import orjson

_LENGTH_BYTES = 4
_PR_SET_PDEATHSIG = 1
_ONE_THREAD = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
_DTYPES = {"double": "float64", "long": "int64", "boolean": "bool", "string": "object"}

Answer = Callable[[dict[str, Any]], dict[str, Any]]


def main(arguments: list[str] | None = None) -> int:
    """Load the model and answer until the input ends; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m mlprod_nb.model_worker")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--memory-mib", type=int, default=2048)
    given = parser.parse_args(arguments)
    _limit(given.memory_mib)
    # What the model's code prints goes to the log, never between the messages.
    with os.fdopen(os.dup(sys.stdout.fileno()), "wb") as replies:
        os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
        return serve(given.folder, sys.stdin.buffer, replies)


def serve(folder: Path, requests: BinaryIO, replies: BinaryIO) -> int:
    """Answer the messages of one stream on another, until it ends; return the exit code."""
    hello = _read(requests)
    if hello is None:
        return 0
    try:
        answer = load(folder, hello["task"], hello["classes"])
    except Exception as error:  # noqa: BLE001 (a model's code may raise anything; the gateway is told)
        _write(replies, {"error": _words(error)})
        return 1
    _write(replies, {"ready": True})
    while (message := _read(requests)) is not None:
        try:
            reply = answer(message)
        except Exception as error:  # noqa: BLE001 (as above)
            reply = {"error": _words(error)}
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
    import mlflow.sklearn

    model = mlflow.sklearn.load_model(str(folder))
    return lambda message: _predict(model, task, classes, message)


def _predict(model: Any, task: str, classes: list[Any], message: dict[str, Any]) -> dict[str, Any]:
    import numpy as np

    frame = _frame(message["columns"])
    found = np.asarray(model.predict(frame))
    if task == "regression":
        values = found.astype(np.float64).reshape(-1).tolist()
        return {"predictions": values, "scores": values}
    probabilities = np.asarray(model.predict_proba(frame), dtype=np.float64)
    labels = found.tolist()
    place = {label: index for index, label in enumerate(classes)}
    column = [1 if len(classes) == 2 else place[label] for label in labels]
    return {"predictions": labels, "scores": probabilities[np.arange(len(labels)), column].tolist()}


def _frame(columns: list[dict[str, Any]]) -> Any:
    """Return the rows as the model met them in training: missing values as NaN, whatever the column."""
    import numpy as np
    import pandas as pd

    series = {}
    for column in columns:
        values, dtype = column["values"], _DTYPES[column["type"]]
        if None in values:
            dtype = "object" if column["type"] == "string" else "float64"
            values = [np.nan if value is None else value for value in values]
        series[column["name"]] = pd.Series(values, dtype=dtype)
    return pd.DataFrame(series)


def _limit(memory_mib: int) -> None:
    """Bound what the process may take, and tie its life to its parent's."""
    for name in _ONE_THREAD:
        os.environ[name] = "1"
    size = memory_mib * 1024 * 1024
    resource.setrlimit(resource.RLIMIT_AS, (size, size))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def _read(stream: BinaryIO) -> dict[str, Any] | None:
    head = stream.read(_LENGTH_BYTES)
    if len(head) < _LENGTH_BYTES:
        return None
    body = stream.read(int.from_bytes(head, "big"))
    message: dict[str, Any] = orjson.loads(body)
    return message


def _write(stream: BinaryIO, message: dict[str, Any]) -> None:
    body = orjson.dumps(message, option=orjson.OPT_SERIALIZE_NUMPY)
    stream.write(len(body).to_bytes(_LENGTH_BYTES, "big") + body)
    stream.flush()


def _words(error: Exception) -> str:
    return f"{type(error).__name__}: {error}".splitlines()[0][:500]


if __name__ == "__main__":
    raise SystemExit(main())
