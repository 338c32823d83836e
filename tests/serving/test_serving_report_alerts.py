"""The gateway's form beside a report: who acknowledges or snoozes an alert, why and until when; by real HTTP."""

from __future__ import annotations

import re

import pytest

from mlprod_nb.access import audit
from mlprod_nb.clock import utc_now
from mlprod_nb.store import alerts
from mlprod_nb.store.alerts import NewAlert
from tests.serving.raised_alerts import SENTENCE, alert, raise_alert
from tests.serving.report_visits import FORGED, FORM, PAGE, PLACE, key_in, sign_in, token_of, visitor
from tests.serving.report_visits import reports as reports
from tests.serving.workshop import Workshop


@pytest.fixture
def alarmed(reports: Workshop) -> Workshop:
    """A workspace with a report, and with an open alert of its endpoint and of another."""
    raise_alert(reports, "flights")
    raise_alert(reports, "taxis")
    return reports


def form_in(page: str, number: int = 1, **values: str) -> dict[str, str]:
    pattern = rf'name="alert" value="{number}"><input type="hidden" name="key" value="([0-9a-f]{{64}})"'
    found = re.search(pattern, page)
    assert found, page
    return {"alert": str(number), "key": found.group(1), "page": f"{PLACE}/index.html", "kind": "acknowledged"} | values


async def test_a_reviewer_acknowledges_with_who_why_and_until_when(alarmed: Workshop) -> None:
    async with visitor(alarmed) as client:
        await sign_in(client, token_of(alarmed, "bob"))
        page = (await client.get(PAGE)).text
        assert "Alerts of this endpoint: 1 open" in page
        assert "&lt;script&gt;" in page
        assert 'name="alert" value="2"' not in page, "the other endpoint's"
        form = form_in(page, reason=" <b>storms</b> ", until="3 days")
        reply = await client.post("/reports/acknowledge", data=form, headers=FORM)
        assert (reply.status_code, reply.headers["location"]) == (303, PAGE)
        page = (await client.get(PAGE)).text
        assert "Alerts of this endpoint: 1 acknowledged" in page
        assert "acknowledged by bob until" in page
        assert "&lt;b&gt;storms&lt;/b&gt;" in page
    held = alert(alarmed).hold
    assert held is not None
    assert (held.kind, held.actor, held.reason) == ("acknowledged", "bob", "<b>storms</b>")
    assert held.until is not None
    assert (held.until - held.at).days == 3
    with alarmed.store() as store, store.read() as connection:
        entry = audit.show(connection, 1)[0]
        assert (entry.actor, entry.action, entry.subject) == ("bob", "alert hold", "alert 1")
        assert audit.verify(connection).ok


async def test_of_many_alerts_the_newest_are_shown_and_that_there_are_more_is_said(reports: Workshop) -> None:
    said = NewAlert("flights", "drift", "alarm", SENTENCE, "", "", "")
    with reports.store() as store:
        for number in range(21):
            if number == 20:
                async with visitor(reports) as client:
                    await sign_in(client, token_of(reports, "ann"))
                    page = (await client.get(PAGE)).text
                assert "Alerts of this endpoint: 20 open" in page
                assert "mlprod alerts list" not in page
            with store.write() as connection:
                assert alerts.add(connection, said, [f"drift: c{number}"], now=utc_now())
    async with visitor(reports) as client:
        await sign_in(client, token_of(reports, "bob"))
        page = (await client.get(PAGE)).text
    assert "The newest 20 alerts of this endpoint: 20 open" in page
    assert "There are older ones that are not over: <code>mlprod alerts list</code>" in page
    assert 'name="alert" value="21"' in page
    assert 'name="alert" value="1"' not in page


async def test_a_snooze_needs_an_end_and_what_was_written_stays_in_the_form(alarmed: Workshop) -> None:
    async with visitor(alarmed) as client:
        await sign_in(client, token_of(alarmed, "bob"))
        form = form_in((await client.get(PAGE)).text, kind="snoozed", reason="data on Monday")
        for until, why in (
            ("", "a snooze needs an end"),
            ("2013-01-01", "not in the future"),
            ("tomorow", "not a moment"),
            ("9" * 40 + "d", "not a moment"),
            ("9999-12-31T23:00-05:00", "not a moment to come"),
        ):
            reply = await client.post("/reports/acknowledge", data=form | {"until": until}, headers=FORM)
            assert (reply.status_code, why in reply.text) == (400, True), reply.text
            assert 'value="data on Monday"' in reply.text
            assert '<details class="alerts" open>' in reply.text
        assert alert(alarmed).hold is None
        reply = await client.post("/reports/acknowledge", data=form | {"until": "1d"}, headers=FORM)
        assert reply.status_code == 303
    assert alert(alarmed).state(utc_now()) == "snoozed"


@pytest.mark.parametrize(("role", "may"), [("viewer", False), ("reviewer", True), ("operator", True), ("admin", True)])
async def test_who_reads_sees_the_alerts_and_who_has_the_right_answers_them(
    alarmed: Workshop, role: str, *, may: bool
) -> None:
    async with visitor(alarmed) as client:
        await sign_in(client, token_of(alarmed, "eve", role))
        page = (await client.get(PAGE)).text
        assert "Alert 1, open" in page
        assert ('action="/reports/acknowledge"' in page) == may
        form = form_in(page) if may else {"alert": "1", "key": "0" * 64, "kind": "acknowledged"}
        reply = await client.post("/reports/acknowledge", data=form | {"reason": "x"}, headers=FORM)
        assert reply.status_code == (303 if may else 403)
    assert (alert(alarmed).hold is not None) == may


async def test_a_form_of_another_page_session_purpose_or_alert_answers_nothing(alarmed: Workshop) -> None:
    async with visitor(alarmed) as client:
        await sign_in(client, token_of(alarmed, "bob"))
        page = (await client.get(PAGE)).text
        form = form_in(page, reason="x")
        for headers in FORGED:
            assert (await client.post("/reports/acknowledge", data=form, headers=headers)).status_code == 403
        for wrong in ({"alert": "2"}, {"alert": "1 "}, {"alert": ""}, {"key": key_in(page)}, {"key": ""}):
            reply = await client.post("/reports/acknowledge", data=form | wrong, headers=FORM)
            assert reply.status_code == 403, wrong
        await sign_in(client, token_of(alarmed, "ann"))
        assert (await client.post("/reports/acknowledge", data=form, headers=FORM)).status_code == 403, "bob's key"
        client.cookies.clear()
        assert (await client.post("/reports/acknowledge", data=form, headers=FORM)).status_code == 401
        bearer = {"authorization": f"Bearer {token_of(alarmed, 'cat')}"}
        assert (await client.post("/reports/acknowledge", data=form, headers=FORM | bearer)).status_code == 403
    assert alert(alarmed).hold is None


async def test_what_is_over_or_nonsense_or_nobodys_is_refused(alarmed: Workshop) -> None:
    async with visitor(alarmed) as client:
        await sign_in(client, token_of(alarmed, "local", "admin"))
        form = form_in((await client.get(PAGE)).text, reason="x")
        reply = await client.post("/reports/acknowledge", data=form, headers=FORM)
        assert (reply.status_code, "names nobody" in reply.text) == (409, True)
        await sign_in(client, token_of(alarmed, "bob"))
        form = form_in((await client.get(PAGE)).text, reason="x")
        reply = await client.post("/reports/acknowledge", data=form | {"kind": "recovered"}, headers=FORM)
        assert reply.status_code == 404
        reply = await client.post("/reports/acknowledge", data=form | {"reason": "x" * 2001}, headers=FORM)
        assert reply.status_code == 400
        with alarmed.store() as store, store.write() as connection:
            alerts.recover(connection, "flights", ["drift"], now=utc_now())
        reply = await client.post("/reports/acknowledge", data=form, headers=FORM)
        assert (reply.status_code, "has recovered already" in reply.text) == (409, True)
        assert "Alerts of this endpoint" not in (await client.get(PAGE)).text
    assert alert(alarmed).hold is None


async def test_where_a_form_leads_is_of_the_reports_whatever_it_says(alarmed: Workshop) -> None:
    async with visitor(alarmed) as client:
        await sign_in(client, token_of(alarmed, "bob"))
        form = form_in((await client.get(PAGE)).text, reason="x")
        for page in ("//evil.example/", "https://evil.example/", "x\r\nset-cookie: a=b", "x?y#z", "\\evil"):
            reply = await client.post("/reports/acknowledge", data=form | {"page": page}, headers=FORM)
            assert reply.status_code == 303
            assert reply.headers["location"].startswith("/reports/")
            assert "set-cookie" not in reply.headers
            refused = await client.post("/reports/acknowledge", data=form | {"page": page, "until": "x"}, headers=FORM)
            assert refused.status_code == 400


async def test_a_report_that_failed_at_night_shows_the_alert_too(alarmed: Workshop) -> None:
    folder = alarmed.layout.reports / "flights" / "drift" / "20130501T060000Z-failed"
    folder.mkdir()
    (folder / "index.html").write_text("<h1>Cell 4 raised</h1>", encoding="utf-8")
    async with visitor(alarmed) as client:
        await sign_in(client, token_of(alarmed, "bob"))
        page = (await client.get("/reports/flights/drift/20130501T060000Z-failed/index.html")).text
        assert form_in(page)
