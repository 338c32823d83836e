"""What each column did to a row's score: asked for with the prediction, or refused before anything is predicted."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from mlprod_nb.registry.bundles import BundleStore
from mlprod_nb.registry.conversion import build_bundle, prepare
from mlprod_nb.serving import explaining
from tests.serving.workshop import INVOKE, ROWS, Workshop, body, gateway, logged, row, training_frame


async def test_a_linear_model_is_explained_exactly(shop: Workshop) -> None:
    async with gateway(shop) as client:
        await shop.deploy("delay", shop.variant("regression"))
        path = "/endpoints/delay/invocations"
        reply = (await client.post(path, json={"inputs": {"distance": [10, 2500.5]}, "explain": True})).json()
        plain = (await client.post(path, json={"inputs": {"distance": [10, 2500.5]}, "explain": False})).json()
    typical = reply["typical"]["regression"]["distance"]
    assert 100 < typical < 3000
    found = [contribution["distance"] for contribution in reply["contributions"]]
    assert found == pytest.approx([2 * (10 - typical), 2 * (2500.5 - typical)], abs=0.01)
    assert "contributions" not in plain
    assert len(logged(shop, "delay")) == 4  # the changed rows are no predictions


async def test_each_row_is_explained_by_the_variant_that_answered_it(shop: Workshop) -> None:
    rows = [row(distance, carrier) for distance in (100.0, 1400.0, 2900.0) for carrier in ("AA", "UA")] * 5
    async with gateway(shop) as client:
        await shop.deploy("flights", shop.variant("champion"), shop.variant("challenger"))
        reply = (await client.post(INVOKE, json=body(*rows), headers={"X-Mlprod-Explain": "true"})).json()
        assert set(reply["variant"]) == {"champion", "challenger"} == set(reply["typical"])
        for number in (0, 7, 20):
            name = reply["variant"][number]
            changed = {**rows[number], "distance": reply["typical"][name]["distance"]}
            alone = await client.post(INVOKE, json=body(changed), headers={"X-Mlprod-Variant": name})
            expected = reply["scores"][number] - alone.json()["scores"][0]
            assert reply["contributions"][number]["distance"] == pytest.approx(expected, abs=1e-6)
            assert reply["contributions"][number].keys() == {"distance", "carrier"}


async def test_columns_with_missing_values_are_explained(shop: Workshop) -> None:
    async with gateway(shop) as client:
        await shop.deploy("flights", shop.variant("gaps"))
        asked = body({"distance": None, "carrier": "AA"}, {"distance": 5.0, "carrier": None}, explain=True)
        reply = await client.post(INVOKE, json=asked)
    assert reply.status_code == 200, reply.text
    contributions = reply.json()["contributions"]
    assert contributions[1]["carrier"] > 0.3  # a missing carrier made the label
    assert all(np.isfinite(list(contribution.values())).all() for contribution in contributions)


async def test_what_cannot_be_explained_is_refused_before_anything_is_predicted(
    shop: Workshop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    frame = training_frame()[["distance"]]
    model = LogisticRegression().fit(frame, np.arange(ROWS) % 3)
    bundle = build_bundle(prepare(model, frame), folder=tmp_path / "three", profile=b"{}")
    BundleStore(shop.layout.bundles).add(bundle.path)
    monkeypatch.setattr(explaining, "MOST_VALUES", 8)
    async with gateway(shop) as client:
        await shop.deploy("three", shop.variant("three", bundle=bundle.digest))
        await shop.deploy("flights", shop.variant("champion"))
        classes = await client.post("/endpoints/three/invocations", json={"inputs": {"distance": [1]}, "explain": True})
        many = await client.post(INVOKE, json=body(*[row()] * 3, explain=True))
        few = await client.post(INVOKE, json=body(*[row()] * 2, explain=True))
        wrong = await client.post(INVOKE, json=body(explain="yes"))
    assert (classes.status_code, many.status_code, few.status_code, wrong.status_code) == (422, 413, 200, 400)
    assert "more than two classes" in classes.json()["detail"]
    assert "at most 2 rows" in many.json()["detail"]
    assert wrong.json()["pointer"] == "/explain"
    assert logged(shop, "three") == []
    assert len(logged(shop)) == 2
