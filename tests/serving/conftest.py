from __future__ import annotations

from pathlib import Path

import pytest

from mlprod_nb.registry.bundles import Bundle
from tests.serving.workshop import Workshop, make_bundles, make_workshop


@pytest.fixture(scope="session")
def serving_bundles(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Bundle]:
    return make_bundles(tmp_path_factory.mktemp("bundles"))


@pytest.fixture
def shop(tmp_path: Path, serving_bundles: dict[str, Bundle]) -> Workshop:
    return make_workshop(tmp_path / "workspace", serving_bundles)
