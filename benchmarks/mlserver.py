"""MLServer, a peer of the model worker: an environment of its own beside the repository's, and its servers."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path

import joblib

from benchmarks.models import MODELS, training_data
from benchmarks.servers import Running, Server, free_port, started

VERSION = "1.7.1"
# The scikit-learn that trained the models; later versions of uvloop lack what this MLServer calls.
PACKAGES = (
    f"mlserver=={VERSION}",
    f"mlserver-sklearn=={VERSION}",
    "uvloop<0.22",
    f"scikit-learn=={version('scikit-learn')}",
)
ENVIRONMENT = Path(__file__).parents[1] / ".venv-mlserver"
MAX_BATCH_SIZE, MAX_BATCH_TIME_SECONDS = 64, 0.02
"""What gave the logistic regression the most answers a second, of batches of 8 to 64 and waits of 1 to 20 ms."""

PARALLEL_WORKERS = 1
"""MLServer's own default."""

_INSTALL_SECONDS = 900


class NotInstalled(Exception):
    """MLServer cannot be installed here; the text says why."""


def install(environment: Path = ENVIRONMENT, packages: Sequence[str] = PACKAGES) -> Path:
    """Return the interpreter of an environment with MLServer; it is made where it is missing or has other packages.

    Raises:
        NotInstalled: It cannot be made.
    """
    python, ready, wanted = environment / "bin" / "python", environment / "ready", "\n".join(packages)
    if ready.is_file() and ready.read_text(encoding="utf-8") == wanted:
        return python
    shutil.rmtree(environment, ignore_errors=True)
    _run([sys.executable, "-m", "venv", str(environment)])
    _run([str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *packages])
    ready.write_text(wanted, encoding="utf-8")
    return python


def _run(command: Sequence[str]) -> None:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_INSTALL_SECONDS, check=False)
    except subprocess.TimeoutExpired:
        raise NotInstalled(f"it takes longer than {_INSTALL_SECONDS} s") from None
    if done.returncode:
        said = (done.stderr or done.stdout).strip() or f"exit code {done.returncode}"
        raise NotInstalled(said.splitlines()[-1])


def save(folder: Path, name: str) -> None:
    """Train a model and save it for MLServer, with adaptive batching on."""
    place = folder / "mlserver" / name
    place.mkdir(parents=True, exist_ok=True)
    joblib.dump(MODELS[name].fit(*training_data()), place / "model.joblib")
    settings = {
        "name": name,
        "implementation": "mlserver_sklearn.SKLearnModel",
        "parameters": {"uri": "./model.joblib"},
        "max_batch_size": MAX_BATCH_SIZE,
        "max_batch_time": MAX_BATCH_TIME_SECONDS,
    }
    (place / "model-settings.json").write_text(json.dumps(settings), encoding="utf-8")


@contextmanager
def serve(folder: Path, name: str, python: Path) -> Iterator[Running]:
    """Run ``mlserver start`` with one model.

    Args:
        folder: Where ``save`` saved it.
        name: The model's.
        python: The interpreter of its environment.
    """
    place = folder / "mlserver" / name
    port = free_port()
    settings = {
        "host": "127.0.0.1",
        "http_port": port,
        "grpc_port": free_port(),
        "metrics_port": free_port(),
        "metrics_dir": str(place / "metrics"),  # else it writes into the directory that it is started in
        "parallel_workers": PARALLEL_WORKERS,
        "debug": False,  # else it logs every request
    }
    (place / "settings.json").write_text(json.dumps(settings), encoding="utf-8")
    command = [str(python.with_name("mlserver")), "start", str(place)]
    with started(Server(command, port, f"/v2/models/{name}/infer", bodies="tensors"), folder) as running:
        yield running
