"""The express lane: predictions that arrive in one turn of the event loop are answered together, without a task each.

A request of the ordinary form (JSON, one of MLflow's formats, a token known from a moment ago, an endpoint at rest)
costs mostly what surrounds its model: a task, routing, a look at each header, an append. Here all that is done once for
the requests of one turn. What is not of the ordinary form, and whatever goes wrong before anything is logged, is handed
back to the routes, which answer it alone: so every rule and every error is written once.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import chain
from operator import itemgetter
from typing import Any, Protocol

import numpy as np
import orjson

from mlprod_nb.clock import Clock
from mlprod_nb.columns import Block, Columns, Repeated, join
from mlprod_nb.errors import ExecutionFailed, MlprodError
from mlprod_nb.registry.bundles import Signature
from mlprod_nb.serving import errors
from mlprod_nb.serving.auth import Gatekeeper
from mlprod_nb.serving.columns import INEXACT, typed
from mlprod_nb.serving.dataplane import Answer, DataPlane
from mlprod_nb.serving.errors import LogUnavailable, ModelUnavailable
from mlprod_nb.serving.protocols import strict
from mlprod_nb.serving.routes import LiveEndpoint, RouteBook
from mlprod_nb.serving.rows import Rows, read_units
from mlprod_nb.serving.telemetry import Telemetry
from mlprod_nb.serving.turnstile import Visit, full

JSON = b"application/json"
_PREFIX, _SUFFIX = b"/endpoints/", b"/invocations"
_NUMBERS = frozenset((float, int))
_NESTED = frozenset((dict, list))
_MOST_ROWS = 4096
# JSONDecodeError is a ValueError.
_NOT_ORDINARY = (MlprodError, ValueError, KeyError, TypeError, AttributeError, OverflowError)

logger = logging.getLogger(__name__)


class Exchange(Protocol):
    """One request whose body is complete, and the way to its caller."""

    body: bytearray
    authorization: bytes

    def reply(self, status: int, media_type: bytes, request_id: str, body: bytes) -> None:
        """Send the reply."""

    def hand_back(self) -> None:
        """Let the routes answer."""


@dataclass(frozen=True, slots=True)
class _Request:
    exchange: Exchange
    rows: Sequence[Sequence[Any]]
    units: Sequence[str | None]


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
            asyncio.get_running_loop().call_soon(self._depart)
        self._waiting.setdefault(endpoint, []).append(exchange)

    async def close(self) -> None:
        """Wait for the answers that are under way."""
        await asyncio.gather(*self._under_way, return_exceptions=True)

    def _depart(self) -> None:
        waiting, self._waiting = self._waiting, {}
        for endpoint, exchanges in waiting.items():
            live = self._book.at_rest(endpoint)
            if live is None:
                for exchange in exchanges:
                    exchange.hand_back()
                continue
            visit = self._let_in(live, exchanges)
            lease = ExitStack()  # taken in this turn, so that a swap in the next one cannot close the models
            lease.enter_context(live.lease())
            lease.callback(visit.end)
            task = asyncio.get_running_loop().create_task(self._answer(live, exchanges[: visit.requests], lease, visit))
            self._under_way.add(task)
            task.add_done_callback(self._under_way.discard)

    def _let_in(self, live: LiveEndpoint, exchanges: list[Exchange]) -> Visit:
        """Let in as many of the requests as may be under way now; refuse the others."""
        visit = self._plane.turnstile.let_in(live.name, len(exchanges))
        kept_out = exchanges[visit.requests :]
        if kept_out:
            _refuse(kept_out, self._plane.identifiers.take(len(kept_out)), full(live.name))
            self._count(live, "429", len(kept_out))
        return visit

    async def _answer(self, live: LiveEndpoint, exchanges: list[Exchange], lease: ExitStack, visit: Visit) -> None:
        began = self._plane.monotonic()
        with lease:
            for part in _parts(self._read_all(live, exchanges, visit)):
                await self._answer_part(live, part, began, visit)

    async def _answer_part(self, live: LiveEndpoint, requests: list[_Request], began: float, visit: Visit) -> None:
        columns = self._decode(live, requests, visit)
        if columns is None:
            return
        exchanges = [request.exchange for request in requests]
        ids = self._plane.identifiers.take(len(requests))
        try:
            answer = await self._plane.answer(live, self._rows(requests, columns, ids, began))
        except (LogUnavailable, ModelUnavailable) as error:
            if isinstance(error, ModelUnavailable) and len(requests) > 1:  # one alone may have ended the model
                _hand_back(exchanges, visit)
                return
            _refuse(exchanges, ids, error)
            self._count(live, "503", len(requests))
        except Exception:  # noqa: BLE001 (whatever it is, the routes meet it again, one request at a time, and say it)
            _hand_back(exchanges, visit)
        else:
            self._send(live, requests, ids, answer)

    def _send(self, live: LiveEndpoint, requests: list[_Request], ids: list[str], answer: Answer) -> None:
        """Reply to requests whose rows are in the log: what cannot be written down is refused, not asked anew."""
        exchanges = [request.exchange for request in requests]
        try:
            documents = answer.documents(len(request.rows) for request in requests)
            bodies = [orjson.dumps(document) for document in documents]
        except Exception:
            logger.exception("endpoint %s: answers that are in the log cannot be written down", live.name)
            _refuse(exchanges, ids, ExecutionFailed("the answer cannot be written down."))
            self._count(live, "500", len(requests))
            return
        for exchange, request_id, body in zip(exchanges, ids, bodies, strict=True):
            exchange.reply(200, JSON, request_id, body)
        self._count(live, "200", len(requests))

    def _count(self, live: LiveEndpoint, status: str, requests: int) -> None:
        self._telemetry.requests.labels("invoke", live.name, status).inc(requests)

    def _read_all(self, live: LiveEndpoint, exchanges: list[Exchange], visit: Visit) -> list[_Request]:
        """Read requests; hand back those that are not of the ordinary form."""
        callers = {exchange.authorization for exchange in exchanges}
        may = {caller: self._gatekeeper.recall(caller, "predict") for caller in callers}
        found = []
        for exchange in exchanges:
            try:
                if not may[exchange.authorization]:
                    raise ValueError
                found.append(_read(exchange, live))
            except _NOT_ORDINARY:
                _hand_back([exchange], visit)
        return found

    def _decode(self, live: LiveEndpoint, requests: list[_Request], visit: Visit) -> Columns | None:
        """Return the typed columns of requests; hand back, and leave out, those whose values do not fit."""
        try:
            return decode([row for request in requests for row in request.rows], live.signature)
        except _NOT_ORDINARY:
            pass
        good = []
        for request in requests:
            try:
                decode(request.rows, live.signature)
                good.append(request)
            except _NOT_ORDINARY:
                _hand_back([request.exchange], visit)
        requests[:] = good
        return decode([row for request in good for row in request.rows], live.signature) if good else None

    def _rows(self, requests: list[_Request], columns: Columns, ids: list[str], began: float) -> Rows:
        now = self._clock()
        count = sum(len(request.rows) for request in requests)
        request_ids: Sequence[str] = ids
        if count > len(requests):
            request_ids = [name for name, request in zip(ids, requests, strict=True) for _ in request.rows]
        return Rows(
            count=count,
            columns=columns,
            ids=self._plane.identifiers.take(count),
            request_ids=request_ids,
            units=join([request.units for request in requests]),
            event_time=Repeated(now, count),
            received_at=now,
            began=began,
        )


def _read(exchange: Exchange, live: LiveEndpoint) -> _Request:
    rows, units = read_rows(exchange.body, live.signature)
    if units is None and live.spec.unit in live.signature.names:
        place = live.signature.names.index(live.spec.unit)
        units = [row[place] for row in rows]
    return _Request(exchange, rows, read_units(units, len(rows)))


def read_rows(body: bytes | bytearray, signature: Signature) -> tuple[Sequence[Sequence[Any]], Sequence[Any] | None]:
    """Read an ordinary request.

    Returns:
        The rows, each with one value a column of the signature, in its order and not yet checked; and the units.

    Raises:
        JSONDecodeError: The body is not JSON.
        ValueError: The request is not of the ordinary form.
        KeyError: A column is missing.
        TypeError: A part is of another type.
    """
    data = orjson.loads(body)
    names = len(data)
    units = data.pop("units", None)
    ((key, content),) = data.items()
    rows = _READERS[key](content, signature)
    if not rows or (units is not None and (type(units) is not list or len(units) != len(rows))):
        raise ValueError
    if type(content) is dict:
        names += len(content)
    elif type(content[0]) is dict:
        names += len(rows) * len(signature.names)
    if not strict.plain(body, names):
        raise ValueError
    return rows, units


def decode(rows: Sequence[Sequence[Any]], signature: Signature) -> Columns:
    """Return the typed columns of rows; see :func:`mlprod_nb.serving.columns.typed`.

    Raises:
        InvalidInput: A value does not fit.
    """
    names = signature.names
    if signature.only_numbers:
        kinds = set(map(type, chain.from_iterable(rows)))
        if kinds <= _NUMBERS:
            matrix = np.array(rows, dtype=np.float64).T
            if np.isfinite(matrix).all() and (int not in kinds or (np.abs(matrix) < INEXACT).all()):
                return Block(names, np.ascontiguousarray(matrix))
    return typed(dict(zip(names, zip(*rows, strict=True), strict=True)), len(rows), signature)


def _split(content: Any, signature: Signature) -> Sequence[Sequence[Any]]:
    rows, columns = content["data"], content["columns"]
    if len(content) > 2 + ("index" in content) or not _NESTED.isdisjoint(map(type, content.get("index", ()))):
        raise ValueError
    if tuple(columns) == signature.names:
        return _positional(rows, signature)
    place = {name: number for number, name in enumerate(columns)}
    if len(place) != len(signature.names) or len(columns) != len(place):
        raise ValueError
    order = [place[name] for name in signature.names]
    return [[row[number] for number in order] for row in _of_width(rows, len(order))]


def _positional(rows: Any, signature: Signature) -> Sequence[Sequence[Any]]:
    return _of_width(rows, len(signature.names))


def _of_width(rows: Any, width: int) -> Sequence[Sequence[Any]]:
    if type(rows) is not list:
        raise ValueError
    for row in rows:
        if type(row) is not list or len(row) != width:
            raise ValueError
    return rows


def _records(rows: Any, signature: Signature) -> Sequence[Sequence[Any]]:
    names = signature.names
    if len(names) == 1 or type(rows) is not list or any(len(row) != len(names) for row in rows):
        raise ValueError
    return list(map(itemgetter(*names), rows))


def _either(rows: Any, signature: Signature) -> Sequence[Sequence[Any]]:
    return _records(rows, signature) if rows and type(rows[0]) is dict else _positional(rows, signature)


def _columns(content: Any, signature: Signature) -> Sequence[Sequence[Any]]:
    if type(content) is not dict:
        return _positional(content, signature)
    if len(content) != len(signature.names):
        raise ValueError
    columns = [content[name] for name in signature.names]
    if any(type(values) is not list for values in columns):
        raise ValueError
    return list(zip(*columns, strict=True))


_READERS: dict[str, Callable[[Any, Signature], Sequence[Sequence[Any]]]] = {
    "dataframe_split": _split,
    "dataframe_records": _records,
    "instances": _either,
    "inputs": _columns,
}


def _parts(requests: list[_Request]) -> list[list[_Request]]:
    """Divide requests so that no part is much larger than a large micro-batch."""
    parts: list[list[_Request]] = []
    rows = _MOST_ROWS
    for request in requests:
        if rows + len(request.rows) > _MOST_ROWS:
            parts.append([])
            rows = 0
        parts[-1].append(request)
        rows += len(request.rows)
    return parts


def _refuse(exchanges: Sequence[Exchange], ids: list[str], error: MlprodError) -> None:
    for exchange, request_id in zip(exchanges, ids, strict=True):
        document = errors.problem(error, request_id)
        exchange.reply(document["status"], errors.MEDIA_TYPE.encode(), request_id, errors.encode(document))


def _hand_back(exchanges: Sequence[Exchange], visit: Visit) -> None:
    visit.leave(len(exchanges))  # the routes count them anew
    for exchange in exchanges:
        exchange.hand_back()
