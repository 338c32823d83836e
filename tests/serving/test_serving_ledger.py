"""The log against a ledger that the clients keep, while the gateway is killed under load: none lost, none doubled."""

from __future__ import annotations

import os
import random
import signal
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import httpx
import psutil
import pytest

from mlprod_nb.prediction_log.reader import PredictionLog
from mlprod_nb.registry.bundles import Bundle
from mlprod_nb.targets import local
from tests.serving.test_serving_workers import Served
from tests.serving.workshop import body, make_workshop, row, until

SEED = 20130704
CLIENTS = 4
KILLS = 20
MANY_KILLS = 200
ENDPOINTS = ("flights", "delay")
SETTINGS = '[log]\nreserve_mib = 1\n[endpoints.delay]\ndurability = "process"\n'


class Clients:
    """Threads that ask for predictions and write down the id of every prediction they were given."""

    def __init__(self, served: Served) -> None:
        self.served = served
        self.ledgers: list[list[str]] = [[] for _ in range(CLIENTS)]
        self.wrong: list[httpx.Response] = []
        self.last_refusal = ""
        self._end = threading.Event()
        self._threads = [threading.Thread(target=self._run, args=(number,)) for number in range(CLIENTS)]

    @property
    def given(self) -> int:
        return sum(map(len, self.ledgers))

    @contextmanager
    def asking(self) -> Iterator[None]:
        for thread in self._threads:
            thread.start()
        try:
            yield
        finally:
            self._end.set()
            for thread in self._threads:
                thread.join(60)

    def _run(self, number: int) -> None:
        sent = {"flights": body(*[row()] * (1 + number % 2)), "delay": body({"distance": 10.0}, {"distance": 20.0})}
        turn = number
        while not self._end.is_set():
            with suppress(httpx.TransportError), httpx.Client(headers=self.served.headers, timeout=20) as client:
                while not self._end.is_set():
                    turn += 1
                    name = ENDPOINTS[turn % 2]
                    reply = client.post(f"{self.served.record.url}/endpoints/{name}/invocations", json=sent[name])
                    if reply.status_code == 200:
                        self.ledgers[number] += reply.json()["prediction_ids"]
                    else:
                        self.last_refusal = reply.text
                        if reply.status_code != 503:
                            self.wrong.append(reply)


def kill(served: Served, chance: random.Random, number: int) -> str:
    """Kill a worker, or the supervisor with all it started; return which."""
    workers = served.workers()
    if number % 3 < 2:
        if workers:
            with suppress(ProcessLookupError):
                os.kill(chance.choice(workers), signal.SIGKILL)
        return "worker"
    with suppress(ProcessLookupError):
        os.kill(served.record.pid, signal.SIGKILL)
    until(lambda: not any(psutil.pid_exists(pid) for pid in workers))  # a dying worker would answer for the gateway
    served.record = local.start(served.shop.root)
    return "gateway"


def survive(tmp_path: Path, bundles: dict[str, Bundle], *, kills: int, workers: int) -> None:
    chance = random.Random(SEED)
    shop = make_workshop(tmp_path / "workspace", bundles, f"[gateway]\nworkers = {workers}\n{SETTINGS}")
    try:
        served = Served(shop)
        assert shop.outcome(shop.propose("delay", shop.variant("regression"))).outcome == "active"
        clients = Clients(served)
        killed: Counter[str] = Counter()
        with clients.asking():
            for number in range(kills):
                enough = clients.given + chance.randint(1, 150)
                until(lambda: clients.given >= enough, 60)  # noqa: B023 (looked at before the next turn)
                killed[kill(served, chance, number)] += 1
            enough = clients.given + 100
            until(lambda: clients.given >= enough, 60)
    finally:
        local.stop(shop.root)
    assert clients.wrong == []
    assert killed["worker"] >= kills // 2
    assert killed["gateway"] >= kills // 4
    log = PredictionLog(shop.layout.log)
    kept = [log.predictions(log.pin(name))["prediction_id"].to_pylist() for name in ENDPOINTS]
    ids = [each for part in kept for each in part]
    given = [each for ledger in clients.ledgers for each in ledger]
    print(f"{dict(killed)} killed; {len(given)} predictions given, {len(ids)} in the log")
    assert len(given) == len(set(given)) > 20 * kills
    assert len(ids) == len(set(ids))
    assert set(given) - set(ids) == set()
    # What is there and was not given was answered into a connection that a kill had cut.
    assert len(ids) - len(given) <= 2 * CLIENTS * (kills + 1)
    assert log.verify() == []


@pytest.mark.slow
def test_a_gateway_killed_at_random_points_under_load_loses_and_doubles_nothing_it_answered(
    tmp_path: Path, serving_bundles: dict[str, Bundle]
) -> None:
    survive(tmp_path, serving_bundles, kills=KILLS, workers=1)


@pytest.mark.exhaustive
def test_two_hundred_kills_lose_and_double_nothing_that_was_answered(
    tmp_path: Path, serving_bundles: dict[str, Bundle]
) -> None:
    survive(tmp_path, serving_bundles, kills=MANY_KILLS, workers=2)
