"""A Ray cluster of one node, on the loopback, for the tests of this folder, where Ray is installed."""

from __future__ import annotations

import importlib.util
import secrets
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from mlprod_nb.processes import wait_for
from tests import ports

NODE = "127.0.0.2"
"""Ray takes 127.0.0.1 for any address of the machine, which others reach."""

_START_SECONDS = 180.0
_STOP_SECONDS = 30.0


@pytest.fixture(scope="session")
def ray_cluster() -> Iterator[str]:
    """Start a cluster and yield its address."""
    if importlib.util.find_spec("ray") is None:
        pytest.skip("Ray is not installed: pip install 'mlprod_nb[ray]'")
    # The paths of Ray's sockets must be short.
    with pytest.MonkeyPatch.context() as patch, tempfile.TemporaryDirectory(prefix="ray", dir="/tmp") as folder:
        patch.setenv("RAY_AUTH_MODE", "token")
        patch.setenv("RAY_AUTH_TOKEN", secrets.token_hex(32))
        patch.setenv("RAY_raylet_start_wait_time_s", f"{_START_SECONDS:.0f}")  # its own is short
        with ports.reserved() as port:
            pass
        options = ["--head", "--block", f"--node-ip-address={NODE}", f"--port={port}", "--num-cpus=2"]
        options += ["--object-store-memory=100000000", f"--temp-dir={folder}"]
        options += ["--include-dashboard=false", "--disable-usage-stats"]
        with (Path(folder) / "started.log").open("wb") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "ray.scripts.scripts", "start", *options], stdout=log, stderr=log
            )
        try:
            said = Path(folder) / "started.log"
            assert wait_for(lambda: b"Ray runtime started" in said.read_bytes(), _START_SECONDS), said.read_text()
            yield f"{NODE}:{port}"
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(_STOP_SECONDS)
