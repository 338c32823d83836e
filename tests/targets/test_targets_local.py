"""The gateway as a process: started once, found again, not confused with others, stopped."""

from __future__ import annotations

import os
import shutil
import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import httpx
import pytest

from mlprod_nb import targets
from mlprod_nb.clock import utc_now
from mlprod_nb.errors import NotFound, Unavailable
from mlprod_nb.serving.client import GatewayClient
from mlprod_nb.settings import Layout
from mlprod_nb.store import Store, gateways
from mlprod_nb.targets import local
from tests import ports
from tests.serving.workshop import make_workshop


@pytest.fixture
def root(tmp_path: Path) -> Iterator[Path]:
    shop = make_workshop(tmp_path / "workspace", {})
    yield shop.root
    local.stop(shop.root)


@pytest.fixture
def own_port(root: Path) -> Iterator[int]:
    with ports.kept(Layout(root)) as port:
        yield port


def test_two_starts_at_once_start_one_gateway_that_is_found_stopped_and_keeps_its_address(
    root: Path, own_port: int
) -> None:
    with ThreadPoolExecutor(2) as pool:
        first, second = pool.map(local.start, [root, root])
    assert first == second == local.running(root)
    assert os.getsid(first.pid) == first.pid  # its own session: what ends the notebook's kernel does not reach it
    assert local.stop(root)
    assert local.running(root) is None
    assert not local.stop(root)
    again = local.start(root)
    assert again.id != first.id
    assert again.url == first.url == f"http://127.0.0.1:{own_port}"


def test_a_gateway_that_dies_at_start_is_told_with_its_last_words(root: Path) -> None:
    with ports.reserved() as port:
        (root / "mlprod.toml").write_text(f"[gateway]\nport = {port}\n", encoding="utf-8")
        taken = rf"cannot listen on 127.0.0.1 port {port}: Address already in use"
        with socket.create_server(("127.0.0.1", port)), pytest.raises(Unavailable, match=taken):
            local.start(root)
        assert local.running(root) is None
        record = local.start(root)
        assert record.url == f"http://127.0.0.1:{port}"


def test_a_port_that_was_taken_meanwhile_is_given_up_for_another(root: Path) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        Layout(root).run.mkdir()
        (Layout(root).run / "port").write_text(f"{port}\n", encoding="utf-8")
        assert not local.start(root).url.endswith(f":{port}")


def test_another_process_with_the_recorded_number_or_address_does_not_pass_for_the_gateway(root: Path) -> None:
    record = local.start(root)
    store = Store(Store.sqlite_url(Layout(root).database))
    with store.write() as connection:
        later = replace(record, id="gone", pid=os.getpid(), started_at=utc_now())
        gateways.announce(connection, later)
    assert local.running(root) is None
    assert not local.stop(root)
    with store.write() as connection:
        gateways.retire(connection, "gone", now=utc_now())
    store.close()
    assert local.running(root) == record


def test_a_copy_of_a_workspace_neither_takes_the_gateway_for_its_own_nor_stops_it(root: Path, tmp_path: Path) -> None:
    record = local.start(root)
    copy = tmp_path / "copy"
    shutil.copytree(root, copy)
    assert local.running(copy) is None
    assert not local.stop(copy)
    try:
        own = local.start(copy)
        assert own.url != record.url
        assert local.running(copy) == own
    finally:
        local.stop(copy)
    assert local.running(root) == record


def test_a_workspace_without_a_gateway_or_database_has_none_running(tmp_path: Path) -> None:
    assert local.running(tmp_path) is None
    (tmp_path / "mlprod.toml").write_text("", encoding="utf-8")
    assert local.running(tmp_path) is None
    assert not local.stop(tmp_path)


def test_tls_is_served_with_the_workspaces_own_certificate(root: Path) -> None:
    (root / "mlprod.toml").write_text("[gateway]\ntls = true\n", encoding="utf-8")
    record = local.start(root)
    assert record.url.startswith("https://")
    assert local.running(root) == record
    with GatewayClient(record.url, "unknown", verify=str(Layout(root).tls / "ca.pem")) as trusting:
        assert trusting.ready()
    with pytest.raises(httpx.ConnectError):
        httpx.get(f"{record.url}/health/live", trust_env=False)


def test_targets_are_found_by_name() -> None:
    assert targets.get("local") is local
    with pytest.raises(NotFound, match="Did you mean 'local'"):
        targets.get("locl")
