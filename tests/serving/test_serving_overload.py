"""More than can be answered: what is too much is refused at once, to come again; what was taken is answered."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import httpx
import pytest

from mlprod_nb.columns import Columns
from mlprod_nb.errors import Unavailable
from mlprod_nb.prediction_log.reader import PredictionLog
from mlprod_nb.registry.bundles import Bundle
from mlprod_nb.serving import app
from mlprod_nb.serving.errors import ModelUnavailable
from mlprod_nb.serving.express import ExpressLane
from mlprod_nb.serving.identifiers import Identifiers
from mlprod_nb.serving.middleware import Problems
from mlprod_nb.serving.models.batching import Batcher, Scores
from mlprod_nb.serving.wire import http
from tests.serving.wire import BODY, PATH, head, reply
from tests.serving.workshop import Workshop, body, gateway, make_workshop, on_a_socket, until

CAPACITY = 8
"""Rows that may wait for the model here."""


class Gate:
    """A model that answers no row before it is opened."""

    def __init__(self, batcher: Any) -> None:
        self._score = batcher._score_rows
        self._opened = asyncio.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self.asked = 0
        batcher._score_rows = self.score

    async def score(self, columns: Columns, rows: int) -> Scores:
        self._loop = asyncio.get_running_loop()
        self.asked += 1
        await self._opened.wait()
        scores: Scores = await self._score(columns, rows)
        return scores

    def open(self) -> None:
        assert self._loop is not None
        self._loop.call_soon_threadsafe(self._opened.set)


@pytest.fixture
def narrow(tmp_path: Path, serving_bundles: dict[str, Bundle]) -> Workshop:
    """A workshop whose gateway lets ``CAPACITY`` rows wait for a model."""
    return make_workshop(tmp_path / "narrow", serving_bundles, f"[gateway]\nmax_waiting_rows = {CAPACITY}\n")


def batcher(lane: ExpressLane) -> Batcher:
    (found,) = lane._book.table.endpoints["flights"].models[0].stations
    return found.batcher


def count_logged(shop: Workshop) -> int:
    return PredictionLog(shop.layout.log).pin("flights").rows


async def test_ten_times_what_can_wait_is_refused_at_once_and_what_was_taken_is_answered(narrow: Workshop) -> None:
    """The refused are told while the model still answers nobody; one row is at work and CAPACITY wait."""
    # By the routes, which take each alone: the express lane joins as many as happen to arrive together.
    headers = {"Authorization": f"Bearer {narrow.token('caller')}", "X-By-The-Routes": "yes"}
    with on_a_socket(narrow) as (url, starlette):
        await narrow.deploy("flights", narrow.variant("champion"))
        async with httpx.AsyncClient(base_url=url, headers=headers, trust_env=False, timeout=30) as client:
            assert (await client.post(PATH, json=body())).status_code == 200  # the token is known now
            before = count_logged(narrow)
            gate = Gate(batcher(starlette.state.lane))
            first = asyncio.ensure_future(client.post(PATH, json=body()))
            await asyncio.to_thread(until, lambda: gate.asked == 1)
            crowd = [asyncio.ensure_future(client.post(PATH, json=body())) for _ in range(10 * CAPACITY)]
            async with asyncio.timeout(20):
                while sum(request.done() for request in crowd) < 9 * CAPACITY:
                    await asyncio.sleep(0.01)
            refused = [request.result() for request in crowd if request.done()]
            assert not first.done()
            assert {reply.status_code for reply in refused} == {503}
            assert {reply.headers["retry-after"] for reply in refused} == {"1"}
            assert {reply.headers["content-type"] for reply in refused} == {"application/problem+json"}
            gate.open()
            replies = await asyncio.gather(first, *crowd)
            assert [reply.status_code for reply in replies].count(200) == 1 + CAPACITY
            assert (await client.post(PATH, json=body())).status_code == 200
    assert count_logged(narrow) == before + 1 + CAPACITY + 1


async def test_bodies_beyond_what_may_be_held_together_are_refused_until_others_are_gone(
    tmp_path: Path, serving_bundles: dict[str, Bundle], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(app, "_HELD_BODIES", 2)
    shop = make_workshop(tmp_path / "small", serving_bundles, "[gateway]\nmax_body_bytes = 2000\n")
    ended = asyncio.Event()
    sent: list[int] = []

    async def slow() -> AsyncIterator[bytes]:
        yield BODY + b" " * 1500
        sent.append(1)
        await ended.wait()
        yield b" "

    async with gateway(shop) as client:
        await shop.deploy("flights", shop.variant("champion"))
        kind = {"Content-Type": "application/json"}
        held = [asyncio.ensure_future(client.post(PATH, content=slow(), headers=kind)) for _ in range(2)]
        async with asyncio.timeout(20):
            while len(sent) < 2:
                await asyncio.sleep(0.01)
        for _ in range(3):  # what is refused is not held
            refused = await client.post(PATH, content=BODY + b" " * 1500, headers=kind)
            assert (refused.status_code, refused.headers["retry-after"]) == (429, "1")
            assert refused.json()["type"] == "urn:mlprod:problem:too-many-requests"
        assert (await client.post(PATH, content=BODY, headers=kind)).status_code == 200  # a small one finds room
        ended.set()
        assert [reply.status_code for reply in await asyncio.gather(*held)] == [200, 200]
        assert (await client.post(PATH, content=BODY + b" " * 1500, headers=kind)).status_code == 200


async def test_refusals_fill_the_log_with_one_line_a_second_and_hide_nothing_else(
    caplog: pytest.LogCaptureFixture,
) -> None:
    now = iter([0.0, 0.5, 0.9, 1.0, 1.1, 1.2])
    raised: list[Exception] = [ModelUnavailable("too many rows wait.")] * 4 + [Unavailable("inner")] * 2

    async def failing(scope: Any, receive: Any, send: Any) -> None:
        raise raised.pop(0)

    async def nowhere(message: Any) -> None:
        pass

    problems = Problems(failing, Identifiers(), lambda scope, status: None, lambda: next(now))
    for _ in range(6):
        await problems({"type": "http", "path": "/"}, nowhere, nowhere)  # type: ignore[arg-type]
    assert [record.getMessage() for record in caplog.records] == ["too many rows wait."] * 2 + ["inner"] * 2


@pytest.fixture
def impatient(
    tmp_path: Path, serving_bundles: dict[str, Bundle], monkeypatch: pytest.MonkeyPatch
) -> Iterator[tuple[httpx.URL, str]]:
    monkeypatch.setattr(http, "LOOK_SECONDS", 0.05)
    # Longer than a busy disk keeps a reply waiting: a prompt request must never meet this deadline.
    shop = make_workshop(tmp_path / "impatient", serving_bundles, "[gateway]\nrequest_timeout_seconds = 3\n")
    with on_a_socket(shop) as (url, _):
        assert shop.outcome(shop.propose("flights", shop.variant("champion"))).outcome == "active"
        yield httpx.URL(url), shop.token("caller")


@pytest.mark.parametrize("by_the_routes", [True, False])
def test_bodies_that_trickle_are_cut_while_others_are_answered(
    impatient: tuple[httpx.URL, str], by_the_routes: bool
) -> None:
    url, token = impatient
    address = (url.host, url.port or 0)
    begun = head(token, *(["X-Other: yes"] if by_the_routes else []), length=100_000) + BODY[:10]
    with ExitStack() as stack, socket.create_connection(address, timeout=20) as quick, quick.makefile("rb") as reader:
        slow = [stack.enter_context(socket.create_connection(address, timeout=20)) for _ in range(20)]
        for connection in slow:
            connection.sendall(begun)
        waiting = list(slow)
        answered = 0
        while waiting:
            quick.sendall(head(token) + BODY)
            assert reply(reader)[0] == 200
            answered += 1
            waiting = [connection for connection in waiting if not _is_cut(connection, by_the_routes)]
        assert answered > 0


def _is_cut(connection: socket.socket, by_the_routes: bool) -> bool:
    """Send one more byte; return whether the gateway has ended the request with a problem."""
    connection.settimeout(0.001)
    with suppress(ConnectionError):  # it has ended meanwhile: what it was told lies here still
        connection.sendall(b" ")
    try:
        received = connection.recv(4096)
    except TimeoutError:
        return False
    assert received.startswith(b"HTTP/1.1 504" if by_the_routes else b"HTTP/1.1 408")
    return True
