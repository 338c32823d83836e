"""The gateway in this process, without a socket: what it answers, refuses and logs."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx
import numpy as np
import pandas as pd
import pytest

from mlprod_nb.access import tokens
from mlprod_nb.clock import utc_now
from mlprod_nb.prediction_log.segments import SegmentWriter
from mlprod_nb.serving import control
from mlprod_nb.store import revisions
from tests.serving.workshop import INVOKE, Workshop, answers, body, gateway, logged, make_workshop, row, train_with_gaps


async def test_a_deployed_version_answers_and_the_reply_is_aligned_with_the_rows(shop: Workshop) -> None:
    async with gateway(shop) as client:
        assert (await shop.deploy("flights", shop.variant("champion"))).outcome == "active"
        reply = await client.post(INVOKE, json=body(row(100.0), row(2900.0), client_ids=["a", "a"]))
        assert reply.status_code == 200, reply.text
        answer = reply.json()
        assert answer["predictions"] == [0, 1]
        assert answer["scores"] == pytest.approx([0.0, 1.0], abs=0.2)
        assert answer["variant"] == ["champion"] * 2
        assert answer["model_version"] == ["flights/1"] * 2
        assert len(set(answer["prediction_ids"])) == 2
        assert answer["client_ids"] == ["a", "a"]


async def test_every_answer_is_in_the_log_with_what_was_asked(shop: Workshop) -> None:
    async with gateway(shop) as client:
        await shop.deploy("flights", shop.variant("champion", version=7))
        reply = await client.post(
            INVOKE, json=body(row(100.0, "UA"), row(2900.0), units=["N1", None], event_time="2013-04-01T06:00:00Z")
        )
        rows = logged(shop)
    assert [found["prediction_id"] for found in rows] == reply.json()["prediction_ids"]
    assert [found["inputs"] for found in rows] == [row(100.0, "UA"), row(2900.0)]
    assert [found["unit"] for found in rows] == ["N1", None]
    assert [found["prediction"] for found in rows] == ["0", "1"]
    assert [found["score"] for found in rows] == reply.json()["scores"]
    assert {found["request_id"] for found in rows} == {reply.headers["x-request-id"]}
    assert {found["event_time"].isoformat() for found in rows} == {"2013-04-01T06:00:00+00:00"}
    assert {(found["version"], found["revision"], found["shadow"]) for found in rows} == {(7, 1, False)}


async def test_several_endpoints_are_served_and_the_short_path_needs_exactly_one(shop: Workshop) -> None:
    async with gateway(shop) as client:
        await shop.deploy("flights", shop.variant("champion"))
        assert (await client.post("/invocations", json=body())).status_code == 200
        await shop.deploy("delay", shop.variant("regression"))
        reply = await client.post("/endpoints/delay/invocations", json={"inputs": {"distance": [10, 20.5]}})
        assert reply.json()["predictions"] == pytest.approx([20.0, 41.0], abs=1e-3)
        several = await client.post("/invocations", json=body())
        assert several.status_code == 404
        assert "/endpoints/delay/invocations" in several.json()["detail"]
        listed = (await client.get("/endpoints")).json()["endpoints"]
        assert [endpoint["name"] for endpoint in listed] == ["delay", "flights"]
        one = (await client.get("/endpoints/flights")).json()
    assert one["signature"][0] == {"name": "distance", "type": "double", "nullable": False}
    assert one["variants"][0]["share"] == 1.0
    assert one["revision"] == 1
    assert {found["prediction"] for found in logged(shop, "delay")} == {None}


@pytest.mark.parametrize(
    ("sent", "status", "column", "words"),
    [
        (body({"distance": 1.0}), 422, "carrier", "is missing"),
        (body({**row(), "carier": "AA"}), 422, "carier", "takes no column"),
        (body({**row(), "x0": 1}), 422, "x0", "takes no column 'x0'. It takes: distance, carrier."),
        (body({"distance": "far", "carrier": "AA"}), 422, "distance", "takes a number, not text"),
        (body({"distance": None, "carrier": "AA"}), 422, "distance", "has no value"),
        (body(event_time="soon"), 422, None, "ISO 8601"),
        (body(units=[1.5]), 422, None, "unit of row 0"),
        ({"rows": []}, 400, None, "unknown key"),
    ],
)
async def test_a_request_that_does_not_fit_gets_a_problem_that_names_what_is_wrong(
    shop: Workshop, sent: Any, status: int, column: str | None, words: str
) -> None:
    async with gateway(shop) as client:
        await shop.deploy("flights", shop.variant("champion"))
        reply = await client.post(INVOKE, json=sent)
    assert reply.status_code == status
    assert reply.headers["content-type"] == "application/problem+json"
    problem = reply.json()
    assert words in problem["detail"]
    assert problem.get("column") == column
    assert problem["request_id"] == reply.headers["x-request-id"]
    assert logged(shop) == []


async def test_wrong_paths_methods_media_and_names_are_problems_too(shop: Workshop) -> None:
    async with gateway(shop) as client:
        await shop.deploy("flights", shop.variant("champion"))
        missing = await client.post("/endpoints/fligths/invocations", json=body())
        assert (missing.status_code, missing.json()["nearest"]) == (404, "flights")
        for reply, status in (
            (await client.get("/nothing"), 404),
            (await client.get(INVOKE), 405),
            (await client.post(INVOKE, content=b"<a/>", headers={"content-type": "text/xml"}), 415),
            (await client.post(INVOKE, content=b"a,b", headers={"content-type": "text/csv"}), 400),
            (await client.post(INVOKE, content=b"{"), 400),
        ):
            assert reply.status_code == status
            assert reply.headers["content-type"] == "application/problem+json"
            assert reply.json()["status"] == status


async def test_tokens_and_rights_are_checked(shop: Workshop) -> None:
    async with gateway(shop, role="caller") as client:
        await shop.deploy("flights", shop.variant("champion"))
        nobody = httpx.AsyncClient(transport=client._transport, base_url="http://gateway")
        reply = await nobody.post(INVOKE, json=body())
        assert reply.status_code == 401
        assert reply.headers["www-authenticate"].startswith("Bearer")
        wrong = await nobody.post(INVOKE, json=body(), headers={"Authorization": "Bearer mlp_wrong"})
        assert wrong.status_code == 401
        assert (await client.get("/metrics")).status_code == 403
        assert (await client.post(INVOKE, json=body(), headers={"X-Mlprod-Variant": "champion"})).status_code == 403
        viewer = {"Authorization": f"Bearer {shop.token('viewer')}"}
        assert (await nobody.get("/metrics", headers=viewer)).status_code == 200
        assert (await nobody.post(INVOKE, json=body(), headers=viewer)).status_code == 403
        for open_path in ("/health/live", "/health/ready", "/docs", "/openapi.json"):
            assert (await nobody.get(open_path)).status_code == 200
        assert "/endpoints/flights/" not in (await nobody.get("/openapi.json")).text
        await nobody.aclose()


async def test_an_operator_can_ask_a_certain_variant(shop: Workshop) -> None:
    async with gateway(shop) as client:
        await shop.deploy("flights", shop.variant("champion"), shop.variant("challenger", weight=0))
        reply = await client.post(INVOKE, json=body(), headers={"X-Mlprod-Variant": "challenger"})
        assert reply.json()["variant"] == ["challenger"]
        typo = await client.post(INVOKE, json=body(), headers={"X-Mlprod-Variant": "chalenger"})
        assert (typo.status_code, typo.json()["nearest"]) == (404, "challenger")


async def test_a_revision_that_does_not_load_is_rejected_and_the_old_one_stays(shop: Workshop) -> None:
    async with gateway(shop) as client:
        await shop.deploy("flights", shop.variant("champion"))
        (shop.layout.bundles / shop.bundles["challenger"].digest / "model.onnx").write_bytes(b"broken")
        damaged = await shop.deploy("flights", shop.variant("challenger", version=2))
        absent = await shop.deploy("flights", shop.variant("x", bundle="0" * 64, version=3))
        mixed = await shop.deploy("flights", shop.variant("champion"), shop.variant("regression"))
        assert [found.outcome for found in (damaged, absent, mixed)] == ["rejected"] * 3
        assert "variant 'challenger' (flights/2)" in damaged.detail
        assert "model.onnx" in damaged.detail
        assert "there is no bundle" in absent.detail
        assert "is a regression" in mixed.detail
        assert (await client.post(INVOKE, json=body())).json()["model_version"] == ["flights/1"]
        assert (await client.get("/endpoints/flights")).json()["revision"] == 1
        assert (await client.get("/health/ready")).status_code == 200


async def test_missing_values_are_taken_where_the_model_learnt_from_them(shop: Workshop) -> None:
    model, _ = train_with_gaps()
    gaps: list[dict[str, Any]] = [
        {"distance": None, "carrier": "AA"},
        {"distance": 200.0, "carrier": None},
        {"distance": 200.0},
    ]
    async with gateway(shop) as client:
        await shop.deploy("flights", shop.variant("gaps"))
        reply = await client.post(INVOKE, json=body(*gaps))
        assert reply.status_code == 200, reply.text
        described = (await client.get("/endpoints/flights")).json()
        # Where another variant did not, no row may have them: which one meets a row is not the caller's to know.
        assert (await shop.deploy("flights", shop.variant("gaps"), shop.variant("champion"))).outcome == "active"
        refused = await client.post(INVOKE, json=body(*gaps))
    frame = pd.DataFrame(gaps).astype({"distance": float}).fillna({"carrier": np.nan})
    assert described["variants"][0]["runtime"] == "onnx", described["variants"][0]["runtime_reason"]
    assert reply.json()["scores"] == pytest.approx(model.predict_proba(frame)[:, 1].tolist(), abs=1e-5)
    assert [found["inputs"] for found in logged(shop)] == [{**gap, "carrier": gap.get("carrier")} for gap in gaps]
    assert (refused.status_code, refused.json()["column"]) == (422, "distance")


async def test_variants_may_take_different_columns_and_a_request_carries_them_all(shop: Workshop) -> None:
    async with gateway(shop) as client:
        await shop.deploy("flights", shop.variant("python"), shop.variant("champion"), unit="tailnum")
        reply = await client.post(INVOKE, json=body(*[row()] * 30))
        assert reply.status_code == 200, reply.text
        assert set(reply.json()["variant"]) == {"python", "champion"}
        assert (await client.post(INVOKE, json=body({"distance": 1.0}))).json()["column"] == "carrier"


async def test_a_withdrawn_revision_is_never_served(shop: Workshop) -> None:
    proposed = shop.propose("flights", shop.variant("champion"))
    with shop.store() as store, store.write() as connection:
        revisions.decide(connection, proposed.id, "withdrawn", detail="too late", now=utc_now())
    async with gateway(shop) as client:
        await shop.deploy("delay", shop.variant("regression"))
        assert (await client.post(INVOKE, json=body())).status_code == 404


async def test_an_endpoint_that_is_taken_away_is_gone(shop: Workshop) -> None:
    async with gateway(shop) as client:
        await shop.deploy("flights", shop.variant("champion"))
        assert (await shop.deploy("flights")).outcome == "active"
        assert (await client.post(INVOKE, json=body())).status_code == 404
        assert (await client.get("/endpoints")).json()["endpoints"] == []


async def test_a_gateway_that_starts_again_serves_what_was_active_and_tells_what_it_cannot(
    shop: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(control, "RETRY_SECONDS", 0.1)
    async with gateway(shop):
        await shop.deploy("flights", shop.variant("champion"))
        await shop.deploy("delay", shop.variant("regression"))
    signature = shop.layout.bundles / shop.bundles["regression"].digest / "signature.json"
    kept = signature.read_bytes()
    signature.unlink()
    async with gateway(shop) as client:
        assert (await client.post(INVOKE, json=body())).status_code == 200
        lost = await client.post("/endpoints/delay/invocations", json={"inputs": {"distance": [1]}})
        assert lost.status_code == 503
        assert "/" not in lost.json()["detail"]
        ready = await client.get("/health/ready")
        assert ready.status_code == 503
        assert ready.json()["reasons"] == ["endpoint 'delay' could not be loaded"]
        signature.write_bytes(kept)
        await answers(client, "ready")
        again = await client.post("/endpoints/delay/invocations", json={"inputs": {"distance": [1]}})
        assert again.status_code == 200


async def test_shadows_score_the_same_rows_after_the_reply_and_are_logged_as_shadows(shop: Workshop) -> None:
    async with gateway(shop) as client:
        shadow = shop.variant("challenger", version=2, weight=0)
        await shop.deploy("flights", shop.variant("champion"), shadows=(shadow,))
        answer = (await client.post(INVOKE, json=body(row(), row()))).json()
        assert answer["variant"] == ["champion"] * 2
    rows = logged(shop, shadows=True)
    assert sorted((found["variant"], found["shadow"]) for found in rows) == [
        ("challenger", True),
        ("challenger", True),
        ("champion", False),
        ("champion", False),
    ]
    assert {found["prediction_id"] for found in rows} == set(answer["prediction_ids"])
    assert len(logged(shop)) == 2


async def test_the_metrics_count_requests_rows_appends_and_the_revision(shop: Workshop) -> None:
    async with gateway(shop) as client:
        await shop.deploy("flights", shop.variant("champion"))
        await client.post(INVOKE, json=body(row(), row()))
        await client.post("/endpoints/made-up/invocations", json=body())
        text = (await client.get("/metrics")).text
        assert 'mlprod_waiting_rows{endpoint="flights",variant="champion"} 0.0' in text
    for line in (
        'mlprod_requests_total{endpoint="flights",route="invoke",status="200"} 1.0',
        'mlprod_requests_total{endpoint="",route="invoke",status="404"} 1.0',
        'mlprod_predicted_rows_total{endpoint="flights",shadow="false",variant="champion"} 2.0',
        'mlprod_prediction_seconds_count{endpoint="flights",variant="champion"} 1.0',
        'mlprod_log_appends_total{kind="prediction"} 1.0',
        'mlprod_revision{endpoint="flights"} 1.0',
        f'mlprod_batch_rows_count{{bundle="{shop.variant("champion").bundle[:12]}"}} 1.0',
    ):
        assert line in text
    assert "made-up" not in text


async def test_counters_of_what_must_not_happen_are_told_before_it_happens(shop: Workshop) -> None:
    async with gateway(shop) as client:
        await shop.deploy("flights", shop.variant("champion"), shadows=[shop.variant("challenger")])
        text = (await client.get("/metrics")).text
    for line in (
        'mlprod_model_errors_total{endpoint="flights",shadow="false",variant="champion"} 0.0',
        'mlprod_model_errors_total{endpoint="flights",shadow="true",variant="challenger"} 0.0',
        'mlprod_unlogged_rows_total{endpoint="flights"} 0.0',
        'mlprod_unlogged_answers_total{endpoint="flights"} 0.0',
        'mlprod_shadow_rows_dropped_total{endpoint="flights"} 0.0',
    ):
        assert line in text


async def test_a_prediction_that_cannot_be_logged_is_not_given_until_the_log_recovers(
    shop: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = {"now": False}
    write = SegmentWriter._append

    def fail(writer: SegmentWriter, data: bytes) -> None:
        if broken["now"]:
            raise OSError(28, "No space left on device")
        write(writer, data)

    monkeypatch.setattr(SegmentWriter, "_append", fail)
    async with gateway(shop) as client:
        await shop.deploy("flights", shop.variant("champion"))
        broken["now"] = True
        reply = await client.post(INVOKE, json=body())
        assert (reply.status_code, reply.headers["retry-after"]) == (503, "1")
        assert "prediction log cannot be written" in reply.json()["detail"]
        ready = await client.get("/health/ready")
        assert ready.json()["reasons"] == ["the prediction log cannot be written: No space left on device"]
        assert ready.json()["log"] == {"state": "failed", "reason": "No space left on device"}
        assert 'mlprod_unlogged_rows_total{endpoint="flights"} 1.0' in (await client.get("/metrics")).text
        broken["now"] = False
        await answers(client, "ready")
        good = await client.post(INVOKE, json=body())
        assert good.status_code == 200
    assert [found["prediction_id"] for found in logged(shop)] == good.json()["prediction_ids"]


async def test_a_body_that_is_too_large_is_refused(tmp_path: Any, serving_bundles: Any) -> None:
    shop = make_workshop(tmp_path / "small", serving_bundles, "[gateway]\nmax_body_bytes = 2000\n")
    async with gateway(shop) as client:
        await shop.deploy("flights", shop.variant("champion"))
        assert (await client.post(INVOKE, json=body(*[row()] * 10))).status_code == 200
        declared = await client.post(INVOKE, json=body(*[row()] * 100))

        async def chunks() -> Any:
            for _ in range(100):
                yield b" " * 100

        streamed = await client.post(INVOKE, content=chunks(), headers={"content-type": "application/json"})
    assert (declared.status_code, streamed.status_code) == (413, 413)
    assert "2000 bytes" in declared.json()["detail"]


async def test_a_request_that_is_not_received_in_time_is_ended(tmp_path: Any, serving_bundles: Any) -> None:
    shop = make_workshop(tmp_path / "quick", serving_bundles, "[gateway]\nrequest_timeout_seconds = 0.2\n")
    async with gateway(shop) as client:
        await shop.deploy("flights", shop.variant("champion"))
        never = asyncio.Event()

        async def trickle() -> Any:
            yield b"{"
            await never.wait()
            yield b"}"

        # The transport of httpx hands over chunks only as the application asks for them.
        reply = await client.post(INVOKE, content=trickle(), headers={"content-type": "application/json"})
    assert reply.status_code == 504


async def test_a_revoked_token_ends_and_an_unknown_one_cannot_crowd_out_the_memory(shop: Workshop) -> None:
    async with gateway(shop) as client:
        await shop.deploy("flights", shop.variant("champion"))
        secret = shop.token("caller")
        headers = {"Authorization": f"Bearer {secret}"}
        with shop.store() as store, store.write() as connection:
            tokens.revoke(connection, "caller", now=utc_now())
        assert (await client.post(INVOKE, json=body(), headers=headers)).status_code == 401


async def test_the_documentation_names_the_operations_and_asks_nothing_from_outside(shop: Workshop) -> None:
    async with gateway(shop) as client:
        await shop.deploy("flights", shop.variant("champion"), unit="tailnum")
        page = await client.get("/docs")
        assert (await client.get("/", follow_redirects=False)).headers["location"] == "/docs"
        document = (await client.get("/openapi.json")).json()
    assert "default-src 'none'" in page.headers["content-security-policy"]
    assert "/endpoints/{name}/feedback" in page.text
    assert "curl http://gateway/endpoints/NAME/invocations" in page.text
    assert "https://" not in page.text
    example = document["paths"]["/endpoints/flights/invocations"]["post"]["requestBody"]["content"]["application/json"]
    assert example["example"] == {"inputs": {"distance": [1.5], "carrier": ["a"]}, "units": ["unit-1"]}
