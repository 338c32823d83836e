"""The gateway as a process of its own: what holds for this target alone."""

from __future__ import annotations

import os
import socket
from dataclasses import replace
from pathlib import Path

from mlprod_nb.clock import utc_now
from mlprod_nb.settings import Layout
from mlprod_nb.store import Store, gateways
from mlprod_nb.targets import local
from tests.serving.workshop import make_workshop


def test_a_port_that_was_taken_meanwhile_is_given_up_for_another(tmp_path: Path) -> None:
    root = make_workshop(tmp_path / "workspace", {}).root
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        Layout(root).run.mkdir()
        (Layout(root).run / "port").write_text(f"{port}\n", encoding="utf-8")
        try:
            assert not local.start(root).url.endswith(f":{port}")
        finally:
            local.stop(root)


def test_a_process_that_has_the_number_of_a_gateway_is_not_ended_in_its_place(tmp_path: Path) -> None:
    root = make_workshop(tmp_path / "workspace", {}).root
    record = local.start(root)
    store = Store(Store.sqlite_url(Layout(root).database))
    with store.write() as connection:
        gateways.announce(connection, replace(record, id="gone", pid=os.getpid(), started_at=utc_now()))
    assert not local.stop(root)
    with store.write() as connection:
        gateways.retire(connection, "gone", now=utc_now())
    store.close()
    assert local.stop(root)
