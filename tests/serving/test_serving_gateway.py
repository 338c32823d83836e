"""The gateway in this process, without a socket."""

from __future__ import annotations

import pytest

from tests.serving.workshop import Workshop, body, gateway, row


async def test_a_deployed_version_answers_and_the_reply_is_aligned_with_the_rows(shop: Workshop) -> None:
    async with gateway(shop) as client:
        assert (await shop.deploy("flights", shop.variant("champion"))).outcome == "active"
        reply = await client.post("/endpoints/flights/invocations", json=body(row(100.0), row(2900.0)))
        assert reply.status_code == 200, reply.text
        answer = reply.json()
        assert answer["predictions"] == [0, 1]
        assert answer["scores"] == pytest.approx([0.0, 1.0], abs=0.2)
        assert answer["variant"] == ["champion"] * 2
        assert answer["model_version"] == ["flights/1"] * 2
        assert len(set(answer["prediction_ids"])) == 2
