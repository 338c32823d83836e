from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.browser.jupyterlab import Lab, Server, chromium, jupyterlab


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with jupyterlab(tmp_path_factory.mktemp("lab")) as running:
        yield running


@pytest.fixture
def lab(server: Server) -> Iterator[Lab]:
    with chromium(server) as opened:
        yield opened
        assert opened.strangers == [], "the page asked for something beyond the server"


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """Where screenshots go: ``TEST_PICTURES``, to look at them, or a directory that is thrown away."""
    folder = Path(os.environ.get("TEST_PICTURES") or tmp_path)
    folder.mkdir(parents=True, exist_ok=True)
    return folder
