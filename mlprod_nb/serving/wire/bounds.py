"""What one request may take on the wire: uvicorn's protocol with bounds on its head and on its pieces.

Guarantee: whatever a caller sends, a connection holds at most ``MOST_HEAD_BYTES`` of a head and one read of the socket
(256 KiB), and takes at most ``MOST_PIECES`` pieces and ``OVERHEAD`` times the largest body, until it is refused.
"""

from __future__ import annotations

from typing import ClassVar

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle

from mlprod_nb.errors import MlprodError
from mlprod_nb.serving import errors
from mlprod_nb.serving.errors import HeadTooLarge, MalformedRequest, TargetTooLong, TooLarge, TooSlow
from mlprod_nb.serving.identifiers import Identifiers
from mlprod_nb.serving.middleware import REFUSED
from mlprod_nb.serving.telemetry.metrics import Telemetry
from mlprod_nb.settings import GatewaySettings

MOST_TARGET_BYTES = 8 * 1024
MOST_HEADERS = 100
MOST_HEAD_BYTES = 64 * 1024
MOST_PIECES = 65_536
"""Most pieces (chunks, and reads of the socket) that a body may come in; each costs time, however small it is."""
OVERHEAD = 2
"""How many times the largest body a request may be on the wire, with the lengths and extensions of its chunks."""
LINGER_SECONDS = 1.0
"""How long a refused connection stays open, so that the caller can read why before it learns that nobody listens."""


class BoundedProtocol(HttpToolsProtocol):
    """One connection; whoever derives from it says where heads begin and end."""

    settings: ClassVar[GatewaySettings]
    identifiers: ClassVar[Identifiers]
    telemetry: ClassVar[Telemetry]

    _in_head = True
    _refused = False
    _read = 0  # bytes read since the head began, without those of the read that it began in
    _first = 0  # bytes of that read
    _latest = 0  # bytes of the latest read
    _pieces = 0
    _reason: MlprodError | None = None

    def data_received(self, data: bytes) -> None:
        """Read on, unless the connection was refused."""
        if self._refused:
            return
        self._latest = len(data)
        self._read += self._latest
        super().data_received(data)
        if self._in_head:
            if self._read > MOST_HEAD_BYTES:
                self._refuse(self._what_is_too_long())
        elif self._read > MOST_HEAD_BYTES + OVERHEAD * self.settings.max_body_bytes:
            self._refuse(TooLarge("the request is too long on the wire.", hint="Send fewer, larger chunks."))

    def head_begins(self) -> None:
        """Note that a request's first byte is there."""
        self._in_head = True
        self._first = self._latest
        self._read = self._pieces = 0

    def head_ends(self) -> None:
        """Check a whole head.

        Raises:
            TargetTooLong: Its request line is too long; the connection is refused.
            HeadTooLarge: It has too many headers, or too long ones; the connection is refused.
        """
        if len(self.url) > MOST_TARGET_BYTES or len(self.headers) > MOST_HEADERS or self._may_be_long():
            self._reason = self._what_is_too_long()
            raise self._reason  # httptools makes a parser's error of it, and uvicorn asks for the reply to that
        self._in_head = False

    def on_body(self, body: bytes) -> None:
        """Keep a piece of the body, unless there were too many."""
        self._pieces += 1
        if self._pieces > MOST_PIECES:
            self._reason = TooLarge("the body comes in too many pieces.", hint="Send fewer, larger chunks.")
            raise self._reason
        super().on_body(body)

    def send_400_response(self, msg: str) -> None:  # noqa: ARG002
        """Refuse what the parser could not read."""
        self._refuse(self._reason or MalformedRequest("the request is not HTTP/1.1."))

    def end_late(self) -> None:
        """End a connection that is late: a request that has begun is told so, and where none has, nobody listens."""
        begun = (self._in_head and self._first > 0) or (self.cycle is not None and not self.cycle.response_complete)
        if begun and not self._refused:
            self._refuse(TooSlow("the request was not received in time."))
        else:
            self.transport.close()

    def _may_be_long(self) -> bool:
        # Whatever was read since the head began is at least as long as the head; mostly that is little enough.
        return self._first + self._read > MOST_HEAD_BYTES and _size(self.headers) > MOST_HEAD_BYTES

    def _what_is_too_long(self) -> MlprodError:
        if len(self.url) > MOST_TARGET_BYTES:
            return TargetTooLong(f"the request line is longer than {MOST_TARGET_BYTES} bytes.")
        if len(self.headers) > MOST_HEADERS:
            return HeadTooLarge(f"the request has more than {MOST_HEADERS} headers.")
        return HeadTooLarge(f"the headers are longer than {MOST_HEAD_BYTES} bytes.")

    def _refuse(self, error: MlprodError) -> None:
        """Answer with a problem, and end the connection; where an earlier answer is not out yet, end it after that."""
        if self._refused:
            return
        self._refused = True
        self.flow.resume_reading()  # what still comes is dropped
        cycle = self.cycle
        if cycle is not None and not cycle.response_complete:
            if self._in_head:
                cycle.keep_alive = False  # the earlier answer goes out, and the connection ends with it
                return
            if self.pipeline or getattr(cycle, "response_started", False):
                self.transport.close()
                return
            cycle.disconnected = True  # the application's own answer comes too late
            cycle.message_event.set()
        document = errors.problem(error, self.identifiers.new())
        if isinstance(cycle, RequestResponseCycle) and not cycle.response_complete:
            cycle.scope[REFUSED] = document["status"]  # type: ignore[literal-required]  # counted where it ends
        else:
            self.telemetry.replied("none", "", str(document["status"]))
        body = errors.encode(document)
        parts = [STATUS_LINE[document["status"]]]
        for name, value in self.server_state.default_headers:
            parts += (name, b": ", value, b"\r\n")
        parts.append(
            f"content-type: {errors.MEDIA_TYPE}\r\nx-request-id: {document['request_id']}\r\n"
            f"connection: close\r\ncontent-length: {len(body)}\r\n\r\n".encode()
        )
        self.transport.write(b"".join((*parts, body)))
        self.loop.call_later(LINGER_SECONDS, self.transport.close)


def _size(headers: list[tuple[bytes, bytes]]) -> int:
    return sum(len(name) + len(value) for name, value in headers)
