"""Every panel alone on a page, in light and dark: nothing for axe-core to find, nothing executed, nothing cut off."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal

import pytest

from mlprod_nb.widgets.live import moving
from tests.browser import samples
from tests.browser.bare import bare_page
from tests.browser.jupyterlab import Pictures, browser

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    with browser() as opened:
        yield opened


def opened(chromium: Any, name: str, theme: Literal["light", "dark"] = "light", width: int = 1000) -> Any:
    page = chromium.new_context(offline=True, viewport={"width": width, "height": 800}).new_page()
    state, more = samples.sample(name)
    page.set_content(bare_page(name, state, theme, more))
    page.wait_for_function("window.shown")
    return page


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("name", samples.NAMES)
def test_a_panel_is_readable_by_all_and_executes_nothing(
    chromium: Any, name: str, theme: Literal["light", "dark"], pictures: Pictures
) -> None:
    from axe_playwright_python.sync_playwright import Axe

    page = opened(chromium, name, theme)
    assert page.evaluate("window.hit") is None
    assert page.locator(".mlprod-panel img, .mlprod-panel script, .mlprod-panel a").count() == 0
    assert samples.HOSTILE in page.locator(".mlprod-panel").inner_text()
    outlines = page.eval_on_selector_all(".mlprod-panel text", "all => all.map(e => getComputedStyle(e).stroke)")
    assert set(outlines) <= {"none"}, "a picture's words have no outline"
    for width in (1000, 420, 332):  # the last leaves the panel 300
        page.set_viewport_size({"width": width, "height": 800})
        if width != 420:  # laid out as the narrowest is
            found = Axe().run(page).response["violations"]
            assert [(one["id"], [node["html"] for node in one["nodes"]]) for one in found] == [], f"at {width} px"
        assert page.locator(".mlprod-panel").evaluate("e => e.scrollWidth <= e.clientWidth"), f"cut off at {width} px"
        pictures.take(page, f"{name}-{theme}-{width}", full_page=True)
    page.context.close()


@pytest.mark.parametrize("name", samples.NAMES)
def test_a_panel_cleans_up_after_itself(chromium: Any, name: str) -> None:
    page = opened(chromium, name)
    page.evaluate("window.cleanUp()")
    assert page.locator(".mlprod-panel").count() == 0
    assert page.evaluate("Object.values(window.heard).flat().length") == 0
    page.context.close()


def test_the_live_panel_is_as_big_after_thousands_of_looks_as_after_a_few(chromium: Any) -> None:
    page = opened(chromium, "live")
    looks = [moving(samples.a_watch(seconds)) for seconds in range(80, 100)]
    devtools = page.context.new_cdp_session(page)

    def grown(times: int) -> dict[str, float]:
        """Show looks one after the other, and return what the page then holds."""
        page.evaluate(SHOW_LOOKS, [looks, times])
        devtools.send("HeapProfiler.collectGarbage")
        counts = devtools.send("Memory.getDOMCounters")
        return {**counts, "bytes": devtools.send("Runtime.getHeapUsage")["usedSize"]}

    few = grown(200)
    many = grown(3_000)
    assert (many["nodes"], many["jsEventListeners"]) == (few["nodes"], few["jsEventListeners"])
    assert many["bytes"] - few["bytes"] < 300_000, "less than a hundred bytes a look stayed"
    page.context.close()


SHOW_LOOKS = """async ([looks, times]) => {
  for (let i = 0; i < times; i++) {
    window.model.set("live", looks[i % looks.length]);
    if (i % 50 === 0) await new Promise((done) => setTimeout(done));
  }
}"""


def told(page: Any, line: str, text: str, **details: Any) -> None:
    """Answer a line as Python does."""
    message = {"turn": 1, "kind": "ok", "line": line, "text": text, "details": details}
    page.evaluate("message => window.model.set('message', message)", message)


def sent(page: Any) -> list[str]:
    return [content["line"] for content in page.evaluate("window.sent") if "line" in content]


def test_shares_are_set_by_keyboard_tried_and_applied(chromium: Any) -> None:
    page = opened(chromium, "traffic")
    page.clock.install()
    page.clock.pause_at(page.evaluate("Date.now()") + 1_000)
    slider = page.get_by_role("slider", name="Share of champion")
    slider.focus()
    page.keyboard.press("Home")
    for _ in range(3):
        page.keyboard.press("ArrowRight")
    line = '%mlprod route flights champion=3 challenger=78 "<img src=x onerror=window.hit=1>"=19 canary=shadow'
    page.clock.run_for(1_000)
    assert sent(page) == [f"{line} --dry-run"], "a burst of keys is one question"
    assert slider.evaluate("e => e === document.activeElement")
    moves = [{"before": "champion", "after": "challenger", "share": 47.0}]
    told(page, f"{line} --dry-run", "would be live", traffic=[], moves=moves)
    assert "47 % of tailnum would move from champion to challenger." in page.locator(".mlprod-panel").inner_text()
    page.get_by_label("Reason (optional)").fill("it's late")
    page.get_by_role("button", name="Apply").click()
    assert sent(page)[-1] == f'{line} --reason "it\'s late"'
    assert page.get_by_role("button", name="Applying…").is_disabled()
    page.context.close()


def test_a_shadow_and_a_new_version_come_into_the_line(chromium: Any) -> None:
    page = opened(chromium, "traffic")
    page.get_by_label("challenger as a shadow").check()
    page.get_by_label("Add a version").select_option("next")
    page.get_by_role("slider", name="Share of next").fill("30")
    strip = page.get_by_role("group", name="Change of the traffic").locator("code").inner_text()
    assert "challenger=shadow" in strip
    assert "next=30" in strip
    page.get_by_role("button", name="Reset").click()
    assert page.get_by_text("This is what serves now.").is_visible()
    page.context.close()


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_a_window_that_is_waited_for_leaves_the_one_before_grey_until_it_comes(
    chromium: Any, theme: Literal["light", "dark"], pictures: Pictures
) -> None:
    page = opened(chromium, "drift", theme)
    words = page.locator(".mlprod-panel").inner_text
    assert page.locator(".mlprod-past").count() == 0
    page.get_by_role("slider", name="Window").fill("1")
    assert "Waiting for the kernel. What is shown is of" in words()
    assert page.locator(".mlprod-past").count() == 2, "the verdict and the figures"
    pictures.take(page, f"drift-waiting-{theme}", full_page=True)
    page.wait_for_function("window.sent.length === 1")
    state = page.evaluate("window.model.get('state')")
    window = state["windows"][0]
    assert sent(page) == [f"%mlprod panel drift flights --since {window['since']} --until {window['until']}"]
    page.evaluate("state => window.model.set('state', state)", {**state, **window})
    assert "Waiting for the kernel" not in words()
    assert page.locator(".mlprod-past").count() == 0
    # One that cannot be read is waited for no longer.
    page.get_by_role("slider", name="Window").fill("2")
    assert page.locator(".mlprod-past").count() == 2
    message = {"turn": 1, "kind": "error", "line": "", "text": "the log is gone.", "details": {}}
    page.evaluate("message => window.model.set('message', message)", message)
    assert page.locator(".mlprod-past").count() == 0
    assert page.get_by_role("slider", name="Window").input_value() == "1"
    page.context.close()
