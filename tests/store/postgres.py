"""A throw-away Postgres on the loopback, for the tests of the store."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests import ports

_INSTALLED = Path("/usr/lib/postgresql")
_ACCOUNT = "postgres"
NOT_INSTALLED = "Postgres is not installed, so the state database was not tested on it: apt-get install postgresql"


def programs() -> Path | None:
    """Return the folder of Postgres's programs, or ``None`` where it is not installed."""
    found = shutil.which("initdb")
    if found:
        return Path(found).parent
    return next((path.parent for path in sorted(_INSTALLED.glob("*/bin/initdb"), reverse=True)), None)


@contextmanager
def cluster() -> Iterator[str]:
    """Start a cluster of its own and yield its URL; remove it at the end. Skip where Postgres is not installed."""
    folder = programs()
    if folder is None:
        pytest.skip(NOT_INSTALLED)
    account = _ACCOUNT if os.geteuid() == 0 else None  # it refuses to run as root
    with tempfile.TemporaryDirectory(prefix="mlprod-pg-") as temporary, ports.reserved() as port:
        data = Path(temporary) / "data"
        if account:
            shutil.chown(temporary, account)
        _run(account, folder / "initdb", "-D", data, "-U", "mlprod", "-A", "trust", "--no-sync", "-E", "UTF8")
        options = f"-h 127.0.0.1 -p {port} -k {temporary} -c fsync=off"
        _run(account, folder / "pg_ctl", "-D", data, "-l", f"{temporary}/log", "-w", "-t", "60", "-o", options, "start")
        try:
            yield f"postgresql://mlprod@127.0.0.1:{port}/postgres"
        finally:
            _run(account, folder / "pg_ctl", "-D", data, "-m", "immediate", "stop")


def _run(account: str | None, *command: object) -> None:
    done = subprocess.run(
        [str(part) for part in command], user=account, cwd="/", stdout=subprocess.DEVNULL, timeout=120, check=False
    )
    assert done.returncode == 0, command
