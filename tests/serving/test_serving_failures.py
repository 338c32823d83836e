"""The rows that models failed on, by variant and unit, for as long as an A/B test may ask."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

from mlprod_nb.routing import Variant
from mlprod_nb.serving.telemetry import failures
from mlprod_nb.serving.telemetry.failures import MOST_KINDS, Asked, FailedRows, Failures
from tests.clocks import NOON, Clock
from tests.serving.oddity import Oddity
from tests.serving.workshop import Workshop, gateway

VARIANT = Variant("challenger", "flights", 4, "0" * 64, 0.5)
EARLIER = datetime(2013, 6, 1, 8, tzinfo=UTC)


def asked(units: list[str | None], moments: list[datetime]) -> Asked:
    return Asked("flights", 7, VARIANT, units, moments)


def test_rows_are_kept_by_unit_and_by_the_second_in_which_they_happened(tmp_path: Path) -> None:
    clock = Clock()
    ledger = Failures(tmp_path / "failures", 0, clock)
    moments = [EARLIER, EARLIER, EARLIER + timedelta(milliseconds=1), EARLIER + timedelta(seconds=1)]
    ledger.note(asked(["N1", "N2", "N1", None], moments), [0, 2, 3])
    ledger.write()
    assert list(failures.read(tmp_path / "failures", "flights")) == []
    clock.now += timedelta(seconds=1)
    ledger.write()
    of_the_variant = (7, "challenger", "flights", 4)
    assert list(failures.read(tmp_path / "failures", "flights")) == [
        FailedRows(EARLIER + timedelta(seconds=1), NOON, *of_the_variant, None, 1),
        FailedRows(EARLIER, NOON, *of_the_variant, "N1", 2),
    ]
    assert list(failures.read(tmp_path / "failures", "weather")) == []


def test_a_storm_of_failures_is_counted_whole_with_few_units(tmp_path: Path) -> None:
    ledger = Failures(tmp_path, 0, Clock())
    rows = MOST_KINDS + 500
    ledger.note(asked([f"N{row}" for row in range(rows)], [EARLIER] * rows), range(rows))
    ledger.write(last=True)
    found = list(failures.read(tmp_path, "flights"))
    assert sum(each.rows for each in found) == rows
    assert len(found) == MOST_KINDS + 1
    assert [each.rows for each in found if each.unit is None] == [500]


async def test_a_gateway_keeps_the_rows_of_the_variant_that_failed_and_not_those_that_were_refused(
    shop: Workshop,
) -> None:
    async with gateway(shop) as client:
        await shop.deploy("odd", shop.variant("python"), unit="tailnum")
        frame = {"columns": ["distance"], "data": [[250.0], [Oddity.FAILS]]}
        body = {"dataframe_split": frame, "units": ["N1", "N2"], "event_time": "2013-06-01T08:00:00.5Z"}
        assert (await client.post("/endpoints/odd/invocations", json=body)).status_code == 500
        body["dataframe_split"] = {"columns": ["distance"], "data": [["far"], [1.0]]}
        assert (await client.post("/endpoints/odd/invocations", json=body)).status_code == 422
    found = list(failures.read(shop.layout.failures, "odd"))
    assert [(each.unit, each.rows, each.variant, each.event_time) for each in found] == [
        ("N1", 1, "python", EARLIER),
        ("N2", 1, "python", EARLIER),
    ]
