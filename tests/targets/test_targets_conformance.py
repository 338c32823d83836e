"""What every target promises: one gateway, found again, not confused with others, stopped for good."""

from __future__ import annotations

import os
import shutil
import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

import httpx
import psutil
import pytest

from mlprod_nb import __version__, targets
from mlprod_nb.clock import utc_now
from mlprod_nb.errors import Unavailable
from mlprod_nb.serving.client import GatewayClient
from mlprod_nb.settings import Layout
from mlprod_nb.store import Store, gateways
from mlprod_nb.targets import Condition, Target
from tests import ports
from tests.serving.workshop import make_workshop
from tests.targets.kinds import KINDS


@dataclass(frozen=True)
class Place:
    """A workspace whose gateway runs by a target."""

    target: Target
    root: Path
    tables: str

    def set(self, **gateway: object) -> None:
        """Write keys into ``[gateway]``."""
        keys = "".join(f"{key} = {str(value).lower()}\n" for key, value in gateway.items())
        (self.root / "mlprod.toml").write_text(f"[gateway]\n{keys}{self.tables}", encoding="utf-8")


@pytest.fixture(params=KINDS)
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Place]:
    address = request.getfixturevalue(KINDS[request.param]) if KINDS[request.param] else ""
    tables = f'[{request.param}]\naddress = "{address}"\n' if address else ""
    made = Place(targets.get(request.param), make_workshop(tmp_path / "workspace", {}).root, tables)
    made.set()
    try:
        yield made
    finally:
        made.target.stop(made.root)


def test_two_starts_at_once_start_one_gateway_that_is_found_stopped_and_keeps_its_address(place: Place) -> None:
    target, root = place.target, place.root
    with ports.kept(Layout(root)) as own_port:
        with ThreadPoolExecutor(2) as pool:
            first, second = pool.map(target.start, [root, root])
        assert first == second == target.running(root)
        assert replace(target.condition(root), place="") == Condition("", 1, 0, version=__version__)
        assert os.getsid(first.pid) == first.pid  # its own session: what ends the caller does not reach it
        assert target.stop(root)
        assert not psutil.pid_exists(first.pid)
        assert target.running(root) is None
        assert target.condition(root) == Condition()
        assert not target.stop(root)
        again = target.start(root)
        assert again.id != first.id
        assert again.url == first.url == f"http://127.0.0.1:{own_port}"


def test_a_gateway_that_dies_at_start_is_told_with_its_last_words_and_leaves_nothing(place: Place) -> None:
    with ports.reserved() as port:
        place.set(port=port)
        taken = rf"cannot listen on 127.0.0.1 port {port}: Address already in use"
        with socket.create_server(("127.0.0.1", port)), pytest.raises(Unavailable, match=taken):
            place.target.start(place.root)
        assert place.target.running(place.root) is None
        assert not place.target.stop(place.root)
        assert place.target.start(place.root).url == f"http://127.0.0.1:{port}"


def test_another_process_with_the_recorded_number_or_address_does_not_pass_for_the_gateway(place: Place) -> None:
    record = place.target.start(place.root)
    store = Store(Store.sqlite_url(Layout(place.root).database))
    with store.write() as connection:
        later = replace(record, id="gone", pid=os.getpid(), started_at=utc_now())
        gateways.announce(connection, later)
    assert place.target.running(place.root) is None
    with store.write() as connection:
        gateways.retire(connection, "gone", now=utc_now())
    store.close()
    assert place.target.running(place.root) == record


def test_a_copy_of_a_workspace_neither_takes_the_gateway_for_its_own_nor_stops_it(place: Place, tmp_path: Path) -> None:
    record = place.target.start(place.root)
    copy = tmp_path / "copy"
    shutil.copytree(place.root, copy)
    assert place.target.running(copy) is None
    assert not place.target.stop(copy)
    try:
        own = place.target.start(copy)
        assert own.url != record.url
        assert place.target.running(copy) == own
    finally:
        place.target.stop(copy)
    assert place.target.running(place.root) == record


def test_a_workspace_without_a_gateway_or_database_has_none_running(place: Place, tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    assert place.target.running(empty) is None
    (empty / "mlprod.toml").write_text("", encoding="utf-8")
    assert place.target.running(empty) is None
    assert not place.target.stop(empty)


def test_tls_is_served_with_the_workspaces_own_certificate(place: Place) -> None:
    place.set(tls=True)
    record = place.target.start(place.root)
    assert record.url.startswith("https://")
    assert place.target.running(place.root) == record
    with GatewayClient(record.url, "unknown", verify=str(Layout(place.root).tls / "ca.pem")) as trusting:
        assert trusting.ready()
    with pytest.raises(httpx.ConnectError):
        httpx.get(f"{record.url}/health/live", trust_env=False)
