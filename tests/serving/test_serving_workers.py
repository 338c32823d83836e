"""Several workers under one supervisor: replaced where they die or hang, equal in what they serve, counted together."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from mlprod_nb import __version__
from mlprod_nb.clock import utc_now
from mlprod_nb.errors import Refused, Unavailable
from mlprod_nb.registry.bundles import Bundle, BundleStore
from mlprod_nb.serving import __main__ as entry
from mlprod_nb.serving.control import Control, Peers
from mlprod_nb.serving.models.loaded import LoadedModel, Shelf, Workbench
from mlprod_nb.serving.routes import Hold, RouteBook
from mlprod_nb.serving.telemetry.metrics import Telemetry
from mlprod_nb.serving.telemetry.shared_numbers import SharedNumbers
from mlprod_nb.settings import WorkerSettings
from mlprod_nb.store import Revision, Store, gateways, revisions
from mlprod_nb.store.gateways import WorkerRecord
from mlprod_nb.targets import Condition, local
from tests import ports
from tests.serving.served import PATIENCE, ROWS, Served, settled
from tests.serving.workshop import Workshop, make_workshop, until


def open_workers(tmp_path: Path, bundles: dict[str, Bundle], workers: int) -> Iterator[Served]:
    shop = make_workshop(tmp_path / "workspace", bundles, f"[gateway]\nworkers = {workers}\n")
    with ports.kept(shop.layout):
        try:
            yield Served(shop)
        finally:
            local.stop(shop.root)


@pytest.fixture
def one(tmp_path: Path, serving_bundles: dict[str, Bundle]) -> Iterator[Served]:
    yield from open_workers(tmp_path, serving_bundles, 1)


@pytest.fixture
def two(tmp_path: Path, serving_bundles: dict[str, Bundle]) -> Iterator[Served]:
    yield from open_workers(tmp_path, serving_bundles, 2)


def test_clients_of_a_single_worker_that_dies_wait_for_its_successor_and_are_answered(one: Served) -> None:
    (worker,) = one.workers()
    os.kill(worker, signal.SIGKILL)
    with ThreadPoolExecutor(8) as pool:
        assert set(pool.map(lambda _: one.call(), range(8))) == {"flights/1"}
    assert one.workers() != [worker]
    assert local.running(one.shop.root) == one.record
    assert local.condition(one.shop.root) == Condition("", 1, 1, version=__version__)


class Caller:
    """A client that keeps one connection for as long as it holds."""

    def __init__(self, served: Served, go_on: threading.Event) -> None:
        self.served = served
        self.go_on = go_on
        self.client = httpx.Client()
        self.broken: list[httpx.TransportError] = []
        self.answered = 0
        self.port = self.connect()

    def connect(self) -> int:
        """Open the connection by a first call; return its port on this side."""
        reply = self.client.get(f"{self.served.record.url}/health/live")
        return int(reply.extensions["network_stream"].get_extra_info("client_addr")[1])

    def keep_calling(self) -> None:
        with closing(self.client):
            while self.go_on.is_set():
                try:
                    self.served.call(self.client)
                    self.answered += 1
                except httpx.TransportError as error:
                    self.broken.append(error)


def callers_of(served: Served, workers: list[int], go_on: threading.Event) -> list[Caller]:
    """Return eight callers, some at each worker.

    Whichever worker is quicker takes a connection, and one that is still starting takes none, so that eight may all be
    at one: then others take their places.
    """
    callers = [Caller(served, go_on) for _ in range(8)]

    def at_each() -> bool:
        ours = {caller.port for caller in callers}
        if all(ours & peers_of(worker) for worker in workers):
            return True
        callers.pop(0).client.close()
        callers.append(Caller(served, go_on))
        return False

    until(at_each)
    return callers


def peers_of(pid: int) -> set[int]:
    """Return the ports of the clients that are connected to a process."""
    return {connection.raddr.port for connection in psutil.Process(pid).net_connections("tcp") if connection.raddr}


def test_connections_to_the_other_worker_go_on_where_one_is_killed_under_load(two: Served) -> None:
    go_on = threading.Event()
    go_on.set()
    workers = two.workers()
    victim = workers[0]
    callers = callers_of(two, workers, go_on)
    of_the_victim = peers_of(victim)
    with ThreadPoolExecutor(len(callers)) as pool:
        futures = [pool.submit(caller.keep_calling) for caller in callers]
        try:
            until(lambda: all(caller.answered for caller in callers))
            for _ in range(20):
                two.call()
            os.kill(victim, signal.SIGKILL)
            for _ in range(20):
                two.call()  # a new connection is never refused
            until(lambda: len([pid for pid in two.workers() if pid != victim]) == 2)
        finally:
            go_on.clear()
        for future in futures:
            future.result(timeout=2 * PATIENCE)
    assert {caller.port for caller in callers if caller.broken} <= of_the_victim
    assert max(len(caller.broken) for caller in callers) <= 1


def test_a_worker_that_hangs_is_killed_and_replaced_while_the_other_answers(two: Served) -> None:
    victim = two.workers()[0]
    os.kill(victim, signal.SIGSTOP)
    for _ in range(10):
        assert two.call() == "flights/1"
    until(lambda: victim not in two.workers() and len(two.workers()) == 2, 60)
    two.deploy("challenger", 2)
    assert {two.call() for _ in range(20)} == {"flights/2"}


def test_both_workers_serve_a_revision_when_the_verb_returns_also_while_one_is_replaced(two: Served) -> None:
    for version in range(2, 8):
        if version % 3 == 0:
            os.kill(two.workers()[version % 2], signal.SIGKILL)
        two.deploy("challenger" if version % 2 == 0 else "champion", version)
        with ThreadPoolExecutor(8) as pool:
            assert set(pool.map(lambda _: two.call(), range(24))) == {f"flights/{version}"}


def test_a_supervisor_that_is_killed_leaves_no_process_and_the_next_start_takes_its_port(two: Served) -> None:
    workers = two.workers()
    os.kill(workers[0], signal.SIGSTOP)  # a hung one ends too
    os.kill(two.record.pid, signal.SIGKILL)
    until(lambda: not any(psutil.pid_exists(pid) for pid in workers))
    assert local.running(two.shop.root) is None
    assert local.start(two.shop.root).url == two.record.url
    assert two.call() == "flights/1"


def test_a_second_gateway_of_a_workspace_is_refused(one: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(entry, "_LOCK_SECONDS", 0.05)
    with pytest.raises(Refused, match="runs already"):
        entry._lock(one.shop.layout)


def test_a_worker_that_ends_again_and_again_starts_after_pauses_and_the_reason_is_told(two: Served) -> None:
    survivor, victim = sorted(two.workers())
    for _ in range(3):
        os.kill(victim, signal.SIGKILL)
        until(lambda: [pid for pid in two.workers() if pid not in {survivor, victim}] != [])  # noqa: B023
        (victim,) = [pid for pid in two.workers() if pid != survivor]
    until(lambda: "3 times in a row; the last time it was ended by SIGKILL" in local.condition(two.shop.root).problem)
    assert two.call() == "flights/1"


def test_the_metrics_are_sums_over_the_workers_and_never_go_back(two: Served) -> None:
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: two.call(), range(40)))
    until(lambda: two.counted() == 40)
    seen = [two.counted()]
    os.kill(two.workers()[0], signal.SIGKILL)
    for _ in range(20):
        two.call()
        seen.append(two.counted())
    assert seen == sorted(seen)
    until(lambda: two.counted() == 60)


def test_a_successor_goes_on_from_its_predecessors_counters_and_forgets_its_gauges(tmp_path: Path) -> None:
    def worker(slot: int, rows: int, revision: int) -> Telemetry:
        telemetry = Telemetry(SharedNumbers(tmp_path, slot))
        telemetry.rows.labels("flights", "champion", "false").inc(rows)
        telemetry.latency.labels("flights", "champion").observe(0.002)
        telemetry.serving({"flights": revision})
        telemetry.share()
        return telemetry

    worker(0, 5, 9)
    worker(1, 7, 3)
    lines = worker(0, 2, 2).text().decode().splitlines()
    assert f'{ROWS},shadow="false",variant="champion"}} 14.0' in lines
    assert 'mlprod_prediction_seconds_bucket{endpoint="flights",le="0.0025",variant="champion"} 3.0' in lines
    assert 'mlprod_revision{endpoint="flights"} 3.0' in lines


class Crew:
    """Two workers' control paths in one process, over one store."""

    def __init__(self, shop: Workshop, store: Store) -> None:
        self.shop = shop
        self.store = store
        self.broken = False
        self.peers = [Peers(WorkerRecord(f"w{slot}", "gateway", slot, 1, utc_now()), set()) for slot in range(2)]
        self.books = [RouteBook(), RouteBook()]
        self.controls = [self._control(slot) for slot in range(2)]

    def _control(self, slot: int) -> Control:
        telemetry = Telemetry()
        pool = ThreadPoolExecutor(1)
        bench = Workbench(
            BundleStore(self.shop.layout.bundles), pool, WorkerSettings(), 64, 4096, lambda digest: lambda rows: None
        )

        async def load(digest: str) -> LoadedModel:
            if slot == 1 and self.broken:
                raise Unavailable("this worker's memory is full.")
            return await bench.load(digest)

        shelf = Shelf(lambda digest: asyncio.ensure_future(load(digest)))
        return Control(self.store, shelf, self.books[slot], telemetry, utc_now, self.peers[slot])

    async def steps(self, *slots: int, until: Callable[[], bool]) -> None:
        async with asyncio.timeout(60):
            while not until():
                for slot in slots:
                    await self.controls[slot].step()
                await asyncio.sleep(0.005)

    def outcome(self, revision: Revision) -> str:
        with self.store.read() as connection:
            found = revisions.get(connection, revision.id)
        return found.outcome.outcome if found and found.outcome else ""

    def loaded_by(self, revision: Revision, slot: int) -> bool:
        return revision.id in self.controls[slot]._ready

    def acknowledged_by(self, revision: Revision, slot: int) -> bool:
        """Tell whether a worker has loaded a revision and written so, and is at nothing of the endpoint any more."""
        return self.loaded_by(revision, slot) and revision.endpoint not in self.controls[slot]._busy

    def served(self, slot: int) -> int:
        live = self.books[slot].table.endpoints.get("flights")
        return live.revision if live else 0


@pytest.fixture
async def crew(shop: Workshop) -> Any:
    with shop.store() as store:
        crew = Crew(shop, store)
        for control in crew.controls:
            await control.load_active()
        yield crew
        for control in crew.controls:
            await control.close()


async def test_a_revision_is_active_only_when_every_worker_has_loaded_it(crew: Crew) -> None:
    revision = crew.shop.propose("flights", crew.shop.variant("champion"))
    await crew.steps(0, until=lambda: crew.acknowledged_by(revision, 0))
    await crew.controls[0].step()
    assert crew.outcome(revision) == ""
    assert crew.served(0) == 0
    await crew.steps(1, until=lambda: crew.served(1) == 1)
    assert crew.outcome(revision) == "active"
    assert not settled(crew.store, revision, "gateway")
    await crew.steps(0, until=lambda: crew.served(0) == 1 and settled(crew.store, revision, "gateway"))


async def test_a_revision_that_one_worker_cannot_load_is_rejected_in_all(crew: Crew) -> None:
    first = crew.shop.propose("flights", crew.shop.variant("champion"))
    await crew.steps(0, 1, until=lambda: settled(crew.store, first, "gateway"))
    crew.broken = True
    second = crew.shop.propose("flights", crew.shop.variant("challenger", version=2))
    await crew.steps(0, until=lambda: crew.acknowledged_by(second, 0))
    await crew.steps(0, 1, until=lambda: crew.outcome(second) == "rejected" and not crew.loaded_by(second, 0))
    assert [crew.served(0), crew.served(1)] == [1, 1]


async def test_a_worker_that_died_neither_blocks_a_decision_nor_is_waited_for(crew: Crew) -> None:
    revision = crew.shop.propose("flights", crew.shop.variant("champion"))
    await crew.steps(0, until=lambda: crew.acknowledged_by(revision, 0))
    crew.peers[0].dead.add("w1")
    await crew.steps(0, until=lambda: crew.served(0) == 1 and settled(crew.store, revision, "gateway"))


async def test_a_successor_is_waited_for_in_its_predecessors_place(crew: Crew) -> None:
    with crew.store.write() as connection:
        gateways.join(connection, WorkerRecord("new", "gateway", 1, 2, utc_now()))
        assert gateways.workers(connection, "gateway") == {"w0", "new"}
        gateways.join(connection, WorkerRecord("stale", "another gateway", 0, 3, utc_now()))
    revision = crew.shop.propose("flights", crew.shop.variant("champion"))
    await crew.steps(0, until=lambda: crew.acknowledged_by(revision, 0))
    assert crew.outcome(revision) == ""
    with crew.store.write() as connection:
        revisions.acknowledge(connection, revision.id, "new", loaded=utc_now())
    await crew.steps(0, until=lambda: crew.outcome(revision) == "active")


async def test_a_withdrawn_revision_that_all_have_loaded_is_let_go(crew: Crew) -> None:
    revision = crew.shop.propose("flights", crew.shop.variant("champion"))
    await crew.steps(0, until=lambda: crew.acknowledged_by(revision, 0))
    with crew.store.write() as connection:
        assert revisions.decide(connection, revision.id, "withdrawn", detail="", now=utc_now())
    await crew.steps(0, 1, until=lambda: not crew.loaded_by(revision, 0))
    assert [crew.served(0), crew.served(1)] == [0, 0]


async def test_a_look_that_began_before_a_decision_takes_nothing_of_it_back(
    crew: Crew, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = crew.shop.propose("flights", crew.shop.variant("champion"))
    await crew.steps(0, 1, until=lambda: settled(crew.store, first, "gateway"))
    second = crew.shop.propose("flights", crew.shop.variant("challenger", version=2))
    await crew.steps(1, until=lambda: crew.acknowledged_by(second, 1))
    control, looked, swapped = crew.controls[0], threading.Event(), threading.Event()
    activate, look = control._activate, control._look

    def activate_after_the_look(revision: Revision, hold: Hold) -> bool:
        assert looked.wait(60)
        return activate(revision, hold)

    def look_until_the_swap() -> Any:
        found = look()
        looked.set()
        assert swapped.wait(60)
        return found

    monkeypatch.setattr(control, "_activate", activate_after_the_look)
    await crew.steps(0, until=lambda: crew.loaded_by(second, 0))
    monkeypatch.setattr(control, "_look", look_until_the_swap)
    step = asyncio.ensure_future(control.step())
    await crew.steps(until=lambda: crew.served(0) == 2 and not control._busy)
    swapped.set()
    await step
    await asyncio.gather(*control._busy.values())
    assert crew.served(0) == 2
