"""The gateway as a process, over a real socket: the promises that matter."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from mlprod_nb.clock import utc_now
from mlprod_nb.errors import AccessDenied, ExecutionFailed, InvalidInput, NotFound, Unavailable
from mlprod_nb.prediction_log.reader import PredictionLog
from mlprod_nb.registry.bundles import Bundle
from mlprod_nb.serving.client import GatewayClient
from mlprod_nb.store import revisions
from mlprod_nb.targets import local
from tests import ports
from tests.serving.oddity import Oddity
from tests.serving.workshop import Workshop, make_workshop, running_below, until

COLUMNS: dict[str, list[Any]] = {"distance": [100.0, 2900.0], "carrier": ["AA", "UA"]}


@pytest.fixture
def served(tmp_path: Path, serving_bundles: dict[str, Bundle]) -> Iterator[Workshop]:
    shop = make_workshop(
        tmp_path / "workspace", serving_bundles, "[model_worker]\ncall_timeout_seconds = 2\nmemory_mib = 4096\n"
    )
    with ports.kept(shop.layout):
        local.start(shop.root)
        yield shop
        local.stop(shop.root)


def client(shop: Workshop, role: str = "caller") -> GatewayClient:
    record = local.running(shop.root)
    assert record is not None
    return GatewayClient(record.url, shop.token(role))


def deploy(shop: Workshop, endpoint: str, *variants: Any, **options: Any) -> None:
    outcome = shop.outcome(shop.propose(endpoint, *variants, **options))
    assert outcome.outcome == "active", outcome.detail


def logged(shop: Workshop, endpoint: str = "flights") -> list[dict[str, Any]]:
    log = PredictionLog(shop.layout.log)
    rows: list[dict[str, Any]] = log.predictions(log.pin(endpoint)).to_pylist()
    return rows


def load(shop: Workshop, threads: int, go_on: threading.Event) -> Callable[[], list[tuple[str, datetime]]]:
    """Call an endpoint from several threads until told to end.

    Returns:
        What collects the ids that they were given, each with when its caller began to ask.
    """

    def call() -> list[tuple[str, datetime]]:
        given: list[tuple[str, datetime]] = []
        with client(shop) as gateway:
            while go_on.is_set():
                began = utc_now()
                given += [(key, began) for key in gateway.predict("flights", COLUMNS)["prediction_ids"]]
        return given

    pool = ThreadPoolExecutor(threads)
    futures = [pool.submit(call) for _ in range(threads)]

    def collect() -> list[tuple[str, datetime]]:
        go_on.clear()
        with pool:
            return [each for future in futures for each in future.result(timeout=60)]

    return collect


def test_a_client_predicts_in_batches_gives_feedback_and_is_told_errors_in_the_servers_words(served: Workshop) -> None:
    deploy(served, "flights", served.variant("champion"), served.variant("challenger", version=2), unit="tailnum")
    deploy(served, "delay", served.variant("regression"))
    with client(served) as gateway:
        assert gateway.ready()
        count = 1001
        columns: dict[str, list[Any]] = {"distance": [float(i) for i in range(count)], "carrier": ["AA"] * count}
        units = [f"N{i % 50}" for i in range(count)]
        reply = gateway.predict("flights", columns, units=units, event_time=["2013-04-01T00:00:00Z"] * count)
        assert {len(values) for values in reply.values()} == {count}
        by_unit = {unit: {v for u, v in zip(units, reply["variant"], strict=True) if u == unit} for unit in set(units)}
        assert all(len(variants) == 1 for variants in by_unit.values())
        assert gateway.feedback("flights", [{"prediction_id": k, "value": 1} for k in reply["prediction_ids"]]) == count
        assert len(gateway.predict("delay", {"distance": [3.0]})["predictions"]) == 1
        assert [endpoint["name"] for endpoint in gateway.endpoints()] == ["delay", "flights"]
        with pytest.raises(NotFound, match="Did you mean 'flights'"):
            gateway.predict("fligths", COLUMNS)
        with pytest.raises(InvalidInput, match="'carrier' is missing") as invalid:
            gateway.predict("flights", {"distance": [1.0]})
        assert invalid.value.column == "carrier"
        with pytest.raises(AccessDenied, match="may not read metrics"):
            gateway.metrics()
    log = PredictionLog(served.layout.log)
    labelled = log.labelled(log.pin("flights"))
    assert labelled.num_rows == count
    assert set(labelled["label"].to_pylist()) == {"1"}
    assert log.verify() == []


def test_a_hot_swap_under_load_drops_no_request_and_every_row_is_served_by_a_legal_version(served: Workshop) -> None:
    deploy(served, "flights", served.variant("champion", version=1))
    go_on = threading.Event()
    go_on.set()
    collect = load(served, 4, go_on)
    for version in range(2, 8):
        name = "challenger" if version % 2 == 0 else "champion"
        deploy(served, "flights", served.variant(name, version=version))
        with client(served) as gateway:  # once a revision is active, no later request meets the one before
            assert gateway.predict("flights", COLUMNS)["model_version"] == [f"flights/{version}"] * 2
    given = collect()
    began = dict(given)
    rows = logged(served)
    assert len(given) == len(began)
    assert began.keys() <= {found["prediction_id"] for found in rows}
    assert len(given) > 50
    legal = _legal(served)
    for found in rows:
        begins, ends = legal[found["version"]]
        answered = found["received_at"].timestamp() + found["latency_ms"] / 1000
        assert answered >= begins.timestamp()
        if found["prediction_id"] in began:
            assert began[found["prediction_id"]] <= ends


def _legal(shop: Workshop) -> dict[int, tuple[datetime, datetime]]:
    """Return from when until when each version was the endpoint's."""
    with shop.store() as store, store.read() as connection:
        past = [r for r in revisions.history(connection, "flights") if r.outcome and r.outcome.outcome == "active"]
    moments = [r.outcome.decided_at for r in past if r.outcome]
    ends = [*moments[1:], datetime.max.replace(tzinfo=moments[0].tzinfo)]
    return {
        r.spec.variants[0].version: span
        for r, span in zip(past, zip(moments, ends, strict=True), strict=True)
        if r.spec
    }


def test_kill_9_leaves_every_acknowledged_prediction_in_the_log_and_the_next_start_serves_again(
    served: Workshop,
) -> None:
    deploy(served, "flights", served.variant("champion"))
    acknowledged: list[str] = []

    def call() -> None:
        with client(served) as gateway:
            try:
                while True:
                    acknowledged.extend(gateway.predict("flights", COLUMNS)["prediction_ids"])
            except Unavailable:
                return

    threads = [threading.Thread(target=call) for _ in range(3)]
    for thread in threads:
        thread.start()
    until(lambda: len(acknowledged) > 60)
    record = local.running(served.root)
    assert record is not None
    os.kill(record.pid, signal.SIGKILL)
    for thread in threads:
        thread.join(30)
    assert local.running(served.root) is None
    assert set(acknowledged) <= {found["prediction_id"] for found in logged(served)}
    again = local.start(served.root)
    assert again.url == record.url
    with client(served) as gateway:
        assert gateway.predict("flights", COLUMNS)["model_version"] == ["flights/1"] * 2
    assert PredictionLog(served.layout.log).verify() == []


def test_a_model_worker_serves_is_replaced_and_ends_after_its_last_request(served: Workshop) -> None:
    deploy(served, "flights", served.variant("python"))
    record = local.running(served.root)
    assert record is not None
    before = workers(record.pid)
    assert len(before) == 2  # the one that answers, and the one that it was forked from
    with client(served) as gateway:
        assert gateway.predict("flights", {"distance": [-500.0, 900.0]})["predictions"] == [0, 1]
        assert gateway.endpoints()[0]["variants"][0]["runtime"] == "python"
        with pytest.raises(ExecutionFailed, match=r"variant 'python' \(flights/1\) failed on these rows") as failed:
            gateway.predict("flights", {"distance": [Oddity.FAILS]})
        assert "/etc" not in str(failed.value)
        with pytest.raises(Unavailable, match="cannot answer"):
            gateway.predict("flights", {"distance": [Oddity.ENDS]})
        until(lambda: set(workers(record.pid)) > {before[0]} and set(workers(record.pid)) != set(before))
        until(lambda: answers(gateway), 30)
        deploy(served, "flights", served.variant("champion"))
        assert workers(record.pid) != []  # kept, so that a rollback is quick
        deploy(served, "flights", served.variant("challenger"))
        until(lambda: workers(record.pid) == [])
        deploy(served, "flights", served.variant("champion"))
        assert gateway.predict("flights", COLUMNS)["variant"] == ["champion"] * 2


def answers(gateway: GatewayClient) -> bool:
    try:
        return bool(gateway.predict("flights", {"distance": [1.0]}))
    except Unavailable:
        return False


def workers(pid: int) -> list[int]:
    return running_below(pid, "mlprod_nb.model_worker")


def test_a_gateway_that_is_asked_to_stop_answers_what_it_has_taken(served: Workshop) -> None:
    deploy(served, "flights", served.variant("champion"))
    answered: list[str] = []
    stopped: list[bool] = []

    def call() -> None:
        with client(served) as gateway:
            try:
                while not stopped:
                    answered.extend(gateway.predict("flights", COLUMNS)["prediction_ids"])
            except Unavailable:
                return  # the connection was refused: no request was taken

    thread = threading.Thread(target=call)
    thread.start()
    until(lambda: len(answered) > 20)
    stopped.append(local.stop(served.root))
    thread.join(30)
    assert set(answered) == {found["prediction_id"] for found in logged(served)}
