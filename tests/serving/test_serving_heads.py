"""Known heads: a connection that knows a head reads the same requests as one whose parser reads every byte."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any, ClassVar

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from uvicorn import Config
from uvicorn.server import ServerState

from mlprod_nb.serving.telemetry.metrics import Telemetry
from mlprod_nb.serving.telemetry.tracing import NoTracing
from mlprod_nb.serving.wire.heads import Head, Heads
from mlprod_nb.serving.wire.http import GatewayProtocol
from mlprod_nb.settings import GatewaySettings

URL = b"/endpoints/flights/invocations"
BODY = b'{"inputs": [[1]]}'


async def no_application(scope: Any, receive: Any, send: Any) -> None:
    """Stand for the application, which :class:`Connection` never calls."""


class Wire:
    """Stands for a transport."""

    def __init__(self) -> None:
        self.sent: list[bytes] = []
        self.closed = False

    def write(self, data: bytes) -> None:
        self.sent.append(data)

    def close(self) -> None:
        self.closed = True

    def is_closing(self) -> bool:
        return self.closed

    def get_extra_info(self, _: str) -> None:
        return None

    def pause_reading(self) -> None:
        pass

    def resume_reading(self) -> None:
        pass


class Lane:
    """Answers what is ordinary at once, or hands it back, and takes note of it."""

    def __init__(self) -> None:
        self.taken: list[Any] = []
        self.hands_back = False

    def endpoint(self, url: bytes) -> str:
        return "flights" if url == URL else ""

    def take(self, endpoint: str, exchange: Any) -> None:
        self.taken.append((endpoint, exchange.url, exchange.headers, exchange.authorization, bytes(exchange.body)))
        if self.hands_back:
            exchange.hand_back()
        else:
            exchange.reply(200, b"application/json", "id", b"{}")


class Forgetful(Heads):
    """Knows no head."""

    def find(self, data: bytes) -> tuple[int, Head] | None:
        return None


class Connection(GatewayProtocol):
    """Takes note of what goes to the routes, and of each header that the parser calls Python for."""

    loops: ClassVar[asyncio.AbstractEventLoop]
    routed: list[Any]
    parsed = 0

    def on_header(self, name: bytes, value: bytes) -> None:
        self.parsed += 1
        super().on_header(name, value)

    def _start_asgi_task(self, cycle: Any, app: Any) -> None:
        self.routed.append((cycle.scope["raw_path"], cycle.scope["headers"], bytes(cycle.body)))
        cycle.response_complete = True


@pytest.fixture(scope="module")
def loop() -> Iterator[asyncio.AbstractEventLoop]:
    made = asyncio.new_event_loop()
    yield made
    made.close()


def connect(loop: asyncio.AbstractEventLoop, known: Heads | None = None) -> Connection:
    lane: Any = Lane()
    kind: Any = Connection.bound(lane, GatewaySettings(), NoTracing(), Telemetry())
    if known is not None:
        kind.known = known
    connection: Connection = kind(Config(no_application, log_config=None, lifespan="off"), ServerState(), {}, loop)
    connection.routed = []
    wire: Any = Wire()
    connection.connection_made(wire)
    return connection


def request(*lines: bytes, body: bytes = BODY, url: bytes = URL, token: bytes = b"t") -> bytes:
    fields = (b"Host: x", b"Content-Type: application/json", b"Authorization: Bearer " + token, *lines)
    head = (b"POST %b HTTP/1.1" % url, *fields, b"Content-Length: %d" % len(body))
    return b"\r\n".join((*head, b"", body))


def read(connection: Connection, *pieces: bytes) -> Any:
    """Let a connection read; return all that can be told from outside."""
    for piece in pieces:
        if not connection.transport.is_closing():
            connection.data_received(piece)
    lane: Any = connection.lane
    wire: Any = connection.transport
    statuses = [sent[:12] for sent in wire.sent]
    return lane.taken, connection.routed, statuses, wire.closed


def test_a_head_that_was_read_once_is_not_parsed_again_by_any_connection(loop: asyncio.AbstractEventLoop) -> None:
    known = Heads()
    first, second = connect(loop, known), connect(loop, known)
    read(first, request())
    assert first.parsed == 4
    longer = request(body=BODY + b" ")
    read(second, request(body=b'{"inputs": [[2]]}'), longer, longer)
    assert second.parsed == 4  # of the longer body's first head
    taken = read(second)[0]
    assert [body for *_, body in taken] == [b'{"inputs": [[2]]}', BODY + b" ", BODY + b" "]
    assert {(url, token, str(headers)) for _, url, headers, token, body in taken if body == BODY + b" "} == {
        (URL, b"Bearer t", str(taken[1][2]))
    }


def test_a_request_with_a_known_head_can_be_handed_back(loop: asyncio.AbstractEventLoop) -> None:
    connection = connect(loop)
    read(connection, request())
    lane: Any = connection.lane
    lane.hands_back = True
    taken, routed, _, _ = read(connection, request())
    assert connection.parsed == 4
    assert routed == [(URL, taken[0][2], BODY)]


@pytest.mark.parametrize(
    "data",
    [
        request(b"X-Other: 1"),
        request(b"Transfer-Encoding: chunked"),
        request(b"Connection: close"),
        request(b"User-Agent:  two blanks"),
        request(b"User-Agent:none"),
        request(b"User-Agent: " + b"a" * 2048),
        request(b"Accept: a", b"Accept: b"),
        request(url=URL + b"?a=1"),
        request().replace(b"HTTP/1.1", b"HTTP/1.0"),
        request().replace(b"POST", b"PUT", 1),
        b"\r\n" + request(),
        request() + b"\r\n",
        request() + request(),
        request().replace(b"\r\n", b"\n", 1),
    ],
)
def test_a_head_that_is_not_ordinary_and_written_plainly_is_never_known(
    loop: asyncio.AbstractEventLoop, data: bytes
) -> None:
    known = Heads()
    read(connect(loop, known), data)
    assert len(known) == 0


HEADERS = (
    b"Content-Length: 1\r\n",
    b"Transfer-Encoding: chunked\r\n",
    b"Connection: close\r\n",
    b"Expect: 100-continue\r\n",
)
MARKS = (b"\r\n", b"\n", b"\r", b" ", b":", b"0", b"1", b"\x00", b"\r\n\r\n", b"G", b"{}", b"POST ", b"Content-Length")
PIECES = st.sampled_from((*HEADERS, *MARKS))
CHANGES = st.lists(st.tuples(st.integers(0), st.integers(0, 4), PIECES), max_size=2)
MESSAGES = st.lists(st.tuples(CHANGES, st.sampled_from([BODY, BODY + b" ", b"", BODY * 40])), min_size=1, max_size=4)


@settings(deadline=None, max_examples=500)
@given(MESSAGES, st.lists(st.integers(0), max_size=3))
def test_whatever_comes_is_read_as_by_a_connection_whose_parser_reads_every_byte(
    loop: asyncio.AbstractEventLoop, messages: list[tuple[Any, bytes]], cuts: list[int]
) -> None:
    sent = []
    for changes, body in messages:
        data = request(body=body)
        for at, cut, piece in changes:
            place = at % (len(data) + 1)
            data = data[:place] + piece + data[place + cut :]
        sent.append(data)
    pieces = sent
    for cut in cuts:  # two messages in one read, or one in two
        if cut % 2 and len(pieces) > 1:
            at = cut % (len(pieces) - 1)
            pieces = [*pieces[:at], pieces[at] + pieces[at + 1], *pieces[at + 2 :]]
        else:
            at = cut % len(pieces)
            middle = cut % (len(pieces[at]) + 1)
            pieces = [*pieces[:at], pieces[at][:middle], pieces[at][middle:], *pieces[at + 1 :]]
    known = Heads()
    for body in (BODY, BODY + b" ", BODY * 40):
        read(connect(loop, known), request(body=body))
    learned = connect(loop, known)
    assert read(learned, *pieces) == read(connect(loop, Forgetful()), *pieces)


def test_a_connection_whose_heads_are_all_different_is_not_learnt_from_for_ever(
    loop: asyncio.AbstractEventLoop,
) -> None:
    connection = connect(loop)
    for number in range(200):
        read(connection, request(b"X-Real-IP: %d" % number))
    assert len(connection.known) == 64
    read(connection, request(b"X-Real-IP: 3"))
    read(connection, request(b"X-Real-IP: 300"))
    assert len(connection.known) == 65


def test_what_is_known_is_bounded_and_holds_no_token(loop: asyncio.AbstractEventLoop) -> None:
    known = Heads()
    for number in range(1100):
        read(connect(loop, known), request(token=b"secret%d" % number))
    assert 0 < len(known) <= 1024
    assert b"secret" not in b"".join(key + repr(head).encode() for key, head in known._known.items())
