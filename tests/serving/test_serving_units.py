"""Which variant answers whom: by the unit, however a caller writes it."""

from __future__ import annotations

import pytest

from mlprod_nb.routing import assign
from mlprod_nb.store import revisions
from tests.serving.workshop import INVOKE, Workshop, body, gateway, logged, row


async def test_a_split_is_sticky_by_unit_and_follows_the_assignment(shop: Workshop) -> None:
    variants = (shop.variant("champion"), shop.variant("challenger", version=2))
    units = [f"N{i}" for i in range(40)]
    async with gateway(shop) as client:
        await shop.deploy("flights", *variants, unit="tailnum")
        by_list = (await client.post(INVOKE, json=body(*[row()] * 40, units=units))).json()
        by_column = (await client.post(INVOKE, json=body(*[{**row(), "tailnum": unit} for unit in units]))).json()
        one_by_one = [(await client.post(INVOKE, json=body(units=[unit]))).json()["variant"][0] for unit in units[:8]]
        with shop.store() as store, store.read() as connection:
            spec = revisions.active(connection)["flights"].spec
    assert spec is not None
    expected = [variants[index].name for index in assign(spec, units)]
    assert by_list["variant"] == by_column["variant"] == expected
    assert one_by_one == expected[:8]
    assert set(expected) == {"champion", "challenger"}
    by_variant = dict(zip(by_list["variant"], by_list["scores"], strict=True))
    assert by_variant["champion"] != pytest.approx(by_variant["challenger"], abs=0.05)
    assert {found["unit"] for found in logged(shop)} == set(units)


async def test_rows_without_a_unit_are_spread(shop: Workshop) -> None:
    async with gateway(shop) as client:
        await shop.deploy("flights", shop.variant("champion"), shop.variant("challenger"), unit="tailnum")
        answer = (await client.post(INVOKE, json=body(*[row()] * 60))).json()
    assert set(answer["variant"]) == {"champion", "challenger"}


async def test_a_number_as_a_unit_is_the_text_of_its_digits_however_it_was_written(shop: Workshop) -> None:
    async with gateway(shop) as client:
        shares = (shop.variant("champion", weight=50), shop.variant("challenger", weight=50))
        await shop.deploy("flights", *shares, unit="customer")
        written = ["1234", 1234, 1234.0, None, "1234.0"]
        apart = (await client.post(INVOKE, json=body(*[row()] * 5, units=written))).json()
        column = (await client.post(INVOKE, json=body(*[{**row(), "customer": unit} for unit in written]))).json()
        headers = {"content-type": "text/csv"}
        csv = "distance,carrier,customer\n5.0,AA,1234\n5.0,AA,\n"
        table = await client.post(INVOKE, content=csv, headers=headers)
        refused = [
            await client.post(INVOKE, json=body({**row(), "customer": unit})) for unit in (12.5, float(2**53 + 2), True)
        ]
    assert table.status_code == 200
    for reply in (apart, column):
        assert len(set(reply["variant"][:3])) == 1
    units = [found["unit"] for found in sorted(logged(shop), key=lambda found: found["prediction_id"])]
    assert units == [*["1234"] * 3, None, "1234.0"] * 2 + ["1234", None]
    assert [(reply.status_code, reply.json()["column"]) for reply in refused] == [(422, "customer")] * 3
    assert refused[0].json()["detail"].startswith("the unit of row 0, column 'customer', must be a text of at most 512")
    assert "or a whole number, not 12.5." in refused[0].json()["detail"]
