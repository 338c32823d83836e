from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.browser.jupyterlab import Lab, Server, jupyterlab, lab_alone, picture_folder


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with jupyterlab(tmp_path_factory.mktemp("lab")) as running:
        yield running


@pytest.fixture
def lab(server: Server) -> Iterator[Lab]:
    with lab_alone(server) as opened:
        yield opened


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    return picture_folder(tmp_path)
