"""A real store for tokens and audit entries."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from mlprod_nb.store import Store


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    store = Store(Store.sqlite_url(tmp_path / "state.db"))
    store.migrate()
    yield store
    store.close()
