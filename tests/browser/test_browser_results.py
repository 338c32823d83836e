"""A result's page where a front end has none of JupyterLab's variables: VS Code, Colab, a bare page, light and dark."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import mlprod_nb
from mlprod_nb.results import Section, Verdict, page
from tests.browser import samples
from tests.browser.jupyterlab import Pictures, browser

pytestmark = pytest.mark.browser

REPORT_STYLE = Path(mlprod_nb.__file__).parent / "reports" / "template" / "style.css"
GROUNDS = {"dark": ("#1e1e1e", "#cccccc"), "light": ("#ffffff", "#3b3b3b")}


@pytest.mark.parametrize("theme", list(GROUNDS))
def test_every_word_stands_out_from_the_ground_of_a_front_end_without_variables(theme: str, pictures: Pictures) -> None:
    from axe_playwright_python.sync_playwright import Axe

    ground, ink = GROUNDS[theme]
    verdict: Any = Verdict("warn", "delay moved.", "%mlprod report flights drift")
    shown = verdict._repr_mimebundle_()["text/html"] + samples.some_approvals()._repr_html_()
    head = f"<title>results</title><style>body{{background:{ground};color:{ink}}}</style>"
    with browser() as chromium:
        tab = chromium.new_context(offline=True, viewport={"width": 1000, "height": 800}).new_page()
        tab.set_content(f'<!doctype html><html lang="en"><head>{head}</head><body>{shown}</body></html>')
        pictures.take(tab, f"results-{theme}", full_page=True)
        found = Axe().run(tab, options={"runOnly": ["color-contrast"]}).response
    assert [node["html"] for one in found["violations"] for node in one["nodes"]] == []
    judged = [node["html"] for one in found["passes"] for node in one["nodes"]]
    assert len(judged) > 10, "axe-core judged the words"


@pytest.mark.parametrize("where", ["cell", "report"])
def test_a_long_caption_of_a_wide_table_is_read_whole_on_a_narrow_page(where: str, pictures: Pictures) -> None:
    columns, licence = (
        [f"a long name of column {n}" for n in range(1, 9)],
        "use in production needs a licence from Seldon",
    )
    wide = Section(f"alibi-detect ({licence}; {licence})", tuple(columns), (tuple(columns),))
    shown = {
        # An output stands beside its cell's number.
        "cell": f'<div style="margin-left:5rem" class="mlprod-result">{page.table(wide)}</div>',
        "report": f'<div class="layout"><div class="scroll">{page.table(wide)}</div></div>',
    }[where]
    style = page.CSS if where == "cell" else REPORT_STYLE.read_text(encoding="utf-8")
    head = f"<title>caption</title><style>{style}</style>"
    with browser() as chromium:
        tab = chromium.new_context(offline=True, viewport={"width": 380, "height": 600}).new_page()
        tab.set_content(f'<!doctype html><html lang="en"><head>{head}</head><body>{shown}</body></html>')
        pictures.take(tab, f"caption-{where}")
        whole, caption = tab.locator("table").bounding_box(), tab.locator("caption").bounding_box()
    assert whole["width"] > 380, "the table is wider than the page"
    assert caption["x"] + caption["width"] <= 380
