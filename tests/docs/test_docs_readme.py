"""The README's promise: a newcomer who runs its cells and nothing else serves and watches a model."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

from mlprod_nb import Workspace

README = Path(__file__).parents[2] / "README.md"
PROMISED = {"seven": 7}
FEWER_THAN = 10
FIVE_MINUTES = 300


def cells() -> list[str]:
    """Return the blocks under the heading that makes the promise: one block is one cell."""
    (section,) = re.findall(
        r"^## Five minutes from an empty notebook\n(.*?)^## ",
        README.read_text(encoding="utf-8"),
        re.MULTILINE | re.DOTALL,
    )
    return re.findall(r"^```\w*\n(.*?)\n```$", section, re.MULTILINE | re.DOTALL)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty directory; whatever the cells start there is ended."""
    monkeypatch.delenv("MLPROD_WORKSPACE", raising=False)
    (tmp_path / "tumours").mkdir()
    yield tmp_path / "tumours"
    Workspace.open(tmp_path / "tumours").down(yes=True)


def test_the_readme_s_cells_are_as_few_as_it_says() -> None:
    (word,) = re.findall(r"(\w+) cells of a new notebook", README.read_text(encoding="utf-8"))
    assert len(cells()) == PROMISED[word] < FEWER_THAN


@pytest.mark.slow
def test_the_readme_s_cells_alone_lead_from_an_empty_notebook_to_a_served_and_watched_model(folder: Path) -> None:
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells()])
    # The time limit is the README's; a cell that fails stops the run with its own error.
    NotebookClient(
        notebook, timeout=FIVE_MINUTES, kernel_name="python3", resources={"metadata": {"path": str(folder)}}
    ).execute()
    [endpoint] = Workspace.open(folder).status().endpoints
    assert (endpoint.endpoint, endpoint.version) == ("tumours", "tumours/1")
    monitored, live = (notebook.cells[index].outputs for index in (-2, -1))
    assert re.search(r"(OK|WARN|ALARM): .*269 predictions", monitored[-1]["data"]["text/plain"], re.DOTALL)
    assert "Endpoint 'tumours'" in live[-1]["data"]["text/plain"]
    assert not [output for cell in notebook.cells for output in cell.outputs if output["output_type"] == "error"]
