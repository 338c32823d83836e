"""Feedback over HTTP: labels, rewards and interactions; single, in batches, late and repeated."""

from __future__ import annotations

import uuid
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx

from mlprod_nb.clock import utc_now
from mlprod_nb.prediction_log.reader import PredictionLog
from mlprod_nb.serving.identifiers import Identifiers
from mlprod_nb.serving.telemetry.metrics import MOST_NAMES, OTHER_NAMES, Telemetry
from mlprod_nb.serving.telemetry.shared_numbers import SharedNumbers
from tests.serving.workshop import INVOKE, Workshop, body, gateway, row

PATH = "/endpoints/flights/feedback"


async def predicted(client: httpx.AsyncClient, rows: int) -> list[str]:
    ids: list[str] = (await client.post(INVOKE, json=body(*[row()] * rows))).json()["prediction_ids"]
    return ids


def found(shop: Workshop) -> set[tuple[str, str, str, str]]:
    log = PredictionLog(shop.layout.log)
    rows: list[dict[str, Any]] = log.feedback(log.pin("flights")).to_pylist()
    return {(row["kind"], row["name"], row["source"], row["text"]) for row in rows}


async def test_feedback_is_logged_beside_its_predictions(shop: Workshop) -> None:
    async with gateway(shop) as client:
        await shop.deploy("flights", shop.variant("champion"))
        ids = (await client.post(INVOKE, json=body(row(), row()))).json()["prediction_ids"]
        reply = await client.post(PATH, json={"feedback": [{"prediction_id": key, "value": 1.0} for key in ids]})
        assert reply.json() == {"accepted": 2}
        assert (await client.post(PATH, json={"feedback": []})).json() == {"accepted": 0}
        bad = await client.post(PATH, json={"feedback": [{"prediction_id": "x", "value": 1}]})
        assert (bad.status_code, bad.json()["row"]) == (422, 0)
        log = PredictionLog(shop.layout.log)
        labelled = log.labelled(log.pin("flights")).to_pylist()
    assert [found["label"] for found in labelled] == ["1", "1"]


async def test_labels_rewards_and_interactions_are_kept_apart(shop: Workshop) -> None:
    async with gateway(shop, role="caller") as client:
        await shop.deploy("flights", shop.variant("champion"))
        (key,) = await predicted(client, 1)
        sent = [
            {"prediction_id": key, "value": 1},
            {"prediction_id": key, "value": 12.5, "kind": "reward"},
            {"prediction_id": key, "value": "clicked", "kind": "interaction", "name": "banner"},
            {"prediction_id": key, "value": True, "kind": "interaction", "name": "seen"},
        ]
        assert (await client.post(PATH, json={"feedback": sent})).json() == {"accepted": 4}
    assert found(shop) == {
        ("label", "label", "", "1"),
        ("reward", "label", "", "12.5"),
        ("interaction", "banner", "", "clicked"),
        ("interaction", "seen", "", "True"),
    }


async def test_repeated_feedback_counts_once_a_source_and_the_latest_wins(shop: Workshop) -> None:
    async with gateway(shop, role="caller") as client:
        await shop.deploy("flights", shop.variant("champion"))
        (key,) = await predicted(client, 1)
        assert (await client.post(PATH, json={"prediction_id": key, "value": 0})).json() == {"accepted": 1}
        again = [{"prediction_id": key, "value": value} for value in (1, 0, 1)]
        await client.post(PATH, json={"feedback": [*again, {"prediction_id": key, "value": 0, "source": "clerk"}]})
        await client.post(PATH, json={"prediction_id": key, "value": 1, "source": "clerk"})
    assert found(shop) == {("label", "label", "", "1"), ("label", "label", "clerk", "1")}
    log = PredictionLog(shop.layout.log)
    assert log.labelled(log.pin("flights"))["label"].to_pylist() == ["1"]


async def test_ten_thousand_labels_come_in_one_batch(shop: Workshop) -> None:
    async with gateway(shop, role="caller") as client:
        await shop.deploy("flights", shop.variant("champion"))
        ids = await predicted(client, 10_000)
        sent = [{"prediction_id": key, "value": number % 2} for number, key in enumerate(ids)]
        assert (await client.post(PATH, json={"feedback": sent})).json() == {"accepted": 10_000}
    log = PredictionLog(shop.layout.log)
    assert log.labelled(log.pin("flights"))["label"].to_pylist() == ["0", "1"] * 5_000


async def test_what_is_too_late_or_not_ours_is_refused_whole(shop: Workshop) -> None:
    late = Identifiers(clock_ns=lambda: int((utc_now() - timedelta(days=91)).timestamp() * 10**9)).new()
    async with gateway(shop, role="caller") as client:
        await shop.deploy("flights", shop.variant("champion"))
        (key,) = await predicted(client, 1)
        good = {"prediction_id": key, "value": 1}
        for bad, words in ((late, "older than 90 days"), (str(uuid.uuid4()), "not one that the gateway gave")):
            reply = await client.post(PATH, json={"feedback": [good, {"prediction_id": bad, "value": 1}]})
            assert (reply.status_code, reply.json()["row"]) == (422, 1)
            assert words in reply.json()["detail"]
        third = await client.post(PATH, json={"feedback": [good, {"prediction_id": key, "value": 2}]})
        assert (third.status_code, third.json()["row"]) == (422, 1)
        assert third.json()["detail"] == "feedback row 1: '2' is no class of the endpoint. There is: 0, 1."
        twice = b'{"prediction_id": "x", "value": 1, "value": 0}'
        reply = await client.post(PATH, content=twice, headers={"Content-Type": "application/json"})
        assert (reply.status_code, reply.json()["pointer"]) == (400, "/value")
        assert (await client.post(PATH, content=b"{}", headers={"Content-Type": "text/csv"})).status_code == 415
    assert found(shop) == set()


async def test_feedback_needs_its_right_and_an_endpoint(shop: Workshop) -> None:
    async with gateway(shop, role="viewer") as client:
        await shop.deploy("flights", shop.variant("champion"))
        sent = {"prediction_id": Identifiers().new(), "value": 1}
        assert (await client.post(PATH, json=sent)).status_code == 403
        caller = {"Authorization": f"Bearer {shop.token('caller')}"}
        assert (await client.post("/endpoints/trains/feedback", json=sent, headers=caller)).status_code == 404


async def test_metrics_count_feedback_by_name_and_a_client_cannot_make_labels_without_end(shop: Workshop) -> None:
    async with gateway(shop) as client:
        await shop.deploy("flights", shop.variant("champion"))
        (key,) = await predicted(client, 1)
        clicked = {"prediction_id": key, "value": True, "kind": "interaction", "name": "<b>clicked"}
        await client.post(PATH, json={"feedback": [clicked, clicked, {"prediction_id": key, "value": 1}]})
        many = [{**clicked, "name": f"name {number}"} for number in range(1000)]
        await client.post(PATH, json={"feedback": [*many, {**clicked, "name": "x" * 4000}]})
        text = (await client.get("/metrics")).text
    counts = [line for line in text.splitlines() if line.startswith("mlprod_feedback_rows_total")]
    assert 'mlprod_feedback_rows_total{endpoint="flights",kind="interaction",name="<b>clicked"} 2.0' in counts
    assert 'mlprod_feedback_rows_total{endpoint="flights",kind="label",name="label"} 1.0' in counts
    assert len(counts) == MOST_NAMES + 1
    (others,) = [line for line in counts if OTHER_NAMES in line]
    assert others.endswith(f" {1001 - (MOST_NAMES - 2):.1f}")


def test_a_worker_that_was_replaced_goes_on_with_the_names_of_the_one_before(tmp_path: Path) -> None:
    for turn in range(3):
        telemetry = Telemetry(SharedNumbers(tmp_path, 0))
        telemetry.heard("flights", {("interaction", f"{turn} {number}"): 1 for number in range(15)})
        text = telemetry.text().decode()
    assert text.count("mlprod_feedback_rows_total{") == MOST_NAMES + 1
