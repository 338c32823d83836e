"""The quickstart clicked through in a real JupyterLab: deployed, split, watched, interrupted, restarted, reopened."""

from __future__ import annotations

import html
import subprocess
import sys
from pathlib import Path
from typing import Any

import nbformat
import pytest
from axe_playwright_python.sync_playwright import Axe

from mlprod_nb import Workspace, assets
from tests.browser.jupyterlab import Lab, Pictures, wait_until

pytestmark = [pytest.mark.browser, pytest.mark.slow]

#: What is done by panel: in place of the cell that does it by a line, or after it.
BY_BUTTON = {"%mlprod deploy flights@champion": "%mlprod panel registry"}
BY_SLIDER = {"%mlprod route flights champion=50 challenger=50 --unit tailnum": "%mlprod panel traffic flights"}
REPORT = "%mlprod report flights drift --since 2013-04-01"
STATUS = "%mlprod status"
LIVE = "%mlprod panel live flights"
#: The traffic flows until the panel above was seen to move, so it moves while a cell runs.
TRAFFIC = """\
few, units = rows[:200], aircraft[:200]
while not Path("seen").exists():
    some = %mlprod predict flights --data $few --units $units
ids, truth = some.prediction_ids, late[:200]
%mlprod feedback flights --ids $ids --values $truth"""
FURTHER = {
    "%mlprod panel drift flights": "Drift of flights",
    "%mlprod panel abtest flights": "A/B test",
    "%mlprod panel jobs": "Jobs",
    "%mlprod panel approvals": "Approvals",
}
WRONG = "%mlprod panel trafic"
LAST = "print('the kernel goes on')"
KERNEL_IS = "status => window.jupyterapp.shell.currentWidget.sessionContext.session.kernel.status === status"
RUN = """index => {
  const notebook = window.jupyterapp.shell.currentWidget.content;
  const cells = notebook.widgets.filter(cell => cell.model.type === "code");
  notebook.activeCellIndex = notebook.widgets.indexOf(cells[index]);
  notebook.mode = "command";
  // The command's promise is kept when the cell has ended, so it is not waited for.
  window.jupyterapp.commands.execute("notebook:run-cell");
}"""


def sources() -> list[str]:
    """Return the cells of code."""
    return [cell.source for cell in quickstart().cells if cell.cell_type == "code"]


def quickstart() -> Any:
    """Return the quickstart with what is clicked among its cells."""
    notebook = nbformat.read(assets.path("notebooks", "quickstart.ipynb"), as_version=4)
    cells = []
    for cell in notebook.cells:
        cell.source = BY_BUTTON.get(cell.source, cell.source)
        cells.append(cell)
        if cell.source in BY_SLIDER:
            cells.append(nbformat.v4.new_code_cell(BY_SLIDER[cell.source]))
    cells += [nbformat.v4.new_code_cell(source) for source in (LIVE, TRAFFIC, *FURTHER, WRONG, LAST)]
    return nbformat.v4.new_notebook(cells=cells, metadata=notebook.metadata)


class Clicked:
    """The notebook, by its cells' text.

    Args:
        lab: The page that it is open in.
    """

    def __init__(self, lab: Lab) -> None:
        self.lab = lab
        self._sources = sources()

    def run(self, source: str, *, seconds: float = 180, wait: bool = True) -> Any:
        """Run one cell and return its output."""
        index = self._sources.index(source)
        self.lab.page.evaluate(RUN, index)
        if wait:
            wait_until(lambda: self.lab.has_run(index), seconds=seconds, what=f"the end of: {source}")
        return self.lab.output(index)

    def run_between(self, after: str, until: str) -> None:
        """Run the cells after one, up to and without another."""
        for source in self._sources[self._sources.index(after) + 1 : self._sources.index(until)]:
            output = self.run(source)
            assert output.locator('[data-mime-type="application/vnd.jupyter.stderr"]').count() == 0, source

    def has_run(self, source: str) -> bool:
        """Tell whether a cell has ended."""
        return self.lab.has_run(self._sources.index(source))

    def output(self, source: str) -> Any:
        """Return what a cell has shown."""
        return self.lab.output(self._sources.index(source))

    def panel(self, source: str) -> Any:
        """Return the panel that a cell has shown."""
        panel = self.output(source).locator(".mlprod-panel")
        panel.wait_for(timeout=30_000)
        return panel


def deployed_by_button(clicked: Clicked) -> None:
    clicked.run("%mlprod panel registry")
    panel = clicked.panel("%mlprod panel registry")
    panel.get_by_role("button", name="Deploy flights/1").click()
    assert panel.get_by_role("group", name="Line to run").locator("code").inner_text() == "%mlprod deploy flights/1"
    panel.get_by_role("button", name="Dry run").click()
    panel.get_by_text("would be live (dry run, nothing changed)").wait_for(timeout=30_000)
    panel.get_by_label("Reason (optional)").fill("it's the first")
    panel.get_by_role("button", name="Run", exact=True).click()
    panel.get_by_text("serves flights").wait_for(timeout=30_000)


def split_by_slider(clicked: Clicked, workspace: Path) -> None:
    clicked.run("%mlprod panel traffic flights")
    panel = clicked.panel("%mlprod panel traffic flights")
    panel.get_by_role("slider", name="Share of challenger").fill("30")
    panel.get_by_text("20 % of tailnum would move from challenger to champion.").wait_for(timeout=30_000)
    panel.get_by_role("button", name="Apply").click()
    panel.get_by_text("revision 3", exact=True).wait_for(timeout=30_000)
    assert shares(workspace) == [("champion", "flights/1", 70.0), ("challenger", "flights/2", 30.0)]
    [newest, *_] = Workspace.open(workspace).history("flights").moves
    assert newest.command == "%mlprod route flights champion=70 challenger=30"


def shares(workspace: Path) -> list[tuple[str, str, float]]:
    return [(row.variant, row.version, row.share) for row in Workspace.open(workspace).status().endpoints]


def interrupted_in_the_middle_of_a_report(clicked: Clicked, workspace: Path, pictures: Pictures) -> None:
    output = clicked.run(REPORT, wait=False)
    step = output.locator(".mlprod-progress [aria-current=step]")
    wait_until(lambda: step.count() and step.locator("progress").count(), seconds=60, what="the cells of the report")
    pictures.take(clicked.lab.page, "quickstart-progress")
    clicked.lab.command("notebook:interrupt-kernel")
    output.get_by_text("mlprod: interrupted").wait_for(timeout=60_000)
    assert "✗ interrupted while" in output.inner_text()
    # Until then the kernel turns away what was queued behind the cell that failed.
    wait_until(lambda: clicked.has_run(REPORT), seconds=30, what="the end of the cell")
    clicked.lab.page.wait_for_function(KERNEL_IS, arg="idle", timeout=20_000)
    assert not list(workspace.glob("reports/flights/drift/*")), "half a report is left"
    assert not [row for row in Workspace.open(workspace).status().reports if row.kind == "drift"]


def watched_while_a_cell_runs(clicked: Clicked, workspace: Path) -> None:
    clicked.run(LIVE)
    panel = clicked.panel(LIVE)
    panel.get_by_text("Live, once a second").wait_for(timeout=30_000)
    clicked.run(TRAFFIC, wait=False)
    panel.get_by_text("In the last 5 seconds").wait_for(timeout=30_000)
    rate = panel.locator(".mlprod-live td").first
    wait_until(lambda: rate.inner_text() not in ("–", "0 /s", "0"), seconds=30, what="requests in the live panel")
    (workspace / "seen").touch()
    wait_until(lambda: clicked.has_run(TRAFFIC), seconds=60, what="the traffic's end")
    panel.get_by_text("rows with a label").wait_for(timeout=40_000)


def readable_by_all(lab: Lab, pictures: Pictures) -> None:
    """Look at every panel of the notebook in both themes, as a screen reader's user and as one with poor sight."""
    for theme in ("Dark", "Light"):
        lab.command("apputils:change-theme", theme=f"JupyterLab {theme}")
        lab.page.wait_for_selector(f'body[data-jp-theme-light="{str(theme == "Light").lower()}"]', state="attached")
        found = Axe().run(lab.page, context=".jp-Notebook .mlprod-panel")
        assert found.response["violations"] == [], found.generate_report()
        for number, panel in enumerate(lab.page.locator(".jp-Notebook .mlprod-panel").all()):
            pictures.take(panel, f"quickstart-panel-{number}-{theme.lower()}")


def only_pages_are_left(clicked: Clicked, workspace: Path) -> None:
    panels = [
        source for source in sources() if source == STATUS or (source.startswith("%mlprod panel ") and source != WRONG)
    ]
    for source in panels:
        output = clicked.output(source)
        output.locator(".mlprod-snapshot").wait_for(timeout=20_000)
        shown = [child for child in output.locator(".jp-OutputArea-child").all() if child.is_visible()]
        assert len(shown) == 1, source
    command = [sys.executable, "-m", "nbconvert", "--to", "html", "quickstart.ipynb", "--output", "converted.html"]
    subprocess.run(command, check=True, timeout=120, capture_output=True, cwd=workspace)
    page = (workspace / "converted.html").read_text(encoding="utf-8")
    assert page.count('<div class="mlprod-snapshot">') == len(panels)
    for text in ("1 version of 1 model.", "Endpoint 'flights', revision", "No job is scheduled."):
        assert text in html.unescape(page), text


def test_the_quickstart_is_clicked_through(lab: Lab, clean_workspace: Path, pictures: Pictures) -> None:
    workspace, clicked = clean_workspace, Clicked(lab)
    nbformat.write(quickstart(), workspace / "quickstart.ipynb")
    lab.page.set_viewport_size({"width": 1200, "height": 1600})
    lab.open("quickstart.ipynb")
    clicked.run(sources()[0])
    clicked.run_between(sources()[0], "%mlprod panel registry")
    deployed_by_button(clicked)
    clicked.run_between("%mlprod panel registry", "%mlprod panel traffic flights")
    split_by_slider(clicked, workspace)
    clicked.run_between("%mlprod panel traffic flights", REPORT)
    interrupted_in_the_middle_of_a_report(clicked, workspace, pictures)
    assert "ALARM: accuracy fell" in clicked.run(REPORT).inner_text()
    clicked.run_between(REPORT, LIVE)
    assert "Roll back" in clicked.panel(STATUS).inner_text()
    assert shares(workspace) == [("champion", "flights/1", 70.0), ("challenger", "flights/2", 30.0)]
    watched_while_a_cell_runs(clicked, workspace)
    for source, text in FURTHER.items():
        clicked.run(source)
        assert text in clicked.panel(source).inner_text()
    assert (
        clicked.run(WRONG)
        .inner_text()
        .strip()
        .startswith("mlprod: there is no panel 'trafic'. Did you mean 'traffic'?")
    )
    readable_by_all(lab, pictures)
    lab.command("docmanager:save")
    lab.page.wait_for_function("() => !window.jupyterapp.shell.currentWidget.context.model.dirty")
    lab.page.evaluate("window.jupyterapp.shell.currentWidget.sessionContext.restartKernel()")
    clicked.run(LAST, wait=False)
    wait_until(lambda: lab.prompt(len(sources()) - 1) == "[1]:", seconds=60, what="the new kernel's first cell")
    lab.page.evaluate("window.jupyterapp.shell.currentWidget.sessionContext.shutdown()")
    lab.open("quickstart.ipynb")
    only_pages_are_left(clicked, workspace)
