"""The express lane: predictions that arrive in one turn of the event loop are answered together, without a task each.

A request of the ordinary form (JSON, one of MLflow's formats, a token known from a moment ago, an endpoint at rest)
costs mostly what surrounds its model: a task, routing, a look at each header, an append. Here all that is done once for
the requests of one turn. What is not of the ordinary form, and whatever goes wrong before anything is logged, is handed
back to the routes, which answer it alone: so every rule and every error is written once.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

import orjson

from mlprod_nb.clock import Clock
from mlprod_nb.columns import Columns, Repeated, Texts, join
from mlprod_nb.errors import ExecutionFailed, MlprodError
from mlprod_nb.process_log import about
from mlprod_nb.serving import errors
from mlprod_nb.serving.auth import Gatekeeper
from mlprod_nb.serving.dataplane import Answer, DataPlane
from mlprod_nb.serving.errors import LogUnavailable, ModelFailed, ModelUnavailable
from mlprod_nb.serving.models.loaded import Lease
from mlprod_nb.serving.ordinary import NOT_ORDINARY, Reader, Table
from mlprod_nb.serving.routes import LiveEndpoint, RouteBook
from mlprod_nb.serving.rows import Rows, read_units
from mlprod_nb.serving.telemetry.metrics import Telemetry
from mlprod_nb.serving.turnstile import Visit, full

T = TypeVar("T")

JSON = b"application/json"
_PREFIX, _SUFFIX = b"/endpoints/", b"/invocations"
_MOST_ROWS = 4096
_PART_BYTES = 256 * 1024
"""What the bodies of one part may hold, 1,000 rows of 30 numbers: while they are scored, the next part is read."""

logger = logging.getLogger(__name__)


class Exchange(Protocol):
    """One request whose body is complete, and the way to its caller."""

    body: bytes | bytearray
    authorization: bytes

    def reply(self, status: int, media_type: bytes, request_id: str, body: bytes) -> None:
        """Send the reply."""

    def hand_back(self) -> None:
        """Let the routes answer."""


@dataclass(frozen=True, slots=True)
class _Request:
    exchange: Exchange
    table: Table
    units: Sequence[str | None]

    @property
    def rows(self) -> Sequence[Sequence[Any]]:
        return self.table.rows


class _Replies:
    """The bodies of the replies to some requests, written while the log's disk is at their rows.

    Args:
        requests: The requests.
    """

    def __init__(self, requests: Sequence[_Request]) -> None:
        self._counts = [len(request.table.rows) for request in requests]
        self._bodies: list[bytes] = []

    def prepare(self, answer: Answer) -> None:
        """Write the bodies of an answer; where that fails, it fails again when they are due."""
        with suppress(Exception):
            self._bodies = self._write(answer)

    def of(self, answer: Answer) -> list[bytes]:
        """Return the bodies of the answer that was prepared, or of one that is not logged."""
        return self._bodies if self._bodies and answer.logged else self._write(answer)

    def _write(self, answer: Answer) -> list[bytes]:
        return [orjson.dumps(document) for document in answer.documents(self._counts)]


class ExpressLane:
    """Answers what is ordinary.

    Args:
        book: The route table.
        plane: Answers rows.
        gatekeeper: Knows the tokens that were verified a moment ago.
        telemetry: Counts the requests.
        clock: Gives the present moment.
    """

    def __init__(
        self, book: RouteBook, plane: DataPlane, gatekeeper: Gatekeeper, telemetry: Telemetry, clock: Clock
    ) -> None:
        self._book = book
        self._plane = plane
        self._gatekeeper = gatekeeper
        self._telemetry = telemetry
        self._clock = clock
        self._readers: dict[str, Reader] = {}
        self._waiting: dict[str, list[Exchange]] = {}
        self._under_way: set[asyncio.Task[None]] = set()

    def endpoint(self, url: bytes) -> str:
        """Return the endpoint that a request line asks for predictions; empty where it is none that is served."""
        if not (url.startswith(_PREFIX) and url.endswith(_SUFFIX)):
            return ""
        name = url[len(_PREFIX) : -len(_SUFFIX)].decode("ascii", "replace")
        return name if name in self._book.table.endpoints else ""

    def take(self, endpoint: str, exchange: Exchange) -> None:
        """Take a request; it is answered, or handed back, at the end of this turn of the event loop."""
        if not self._waiting:
            self._start(self._depart())
        self._waiting.setdefault(endpoint, []).append(exchange)

    async def close(self) -> None:
        """Wait for the answers that are under way."""
        await asyncio.gather(*self._under_way, return_exceptions=True)

    def _start(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._under_way.add(task)
        task.add_done_callback(self._under_way.discard)

    async def _depart(self) -> None:
        """Answer what waits, the first part in this task: most often it is the only one."""
        answers = [*self._answers()]
        for answer in answers[1:]:
            self._start(answer)
        for answer in answers[:1]:
            await answer

    def _answers(self) -> Iterator[Coroutine[Any, Any, None]]:
        """Let in what waits, and yield what answers each part of it."""
        waiting, self._waiting = self._waiting, {}
        for endpoint, exchanges in waiting.items():
            live = self._book.at_rest(endpoint)
            if live is None:
                for exchange in exchanges:
                    exchange.hand_back()
                continue
            for part in _parts(exchanges, _bytes, _PART_BYTES):
                visit = self._let_in(live, part)
                lease = live.lease()  # taken in this turn, so that a swap in the next one cannot close the models
                yield self._answer(live, part[: visit.requests], lease, visit)

    def _let_in(self, live: LiveEndpoint, exchanges: list[Exchange]) -> Visit:
        """Let in as many of the requests as may be under way now; refuse the others."""
        visit = self._plane.turnstile.let_in(live.name, len(exchanges))
        kept_out = exchanges[visit.requests :]
        if kept_out:
            self._refuse(live, kept_out, self._plane.identifiers.take(len(kept_out)), full(live.name))
        return visit

    async def _answer(self, live: LiveEndpoint, exchanges: list[Exchange], lease: Lease, visit: Visit) -> None:
        began = self._plane.monotonic()
        with lease, visit:
            most = self._plane.variant_limits.least(live.name, _MOST_ROWS)
            for part in _parts(self._read_all(live, exchanges, visit), _rows, most):
                await self._answer_part(live, part, began, visit)

    async def _answer_part(self, live: LiveEndpoint, requests: list[_Request], began: float, visit: Visit) -> None:
        columns = self._decode(live, requests, visit)
        if columns is None:
            return
        exchanges = [request.exchange for request in requests]
        count = sum(len(request.table.rows) for request in requests)
        ids, row_ids = self._plane.identifiers.take_two(len(requests), count)
        alone = len(requests) == 1  # of several, one may have ended the model
        replies = _Replies(requests)
        try:
            rows = self._rows(requests, columns, ids, row_ids, began)
            answer = await self._plane.answer(live, rows, final=alone, meanwhile=replies.prepare)
        except (LogUnavailable, ModelUnavailable, ModelFailed) as error:
            if not (alone or isinstance(error, LogUnavailable)):
                _hand_back(exchanges, visit)
                return
            if isinstance(error, ModelFailed):
                with about(ids[0]):
                    logger.error("%s", error)
            self._refuse(live, exchanges, ids, error)
        except Exception:  # noqa: BLE001 (whatever it is, the routes meet it again, one request at a time, and say it)
            _hand_back(exchanges, visit)
        else:
            self._send(live, exchanges, ids, answer, replies)

    def _send(
        self, live: LiveEndpoint, exchanges: Sequence[Exchange], ids: Sequence[str], answer: Answer, replies: _Replies
    ) -> None:
        """Reply to requests whose rows are in the log: what cannot be written down is refused, not asked anew."""
        try:
            bodies = replies.of(answer)
        except Exception:
            logger.exception("endpoint %s: answers that are in the log cannot be written down", live.name)
            self._refuse(live, exchanges, ids, ExecutionFailed("the answer cannot be written down."))
            return
        for exchange, request_id, body in zip(exchanges, ids, bodies, strict=True):
            exchange.reply(200, JSON, request_id, body)
        self._count(live, "200", len(exchanges))

    def _count(self, live: LiveEndpoint, status: str, requests: int) -> None:
        self._telemetry.replied("invoke", live.name, status, requests)

    def _refuse(
        self, live: LiveEndpoint, exchanges: Sequence[Exchange], ids: Sequence[str], error: MlprodError
    ) -> None:
        document = errors.problem(error, "")
        for exchange, request_id in zip(exchanges, ids, strict=True):
            body = errors.encode({**document, "request_id": request_id})
            exchange.reply(document["status"], errors.MEDIA_TYPE.encode(), request_id, body)
        self._count(live, str(document["status"]), len(exchanges))
        self._telemetry.refused(live.name, errors.reason(document), len(exchanges))

    def _read_all(self, live: LiveEndpoint, exchanges: list[Exchange], visit: Visit) -> list[_Request]:
        """Read requests; hand back those that are not of the ordinary form."""
        may: dict[bytes, bool] = {}
        reader, found = self._reader(live), []
        for exchange in exchanges:
            caller = exchange.authorization
            if caller not in may:
                may[caller] = self._gatekeeper.recall(caller, "predict")
            try:
                if not may[caller]:
                    raise ValueError
                found.append(_read(exchange, live, reader))
            except NOT_ORDINARY:
                _hand_back([exchange], visit)
        return found

    def _reader(self, live: LiveEndpoint) -> Reader:
        reader = self._readers.get(live.name)
        if reader is None or reader.signature is not live.signature:
            self._readers[live.name] = reader = Reader(live.signature)
        return reader

    def _decode(self, live: LiveEndpoint, requests: list[_Request], visit: Visit) -> Columns | None:
        """Return the typed columns of requests; hand back, and leave out, those whose values do not fit."""
        reader = self._reader(live)
        try:
            return reader.decode([request.table for request in requests])
        except NOT_ORDINARY:
            pass
        good = []
        for request in requests:
            try:
                reader.decode([request.table])
                good.append(request)
            except NOT_ORDINARY:
                _hand_back([request.exchange], visit)
        requests[:] = good
        return reader.decode([request.table for request in good]) if good else None

    def _rows(
        self, requests: list[_Request], columns: Columns, ids: Sequence[str], row_ids: Sequence[str], began: float
    ) -> Rows:
        now, count = self._clock(), len(row_ids)
        request_ids = ids
        if count > len(requests):
            each = (len(request.rows) * name for name, request in zip(ids, requests, strict=True))
            request_ids = Texts("".join(each), count)
        return Rows(
            count=count,
            columns=columns,
            ids=row_ids,
            request_ids=request_ids,
            units=join([request.units for request in requests]),
            event_time=Repeated(now, count),
            received_at=now,
            began=began,
        )


def _read(exchange: Exchange, live: LiveEndpoint, reader: Reader) -> _Request:
    table = reader.read(exchange.body)
    units = table.units
    if units is None and live.spec.unit in live.signature.names:
        place = live.signature.names.index(live.spec.unit)
        units = [row[place] for row in table.rows]
    return _Request(exchange, table, read_units(units, len(table.rows)))


def _parts(things: list[T], size: Callable[[T], int], most: int) -> list[list[T]]:
    """Divide things into parts of about equal size, so that none of several is larger than ``most``."""
    if len(things) <= 1:
        return [things] if things else []
    sizes = [size(thing) for thing in things]
    count = -(-sum(sizes) // most)
    if count <= 1:
        return [things]
    share = sum(sizes) / count
    parts: list[list[T]] = []
    whole = share
    for thing, own in zip(things, sizes, strict=True):
        if whole >= share or whole + own > most:
            parts.append([])
            whole = 0
        parts[-1].append(thing)
        whole += own
    return parts


def _bytes(exchange: Exchange) -> int:
    return len(exchange.body)


def _rows(request: _Request) -> int:
    return len(request.rows)


def _hand_back(exchanges: Sequence[Exchange], visit: Visit) -> None:
    visit.leave(len(exchanges))  # the routes count them anew
    for exchange in exchanges:
        exchange.hand_back()
