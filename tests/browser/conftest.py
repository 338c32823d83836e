from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.browser.jupyterlab import Server, jupyterlab


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with jupyterlab(tmp_path_factory.mktemp("lab")) as running:
        yield running
