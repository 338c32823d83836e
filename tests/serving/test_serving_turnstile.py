"""An endpoint's limit on the requests under way: kept by both lanes, told at once, given free by whoever ends."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest

from mlprod_nb.registry.bundles import Bundle
from mlprod_nb.serving.errors import TooManyRequests
from mlprod_nb.serving.models.loaded import LoadedModel
from mlprod_nb.serving.turnstile import Turnstile, VariantLimits
from tests.serving.workshop import make_workshop, on_a_socket, until

LIMIT = 3
PATH = "/endpoints/flights/invocations"
BODY = {"inputs": {"distance": [1.5], "carrier": ["AA"]}}
EVENT_TIME = {**BODY, "event_time": "2013-04-01T00:00:00Z"}


def test_who_is_too_many_is_kept_out_until_somebody_leaves() -> None:
    turnstile = Turnstile({"flights": LIMIT})
    first, second = turnstile.let_in("flights", 2), turnstile.let_in("flights", 2)
    assert (first.requests, second.requests) == (2, 1)
    with pytest.raises(TooManyRequests, match="flights"), turnstile.one("flights"):
        pass
    first.leave(1)
    with turnstile.one("flights"):
        assert turnstile.let_in("flights", 1).requests == 0
    first.end()
    second.end()
    assert turnstile.let_in("flights", 9).requests == LIMIT


def test_an_endpoint_without_a_limit_takes_any_number() -> None:
    assert Turnstile({"flights": LIMIT}).let_in("delay", 10_000).requests == 10_000


class Gate:
    """Holds every call of a model, or of one bundle's alone, until it is opened."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, bundle: str = "") -> None:
        self.open = threading.Event()
        self.inside = self.most = 0
        pass_through = LoadedModel.score

        async def score(model: LoadedModel, columns: Any, rows: int) -> Any:
            if bundle not in ("", model.bundle.digest):
                return await pass_through(model, columns, rows)
            self.inside += rows
            self.most = max(self.most, self.inside)
            async with asyncio.timeout(20):
                while not self.open.is_set():
                    await asyncio.sleep(0.005)
            self.inside -= rows
            return await pass_through(model, columns, rows)

        monkeypatch.setattr(LoadedModel, "score", score)


@pytest.mark.parametrize("lane", ["express lane", "routes"])
def test_more_requests_than_may_be_under_way_get_429_at_once(
    tmp_path: Path, serving_bundles: dict[str, Bundle], monkeypatch: pytest.MonkeyPatch, lane: str
) -> None:
    settings = f"[endpoints.flights]\nmax_requests = {LIMIT}\n"
    shop = make_workshop(tmp_path / "workspace", serving_bundles, settings)
    with on_a_socket(shop) as (url, _):
        assert shop.outcome(shop.propose("flights", shop.variant("champion"))).outcome == "active"
        headers = {"Authorization": f"Bearer {shop.token()}", **({"X-Other": "yes"} if lane == "routes" else {})}
        with httpx.Client(base_url=url, headers=headers, trust_env=False, timeout=20) as client:
            assert client.post(PATH, json=BODY).status_code == 200  # its token is known now
            gate = Gate(monkeypatch)
            with ThreadPoolExecutor(LIMIT) as pool:
                held = [pool.submit(client.post, PATH, json=BODY) for _ in range(LIMIT)]
                try:
                    until(lambda: gate.inside == LIMIT)
                    refused = client.post(PATH, json=BODY)
                finally:
                    gate.open.set()
                assert [each.result().status_code for each in held] == [200] * LIMIT
            assert gate.most == LIMIT
            assert (refused.status_code, refused.headers["retry-after"]) == (429, "1")
            assert refused.json()["type"] == "urn:mlprod:problem:too-many-requests"
            for body in [BODY, EVENT_TIME] * LIMIT:  # what the express lane hands back is counted once, and let out
                assert client.post(PATH, json=body).status_code == 200


def test_rows_that_are_too_many_for_a_variant_are_kept_out_and_one_large_request_is_not() -> None:
    limits = VariantLimits({"flights": {"challenger": LIMIT}})
    assert (limits.least("flights", 100), limits.least("delay", 100)) == (LIMIT, 100)
    with limits.rows("flights", "challenger", 2):
        with limits.rows("flights", "challenger", 1), limits.rows("flights", "champion", 10_000):
            pass
        kept_out = pytest.raises(TooManyRequests, match="variant 'challenger' of endpoint 'flights'")
        with kept_out, limits.rows("flights", "challenger", 2):
            raise AssertionError("let in")
    with (
        limits.rows("flights", "challenger", 9),
        pytest.raises(TooManyRequests),
        limits.rows("flights", "challenger", 1),
    ):
        raise AssertionError("let in")
    with limits.rows("flights", "challenger", LIMIT):
        pass


@pytest.mark.parametrize("lane", ["express lane", "routes"])
def test_a_variant_at_its_limit_refuses_and_the_others_go_on(
    tmp_path: Path, serving_bundles: dict[str, Bundle], monkeypatch: pytest.MonkeyPatch, lane: str
) -> None:
    settings = f"[endpoints.flights.max_rows]\nchampion = {LIMIT}\n"
    shop = make_workshop(tmp_path / "workspace", serving_bundles, settings)
    with on_a_socket(shop) as (url, _):
        pair = shop.variant("champion"), shop.variant("challenger", weight=0.0)
        assert shop.outcome(shop.propose("flights", *pair)).outcome == "active"
        headers = {"Authorization": f"Bearer {shop.token()}", **({"X-Other": "yes"} if lane == "routes" else {})}
        with httpx.Client(base_url=url, headers=headers, trust_env=False, timeout=20) as client:
            assert client.post(PATH, json=BODY).status_code == 200  # its token is known now
            gate = Gate(monkeypatch)
            with ThreadPoolExecutor(LIMIT + 1) as pool:
                held = [pool.submit(client.post, PATH, json=BODY) for _ in range(LIMIT)]
                try:
                    until(lambda: gate.inside == LIMIT)
                    refused = client.post(PATH, json=BODY)
                    other = pool.submit(client.post, PATH, json=BODY, headers={"X-Mlprod-Variant": "challenger"})
                    until(lambda: gate.inside == LIMIT + 1)
                finally:
                    gate.open.set()
                assert [each.result().status_code for each in held] == [200] * LIMIT
                assert other.result().json()["variant"] == ["challenger"]
            assert (refused.status_code, refused.headers["retry-after"]) == (429, "1")
            assert "variant 'champion' of endpoint 'flights'" in refused.json()["detail"]
            assert client.post(PATH, json=BODY).status_code == 200


def test_a_shadow_at_its_limit_leaves_rows_out_and_counts_them(
    tmp_path: Path, serving_bundles: dict[str, Bundle], monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = "[endpoints.flights.max_rows]\nchallenger = 1\n"
    shop = make_workshop(tmp_path / "workspace", serving_bundles, settings)
    gate = Gate(monkeypatch, shop.variant("challenger").bundle)
    gate.open.set()
    with on_a_socket(shop) as (url, _):
        revision = shop.propose("flights", shop.variant("champion"), shadows=(shop.variant("challenger"),))
        assert shop.outcome(revision).outcome == "active"
        gate.open.clear()
        headers = {"Authorization": f"Bearer {shop.token()}"}
        with httpx.Client(base_url=url, headers=headers, trust_env=False, timeout=20) as client:
            try:
                assert client.post(PATH, json=BODY).status_code == 200
                until(lambda: gate.inside == 1)
                assert client.post(PATH, json=BODY).status_code == 200
                dropped = 'mlprod_shadow_rows_dropped_total{endpoint="flights"} 1.0'
                until(lambda: dropped in client.get("/metrics").text)
            finally:
                gate.open.set()
            until(lambda: gate.inside == 0)
            assert gate.most == 1
