"""The gateway's reports: for readers with the right, out of reach for what a report contains, approved by a button."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest

from mlprod_nb.access import audit, sessions, tokens
from mlprod_nb.clock import utc_now
from mlprod_nb.store import Store, journal, report_index
from tests.serving.report_visits import (
    ADDRESS,
    FORGED,
    FORM,
    PAGE,
    PLACE,
    given,
    given_digest,
    key_in,
    sign_in,
    token_of,
    visitor,
)
from tests.serving.report_visits import reports as reports
from tests.serving.workshop import Workshop, gateway
from tests.store.report_files import BODY, written

HTML = {"accept": "text/html"}


async def test_without_a_token_a_browser_is_asked_for_one_and_anything_else_is_refused(reports: Workshop) -> None:
    async with visitor(reports) as client:
        for path in ("/reports/", PAGE, f"{PAGE}?page", "/reports/feed.xml", f"/reports/{PLACE}/verdict.json"):
            assert (await client.get(path)).status_code == 401
        page = await client.get(PAGE, headers=HTML)
        assert page.status_code == 401
        assert f'name="to" value="{PAGE}"' in page.text
        assert "three columns" not in page.text
        assert (await sign_in(client, "mlp_" + "x" * 43)).status_code == 401
        assert not client.cookies


async def test_a_caller_may_not_read_and_a_viewer_may_read_and_not_approve(reports: Workshop) -> None:
    async with visitor(reports) as client:
        caller = {"authorization": f"Bearer {token_of(reports, 'cat', 'caller')}"}
        assert (await client.get(PAGE, headers=caller)).status_code == 403
        refused = await sign_in(client, token_of(reports, "dan", "caller"))
        assert (refused.status_code, "may not read reports" in refused.text) == (403, True)
        assert not client.cookies
        await sign_in(client, token_of(reports, "eve", "viewer"))
        page = await client.get(PAGE)
        assert page.status_code == 200
        assert 'action="/reports/approve"' not in page.text
        form = {"digest": given_digest(reports), "key": "0" * 64, "reason": "x"}
        assert (await client.post("/reports/approve", data=form, headers=FORM)).status_code == 403
    assert not given(reports)


async def test_a_session_is_a_cookie_for_reports_alone_that_no_script_reads(reports: Workshop) -> None:
    async with visitor(reports) as client:
        token = token_of(reports, "bob")
        reply = await sign_in(client, token, to=PAGE)
        assert (reply.status_code, reply.headers["location"]) == (303, PAGE)
        cookie = reply.headers["set-cookie"].lower()
        assert all(part in cookie for part in ("httponly", "samesite=strict", "path=/reports/"))
        assert token.lower() not in cookie
        secret = client.cookies["mlprod_reports"]
        assert (await client.get("/metrics", headers={"authorization": f"Bearer {secret}"})).status_code == 401
        assert "bob" in (await client.get(PAGE)).text
        with reports.store() as store, store.write() as connection:
            assert secret not in str(connection.exec_driver_sql("select * from report_sessions").all())
            tokens.revoke(connection, "bob", now=utc_now())
        assert (await client.get(PAGE)).status_code == 401, "a session ends with its token"


async def test_who_made_the_version_reads_that_their_approval_will_not_count(reports: Workshop) -> None:
    (reports.layout.root / "mlprod.toml").write_text(
        '[models.flights.protected.champion]\nreports = ["drift"]\n', encoding="utf-8"
    )
    made = journal.JournalEntry(utc_now(), "ann", "register", "flights/3", "", "ab" * 32, "", "")
    with reports.store() as store, store.write() as connection:
        journal.append(connection, made)
    said = "An approval by ann does not count for flights@champion: ann registered flights/3."
    async with visitor(reports) as client:
        await sign_in(client, token_of(reports, "bob"))
        assert said not in (await client.get(PAGE)).text
        await sign_in(client, token_of(reports, "ann"))
        page = (await client.get(PAGE)).text
        assert said in page
        form = {"digest": given_digest(reports), "key": key_in(page), "reason": "mine"}
        assert (await client.post("/reports/approve", data=form, headers=FORM)).status_code == 303
        assert f'You approved it.</p><p class="void"><bdi>{said}' in (await client.get(PAGE)).text


async def test_signing_in_leads_nowhere_else_and_signing_out_ends_the_session(reports: Workshop) -> None:
    async with visitor(reports) as client:
        for to in ("https://evil.example/", "//evil.example/reports/", "/reports\\evil", "/docs", ""):
            assert (await sign_in(client, token_of(reports, "bob"), to=to)).headers["location"] == "/reports/"
        secret = client.cookies["mlprod_reports"]
        page = (await client.get(PAGE)).text
        found = re.search(r'action="/reports/logout">\s*<input type="hidden" name="key" value="([0-9a-f]+)"', page)
        assert found
        reply = await client.post("/reports/logout", data={"key": found.group(1)}, headers=FORM)
        assert reply.status_code == 303
        client.cookies.set("mlprod_reports", secret)
        assert (await client.get(PAGE)).status_code == 401


async def test_a_session_ends_after_twelve_hours(reports: Workshop) -> None:
    token, now = token_of(reports, "bob"), utc_now()
    with reports.store() as store, store.write() as connection:
        secret = sessions.begin(connection, token, now=now)
        assert secret is not None
        assert sessions.verify(connection, secret, now=now + sessions.LASTS / 2)
        assert sessions.verify(connection, secret, now=now + sessions.LASTS) is None
        assert sessions.begin(connection, "mlp_" + "x" * 43, now=now) is None


async def test_a_report_is_shown_in_a_sandbox_and_nothing_of_it_is_guessed_or_kept(reports: Workshop) -> None:
    async with visitor(reports) as client:
        await sign_in(client, token_of(reports, "bob"))
        around = await client.get(PAGE)
        assert f'<iframe sandbox title="The report: drift of flights" src="{PAGE}?page">' in around.text
        inside = await client.get(f"{PAGE}?page")
        assert "three columns drifted." in inside.text
        assert inside.headers["content-security-policy"].startswith("sandbox; default-src 'none'")
        notebook = await client.get(f"/reports/{PLACE}/report.ipynb")
        assert notebook.headers["content-disposition"] == 'attachment; filename="report.ipynb"'
        site = await client.get("/reports/")
        assert "three columns drifted." in site.text
        assert "script-src 'sha256-" in site.headers["content-security-policy"]
        feed = await client.get("/reports/feed.xml")
        for reply in (around, inside, notebook, site, feed):
            assert reply.headers["x-content-type-options"] == "nosniff"
            assert reply.headers["cache-control"] == "no-store"
            assert "'unsafe-inline'" not in reply.headers["content-security-policy"].partition("script-src")[2]


@pytest.mark.parametrize(
    "path",
    [
        "..%2f..%2fmlprod.toml",
        "%2e%2e/mlprod.toml",
        "flights/drift/../../../mlprod.toml",
        "flights%2f..%2f..%2f.mlprod/state.db",
        "flights/drift/one/..%2f..%2f..%2f..%2fmlprod.toml",
        "flights/drift/one/state.db",
        "flights/drift/.building-1/index.html",
        "flights/drift/link/index.html",
        "flights/drift/one/junit.xml",
        "flights/drift/two/index.html",
        "flights/drift/one/index.html%00",
        "flights/drift//index.html",
        "/etc/passwd",
        "x" * 300,
        "flights/drift/one",
        "%ff%fe/drift/one/index.html",
    ],
)
async def test_no_path_and_no_link_leads_out_of_the_reports(reports: Workshop, path: str) -> None:
    folder = reports.layout.reports / "flights" / "drift"
    (folder / "link").symlink_to(reports.layout.root)
    (reports.layout.root / "index.html").write_text("secret", encoding="utf-8")
    (folder / "one" / "junit.xml").symlink_to(reports.layout.root / "mlprod.toml")
    (folder / "two" / "index.html").mkdir(parents=True)
    (folder / ".building-1").mkdir()
    (folder / ".building-1" / "index.html").write_text("secret", encoding="utf-8")
    async with gateway(reports) as client:
        reply = await client.get(f"/reports/{path}?page")
        assert reply.status_code == 404, reply.text
        assert "secret" not in reply.text
        assert str(reports.layout.root) not in reply.text


async def test_the_button_records_who_when_and_why_as_the_verb_does(reports: Workshop) -> None:
    async with visitor(reports) as client:
        await sign_in(client, token_of(reports, "bob"))
        key = key_in((await client.get(PAGE)).text)
        form = {"digest": given_digest(reports), "key": key, "reason": " <b>fine</b> "}
        reply = await client.post("/reports/approve", data=form, headers=FORM)
        assert (reply.status_code, reply.headers["location"]) == (303, PAGE)
        [approval] = given(reports)
        assert (approval.actor, approval.reason) == ("bob", "<b>fine</b>")
        page = (await client.get(PAGE)).text
        assert "&lt;b&gt;fine&lt;/b&gt;" in page
        assert "You approved it." in page
        assert "<li>Approved by <b>" in page
        assert "1 approval<" in (await client.get("/reports/")).text
        again = await client.post("/reports/approve", data=form, headers=FORM)
        assert again.status_code == 409
        assert "bob approved report" in again.text
    with reports.store() as store, store.read() as connection:
        entry = audit.show(connection, 1)[0]
        assert (entry.actor, entry.action, entry.subject) == ("bob", "approve", form["digest"])
        assert entry.detail == "<b>fine</b>"
        assert audit.verify(connection).ok


async def test_a_form_of_another_page_or_session_approves_nothing(reports: Workshop) -> None:
    async with visitor(reports) as client:
        await sign_in(client, token_of(reports, "bob"))
        form = {"digest": given_digest(reports), "key": key_in((await client.get(PAGE)).text), "reason": "x"}
        for headers in FORGED:
            assert (await client.post("/reports/approve", data=form, headers=headers)).status_code == 403
            assert (await client.post("/reports/login", data={"token": "x"}, headers=headers)).status_code == 403
        await sign_in(client, token_of(reports, "ann"))
        assert (await client.post("/reports/approve", data=form, headers=FORM)).status_code == 403, "bob's key"
        bearer = {"authorization": f"Bearer {token_of(reports, 'cat')}"}
        client.cookies.clear()
        assert (await client.post("/reports/approve", data=form, headers=FORM | bearer)).status_code == 403
        assert (await client.post("/reports/approve", data=form, headers=FORM)).status_code == 401
        assert (await client.get("/reports/approve")).status_code in (404, 405, 401)
    assert not given(reports)


async def test_what_was_changed_or_has_no_reason_or_no_person_is_not_approved(reports: Workshop) -> None:
    async with visitor(reports) as client:
        await sign_in(client, token_of(reports, "bob"))
        form = {"digest": given_digest(reports), "key": key_in((await client.get(PAGE)).text), "reason": " "}
        assert (await client.post("/reports/approve", data=form, headers=FORM)).status_code == 400
        form["reason"] = "x" * 3000
        assert (await client.post("/reports/approve", data=form, headers=FORM)).status_code == 400
        form["reason"] = "x" * 20_000
        assert (await client.post("/reports/approve", data=form, headers=FORM)).status_code == 413
        page = reports.layout.reports / PLACE / "index.html"
        page.write_text("<p>all is well.</p>", encoding="utf-8")
        shown = (await client.get(PAGE)).text
        assert "Do not rely on this report" in shown
        assert str(reports.layout.root) not in shown
        assert 'action="/reports/approve"' not in shown
        form["reason"] = "fine"
        assert (await client.post("/reports/approve", data=form, headers=FORM)).status_code >= 400
    assert not given(reports)


async def test_the_workspaces_own_token_reads_and_approves_nothing(reports: Workshop) -> None:
    async with visitor(reports) as client:
        await sign_in(client, token_of(reports, "local", "admin"))
        form = {"digest": given_digest(reports), "key": key_in((await client.get(PAGE)).text), "reason": "x"}
        reply = await client.post("/reports/approve", data=form, headers=FORM)
        assert reply.status_code == 409
        assert "names nobody who could approve" in reply.text
    assert not given(reports)


async def test_a_report_that_failed_is_shown_and_cannot_be_approved(reports: Workshop) -> None:
    folder = reports.layout.reports / "flights" / "drift" / "20130501T060000Z-failed"
    folder.mkdir()
    (folder / "index.html").write_text("<h1>Cell 4 raised</h1>", encoding="utf-8")
    async with visitor(reports) as client:
        await sign_in(client, token_of(reports, "bob"))
        page = await client.get("/reports/flights/drift/20130501T060000Z-failed/index.html")
        assert "nothing to approve" in page.text
        assert 'action="/reports/approve"' not in page.text


async def test_a_browser_is_told_of_an_error_by_a_page_and_anything_else_by_a_document(reports: Workshop) -> None:
    async with visitor(reports) as client:
        await sign_in(client, token_of(reports, "bob"))
        form = {"digest": given_digest(reports), "key": "0" * 64, "reason": "x"}
        for sent, status, words in (
            (client.get("/reports/a/b/c/index.html", headers=HTML), 404, "there is no page at this address"),
            (client.post("/reports/approve", data=form, headers=FORM | HTML), 403, "not one of this session"),
            (client.post("/reports/approve", data=form, headers=FORM | HTML | {"origin": "null"}), 403, "another page"),
        ):
            reply = await sent
            assert (reply.status_code, words in reply.text) == (status, True), reply.text
            assert '<a href="/reports/">All reports</a>' in reply.text
            assert "default-src 'none'" in reply.headers["content-security-policy"]
        plain = await client.get("/reports/a/b/c/index.html")
        assert plain.headers["content-type"] == "application/problem+json"
        # A page that was left open overnight.
        client.cookies.clear()
        late = FORM | HTML | {"referer": f"{ADDRESS}{PAGE}"}
        reply = await client.post("/reports/approve", data=form, headers=late)
        assert (reply.status_code, "nothing was done" in reply.text) == (401, True)
        assert f'name="to" value="{PAGE}"' in reply.text
    assert not given(reports)


async def test_a_feed_reader_sends_its_token_as_a_password(reports: Workshop) -> None:
    async with visitor(reports) as client:
        await client.get("/reports/", auth=("any", token_of(reports, "eve", "viewer")))
        feed = await client.get("/reports/feed.xml", auth=("any", token_of(reports, "eve", "viewer")))
        assert feed.status_code == 200
        assert feed.headers["content-type"].startswith("application/atom+xml")


def test_a_report_of_another_place_has_its_own_address(tmp_path: Path) -> None:
    record = written(tmp_path, BODY)
    store = Store(Store.sqlite_url(tmp_path / "state.db"))
    store.migrate()
    with store.write() as connection:
        report_index.add(connection, replace(record, path="reports/a%2Fb/drift/one"))
        assert report_index.at_path(connection, "reports/a%2Fb/drift/one") is not None
        assert report_index.at_path(connection, "reports/a/b/drift/one") is None
    store.close()
