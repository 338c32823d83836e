"""The status panel in a real JupyterLab, by keyboard, as a user meets it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbformat.sign import NotebookNotary

from tests.browser.contrast import CONTRAST
from tests.browser.jupyterlab import Lab, Pictures, Server

pytestmark = [pytest.mark.browser, pytest.mark.slow]

A_STATUS = """\
from datetime import UTC, datetime, timedelta
from mlprod_nb.lifecycle.serving_now import EndpointStatus, GatewayStatus
from mlprod_nb.lifecycle.status import AlertStatus, JobStatus, ReportRow, StatusResult
from mlprod_nb.results import Verdict

now = datetime.now(UTC)
status = StatusResult(
    Verdict("warn", "the last drift report of 'flights' says: dep_delay drifts"),
    "nyc-flights",
    GatewayStatus(True, "http://127.0.0.1:41873", 4711, now - timedelta(hours=3), ""),
    (
        EndpointStatus("flights", 4, "champion", "flights/1", 50.0, "onnx", ""),
        EndpointStatus("flights", 4, "challenger", "flights/2", 40.0, "onnx", ""),
        EndpointStatus("flights", 4, "canary", "flights/3", 10.0, "python", "no converter for a FunctionTransformer"),
        EndpointStatus("<img src=x onerror=alert(1)>", 1, "champion", "fares/12", 100.0, "onnx", ""),
    ),
    (
        ReportRow("flights", "drift", "warn", "dep_delay drifts", now - timedelta(minutes=12), "3fa9c1d2aa11", 0),
        ReportRow("flights", "abtest", "ok", "challenger is better", now - timedelta(days=2), "88a9c1d2aa22", 2),
        ReportRow("flights", "latency", "alarm", "p99 doubled", now - timedelta(days=3), "77a9c1d2aa33", 0),
    ),
    (JobStatus(1, "0 6 * * 1", "report flights drift --since 7d", now + timedelta(hours=30), "ok"),),
    (
        AlertStatus(7, "flights", "alarm", "open", "brier rose from 0.142 to 0.171.", "", now - timedelta(hours=2)),
        AlertStatus(6, "flights", "warn", "acknowledged", "dep_delay drifts", "acknowledged by ada: <b>", now),
    ),
)"""


#: Notes how a panel's being busy changes: it may be over before anybody looks.
NOTE_BUSY = """panel => {
  window.busy = [];
  new MutationObserver(() => window.busy.push(panel.getAttribute("aria-busy")))
    .observe(panel, { attributes: true, attributeFilter: ["aria-busy"] });
}"""


def open_panel(lab: Lab, name: str, *further: str) -> Any:
    cells = ["%load_ext mlprod_nb", A_STATUS, "status", *further]
    lab.open(name, cells)
    lab.run_by_keyboard(len(cells))
    panel = lab.page.locator(".jp-Notebook .mlprod-panel").first
    panel.wait_for(timeout=20_000)
    return panel


def test_the_first_cells_run_by_keyboard_and_the_panel_shows(
    lab: Lab, clean_workspace: Path, pictures: Pictures
) -> None:
    lab.open("first.ipynb", ["%load_ext mlprod_nb", "%mlprod init", "%mlprod up", "%mlprod status", "%mlprod stauts"])
    lab.run_by_keyboard(5)
    assert "is ready" in lab.output(1).inner_text()
    assert "The gateway is up at http://127.0.0.1:" in lab.output(2).inner_text()
    panel = lab.output(3).locator(".mlprod-panel")
    panel.wait_for(timeout=20_000)
    assert "Gateway at http://127.0.0.1:" in panel.inner_text()
    assert "nothing is deployed yet" in panel.inner_text()
    assert "Next: %mlprod deploy MODEL@ALIAS" in panel.inner_text()
    panel.evaluate(NOTE_BUSY)
    panel.get_by_role("button", name="Refresh").press("Enter")
    lab.page.wait_for_function("() => window.busy?.join() === 'true,false'")
    assert panel.get_by_role("status").count() == 0
    assert "Gateway at http://127.0.0.1:" in panel.inner_text()
    assert lab.output(4).inner_text().strip() == (
        "mlprod: there is no verb 'stauts'. Did you mean 'status'? See: %mlprod --help"
    )
    pictures.take(lab.page, "first-cells")


def test_a_click_rolls_a_real_endpoint_back(lab: Lab, clean_workspace: Path, pictures: Pictures) -> None:
    train = """\
import numpy as np, pandas as pd
from sklearn.linear_model import LogisticRegression
X = pd.DataFrame(np.random.default_rng(0).normal(size=(200, 3)), columns=["a", "b", "c"])
y = (X.a > 0).astype(int)
one, two = LogisticRegression().fit(X, y), LogisticRegression(C=0.1).fit(X, y)"""
    cells = [
        "%load_ext mlprod_nb",
        "%mlprod init",
        "%mlprod up",
        train,
        "%%mlprod register toy --model $one --data $X --target $y --alias champion\nThe first.",
        "%%mlprod register toy --model $two --data $X --target $y --alias challenger\nThe second.",
        "%mlprod deploy toy@champion",
        "%mlprod route toy champion=50 challenger=50",
        "%mlprod",
    ]
    lab.open("rollback.ipynb", cells)
    lab.run_by_keyboard(len(cells))
    panel = lab.page.locator(".jp-Notebook .mlprod-panel")
    panel.get_by_role("img", name="Traffic: champion 50 %, challenger 50 %").wait_for(timeout=20_000)
    panel.get_by_role("button", name="Roll back toy").click()
    panel.get_by_role("button", name="Run", exact=True).click()
    panel.get_by_role("img", name="Traffic: champion 100 %").wait_for(timeout=30_000)
    panel.get_by_text("revision 3", exact=True).wait_for()
    message = panel.get_by_role("status")
    message.wait_for(timeout=20_000)
    assert "%mlprod rollback toy" in message.inner_text()
    assert "revision 3" in message.inner_text()
    pictures.take(panel, "status-rolled-back")


def test_the_panel_shows_everything_as_text_in_both_themes_and_when_narrow(lab: Lab, pictures: Pictures) -> None:
    panel = open_panel(lab, "themes.ipynb")
    assert panel.locator("img").count() == 0
    for text in (
        "nyc-flights",
        "<img src=x onerror=alert(1)>",
        "40 %",
        "model worker: no converter",
        "12 min ago",
        "✗",
    ):
        assert text in panel.inner_text(), text
    assert panel.get_by_role("img", name="Traffic: champion 50 %, challenger 40 %, canary 10 %").count() == 1
    assert not lab.page.locator(".jp-Notebook .mlprod-snapshot").is_visible()
    for theme in ("JupyterLab Light", "JupyterLab Dark"):
        dark = theme.endswith("Dark")
        lab.command("apputils:change-theme", theme=theme)
        lab.page.wait_for_selector(f'body[data-jp-theme-light="{str(not dark).lower()}"]', state="attached")
        lab.page.wait_for_function("() => document.fonts.ready")
        worst = panel.evaluate(CONTRAST)
        assert worst["ratio"] >= 4.5, (theme, worst)
        for width in (1200, 600):
            lab.page.set_viewport_size({"width": width, "height": 1000})
            pictures.take(panel, f"status-{'dark' if dark else 'light'}-{width}")
            assert panel.evaluate("e => e.scrollWidth <= e.clientWidth"), f"the panel overflows at {width} px"


def test_the_panel_is_used_by_keyboard_alone(lab: Lab, pictures: Pictures) -> None:
    panel = open_panel(lab, "keyboard.ipynb")
    page = lab.page
    panel.get_by_role("button", name="Refresh").focus()
    for _ in range(3):
        page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    strip = panel.get_by_role("group", name="Line to run")
    assert strip.locator("code").inner_text() == "%mlprod rollback flights"
    assert strip.get_by_role("button", name="Run", exact=True).evaluate("e => e === document.activeElement")
    page.keyboard.press("Escape")
    assert strip.count() == 0
    assert panel.get_by_role("button", name="Roll back flights").evaluate("e => e === document.activeElement")
    page.keyboard.press("Enter")
    page.keyboard.press("Enter")
    message = panel.get_by_role("status")
    message.wait_for(timeout=20_000)
    assert "✗ there is no workspace at or above" in message.inner_text()
    assert "%mlprod rollback flights" in message.inner_text()
    pictures.take(panel, "status-message")
    assert page.locator(".jp-Notebook.jp-mod-editMode").count() == 0, "JupyterLab took the key for the cell"
    assert page.locator(".jp-Notebook .jp-CodeCell").count() == 4


def without_its_widget(server: Server, name: str, index: int) -> None:
    """Leave of a cell's outputs what papermill or VS Code would have kept; JupyterLab goes on trusting the notebook."""
    content = nbformat.read(server.root / name, as_version=4)
    cell = content.cells[index]
    kept = [
        output for output in cell.outputs if "application/vnd.jupyter.widget-view+json" not in output.get("data", {})
    ]
    assert len(kept) == len(cell.outputs) - 1
    cell.outputs = kept
    nbformat.write(content, server.root / name)
    NotebookNotary(data_dir=str(server.root.parent / "jupyter_data_dir")).sign(content)


def outputs_seen(lab: Lab, index: int) -> list[str]:
    return [
        child.inner_text() for child in lab.output(index).locator(".jp-OutputArea-child").all() if child.is_visible()
    ]


def test_a_reopened_notebook_shows_the_page_in_place_of_the_dead_panel(lab: Lab, pictures: Pictures) -> None:
    open_panel(lab, "reopened.ipynb", "print('said before the page')\nstatus")
    lab.command("docmanager:save")
    lab.page.wait_for_function("() => !window.jupyterapp.shell.currentWidget.context.model.dirty")
    lab.page.evaluate("window.jupyterapp.shell.currentWidget.sessionContext.shutdown()")
    without_its_widget(lab.server, "reopened.ipynb", 3)
    lab.open("reopened.ipynb")
    page = lab.page.locator(".jp-Notebook .mlprod-snapshot").first
    page.wait_for(timeout=20_000)
    assert "flights/2" in page.inner_text()
    lab.page.wait_for_function("() => document.body.textContent.includes('model not found')")
    [shown] = outputs_seen(lab, 2)
    assert shown.startswith("! WARNING: the last drift report")
    said, shown = outputs_seen(lab, 3)
    assert said.strip() == "said before the page"
    assert shown.startswith("! WARNING: the last drift report")
    pictures.take(lab.page, "reopened")


def test_the_panel_lives_in_notebook_7_too(lab: Lab, pictures: Pictures) -> None:
    lab.open_in_notebook("seven.ipynb", ["%load_ext mlprod_nb", A_STATUS, "status"])
    lab.run_by_keyboard(3)
    panel = lab.page.locator(".jp-Notebook .mlprod-panel")
    panel.wait_for(timeout=20_000)
    panel.get_by_role("button", name="Roll back flights").click()
    assert panel.get_by_role("group", name="Line to run").locator("code").inner_text() == "%mlprod rollback flights"
    assert not lab.page.locator(".jp-Notebook .mlprod-snapshot").is_visible()
    pictures.take(lab.page, "notebook-7")
