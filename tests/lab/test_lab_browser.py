"""The extension in a real JupyterLab, as pip installs it from the wheel, by mouse and keyboard."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe

from tests.browser.contrast import CONTRAST
from tests.browser.jupyterlab import Lab, Pictures, Server, wait_until
from tests.lab.samples import NAUGHTY, a_workspace

pytestmark = [pytest.mark.browser, pytest.mark.slow]
A_VERDICT = """\
from IPython.display import display
verdict = {"status": "warn", "sentence": "dep_delay drifts", "action": "%mlprod monitor flights",
           "causes": [{"name": "<img src=x onerror=window.hit=1>", "grade": "alarm"}]}
display({"application/vnd.mlprod.verdict+json": verdict, "text/plain": "a plain text"}, raw=True)"""


@pytest.fixture(scope="module", autouse=True)
def workspace(server: Server) -> Iterator[Path]:
    """A workspace below the server's directory, and a folder beside it that is none."""
    (server.root / "other").mkdir()
    yield a_workspace(server.root / "flights")
    shutil.rmtree(server.root / "flights")
    shutil.rmtree(server.root / "other")


def open_side(lab: Lab) -> Any:
    lab.command("mlprod:show-status")
    side = lab.page.get_by_role("region", name="mlprod status")
    side.wait_for(timeout=30_000)
    return side


def open_list(lab: Lab) -> Any:
    lab.command("mlprod:open-reports")
    listed = lab.page.locator(".mlprod-reports")
    listed.get_by_role("table").wait_for(timeout=30_000)
    return listed


def framed(lab: Lab) -> Any:
    """Return the frame of the report that is shown."""
    frame = lab.page.locator(".mlprod-report:visible iframe").element_handle(timeout=30_000).content_frame()
    frame.wait_for_url("**/mlprod/reports/**", timeout=30_000)
    return frame


def open_exports(lab: Lab) -> bool:
    """Open the menu of exporters anew: JupyterLab fills it when the server has told them."""
    for _ in range(2):
        lab.page.keyboard.press("Escape")
    lab.page.locator(".lm-MenuBar-itemLabel", has_text="File").click()
    lab.page.locator(".lm-Menu-itemLabel", has_text="Save and Export Notebook As").hover()
    lab.page.locator(".lm-Menu-itemLabel", has_text="Executable Script").wait_for(timeout=30_000)
    return True


def in_theme(lab: Lab, theme: str) -> None:
    lab.command("apputils:change-theme", theme=f"JupyterLab {theme}")
    lab.page.wait_for_selector(f'body[data-jp-theme-light="{str(theme == "Light").lower()}"]', state="attached")
    lab.page.wait_for_function("() => document.fonts.ready")


def test_the_side_bar_and_its_badge_follow_the_open_notebook_s_workspace(lab: Lab, pictures: Pictures) -> None:
    lab.write("other/alone.ipynb", ["1"])
    lab.open("flights/first.ipynb", ["1"])
    side = open_side(lab)
    side.get_by_role("heading", name="flights", exact=True).wait_for(timeout=30_000)
    tab = lab.page.get_by_role("tab", name="mlprod: 2 open alerts in flights")
    assert tab.evaluate("e => getComputedStyle(e, '::before').content").startswith('"2"')
    assert tab.evaluate("e => parseFloat(getComputedStyle(e, '::before').height)") >= 10
    pictures.take(lab.page, "lab-side-bar")
    lab.command("docmanager:open", path="other/alone.ipynb")
    side.get_by_text("There is no workspace at or above 'other'.").wait_for(timeout=30_000)
    assert side.get_by_text("%mlprod init").is_visible()
    assert lab.page.locator(".lm-TabBar-tab[data-mlprod-alerts]").count() == 0
    lab.command("docmanager:open", path="flights/first.ipynb")
    tab.wait_for(timeout=30_000)


def test_the_badge_goes_when_somebody_sees_to_the_alerts_by_the_side_bar(lab: Lab) -> None:
    lab.open("flights/acknowledged.ipynb", ["1"])
    side = open_side(lab)
    lab.page.get_by_role("tab", name="mlprod: 2 open alerts in flights").wait_for(timeout=30_000)
    side.get_by_role("button", name="Acknowledge").first.click()
    strip = side.get_by_role("group", name="Line to run")
    strip.get_by_label("Reason").fill("known since Monday")
    strip.get_by_role("button", name="Run", exact=True).click()
    lab.page.get_by_role("tab", name="mlprod: 1 open alert in flights").wait_for(timeout=60_000)
    side.get_by_text("Done in a cell of acknowledged.ipynb.").wait_for(timeout=30_000)


def test_the_launcher_and_the_palette_make_notebooks_where_the_verbs_find_them(lab: Lab, workspace: Path) -> None:
    lab.open("flights/first.ipynb", ["1"])
    lab.command("launcher:create", cwd="flights")
    card = lab.page.locator(".jp-LauncherCard[data-category='mlprod']")
    names = ["Report", "Training", "Retraining", "Triage", "All Reports"]
    wait_until(lambda: card.all_inner_texts() == names, seconds=30, what="the launcher's cards")
    card.first.click()
    lab.page.get_by_role("heading", name="Own report").wait_for(timeout=60_000)
    assert (workspace / "own_report.ipynb").is_file()
    lab.wait_for_kernel()
    lab.command("apputils:activate-command-palette")
    lab.page.locator(".lm-CommandPalette-input").fill("mlprod")
    item = lab.page.locator(".lm-CommandPalette-itemLabel")
    entries = {"New Report Notebook", "New Training Notebook", "Open Reports", "Show Status", "Refresh Status"}
    wait_until(lambda: entries <= set(item.all_inner_texts()), seconds=30, what="the palette's entries")
    item.get_by_text("New Report Notebook").click()
    wait_until(
        lambda: lab.page.get_by_role("heading", name="Own 2 report").is_visible(), seconds=60, what="a second report"
    )


def test_a_verdict_in_an_output_is_shown_and_everything_in_it_is_text(lab: Lab, pictures: Pictures) -> None:
    lab.open("flights/verdict.ipynb", [A_VERDICT])
    lab.run_by_keyboard(1)
    shown = lab.output(0).locator(".mlprod-verdict-output")
    shown.wait_for(timeout=30_000)
    assert "Warning" in shown.inner_text()
    assert "Next: %mlprod monitor flights" in shown.inner_text()
    shown.get_by_text("What was judged").click()
    assert shown.get_by_role("listitem").inner_text().endswith(NAUGHTY)
    assert lab.page.evaluate("window.hit") is None
    pictures.take(shown, "lab-verdict")


def test_the_reports_are_listed_found_and_read_in_tabs_without_a_gateway(lab: Lab, pictures: Pictures) -> None:
    lab.open("flights/first.ipynb", ["1"])
    listed = open_list(lab)
    rows = listed.locator("tbody tr")
    assert [row.split("\t")[0].split()[-1] for row in rows.all_inner_texts()] == ["Warning", "Alarm", "OK", "Failed"]
    assert "mlprod approve DIGEST" in listed.inner_text()
    listed.get_by_label("Show only what contains").fill("drift WARNING")
    listed.get_by_text("1 of 4 reports").wait_for()
    pictures.take(lab.page, "lab-reports")
    rows.get_by_role("button").press("Enter")
    frame = framed(lab)
    assert frame.get_by_role("heading", name="dep_delay drifts").is_visible()
    assert f"mlprod approve {'c' * 12}" in lab.page.locator(".mlprod-report:visible").inner_text()
    pictures.take(lab.page, "lab-report")
    assert frame.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(251, 250, 248)"
    in_theme(lab, "Dark")
    wait_until(
        lambda: framed(lab).evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(19, 21, 23)",
        seconds=30,
        what="the page in the dark theme",
    )
    in_theme(lab, "Light")


def test_a_hostile_report_in_a_tab_runs_nothing_and_reaches_nothing_of_jupyter(lab: Lab, workspace: Path) -> None:
    lab.open("flights/first.ipynb", ["1"])
    asked: list[Any] = []
    lab.page.on("request", lambda request: asked.append(request))
    open_list(lab).get_by_role("button", name=NAUGHTY).click()
    frame = framed(lab)
    url, title = lab.page.url, lab.page.title()
    for button in ("#send", "#away", "#script"):
        frame.locator(button).click()
    frame.evaluate("document.getElementById('trap').submit()")
    lab.page.wait_for_timeout(1_000)
    assert frame.evaluate("document.documentElement.dataset.ran") is None
    assert frame.evaluate("self.origin") == "null"
    with pytest.raises(Exception, match="SecurityError"):
        frame.evaluate("document.cookie")
    with pytest.raises(Exception, match=r"SecurityError|Blocked a frame"):
        frame.evaluate("parent.document.title")
    assert (lab.page.url, lab.page.title()) == (url, title)
    assert lab.page.evaluate("window.hit") is None
    sent = [one for one in asked if one.failure != "csp" and one.frame == frame]
    assert [one.url.split("?")[0] for one in sent if "/mlprod/reports/" not in one.url] == []
    # Opened by itself, outside of any frame, it is in its sandbox too.
    lab.page.goto(frame.url)
    assert lab.page.evaluate("document.documentElement.dataset.ran") is None
    assert lab.page.evaluate("self.origin") == "null"
    assert not (workspace.parent / "train.ipynb").exists()
    # What the policy stops is told of, and never sent.
    lab.strangers[:] = [one.url for one in asked if one.failure != "csp" and one.url in lab.strangers]


def test_list_and_side_bar_can_be_read_in_both_themes_when_narrow_and_by_screen_readers(
    lab: Lab, pictures: Pictures
) -> None:
    lab.open("flights/first.ipynb", ["1"])
    listed, side = open_list(lab), open_side(lab)
    side.get_by_role("heading", name="flights", exact=True).wait_for(timeout=30_000)
    for theme in ("Light", "Dark"):
        in_theme(lab, theme)
        for width in (1200, 600):
            lab.page.set_viewport_size({"width": width, "height": 900})
            for name, part in (("list", listed), ("side", side)):
                worst = part.evaluate(CONTRAST)
                assert worst["ratio"] >= 4.5, (theme, name, worst)
                assert part.evaluate("e => e.scrollWidth <= e.clientWidth"), f"{name} overflows at {width} px"
                pictures.take(part, f"lab-{name}-{theme.lower()}-{width}")
        for part in (".mlprod-reports", ".mlprod-side"):
            found = Axe().run(lab.page, context=part)
            assert found.response["violations"] == [], found.generate_report()
    in_theme(lab, "Light")


def test_a_notebook_is_exported_as_a_report_s_page_from_the_file_menu(lab: Lab) -> None:
    lab.open("flights/exported.ipynb", ["print('<b>hello</b>')"])
    lab.run_by_keyboard(1)
    entry = lab.page.locator(".lm-Menu-itemLabel", has_text="Mlprod_report")
    wait_until(lambda: open_exports(lab) and entry.count(), seconds=60, what="the exporters")
    # The menu opens a tab, which goes as soon as it turns out to be a download: so what it asks for is noted.
    asked: list[Any] = []
    lab.page.context.on("request", lambda request: asked.append(request.url))
    entry.click()
    wait_until(
        lambda: lab.page.evaluate("1") and any("/nbconvert/" in url for url in asked), seconds=30, what="the export"
    )
    url = next(url for url in asked if "/nbconvert/" in url)
    reply = lab.page.context.request.get(url, headers={"Referer": lab.page.url})
    assert reply.status == 200
    assert "exported.html" in reply.headers["content-disposition"]
    assert "sandbox" in reply.headers["content-security-policy"]
    assert "&lt;b&gt;hello&lt;/b&gt;" in reply.text()
    assert "Content-Security-Policy" in reply.text()
