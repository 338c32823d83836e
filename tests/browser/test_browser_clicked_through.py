"""The quickstart clicked through in a real JupyterLab: deployed, split, watched, interrupted, restarted, reopened."""

from __future__ import annotations

import html
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from mlprod_nb import Workspace
from tests.browser.jupyterlab import Lab, wait_until
from tests.browser.test_browser_status_panel import clean_workspace

__all__ = ["clean_workspace"]
pytestmark = [pytest.mark.browser, pytest.mark.slow]

TRAIN = """\
import numpy as np, pandas as pd
from sklearn.linear_model import LogisticRegression
X = pd.DataFrame(np.random.default_rng(0).normal(size=(300, 3)), columns=["a", "b", "c"])
y = (X.a > 0).astype(int)
one, two = LogisticRegression().fit(X, y), LogisticRegression(C=0.1).fit(X, y)
units = [f"u{i}" for i in range(300)]"""
TRAFFIC = """\
import time
begun, asked = time.monotonic(), 0
while time.monotonic() - begun < 8:
    answered = %mlprod predict toy --data $X --units $units
    ids, asked = answered.prediction_ids, asked + 1
%mlprod feedback toy --ids $ids --values $y"""
KERNEL_IS = "status => window.jupyterapp.shell.currentWidget.sessionContext.session.kernel.status === status"
CELLS = [
    "%load_ext mlprod_nb",
    "%mlprod init",
    "%mlprod up",
    TRAIN,
    "%%mlprod register toy --model $one --data $X --target $y --alias champion\nThe first.",
    "%%mlprod register toy --model $two --data $X --target $y --alias challenger\nThe second.",
    "%mlprod panel registry",
    "%mlprod panel traffic toy",
    "%mlprod panel live toy",
    TRAFFIC,
    "%mlprod panel drift toy",
    "%mlprod panel abtest toy",
    "%mlprod panel jobs",
    "%mlprod panel approvals",
    "%mlprod panel trafic",
    "while True:\n    pass",
    "print('the kernel goes on')",
]


def run(lab: Lab, index: int, *, seconds: float = 120, wait: bool = True) -> Any:
    """Run one cell and return its output."""
    lab.page.evaluate(
        "i => { const n = window.jupyterapp.shell.currentWidget.content; n.activeCellIndex = i; n.mode = 'command'; }",
        index,
    )
    # The command's promise is not waited for: it is kept when the cell has ended.
    lab.page.evaluate("() => { window.jupyterapp.commands.execute('notebook:run-cell'); }")
    if wait:
        wait_until(lambda: lab.has_run(index), seconds=seconds, what=f"cell {index}")
    return lab.output(index)


def panel_of(output: Any) -> Any:
    panel = output.locator(".mlprod-panel")
    panel.wait_for(timeout=30_000)
    return panel


def deployed_by_button(lab: Lab) -> None:
    panel = panel_of(run(lab, 6))
    panel.get_by_role("button", name="Deploy toy/1").click()
    assert panel.get_by_role("group", name="Line to run").locator("code").inner_text() == "%mlprod deploy toy/1"
    panel.get_by_role("button", name="Dry run").click()
    panel.get_by_text("would be live (dry run, nothing changed)").wait_for(timeout=30_000)
    panel.get_by_label("Reason (optional)").fill("it's the first")
    panel.get_by_role("button", name="Run", exact=True).click()
    panel.get_by_text("serves toy").wait_for(timeout=30_000)
    panel.get_by_label("Compare toy/1").check()
    panel.get_by_label("Compare toy/2").check()
    assert "toy/1 and toy/2" in panel.inner_text()


def split_by_slider(lab: Lab) -> None:
    panel = panel_of(run(lab, 7))
    panel.get_by_label("Add a version").select_option("challenger")
    panel.get_by_role("slider", name="Share of challenger").fill("30")
    panel.get_by_text("30 % of the rows would move from v1 to challenger.").wait_for(timeout=30_000)
    panel.get_by_role("button", name="Apply").click()
    panel.get_by_text("revision 2", exact=True).wait_for(timeout=30_000)
    shown = Workspace.open(lab.server.root).status().to_dict()["endpoints"]
    assert [(row["variant"], row["version"], row["share"]) for row in shown] == [
        ("v1", "toy/1", 70.0),
        ("challenger", "toy/2", 30.0),
    ]
    [newest, *_] = Workspace.open(lab.server.root).history("toy").moves
    assert newest.command == "%mlprod route toy v1=70 challenger=30"


def watched_while_a_cell_runs(lab: Lab) -> None:
    panel = panel_of(run(lab, 8))
    panel.get_by_text("Live, once a second").wait_for(timeout=30_000)
    run(lab, 9, wait=False)
    panel.get_by_text("In the last 5 seconds").wait_for(timeout=30_000)
    rate = panel.locator(".mlprod-live td").first
    wait_until(lambda: rate.inner_text() not in ("–", "0 /s", "0"), seconds=30, what="requests in the live panel")
    assert not lab.has_run(9), "the panel moved while the cell ran"
    wait_until(lambda: lab.has_run(9), seconds=60, what="the traffic's end")
    panel.get_by_text("rows with a label").wait_for(timeout=40_000)


def completed_by_tab(lab: Lab) -> None:
    lab.page.locator(".jp-Notebook .jp-Cell").nth(16).locator(".cm-content").click()
    lab.page.keyboard.press("Control+A")
    lab.page.keyboard.type("%mlprod ro", delay=20)
    lab.page.keyboard.press("Tab")
    wait_until(
        lambda: "route" in lab.page.locator(".jp-Completer, .jp-Notebook").last.inner_text(), seconds=20, what="TAB"
    )
    lab.page.keyboard.press("Escape")
    lab.page.locator(".jp-Notebook .jp-Cell").nth(16).locator(".cm-content").click()
    lab.page.keyboard.press("Control+A")
    lab.page.keyboard.type(CELLS[16])


def interrupted(lab: Lab) -> None:
    run(lab, 15, wait=False)
    lab.page.wait_for_function(KERNEL_IS, arg="busy", timeout=20_000)
    lab.command("notebook:interrupt-kernel")
    wait_until(lambda: "KeyboardInterrupt" in lab.output(15).inner_text(), seconds=30, what="the interrupt")
    # Until then the kernel turns away what was queued behind the cell that failed.
    wait_until(lambda: lab.has_run(15), seconds=30, what="the cell's end")
    lab.page.wait_for_function(KERNEL_IS, arg="idle", timeout=20_000)
    assert run(lab, 16).inner_text().strip() == "the kernel goes on"


def test_the_quickstart_is_clicked_through(lab: Lab, clean_workspace: Path, pictures: Path) -> None:
    lab.page.set_viewport_size({"width": 1200, "height": 1600})
    lab.open("clicked.ipynb", CELLS)
    for index in range(6):
        run(lab, index)
    deployed_by_button(lab)
    split_by_slider(lab)
    watched_while_a_cell_runs(lab)
    for index, text in ((10, "Drift of toy"), (11, "no A/B test was started"), (12, "Jobs"), (13, "Approvals")):
        assert text in panel_of(run(lab, index)).inner_text()
    for index in (6, 7, 8, 10, 11, 12, 13):
        lab.output(index).locator(".mlprod-panel").screenshot(path=str(pictures / f"clicked-{index}.png"))
    assert "there is no panel 'trafic'. Did you mean 'traffic'?" in run(lab, 14).inner_text()
    completed_by_tab(lab)
    interrupted(lab)
    lab.command("docmanager:save")
    lab.page.wait_for_function("() => !window.jupyterapp.shell.currentWidget.context.model.dirty")
    lab.page.evaluate("window.jupyterapp.shell.currentWidget.sessionContext.restartKernel()")
    run(lab, 16, wait=False)
    wait_until(lambda: lab.prompt(16) == "[1]:", seconds=60, what="the new kernel's first cell")
    lab.page.evaluate("window.jupyterapp.shell.currentWidget.sessionContext.shutdown()")
    lab.open("clicked.ipynb")
    for index in (6, 7, 8, 10, 11, 12, 13):
        output = lab.output(index)
        output.locator(".mlprod-snapshot").wait_for(timeout=20_000)
        shown = [child for child in output.locator(".jp-OutputArea-child").all() if child.is_visible()]
        assert len(shown) == 1, index
    pages_of_every_panel_in_html(lab.server.root / "clicked.ipynb")


def pages_of_every_panel_in_html(notebook: Path) -> None:
    """Convert a notebook as users do, and find every panel's page in what comes of it."""
    command = [sys.executable, "-m", "nbconvert", "--to", "html", str(notebook), "--output", "converted.html"]
    subprocess.run(command, check=True, timeout=120, capture_output=True)
    page = notebook.with_name("converted.html").read_text(encoding="utf-8")
    assert page.count('<div class="mlprod-snapshot">') == 7
    for text in ("2 versions of 1 model.", "Endpoint 'toy', revision", "No job is scheduled."):
        assert text in html.unescape(page), text
