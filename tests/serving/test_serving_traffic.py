"""Models that hang or end, under real requests: who waits, who is refused at once, and who does not notice."""

from __future__ import annotations

import os
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from mlprod_nb.prediction_log.reader import PredictionLog
from mlprod_nb.registry.bundles import Bundle
from mlprod_nb.serving import dataplane
from mlprod_nb.serving.errors import ModelUnavailable
from mlprod_nb.serving.models.runtime import Runtime
from mlprod_nb.serving.routes import RouteBook
from tests.serving.oddity import Oddity
from tests.serving.workshop import Workshop, make_workshop, on_a_socket, running_below, until

CALLERS = 16
LIMITS = "[model_worker]\ncall_timeout_seconds = 5\nmemory_mib = 4096\n"


class Site:
    """A gateway in a thread of this process."""

    def __init__(self, shop: Workshop, url: str, book: RouteBook) -> None:
        self.shop = shop
        self._book = book
        self._client = httpx.Client(
            base_url=url, headers={"Authorization": f"Bearer {shop.token('operator')}"}, timeout=30
        )
        self._pool = ThreadPoolExecutor(CALLERS)

    @property
    def runtime(self) -> Runtime:
        """What runs the model that ONNX cannot express."""
        return self._book.table.endpoints["odd"].models[0].stations[0].runtime

    def deploy(self, endpoint: str, *variants: Any, **options: Any) -> None:
        outcome = self.shop.outcome(self.shop.propose(endpoint, *variants, **options))
        assert outcome.outcome == "active", outcome.detail

    def ask(self, endpoint: str, distance: float) -> httpx.Response:
        row = {"distance": distance, "carrier": "AA"} if endpoint == "flights" else {"distance": distance}
        return self._client.post(f"/endpoints/{endpoint}/invocations", json={"dataframe_records": [row]})

    def ask_meanwhile(self, endpoint: str, distance: float) -> Future[httpx.Response]:
        return self._pool.submit(self.ask, endpoint, distance)

    def metric(self, name: str) -> float:
        lines = self._client.get("/metrics").text.splitlines()
        return sum(float(line.split()[-1]) for line in lines if line.startswith(name))

    def close(self) -> None:
        self._pool.shutdown()
        self._client.close()


@pytest.fixture
def site(tmp_path: Path, serving_bundles: dict[str, Bundle]) -> Iterator[Site]:
    shop = make_workshop(tmp_path / "workspace", serving_bundles, LIMITS)
    with on_a_socket(shop) as (url, app):
        site = Site(shop, url, app.state.lane._book)
        site.deploy("odd", shop.variant("python"))
        site.deploy("flights", shop.variant("champion"))
        yield site
        site.close()


def model_workers() -> set[int]:
    """Return the processes that were forked from a nursery of this process."""
    family = running_below(os.getpid(), "mlprod_nb.model_worker")
    return {pid for pid in family if psutil.Process(pid).ppid() in family}


def admits(site: Site) -> bool:
    try:
        site.runtime.admit()
    except ModelUnavailable:
        return False
    return True


def test_while_a_model_hangs_its_callers_are_refused_at_once_and_other_endpoints_do_not_notice(site: Site) -> None:
    assert site.ask("odd", 1000.0).json()["predictions"] == [1]
    before = model_workers()
    hung = site.ask_meanwhile("odd", Oddity.HANGS)
    until(lambda: not admits(site))
    refused = site.ask("odd", 1000.0)
    assert not hung.done()
    assert (refused.status_code, refused.headers["retry-after"]) == (503, "1")
    assert "has not answered for" in refused.json()["detail"]
    while not hung.done():
        assert site.ask("flights", 900.0).status_code == 200
    assert (hung.result().status_code, hung.result().headers["retry-after"]) == (503, "1")
    until(lambda: site.ask("odd", 1000.0).status_code == 200)
    assert len(model_workers() - before) == 1  # whose row it was is not asked again


def test_a_shadow_that_hangs_leaves_the_replies_alone_and_its_queue_is_bounded(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dataplane, "_MOST_SHADOW_ROWS", 10)
    site.deploy("flights", site.shop.variant("champion"), shadows=(site.shop.variant("python", version=2),))
    for _ in range(60):
        assert site.ask("flights", Oddity.HANGS).status_code == 200
    dropped = 'mlprod_shadow_rows_dropped_total{endpoint="flights"}'
    assert site.metric(dropped) >= 50
    until(lambda: site.metric(dropped) == 60)
    log = PredictionLog(site.shop.layout.log)
    rows = log.predictions(log.pin("flights"), shadows=True)
    assert set(rows["variant"].to_pylist()) == {"champion"}
    assert rows.num_rows == 60


def test_with_two_processes_a_model_answers_on_while_one_of_them_hangs(
    tmp_path: Path, serving_bundles: dict[str, Bundle]
) -> None:
    shop = make_workshop(tmp_path / "workspace", serving_bundles, f"{LIMITS}processes = 2\n")
    with on_a_socket(shop) as (url, app):
        site = Site(shop, url, app.state.lane._book)
        site.deploy("odd", shop.variant("python"))
        assert len(model_workers()) == 2
        hung = site.ask_meanwhile("odd", Oddity.HANGS)
        until(lambda: not admits(site))
        while not hung.done():
            assert site.ask("odd", 1000.0).json()["predictions"] == [1]
        assert hung.result().status_code == 503
        site.close()
    assert model_workers() == set()


def test_rows_beyond_the_bound_of_a_variant_are_refused_at_once(
    tmp_path: Path, serving_bundles: dict[str, Bundle]
) -> None:
    shop = make_workshop(tmp_path / "workspace", serving_bundles, f"{LIMITS}[gateway]\nmax_waiting_rows = 2\n")
    with on_a_socket(shop) as (url, app):
        site = Site(shop, url, app.state.lane._book)
        site.deploy("odd", shop.variant("python"))
        seen: set[int] = set()
        refused: list[str] = []

        def wave() -> bool:  # requests of one turn go together, so that a whole wave may just fit
            for reply in [site.ask_meanwhile("odd", Oddity.DAWDLES) for _ in range(CALLERS)]:
                seen.add(reply.result().status_code)
                if reply.result().status_code == 503:
                    refused.append(reply.result().text)
            return any("too many rows wait" in told for told in refused)

        until(wave)
        assert seen == {200, 503}
        # On a busy machine the worker may take far longer than before, and then refuses for that.
        assert all("too many rows wait" in told or "has not answered" in told for told in refused)
        site.close()
