"""A file that a result names is a link: JupyterLab opens it beside the notebook."""

from __future__ import annotations

import pytest

from tests.browser.jupyterlab import Lab

pytestmark = [pytest.mark.browser, pytest.mark.slow]

MADE = """\
from dataclasses import dataclass
from pathlib import Path
from mlprod_nb.results import Result
@dataclass(frozen=True)
class Made(Result):
    page: Path
folder = Path("a #1, 50% <b>?")
folder.mkdir(exist_ok=True)
(folder / "index.html").write_text("<h1>What drifted</h1>")
Made(folder / "index.html")"""


def test_a_results_page_opens_beside_the_notebook_whatever_its_folder_is_called(lab: Lab) -> None:
    lab.open("made.ipynb", [MADE])
    lab.run_by_keyboard(1)
    lab.output(0).get_by_role("link", name="index.html").click()
    viewer = lab.page.locator(".jp-HTMLViewer iframe")
    viewer.wait_for(timeout=30_000)
    viewer.content_frame.get_by_role("heading", name="What drifted").wait_for(timeout=30_000)
    assert lab.page.url.startswith(lab.server.url), "JupyterLab is still there"
