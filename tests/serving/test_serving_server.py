"""The server around the application: the deadline for a request's head, and the port."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import cast

import pytest
import uvicorn
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from mlprod_nb.errors import Refused
from mlprod_nb.serving import listening
from mlprod_nb.serving.express import ExpressLane
from mlprod_nb.serving.telemetry.metrics import Telemetry
from mlprod_nb.serving.telemetry.tracing import NoTracing
from mlprod_nb.serving.wire import http
from mlprod_nb.serving.wire.http import GatewayProtocol
from mlprod_nb.settings import GatewaySettings, Layout
from tests.serving.workshop import until

REQUEST = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"


@pytest.fixture
def address(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[str, int]]:
    monkeypatch.setattr(http, "HEAD_SECONDS", 0.3)
    monkeypatch.setattr(http, "LOOK_SECONDS", 0.05)
    app = Starlette(routes=[Route("/", lambda request: PlainTextResponse("hello"))])
    lane = cast(ExpressLane, None)  # a GET never meets it
    protocol = GatewayProtocol.bound(lane, GatewaySettings(), NoTracing(), Telemetry())
    running = uvicorn.Server(uvicorn.Config(app, http=protocol, ws="none", log_config=None, lifespan="off"))
    listener = socket.create_server(("127.0.0.1", 0))
    thread = threading.Thread(target=running.run, args=([listener],))
    thread.start()
    until(lambda: running.started)
    yield listener.getsockname()
    running.should_exit = True
    thread.join(20)


def test_a_connection_that_trickles_its_head_is_told_so_and_closed(address: tuple[str, int]) -> None:
    with socket.create_connection(address, timeout=10) as slow:
        closed = threading.Event()

        def trickle() -> None:
            slow.sendall(b"GET / HTTP/1.1\r\nX-Slow: ")
            while not closed.wait(0.05):
                try:
                    slow.sendall(b"a")
                except OSError:
                    return

        thread = threading.Thread(target=trickle)
        thread.start()
        try:
            assert slow.recv(1000).startswith(b"HTTP/1.1 408")
            with suppress(ConnectionResetError):
                assert slow.recv(1000) == b""
        finally:
            closed.set()
            thread.join()


def test_a_connection_that_sends_nothing_is_closed(address: tuple[str, int]) -> None:
    with socket.create_connection(address, timeout=10) as silent:
        assert silent.recv(100) == b""


def greeted(address: tuple[str, int]) -> socket.socket:
    """Return a connection that was answered; on a busy machine its first head may be late, and then another is made."""
    connections: list[socket.socket] = []

    def answered() -> bool:
        connections.append(socket.create_connection(address, timeout=10))
        with suppress(ConnectionError):
            connections[-1].sendall(REQUEST)
            if b"hello" in connections[-1].recv(1000):
                return True
        connections[-1].close()
        return False

    until(answered)
    return connections[-1]


def test_an_idle_connection_between_requests_stays_open_beyond_the_deadline_of_a_head(
    address: tuple[str, int],
) -> None:
    with greeted(address) as patient:
        patient.settimeout(0.6)
        with pytest.raises(TimeoutError):
            patient.recv(1)
        patient.settimeout(10)
        patient.sendall(REQUEST)
        assert b"hello" in patient.recv(1000)


def test_a_free_port_is_kept_for_the_next_start(tmp_path: Path) -> None:
    layout = Layout(tmp_path)
    first = listening.listen(GatewaySettings(), layout)
    port = first.getsockname()[1]
    first.close()
    with listening.listen(GatewaySettings(), layout) as second:
        assert second.getsockname()[1] == port
        with listening.listen(GatewaySettings(), layout) as third:  # taken by another program
            assert third.getsockname()[1] != port


def test_a_port_in_use_and_a_foreign_address_are_refused_in_one_line(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(Refused, match=rf"cannot listen on 127.0.0.1 port {port}: Address already in use"):
            listening.listen(GatewaySettings(port=port), Layout(tmp_path))
    with pytest.raises(Refused, match=r"cannot listen on 192\.0\.2\.1"):
        listening.listen(GatewaySettings(host="192.0.2.1"), Layout(tmp_path))
