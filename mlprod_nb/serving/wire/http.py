"""HTTP/1.1 on a connection: uvicorn's protocol with deadlines, limits and the way into the express lane."""

from __future__ import annotations

import asyncio
from typing import Any, ClassVar

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, RequestResponseCycle

from mlprod_nb.serving import errors
from mlprod_nb.serving.express import ExpressLane
from mlprod_nb.serving.identifiers import Identifiers
from mlprod_nb.serving.telemetry.metrics import Telemetry
from mlprod_nb.serving.telemetry.tracing import CHOSEN, Tracing
from mlprod_nb.serving.wire.bounds import BoundedProtocol
from mlprod_nb.serving.wire.heads import Head, Headers, Heads, headers_of
from mlprod_nb.settings import GatewaySettings

HEAD_SECONDS = 10.0
"""How long a request's head may take to arrive."""
IDLE_SECONDS = 75.0
"""How long a connection may wait for its next request."""
LOOK_SECONDS = 1.0
"""How often connections are looked at, so how late a deadline may be kept."""

_NEVER = float("inf")
_MOST_STRANGERS = 64  # heads in a row that were not known: whoever sends so many never sends the same one twice
_LARGEST = 2**18  # a larger body goes to the routes, which bound what all bodies hold together
_JSON = frozenset((b"application/json", b"application/json; charset=utf-8"))
_ORDINARY_HEADERS = frozenset(
    (
        b"accept",
        b"accept-encoding",
        b"accept-language",
        b"authorization",
        b"connection",
        b"content-length",
        b"content-type",
        b"date",
        b"forwarded",
        b"host",
        b"user-agent",
        b"via",
        b"x-forwarded-for",
        b"x-forwarded-host",
        b"x-forwarded-proto",
        b"x-real-ip",
    )
)
"""Headers that change nothing, or that the express lane reads itself; a request with another one goes to the routes."""


class _Unheard:
    """Stands for the event by which uvicorn tells a request of more of its body: nobody waits for it here."""

    def set(self) -> None:
        """Do nothing."""


_UNHEARD = _Unheard()


class ExpressExchange:
    """A request in the express lane; it stands where uvicorn keeps the request that a connection is busy with."""

    __slots__ = (
        "_protocol",
        "authorization",
        "body",
        "disconnected",
        "head",
        "keep_alive",
        "message_event",
        "response_complete",
        "url",
    )

    def __init__(
        self, protocol: GatewayProtocol, url: bytes, head: bytes | Headers, authorization: bytes, *, keep_alive: bool
    ) -> None:
        self._protocol = protocol
        self.url = url
        self.head = head
        self.authorization = authorization
        self.keep_alive = keep_alive
        self.body: bytes | bytearray = bytearray()
        self.disconnected = False
        self.response_complete = False
        self.message_event = _UNHEARD

    @property
    def headers(self) -> Headers:
        """Its headers, their names in lower case."""
        return headers_of(self.head) if isinstance(self.head, bytes) else self.head

    def reply(self, status: int, media_type: bytes, request_id: str, body: bytes) -> None:
        """Send the reply, unless the caller is gone."""
        self.response_complete = True
        if not self.disconnected:
            self._protocol.send(self, status, media_type, request_id, body)

    def hand_back(self) -> None:
        """Let the routes answer, unless the caller is gone."""
        if not self.disconnected:
            self._protocol.start_asgi(self)


class GatewayProtocol(BoundedProtocol):
    """One connection.

    uvicorn has no deadline for a request's head, starts a timer after every reply and a task for every request. Here
    one look a second ends the connections that are late, and ordinary predictions take the express lane.
    """

    lane: ClassVar[ExpressLane]
    settings: ClassVar[GatewaySettings]
    tracing: ClassVar[Tracing]
    open: ClassVar[set[GatewayProtocol]]
    heads: ClassVar[dict[tuple[int, bytes], tuple[Headers, bytes]]]
    known: ClassVar[Heads]
    url: bytes

    @classmethod
    def bound(
        cls, lane: ExpressLane, settings: GatewaySettings, tracing: Tracing, telemetry: Telemetry
    ) -> type[GatewayProtocol]:
        """Return the protocol of one gateway: uvicorn makes its protocols without arguments of ours."""
        parts = {
            "lane": lane,
            "settings": settings,
            "tracing": tracing,
            "telemetry": telemetry,
            "identifiers": Identifiers(),
            "open": set(),
            "heads": {},
            "known": Heads(),
        }
        return type(cls.__name__, (cls,), parts)

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._late_at = _NEVER
        self._express: ExpressExchange | None = None
        self._endpoint = ""
        self._chosen = False
        self._between = True  # the parser awaits a message's first byte
        self._lesson = b""
        self._strangers = 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Give the first request's head its deadline."""
        super().connection_made(transport)
        self._late_at = self.loop.time() + HEAD_SECONDS
        if not self.open:
            self.loop.call_later(LOOK_SECONDS, self._look)
        self.open.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the connection."""
        self.open.discard(self)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Read on; a message that is whole, and whose head is known, needs no parser."""
        if self._between and not self._refused and (self.cycle is None or self.cycle.response_complete):
            found = self.known.find(data)
            if found is not None:
                self._strangers = 0
                self._take(data, *found)
                return
            if self._strangers < _MOST_STRANGERS:
                self._strangers += 1
                self._lesson = data
        super().data_received(data)
        self._lesson = b""

    def on_message_begin(self) -> None:
        """Begin a request; its head has a deadline, unless another one is still being answered."""
        self._between = False
        self.head_begins()
        self.url = b""
        self.headers = []
        self.expect_100_continue = False
        if self.cycle is None or self.cycle.response_complete:
            self._late_at = self.loop.time() + HEAD_SECONDS

    def on_headers_complete(self) -> None:
        """Choose the lane."""
        self.head_ends()
        self._chosen = False
        self._express = self._ordinary()
        if self._express is None:
            self._late_at = _NEVER  # the routes have their own deadline
            self.scope = self._scope(self.headers)
            super().on_headers_complete()
        else:
            self._late_at = self.loop.time() + self.settings.request_timeout_seconds
            self.cycle = self._express  # type: ignore[assignment]

    def on_body(self, body: bytes) -> None:
        """Keep a part of the body."""
        if self._express is not None:
            self._express.body += body
        else:
            super().on_body(body)

    def on_message_complete(self) -> None:
        """Hand an ordinary request to the express lane."""
        self._between = self.parser.should_keep_alive()
        lesson, self._lesson = self._lesson, b""
        exchange, self._express = self._express, None
        if exchange is not None:
            self._late_at = _NEVER
            if lesson and exchange.keep_alive:
                self.known.learn(lesson, self._endpoint, self.url, self.headers, len(exchange.body))
            self.lane.take(self._endpoint, exchange)
        else:
            super().on_message_complete()

    def on_response_complete(self) -> None:
        """Begin the next request that came already, or wait for one."""
        self.server_state.total_requests += 1
        if self.transport.is_closing():
            return
        self.flow.resume_reading()
        if self.pipeline:
            cycle, app = self.pipeline.pop()
            self._start_asgi_task(cycle, app)
        else:
            self._late_at = self.loop.time() + IDLE_SECONDS

    def send(self, exchange: ExpressExchange, status: int, media_type: bytes, request_id: str, body: bytes) -> None:
        """Write the reply of an express request."""
        end = b"\r\n" if exchange.keep_alive else b"connection: close\r\n\r\n"
        length = b"\r\ncontent-length: %d\r\n" % len(body)
        self.transport.write(b"".join((self._head(status, media_type), request_id.encode(), length, end, body)))
        if not exchange.keep_alive:
            self.transport.close()
        self.on_response_complete()

    def _head(self, status: int, media_type: bytes) -> bytes:
        """Return what replies of a kind begin with, up to the request's id; uvicorn makes new headers each second."""
        headers = self.server_state.default_headers
        known, head = self.heads.get((status, media_type), (None, b""))
        if known is not headers:
            named = [*headers, *((n.lower().encode(), v.encode()) for n, v in errors.headers_of(status).items())]
            lines = b"".join(b"%b: %b\r\n" % header for header in named)
            head = b"%b%bcontent-type: %b\r\nx-request-id: " % (STATUS_LINE[status], lines, media_type)
            self.heads[status, media_type] = headers, head
        return head

    def start_asgi(self, exchange: ExpressExchange) -> None:
        """Let the application answer an express request."""
        path = exchange.url.decode("ascii")
        scope = self._scope(exchange.headers)
        scope.update(method="POST", path=path, raw_path=exchange.url, query_string=b"")
        cycle = RequestResponseCycle(
            scope=scope,
            transport=self.transport,
            flow=self.flow,
            logger=self.logger,
            access_logger=self.access_logger,
            access_log=self.access_log,
            default_headers=self.server_state.default_headers,
            message_event=asyncio.Event(),
            expect_100_continue=False,
            keep_alive=exchange.keep_alive,
            on_response=self.on_response_complete,
        )
        cycle.body, cycle.more_body = bytearray(exchange.body), False
        cycle.message_event.set()
        if self.cycle is exchange:  # type: ignore[comparison-overlap]  # not where a pipelined request waits behind it
            self.cycle = cycle  # type: ignore[unreachable]
        self._start_asgi_task(cycle, self.app)

    def _look(self) -> None:
        """End the connections that are late; look again as long as there are any."""
        now = self.loop.time()
        for connection in [each for each in self.open if each._late_at < now]:
            connection.end_late()
        if self.open:
            self.loop.call_later(LOOK_SECONDS, self._look)

    def _ordinary(self) -> ExpressExchange | None:
        """Return the request as an express one, or ``None`` where its head is not of the ordinary form."""
        if self.cycle is not None and not self.cycle.response_complete:
            return None
        given = dict(self.headers)
        length = given.get(b"content-length", b"")
        if (
            self.parser.get_method() != b"POST"
            or self.parser.get_http_version() != "1.1"
            or len(given) < len(self.headers)
            or not given.keys() <= _ORDINARY_HEADERS
            or given.get(b"content-type") not in _JSON
            or not length.isdigit()
            or int(length) > min(_LARGEST, self.settings.max_body_bytes)
        ):
            return None
        self._endpoint = self.lane.endpoint(self.url)
        if not self._endpoint:
            return None
        if self.tracing.choose():
            self._chosen = True
            return None
        authorization = given.get(b"authorization", b"")
        keep_alive = self.parser.should_keep_alive()
        return ExpressExchange(self, self.url, self.headers, authorization, keep_alive=keep_alive)

    def _take(self, data: bytes, begin: int, head: Head) -> None:
        """Take a whole request with a known head, as the parser's calls would; see :class:`Heads`."""
        self._in_head = False
        self._late_at = _NEVER
        authorization = data[head.begin : head.end]
        exchange = ExpressExchange(self, head.url, data[:begin], authorization, keep_alive=True)
        exchange.body = data[begin:]
        self.cycle = exchange  # type: ignore[assignment]
        self._chosen = self.tracing.choose()
        if self._chosen:
            self.start_asgi(exchange)
        else:
            self.lane.take(head.endpoint, exchange)

    def _scope(self, headers: Headers) -> Any:
        return {
            "type": "http",
            "asgi": {"version": self.asgi_version, "spec_version": "2.3"},
            "http_version": "1.1",
            "server": self.server,
            "client": self.client,
            "scheme": self.scheme,
            "root_path": self.root_path,
            "headers": headers,
            "state": self.app_state.copy(),
            CHOSEN: self._chosen,
        }
