"""``register --from-clean-run`` in a real JupyterLab: seen under way, interrupted, refused while unsaved, done."""

from __future__ import annotations

from pathlib import Path

import pytest

from mlprod_nb import Workspace
from tests.browser.cells import TRAIN
from tests.browser.jupyterlab import Lab, Pictures, wait_until

pytestmark = [pytest.mark.browser, pytest.mark.slow]

REGISTER = "%%mlprod register toy --model $delays --data $planes --target $late --from-clean-run\nFrom a fresh kernel."
CELLS = ["%load_ext mlprod_nb", "%mlprod init", TRAIN, REGISTER]
AT = CELLS.index(REGISTER)


def versions(workspace: Path) -> list[str]:
    return [row.version for row in Workspace.open(workspace).models().versions]


def run(lab: Lab, index: int) -> None:
    lab.page.evaluate("i => { window.jupyterapp.shell.currentWidget.content.activeCellIndex = i; }", index)
    lab.page.evaluate("() => { window.jupyterapp.commands.execute('notebook:run-cell'); }")


def test_a_clean_run_shows_its_cells_leaves_nothing_when_interrupted_and_registers_what_the_file_makes(
    lab: Lab, clean_workspace: Path, pictures: Pictures
) -> None:
    lab.open("train.ipynb", CELLS)
    lab.run_by_keyboard(AT)
    run(lab, AT)
    step = lab.output(AT).locator(".mlprod-progress [aria-current=step]")
    wait_until(lambda: step.count() and step.locator("progress").count(), seconds=60, what="the cells of the clean run")
    pictures.take(lab.page, "clean-run-progress")
    lab.command("notebook:interrupt-kernel")
    lab.output(AT).get_by_text("mlprod: interrupted").wait_for(timeout=60_000)
    lab.wait_for_kernel()
    assert versions(clean_workspace) == []

    lab.page.locator(".jp-Notebook .jp-CodeCell .cm-content").nth(AT - 1).press("Control+End")
    lab.page.keyboard.insert_text("\nlate = 1 - late")
    run(lab, AT - 1)
    run(lab, AT)
    lab.output(AT).get_by_text("train.ipynb is not saved since").wait_for(timeout=30_000)
    assert versions(clean_workspace) == []

    lab.command("docmanager:save")
    lab.wait_for_kernel()
    run(lab, AT)
    lab.output(AT).get_by_text("toy/1").first.wait_for(timeout=60_000)
    pictures.take(lab.page, "clean-run-done")
    assert versions(clean_workspace) == ["toy/1"]
    assert step.count() == 0, "the steps are gone when it is done"
