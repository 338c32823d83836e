"""Hostile texts as column names, categories, endpoints and notes, through the real monitor into a real Chromium."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mlprod_nb.monitoring import MonitorInput, MonitorResult, run
from mlprod_nb.monitoring.profile import build
from mlprod_nb.registry.bundles import Column, Signature
from mlprod_nb.reports import compare, render, show
from mlprod_nb.reports.replay import ReplayResult
from mlprod_nb.results import Result, Verdict
from tests.monitoring import samples
from tests.notebook_files import code, html, notebook, text
from tests.reports.chromium import browser as browser
from tests.reports.chromium import opened
from tests.reports.hostile import EVERY
from tests.reports.pages import REPORT, without_our_script

_LOADING = (
    "script",
    "iframe",
    "frame",
    "object",
    "embed",
    "link",
    "base",
    "form",
    "video",
    "audio",
    "source",
    "use",
    "image",
)
#: So many texts at a time that all of them find room on a page.
_AT_ONCE = 20
#: A page shows the beginning of what is longer; here every text must reach it.
NAMES = [name for name in EVERY if len(name) <= 2_000]
CHUNKS = [EVERY[start : start + _AT_ONCE] for start in range(0, len(EVERY), _AT_ONCE)]


def monitored(names: Sequence[str]) -> MonitorResult:
    """Return what a monitor finds where every column, and every category of one of them, has a hostile name."""
    random = np.random.default_rng(3)
    rows = 600
    used = list(dict.fromkeys(names))
    signature = Signature((*(Column(name, "double", True) for name in used), Column("group", "string", True)))
    reference: dict[str, Any] = {name: random.normal(size=rows) for name in used}
    reference["group"] = random.choice(np.array(["a", "b"], dtype=object), rows)
    scores = random.random(rows)
    profile = build(
        reference, signature, scores=scores, labels=scores > 0.5, task="classification", classes=(False, True)
    )
    window = {name: values + 3 for name, values in reference.items() if name != "group"}
    window["group"] = random.choice(np.array(list(names), dtype=object), rows)
    return run(MonitorInput(names[0], profile, samples.window(window, scores, scores > 0.5)))


def shown(result: Any) -> dict[str, Any]:
    return html(result._repr_html_())


def changed(names: Sequence[str]) -> list[Result]:
    """Return what a replay and a difference tell of such reports."""
    changes = tuple(compare.Change(name, name, name, name, name) for name in names)
    said = tuple(names)
    verdict = Verdict("alarm", names[0], names[-1])
    return [
        compare.DiffResult("a" * 64, "b" * 64, said, changes),
        ReplayResult(verdict, "a" * 64, 3, said, changes, 1.0),
    ]


@cache
def pages() -> list[str]:
    """Return the pages of reports in which every hostile text stands wherever a user or data can put one."""
    made = []
    for texts in CHUNKS:
        names = [name for name in texts if name in NAMES] or ["long"]
        monitor = monitored(names)
        whole, parts = shown(monitor), [shown(show.part(monitor, "columns", otherwise=texts[0]))]
        drawn = shown(show.figures(monitor.figures, otherwise=texts[0]))
        outputs = [html(f"<p>{said}</p>") for said in texts] + [html(f'<b title="{said}">x</b>') for said in texts]
        plain = [
            {"output_type": kind, "metadata": {}, "data": {mime: said}}
            for said in texts
            for kind, mime in (("display_data", "text/plain"), ("display_data", "text/markdown"))
        ]
        verdict = Verdict("alarm", " ".join(texts), texts[-1])._repr_mimebundle_()
        last = code("v", outputs=[{"output_type": "display_data", "metadata": {}, "data": verdict}])
        cells = [text(f"# {texts[0]}\n\n## {texts[-1]}"), code("x", outputs=[whole, *parts, drawn])]
        cells += [
            code("y", outputs=[shown(result) for result in changed(names)]),
            code("z", outputs=[*outputs, *plain]),
        ]
        report = REPORT | {"endpoint": texts[0], "kind": texts[-1]}
        made.append(render.to_html(notebook(*cells, last, mlprod={"report": report})))
    return made


class _Risky(HTMLParser):
    """Collects what a page should not hold: elements that load or run, handlers, addresses."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in _LOADING:
            self.found.append(tag)
        for name, value in attrs:
            address = name in ("src", "href", "srcset", "xlink:href", "action", "formaction", "ping", "background")
            inside = (value or "").startswith(("#", "data:image/", "https:", "http:" if tag == "a" else "#"))
            if name.startswith("on") or (address and not inside) or (name == "style" and "url(" in (value or "")):
                self.found.append(f"{tag} {name}={value}")


def test_every_text_of_the_corpus_is_hostile_in_its_own_way() -> None:
    assert len(EVERY) == len(set(EVERY)) >= 515


@pytest.mark.parametrize("number", range(len(CHUNKS)))
def test_a_page_of_hostile_names_holds_nothing_that_runs_or_fetches(number: int) -> None:
    page = pages()[number]
    assert _Risky(without_our_script(page)).found == []
    assert len(page.encode("utf-8", "replace")) < 400_000


@pytest.mark.browser
@pytest.mark.parametrize("number", range(len(CHUNKS)))
def test_a_page_of_hostile_names_runs_and_asks_for_nothing_in_a_browser(
    browser: Any, tmp_path: Path, number: int
) -> None:
    # Without the page's own policy, so that what is made safe does not rest on it alone.
    policy = 'http-equiv="Content-Security-Policy"'
    assert policy in pages()[number]
    for name, content in (("with", pages()[number]), ("without", pages()[number].replace(policy, "data-x"))):
        file = tmp_path / f"{name}.html"
        file.write_text(content, encoding="utf-8", errors="replace")
        tab, asked = opened(browser, file)
        tab.evaluate("document.querySelectorAll('summary, #show-code').forEach((one) => one.click())")
        tab.evaluate("document.querySelectorAll('*').forEach((e) => { e.dispatchEvent(new Event('mouseover')); })")
        assert asked == []
        assert tab.evaluate("window.hit") is None
        assert tab.locator("script").count() == 1
        assert tab.locator("iframe, object, embed, form, link, base, video, audio, input:not(#show-code)").count() == 0
        tab.close()
