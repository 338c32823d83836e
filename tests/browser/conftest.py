from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from tests.browser.jupyterlab import Lab, Server, jupyterlab


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with jupyterlab(tmp_path_factory.mktemp("lab")) as running:
        yield running


@pytest.fixture
def clean_workspace(lab: Lab) -> Any:
    """The server's directory without a workspace, before and after, with nothing left running."""
    yield lab.server.root
    if (lab.server.root / "mlprod.toml").exists():
        down = [sys.executable, "-m", "mlprod_nb.cli", "down", "--yes"]
        subprocess.run(down, cwd=lab.server.root, timeout=60, check=False, capture_output=True)
        (lab.server.root / "mlprod.toml").unlink()
        shutil.rmtree(lab.server.root / ".mlprod", ignore_errors=True)
