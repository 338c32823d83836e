"""A report's page in a real Chromium: no request, no script but its own, nothing wider than the screen."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from mlprod_nb.reports import show
from mlprod_nb.results import Section
from mlprod_nb.store import Store
from tests.notebook_files import code, html, text
from tests.reports.chromium import browser as browser
from tests.reports.chromium import opened, violations
from tests.reports.hostile import HOSTILE as TEXTS
from tests.reports.pages import HOSTILE, ROWS, SORTED, hostile_page, page, shown
from tests.site.indexed import add, build, fail, record

pytestmark = pytest.mark.browser
WIDE = "<table>" + "<tr>" + "<td>a_rather_long_value</td>" * 20 + "</tr></table>"
HEADED = "<table><thead><tr><th></th><th>mean</th></tr></thead><tbody><tr><th>a</th><td>1</td></tr></tbody></table>"


def test_a_page_of_hostile_strings_asks_for_nothing_and_runs_nothing(browser: Any, tmp_path: Path) -> None:
    file = tmp_path / "index.html"
    file.write_text(hostile_page(), encoding="utf-8")
    tab, asked = opened(browser, file)
    tab.locator("#show-code").check()
    for summary in tab.locator("summary").all()[:20]:
        summary.click()
    assert asked == []
    assert tab.evaluate("window.hit") is None
    assert tab.locator("script").count() == 1
    assert tab.locator("iframe, object, embed, form, link, base").count() == 0
    assert tab.locator("h1").inner_text().startswith(HOSTILE[0])


@pytest.mark.parametrize("width", [360, 1200])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_page_fits_the_screen_in_light_and_dark(browser: Any, tmp_path: Path, width: int, scheme: str) -> None:
    file = tmp_path / "index.html"
    cells = (text("# A\n\n## One\n\n" + "x" * 300), code("long_" * 90, outputs=[html(WIDE)]), text("## Two"))
    file.write_text(page(*cells, shown("warn", "Some columns drifted.", "%mlprod retrain flights")), encoding="utf-8")
    tab, asked = opened(browser, file, viewport={"width": width, "height": 800}, color_scheme=scheme)
    tab.locator("#show-code").check()
    assert tab.evaluate("document.documentElement.scrollWidth") <= width
    red, green, blue = tab.evaluate(
        "getComputedStyle(document.body).backgroundColor.match(/\\d+/g).slice(0, 3).map(Number)"
    )
    assert (red + green + blue > 600) == (scheme == "light")
    assert asked == []


def test_the_page_can_be_used_by_keyboard(browser: Any, tmp_path: Path) -> None:
    file = tmp_path / "index.html"
    file.write_text(page(text("# A\n\n## One"), code("secret_code = 1"), text("## Two"), shown()), encoding="utf-8")
    tab, _ = opened(browser, file)
    tab.keyboard.press("Tab")
    assert tab.evaluate("document.activeElement.textContent") == "Skip to the evidence"
    tab.keyboard.press("Enter")
    assert tab.evaluate("document.activeElement.id") == "evidence"
    assert not tab.get_by_text("secret_code").is_visible()
    tab.get_by_label("Show the code").focus()
    tab.keyboard.press("Space")
    assert tab.get_by_text("secret_code").is_visible()
    assert violations(tab) == []


def test_a_failed_cell_s_code_is_seen_without_the_toggle_and_no_script_is_needed(browser: Any, tmp_path: Path) -> None:
    file = tmp_path / "index.html"
    failure = {"reason": "error", "cell": 1, "error": "KeyError", "message": "x"}
    file.write_text(page(code("before = 1"), code("at_fault = 1"), failure=failure), encoding="utf-8")
    tab, _ = opened(browser, file, java_script_enabled=False)
    assert [tab.get_by_text(name).is_visible() for name in ("before", "at_fault")] == [False, True]
    tab.get_by_label("Show the code").check()
    assert tab.get_by_text("before").is_visible()


def test_a_table_is_sorted_by_keyboard_says_so_and_is_whole_without_scripts(browser: Any, tmp_path: Path) -> None:
    file = tmp_path / "index.html"
    file.write_text(page(text("# A"), code("x", outputs=[html(SORTED), html(WIDE)]), shown()), encoding="utf-8")
    tab, asked = opened(browser, file)

    def names() -> str:
        return "".join(tab.locator("main table >> nth=0").locator("tbody td:first-child").all_inner_texts())

    moved = tab.get_by_role("button", name="moved")
    for key, order, told in (("Enter", "dabc", "ascending"), ("Space", "badc", "descending")):
        moved.focus()
        tab.keyboard.press(key)
        assert (names(), tab.locator("th:has-text('moved')").get_attribute("aria-sort")) == (order, told)
    tab.get_by_role("button", name="name").click()
    assert names() == "abcd"
    assert tab.locator("th[aria-sort]").count() == 1
    assert violations(tab) == []
    assert asked == []
    plain, _ = opened(browser, file, java_script_enabled=False)
    assert plain.locator("th button").count() == 0
    assert plain.locator("main table >> nth=0").locator("tbody tr:visible").count() == len(ROWS)


def test_heads_of_numbers_stand_where_the_numbers_do(browser: Any, tmp_path: Path) -> None:
    file = tmp_path / "index.html"
    part = show.Part("", (Section("", ("name", "moved"), (("a", 1.5), ("b", None), ("c", 20.0))),))
    file.write_text(page(text("# A"), code("x", outputs=[html(part._repr_html_())]), shown()), encoding="utf-8")
    tab, _ = opened(browser, file)
    edges = "e => { const r = document.createRange(); r.selectNodeContents(e); return r.getBoundingClientRect().right }"
    head, cell = tab.locator("th.n button"), tab.locator("td.n >> nth=0")
    assert abs(head.evaluate(edges) - cell.evaluate(edges)) < 24
    assert head.evaluate("e => getComputedStyle(e).textAlign") == "right"


def test_the_words_of_a_wide_drawing_can_be_read_on_a_phone_and_it_scrolls_by_itself(
    browser: Any, tmp_path: Path
) -> None:
    drawing = (
        '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 680 90" role="img" style="max-width:680px;width:100%" '
        'font-size="12"><title>Intervals</title><text x="9" y="20">accuracy</text></svg>'
    )
    file = tmp_path / "index.html"
    wide = code("x", outputs=[html(show.drawing(drawing, otherwise="")._repr_html_())])
    file.write_text(page(text("# A"), wide, shown("ok", "nothing moved.")), encoding="utf-8")
    tab, _ = opened(browser, file, viewport={"width": 360, "height": 800})
    assert tab.evaluate("document.querySelector('text').getBoundingClientRect().height") >= 11
    assert tab.evaluate("document.documentElement.scrollWidth") <= 360
    assert violations(tab) == []


@pytest.mark.parametrize("width", [360, 1200])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_report_s_page_breaks_no_rule_for_screen_readers(
    browser: Any, tmp_path: Path, width: int, scheme: str
) -> None:
    file = tmp_path / "index.html"
    error = {"output_type": "error", "ename": "KeyError", "evalue": "'x'", "traceback": ["line"]}
    cells = [
        text("# A\n\n## One\n\n- [a](https://x.test)"),
        code("x = 1", outputs=[html(WIDE), html(HEADED), error]),
        text("## Two"),
    ]
    for last in (shown("alarm", "Some columns drifted.", "%mlprod retrain flights"), code("x")):
        file.write_text(page(*cells, last), encoding="utf-8")
        tab, _ = opened(browser, file, viewport={"width": width, "height": 800}, color_scheme=scheme)
        assert violations(tab) == []


def site(folder: Path, *sentences: str) -> Path:
    """Return the site of reports that say these sentences, one of them failed."""
    store = Store(Store.sqlite_url(folder / "state.db"))
    store.migrate()
    states = ("ok", "warn", "alarm")
    made = [record(n, states[n % 3], sentence=said, kind=said or "x") for n, said in enumerate(sentences)]  # type: ignore[arg-type]
    add(store, folder, *made)
    fail(folder, "flights", "20130501T030000Z-failed", "Cell 4 raised KeyError")
    build(store, folder)
    store.close()
    return folder / "reports" / "index.html"


@pytest.mark.parametrize("width", [360, 1200])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_site_fits_the_screen_and_breaks_no_rule_for_screen_readers(
    browser: Any, tmp_path: Path, width: int, scheme: str
) -> None:
    file = site(tmp_path, "nothing moved.", "x" * 300, "three columns drifted.")
    tab, asked = opened(browser, file, viewport={"width": width, "height": 800}, color_scheme=scheme)
    assert violations(tab) == []
    assert tab.evaluate("document.documentElement.scrollWidth") <= width
    assert asked == []


def test_the_site_s_search_narrows_the_list_and_without_scripts_all_is_there(browser: Any, tmp_path: Path) -> None:
    file = site(tmp_path, "nothing moved.", "nothing moved much.", "three columns drifted.")
    tab, _ = opened(browser, file)
    tab.fill("#find", " NOTHING  much ")
    assert tab.locator("#all tbody tr:visible").count() == 1
    assert tab.inner_text("#found") == "1 of 4 shown"
    tab.fill("#find", "")
    assert tab.locator("#all tbody tr:visible").count() == 4
    plain, _ = opened(browser, file, java_script_enabled=False)
    assert plain.locator("#all tbody tr:visible").count() == 4
    assert not plain.locator("#find").is_visible()


def test_a_site_of_hostile_texts_asks_for_nothing_and_runs_nothing_but_its_search(browser: Any, tmp_path: Path) -> None:
    tab, asked = opened(browser, site(tmp_path, *TEXTS))
    assert asked == []
    assert tab.evaluate("window.hit") is None
    assert tab.locator("script").count() == 1
    assert tab.locator("iframe, object, embed, form, base, img, video, #all svg *:not(path, circle, rect)").count() == 0
    tab.fill("#find", "<script>")
    assert tab.locator("#all tbody tr:visible").count() > 5
    assert tab.evaluate("window.hit") is None
