"""Refused requests, counted by endpoint and reason for as long as the monitor may ask."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path

from mlprod_nb.serving.telemetry import refusals
from mlprod_nb.serving.telemetry.refusals import LINE_SECONDS, Refusals
from tests.clocks import NOON, Clock
from tests.serving.workshop import Workshop, body, gateway, row


def counts(folder: Path, since: datetime | None = None, until: datetime | None = None) -> dict[str, int]:
    return refusals.read(folder, "flights", since=since, until=until)


def test_a_line_is_written_a_minute_after_the_first_refusal_and_at_the_end(tmp_path: Path) -> None:
    clock = Clock()
    ledger = Refusals(tmp_path / "refusals", 0, clock)
    ledger.write(last=True)
    assert not (tmp_path / "refusals").exists()
    ledger.note("flights", "invalid-input")
    ledger.write()
    assert counts(tmp_path / "refusals") == {}
    clock.now += timedelta(seconds=LINE_SECONDS)
    ledger.note("flights", "invalid-input")
    ledger.write()
    ledger.note("flights", "too-large")
    ledger.note("weather", "too-large")
    ledger.write(last=True)
    assert counts(tmp_path / "refusals") == {"invalid-input": 2, "too-large": 1}


def test_a_window_counts_what_came_in_it_from_all_workers(tmp_path: Path) -> None:
    for slot, moment in [(0, NOON), (1, NOON), (0, NOON + timedelta(days=45)), (1, NOON - timedelta(days=1))]:
        ledger = Refusals(tmp_path, slot, Clock(moment))
        ledger.note("flights", "too-large")
        ledger.write(last=True)
    assert counts(tmp_path, NOON, NOON + timedelta(hours=1)) == {"too-large": 2}
    assert counts(tmp_path, until=NOON) == {"too-large": 1}
    assert counts(tmp_path, NOON + timedelta(seconds=1)) == {"too-large": 1}


def test_a_cut_line_is_passed_over_and_old_months_go(tmp_path: Path) -> None:
    for moment in (NOON, NOON + timedelta(days=200), NOON + timedelta(days=500)):
        ledger = Refusals(tmp_path, 0, Clock(moment))
        ledger.note("flights", "too-large")
        ledger.write(last=True)
    assert sorted(file.name for file in tmp_path.iterdir()) == ["2026-09-0.jsonl", "2027-07-0.jsonl"]
    with (tmp_path / "2027-07-0.jsonl").open("ab") as file:
        file.write(b'["2027-07-14T12:00')
    assert counts(tmp_path) == {"too-large": 2}


def test_counts_are_kept_while_the_disk_takes_nothing(tmp_path: Path) -> None:
    blocked = tmp_path / "refusals"
    blocked.write_text("in the way")
    ledger = Refusals(blocked, 0, Clock())
    ledger.note("flights", "too-large")
    ledger.write(last=True)
    blocked.unlink()
    ledger.write(last=True)
    assert counts(blocked) == {"too-large": 1}


async def test_a_gateway_counts_what_it_refuses_by_reason_and_not_what_it_answers(shop: Workshop) -> None:
    async with gateway(shop) as client:
        await shop.deploy("flights", shop.variant("champion"))
        for path in ("/endpoints/flights/invocations", "/invocations"):
            assert (await client.post(path, json=body(row()))).status_code == 200
            assert (await client.post(path, json=body({"distance": "far", "carrier": "AA"}))).status_code == 422
            assert (await client.post(path, content=b"{")).status_code in {400, 415}
        assert (await client.post("/v2/models/flights/infer", json={})).status_code == 400
        assert (await client.get("/endpoints/flights/invocations")).status_code == 405
        assert (await client.post("/endpoints/unknown/invocations", json=body(row()))).status_code == 404
    assert counts(shop.layout.refusals) == {"http-405": 1, "invalid-input": 2, "malformed-request": 3}
    assert refusals.read(shop.layout.refusals, "unknown", since=None, until=None) == {}


def test_a_window_tells_when_each_was_refused(tmp_path: Path) -> None:
    for slot, moment in ((0, NOON), (1, NOON + timedelta(minutes=5))):
        ledger = Refusals(tmp_path, slot, Clock(moment))
        ledger.note("flights", "too-large")
        ledger.write(last=True)
    at = NOON.timestamp()
    found = refusals.minutes(tmp_path, "flights", since=None, until=None)
    assert found == ((at, "too-large", 1), (at + 300, "too-large", 1))
    assert refusals.minutes(tmp_path, "flights", since=NOON, until=NOON + timedelta(minutes=1)) == found[:1]
