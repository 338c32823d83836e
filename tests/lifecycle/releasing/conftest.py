"""The workspace in which versions are released, its settings, and an endpoint for each test."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.lifecycle.conftest import Site
from tests.lifecycle.releasing.releases import Opener, fresh_endpoint, opener, running


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with running(tmp_path_factory.mktemp("releases")) as site:
        yield site


@pytest.fixture
def opened(site: Site) -> Iterator[Opener]:
    yield from opener(site)


@pytest.fixture
def endpoint(site: Site, request: pytest.FixtureRequest) -> str:
    """An endpoint of this test's own that serves flights/1."""
    return fresh_endpoint(site, request.node.name)
