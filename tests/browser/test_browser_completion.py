"""TAB in a real JupyterLab and in Notebook 7: what is offered, and that no gateway can hold it up."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import TimeoutError as PlaywrightTimeout

from mlprod_nb import Workspace
from tests.browser.cells import TRAIN
from tests.browser.jupyterlab import Lab, Pictures, wait_until

pytestmark = [pytest.mark.browser, pytest.mark.slow]

#: Cells that make what TAB can offer.
FIRST = [
    "%load_ext mlprod_nb",
    "%mlprod init",
    TRAIN,
    "%%mlprod register toy --model $delays --data $planes --target $late --alias champion\nThe first.",
    "%mlprod up",
    "%mlprod deploy toy@champion",
]
#: What is typed, and some of what TAB then offers, in this order.
OFFERED = {
    "%mlprod de": ["deploy"],
    "%mlprod a": ["abtest", "access", "alerts", "approve"],
    "%mlprod deploy toy/1 --": ["--endpoint", "--reason"],
    "%mlprod deploy to": ["toy@champion", "toy/1"],
    "%mlprod predict toy --data $pla": ["$planes"],
    "found = %mlprod st": ["status"],
    "found = %mlprod deploy to": ["toy@champion", "toy/1"],
    "%%mlprod register to": ["toy"],
    "%%mlprod register toy --model $de": ["$delays"],
    "%mlprod route toy --unit ": ["seats", "wings"],
}

#: Whether the list is open, or its one entry stands in the last cell.
ANSWERED = """typed => {
  const box = document.querySelector(".jp-Completer");
  if (box && box.checkVisibility() && box.querySelector(".jp-Completer-match")) return true;
  const editors = document.querySelectorAll(".jp-Notebook .jp-CodeCell .cm-content");
  return editors[editors.length - 1].textContent.trim() !== typed;
}"""


def offered(lab: Lab, typed: str) -> list[str]:
    """Type a line into the last cell, press TAB, and return what is offered, or the one thing that was put in."""
    editor = lab.page.locator(".jp-Notebook .jp-CodeCell .cm-content").last
    editor.click()
    lab.page.keyboard.press("ControlOrMeta+A")
    lab.page.keyboard.press("Delete")
    lab.page.keyboard.insert_text(typed)
    lab.page.keyboard.press("Tab")
    try:
        lab.page.wait_for_function(ANSWERED, arg=typed.strip(), timeout=5_000)
    except PlaywrightTimeout:
        return []
    box = lab.page.locator(".jp-Completer:visible")
    if box.count() == 0:
        return [editor.inner_text().split()[-1]]
    texts = [str(text) for text in box.locator(".jp-Completer-match").all_inner_texts()]
    lab.page.keyboard.press("Escape")
    box.wait_for(state="hidden")
    return texts


def has_all(lab: Lab, typed: str, expected: list[str]) -> Callable[[], bool]:
    """Return what tells whether TAB offers at least these, in this order."""

    def ask() -> bool:
        texts = offered(lab, typed)
        return [text for text in texts if text in expected] == expected

    return ask


def offers_everything(lab: Lab) -> None:
    """TAB may be behind while a process of its own reads the names anew, so it is pressed again."""
    for typed, expected in OFFERED.items():
        wait_until(has_all(lab, typed, expected), seconds=60, what=f"{expected} after {typed!r}")


def with_the_list_open(lab: Lab, pictures: Pictures, name: str) -> None:
    """Press TAB after the line that stands there, and take a picture of what is offered."""
    lab.page.keyboard.press("Tab")
    lab.page.locator(".jp-Completer:visible").wait_for(timeout=30_000)
    pictures.take(lab.page, name)


@contextmanager
def held(pid: int) -> Iterator[None]:
    """Hold a process, so that it answers nobody, and let it go on at the end."""
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


def gateway_pid(workspace: Path) -> Any:
    """Return the process of the gateway."""
    return Workspace.open(workspace).status().gateway.pid


def test_tab_offers_verbs_options_models_and_variables(lab: Lab, clean_workspace: Path, pictures: Pictures) -> None:
    lab.open("tab.ipynb", [*FIRST, "%mlprod down --yes", ""])
    lab.run_by_keyboard(len(FIRST))
    assert "is live" in lab.output(len(FIRST) - 1).inner_text()
    offers_everything(lab)
    with_the_list_open(lab, pictures, "tab")
    with held(gateway_pid(clean_workspace)):
        offers_everything(lab)
    lab.page.locator(".jp-Notebook .jp-CodeCell .cm-content").nth(len(FIRST)).click()
    lab.page.keyboard.press("Shift+Enter")
    wait_until(lambda: lab.has_run(len(FIRST)), seconds=60, what="the gateway's end")
    offers_everything(lab)


def test_tab_works_in_notebook_7_too(lab: Lab, clean_workspace: Path, pictures: Pictures) -> None:
    lab.open_in_notebook("tab-seven.ipynb", [*FIRST, ""])
    lab.run_by_keyboard(len(FIRST))
    assert "is live" in lab.output(len(FIRST) - 1).inner_text()
    offers_everything(lab)
    with_the_list_open(lab, pictures, "tab-seven")
