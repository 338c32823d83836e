"""The gateway as a process: started once, found again, stopped."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from mlprod_nb.targets import local
from tests.serving.workshop import make_workshop


@pytest.fixture
def root(tmp_path: Path) -> Iterator[Path]:
    shop = make_workshop(tmp_path / "workspace", {})
    yield shop.root
    local.stop(shop.root)


def test_two_starts_at_once_start_one_gateway_and_it_can_be_stopped(root: Path) -> None:
    with ThreadPoolExecutor(2) as pool:
        first, second = pool.map(local.start, [root, root])
    assert first == second
    assert local.running(root) == first
    assert local.stop(root)
    assert local.running(root) is None
    assert not local.stop(root)
