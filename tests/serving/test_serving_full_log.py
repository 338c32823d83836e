"""A log that cannot be written, over HTTP: what callers get on both lanes, what is told, and that it mends itself."""

from __future__ import annotations

import errno
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest

from mlprod_nb import Workspace, __version__
from mlprod_nb.prediction_log import storage
from mlprod_nb.prediction_log.reader import PredictionLog
from mlprod_nb.registry.bundles import Bundle
from mlprod_nb.results import Verdict
from mlprod_nb.serving.telemetry.metrics import Telemetry
from mlprod_nb.serving.telemetry.shared_numbers import SharedNumbers
from mlprod_nb.targets import Condition, local
from tests.prediction_log.small_disk import fill, small_disk
from tests.serving.counting_lane import BY_THE_ROUTES, ask, running, split
from tests.serving.served import PATIENCE, Served
from tests.serving.workshop import Workshop, make_workshop, until

ROWS = 500
LANES: tuple[dict[str, str], ...] = ({}, BY_THE_ROUTES)
SETTINGS = """
[log]
reserve_mib = 1
[endpoints.delay]
on_log_failure = "answer"
"""


@dataclass
class Ledger:
    """What callers were told."""

    client: httpx.Client
    logged: set[str] = field(default_factory=set)
    unlogged: set[str] = field(default_factory=set)

    def ask(self, endpoint: str, lane: dict[str, str], rows: int = ROWS) -> httpx.Response:
        columns, values = (("distance", "carrier"), [7.5, "AA"]) if endpoint == "flights" else (("distance",), [7.5])
        reply = ask(self.client, endpoint, split(*[values] * rows, columns=columns), **lane)
        if reply.status_code == 200:
            document = reply.json()
            assert document.get("logged", False) is False  # it is told only where it is not so
            (self.unlogged if "logged" in document else self.logged).update(document["prediction_ids"])
        return reply

    def feedback(self) -> httpx.Response:
        sent = {"feedback": [{"prediction_id": next(iter(self.logged)), "value": 1}]}
        return self.client.post("/endpoints/flights/feedback", json=sent)

    def ready(self) -> tuple[int, Any]:
        reply = self.client.get("/health/ready")
        return reply.status_code, reply.json()

    def value(self, name: str) -> float:
        lines = self.client.get("/metrics").text.splitlines()
        return next((float(line.split()[-1]) for line in lines if line.startswith(f"{name} ")), 0.0)

    def in_log(self, shop: Workshop) -> set[str]:
        log = PredictionLog(shop.layout.log)
        assert log.verify() == []
        found = [log.predictions(log.pin(name))["prediction_id"].to_pylist() for name in ("flights", "delay")]
        ids = [each for part in found for each in part]
        assert len(ids) == len(set(ids))
        return set(ids)


@contextmanager
def open_ledger(shop: Workshop, monkeypatch: pytest.MonkeyPatch) -> Iterator[Ledger]:
    with running(shop, monkeypatch) as (url, lane):
        for name, bundle in (("flights", "champion"), ("delay", "regression")):
            assert shop.outcome(shop.propose(name, shop.variant(bundle))).outcome == "active"
        headers = {"Authorization": f"Bearer {shop.token()}"}
        with httpx.Client(base_url=url, headers=headers, trust_env=False, timeout=20) as client:
            ledger = Ledger(client)
            for name in ("flights", "flights", "delay"):
                assert ledger.ask(name, {}, 1).status_code == 200
            assert lane.answered == 2  # the token is known, so the express lane takes what is ordinary
            yield ledger


def assert_refused(reply: httpx.Response) -> None:
    assert reply.status_code == 503
    assert reply.headers["retry-after"] == "1"
    assert reply.headers["content-type"] == "application/problem+json"
    assert reply.json()["detail"] == "the prediction log cannot be written, so no answer is given."


def test_a_real_full_disk_is_answered_from_the_reserve_then_by_each_endpoint_s_policy_and_mends_itself(
    tmp_path: Path, serving_bundles: dict[str, Bundle], monkeypatch: pytest.MonkeyPatch
) -> None:
    shop = make_workshop(tmp_path / "workspace", serving_bundles, SETTINGS)
    with small_disk(shop.layout.log, 6), open_ledger(shop, monkeypatch) as ledger:
        assert ledger.ready()[1]["log"] == {"state": "ok", "reason": ""}
        ballast = fill(shop.layout.log)
        used_up = False
        while not used_up:
            for lane in LANES:
                reply = ledger.ask("flights", lane)
                used_up = reply.status_code != 200
                if used_up:
                    assert_refused(reply)
                    break
                status, told = ledger.ready()
                if told["log"]["state"] != "failed":
                    assert (status, told["status"]) == (200, "ready")
        assert len(ledger.logged) > 5 * ROWS  # the reserve, in rows
        for lane in LANES:
            assert_refused(ledger.ask("flights", lane))
            assert ledger.ask("delay", lane).json()["logged"] is False
        assert_refused(ledger.feedback())
        status, told = ledger.ready()
        assert (status, told["log"]) == (503, {"state": "failed", "reason": "No space left on device"})
        assert told["reasons"] == ["the prediction log cannot be written: No space left on device"]
        assert len(ledger.unlogged) == 2 * ROWS == ledger.value('mlprod_unlogged_answers_total{endpoint="delay"}')
        ballast.unlink()
        until(lambda: ledger.ready()[1]["log"]["state"] == "ok")
        assert (shop.layout.log / "0.reserve").stat().st_blocks * 512 == 1024 * 1024
        for lane in LANES:
            assert "logged" not in ledger.ask("delay", lane).json()
            assert ledger.ask("flights", lane).status_code == 200
        assert ledger.feedback().status_code == 200
        assert ledger.logged <= ledger.in_log(shop)
        assert not ledger.unlogged & ledger.in_log(shop)


def test_a_sync_that_fails_is_refused_at_once_on_both_lanes_and_for_feedback_and_mends_itself(
    tmp_path: Path, serving_bundles: dict[str, Bundle], monkeypatch: pytest.MonkeyPatch
) -> None:
    shop = make_workshop(tmp_path / "workspace", serving_bundles, SETTINGS)
    append = storage._DiskFile.append
    broken: list[bool] = []

    def fail(file: storage._DiskFile, data: bytes) -> None:
        if broken:
            raise OSError(errno.EIO, "Input/output error")
        append(file, data)

    monkeypatch.setattr(storage._DiskFile, "append", fail)
    with open_ledger(shop, monkeypatch) as ledger:
        broken.append(True)
        for lane in LANES:
            assert_refused(ledger.ask("flights", lane))
            assert ledger.ask("delay", lane).json()["logged"] is False
        assert_refused(ledger.feedback())
        tensor = {"name": "distance", "datatype": "FP64", "shape": [ROWS], "data": [7.5] * ROWS}
        answered = ledger.client.post("/v2/models/delay/infer", json={"inputs": [tensor]})
        assert (answered.status_code, answered.headers["x-mlprod-logged"]) == (200, "false")
        status, told = ledger.ready()
        assert (status, told["log"]) == (503, {"state": "failed", "reason": "Input/output error"})
        assert ledger.value('mlprod_unlogged_rows_total{endpoint="flights"}') == 2 * ROWS
        assert ledger.value('mlprod_unlogged_answers_total{endpoint="delay"}') == 3 * ROWS
        broken.clear()
        until(lambda: ledger.ready()[1]["log"]["state"] == "ok")
        for lane in LANES:
            assert ledger.ask("flights", lane).status_code == 200
        assert ledger.feedback().status_code == 200
        assert ledger.logged <= ledger.in_log(shop)


@pytest.mark.slow
def test_a_gateway_whose_whole_workspace_is_on_a_full_disk_outlives_its_worker_and_needs_nobody(
    tmp_path: Path, serving_bundles: dict[str, Bundle]
) -> None:
    with small_disk(tmp_path / "disk", 40) as disk:
        settings = "[log]\nreserve_mib = 1\n[endpoints.fligths]\ndurability = 'process'\n"
        shop = make_workshop(disk / "workspace", serving_bundles, settings)
        workspace = Workspace.open(shop.root)
        try:
            served = Served(shop)
            stranger = "mlprod.toml: [endpoints.fligths] is about no endpoint that is deployed. Did you mean 'flights'?"
            assert workspace.status().verdict == Verdict("warn", stranger)
            with httpx.Client(base_url=served.record.url, headers=served.headers, timeout=PATIENCE) as client:
                ledger = Ledger(client)
                ballast = fill(disk)
                assert ledger.ask("flights", {}).status_code == 200
                in_use = "the disk is full: the log's reserve of 1 MiB is in use"
                assert workspace.status().gateway.log == f"on_reserve: {in_use}"
                assert workspace.status().verdict.status == "warn"
                assert workspace.status().verdict.sentence.endswith(in_use)
                until(lambda: ledger.ask("flights", {}).status_code == 503)
                assert len(ledger.logged) > 5 * ROWS
                found = local.condition(shop.root)
                assert found.log == "failed: No space left on device"
                assert found.problem == "the prediction log cannot be written: No space left on device"
                assert workspace.status().verdict == Verdict("alarm", f"the gateway is not ready: {found.problem}")
            (worker,) = served.workers()
            os.kill(worker, signal.SIGKILL)
            with httpx.Client(base_url=served.record.url, headers=served.headers, timeout=PATIENCE) as client:
                ledger.client = client
                starting = ledger.ask("flights", {})  # the worker has not joined the others yet, and nothing is loaded
                assert (starting.status_code, starting.headers["retry-after"]) == (503, "1")
                assert local.condition(shop.root).log == "failed: No space left on device"
                ballast.unlink()
                until(lambda: ledger.ask("flights", {}).status_code == 200)
                until(lambda: local.condition(shop.root) == Condition("", 1, 1, version=__version__))
                assert ledger.logged <= ledger.in_log(shop)
        finally:
            local.stop(shop.root)
            workspace.context.store.close()


def test_numbers_that_find_no_room_are_told_by_their_worker_and_written_when_there_is_some(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", 1) as disk:
        workers = [Telemetry(SharedNumbers(disk / "metrics", slot)) for slot in range(2)]
        for telemetry in workers:
            telemetry.rows.labels("flights", "champion", "false").inc(3)
            telemetry.share()
        ballast = fill(disk)
        workers[0].rows.labels("flights", "champion", "false").inc(4)
        assert [counted(telemetry) for telemetry in workers] == [10, 6]
        ballast.unlink()
        workers[0].share()
        assert [counted(telemetry) for telemetry in workers] == [10, 10]


def counted(telemetry: Telemetry) -> float:
    lines = telemetry.text().decode().splitlines()
    return sum(float(line.split()[-1]) for line in lines if line.startswith("mlprod_predicted_rows_total{"))
