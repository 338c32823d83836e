"""A result's page where a front end has none of JupyterLab's variables: VS Code, Colab, a bare page, light and dark."""

from __future__ import annotations

from typing import Any

import pytest

from mlprod_nb.results import Verdict
from tests.browser import samples
from tests.browser.jupyterlab import Pictures, browser

pytestmark = pytest.mark.browser

GROUNDS = {"dark": ("#1e1e1e", "#cccccc"), "light": ("#ffffff", "#3b3b3b")}


@pytest.mark.parametrize("theme", list(GROUNDS))
def test_every_word_stands_out_from_the_ground_of_a_front_end_without_variables(theme: str, pictures: Pictures) -> None:
    from axe_playwright_python.sync_playwright import Axe

    ground, ink = GROUNDS[theme]
    verdict: Any = Verdict("warn", "delay moved.", "%mlprod report flights drift")
    shown = verdict._repr_mimebundle_()["text/html"] + samples.some_approvals()._repr_html_()
    head = f"<title>results</title><style>body{{background:{ground};color:{ink}}}</style>"
    with browser() as chromium:
        page = chromium.new_context(offline=True, viewport={"width": 1000, "height": 800}).new_page()
        page.set_content(f'<!doctype html><html lang="en"><head>{head}</head><body>{shown}</body></html>')
        pictures.take(page, f"results-{theme}", full_page=True)
        found = Axe().run(page, options={"runOnly": ["color-contrast"]}).response
    assert [node["html"] for one in found["violations"] for node in one["nodes"]] == []
    judged = [node["html"] for one in found["passes"] for node in one["nodes"]]
    assert len(judged) > 10, "axe-core judged the words"
