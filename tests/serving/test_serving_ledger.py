"""The log against a ledger that the clients keep, while the gateway is killed under load: none lost, none doubled."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path

import httpx
import psutil
import pytest

from mlprod_nb.prediction_log.catalogue import Catalogue
from mlprod_nb.prediction_log.compaction import Compactor
from mlprod_nb.prediction_log.keys import NO_KEYS
from mlprod_nb.prediction_log.reader import PredictionLog
from mlprod_nb.registry.bundles import Bundle
from mlprod_nb.targets import local
from tests.serving.served import PATIENCE, Served
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
                thread.join(2 * PATIENCE)

    def _run(self, number: int) -> None:
        sent = {"flights": body(*[row()] * (1 + number % 2)), "delay": body({"distance": 10.0}, {"distance": 20.0})}
        turn = number
        while not self._end.is_set():
            with suppress(httpx.TransportError), httpx.Client(headers=self.served.headers, timeout=PATIENCE) as client:
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


class Compactions:
    """Compactions of the log, one after the other, of which most are killed on their way."""

    def __init__(self, root: Path, chance: random.Random) -> None:
        self.killed = self.done = 0
        self._command = [sys.executable, "-m", "mlprod_nb.prediction_log", "--root", str(root)]
        self._chance = chance
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._run)

    @contextmanager
    def going_on(self) -> Iterator[None]:
        self._thread.start()
        try:
            yield
        finally:
            self._end.set()
            self._thread.join(60)

    def _run(self) -> None:
        while not self._end.is_set():
            process = subprocess.Popen(self._command, stderr=subprocess.DEVNULL)
            try:
                # It takes one to three seconds, of which its imports are the first half.
                process.wait(self._chance.uniform(0.5, 4))
                self.done += 1
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
                self.killed += 1


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


def survive(tmp_path: Path, bundles: dict[str, Bundle], *, kills: int, workers: int, compacting: bool) -> None:
    chance = random.Random(SEED)
    shop = make_workshop(tmp_path / "workspace", bundles, f"[gateway]\nworkers = {workers}\n{SETTINGS}")
    try:
        served = Served(shop)
        assert shop.outcome(shop.propose("delay", shop.variant("regression"))).outcome == "active"
        clients = Clients(served)
        compactions = Compactions(shop.root, chance)
        killed: Counter[str] = Counter()
        with clients.asking(), compactions.going_on() if compacting else nullcontext():
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
    given = [each for ledger in clients.ledgers for each in ledger]
    with shop.store() as store:
        log = PredictionLog(shop.layout.log, Catalogue(store))
        in_files = log.catalogue.version() if log.catalogue else 0
        ids = in_log(log)
        print(
            f"{dict(killed)} and {compactions.killed} compactions killed, {compactions.done} done, "
            f"{in_files} of them with files; {len(given)} predictions given, {len(ids)} in the log"
        )
        assert (in_files > 0) == compacting
        done = Compactor(shop.layout.log, Catalogue(store), keys=NO_KEYS).run()  # removes what the killed ones left
        assert (done.busy, done.problems) == (False, ())
        assert sorted(in_log(log)) == sorted(ids)
        assert log.verify() == []
    assert len(given) == len(set(given)) > 20 * kills
    assert len(ids) == len(set(ids))
    assert set(given) - set(ids) == set()
    # What is there and was not given was answered into a connection that a kill had cut.
    assert len(ids) - len(given) <= 2 * CLIENTS * (kills + 1)


def in_log(log: PredictionLog) -> list[str]:
    found = [log.predictions(log.pin(name))["prediction_id"].to_pylist() for name in ENDPOINTS]
    return [each for part in found for each in part]


@pytest.mark.slow
def test_a_gateway_killed_at_random_points_under_load_loses_and_doubles_nothing_it_answered(
    tmp_path: Path, serving_bundles: dict[str, Bundle]
) -> None:
    survive(tmp_path, serving_bundles, kills=KILLS, workers=1, compacting=False)


@pytest.mark.exhaustive
def test_two_hundred_kills_of_the_gateway_and_more_of_compactions_lose_and_double_nothing(
    tmp_path: Path, serving_bundles: dict[str, Bundle]
) -> None:
    survive(tmp_path, serving_bundles, kills=MANY_KILLS, workers=2, compacting=True)
