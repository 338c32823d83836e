"""The shipped notebooks as newcomer, scheduler and reviewer meet them: executed by papermill, checked by nbval."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import nbformat
import papermill
import pytest

from mlprod_nb import Workspace, assets
from mlprod_nb.errors import Corrupt
from tests.notebooks.executions import nbval

pytestmark = [
    pytest.mark.slow,
    # papermill and nbclient still call what Python and jupyter_client have since renamed.
    pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning", "ignore::RuntimeWarning"),
]

QUICKSTART = assets.path("notebooks", "quickstart.ipynb")


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder in which papermill has executed the quickstart; its kernel has ended."""
    folder = tmp_path_factory.mktemp("demo")
    papermill.execute_notebook(QUICKSTART, folder / "quickstart.ipynb", cwd=folder, progress_bar=False)
    yield folder
    Workspace.open(folder).down(yes=True)


def report(demo: Path, kind: str) -> Path:
    [folder] = (demo / "reports" / "flights" / kind).iterdir()
    return folder


def test_no_cell_of_the_quickstart_writes_to_stderr(demo: Path) -> None:
    cells = nbformat.read(demo / "quickstart.ipynb", as_version=4).cells
    noise = [o.text for c in cells for o in c.get("outputs", []) if o.output_type == "stream" and o.name == "stderr"]
    assert noise == []


def test_the_gateway_survives_the_kernel_that_started_it(demo: Path) -> None:
    status = Workspace.open(demo).status()
    assert status.gateway.running
    assert [(row.variant, row.version, row.share) for row in status.endpoints] == [
        ("champion", "flights/1", 50.0),
        ("challenger", "flights/2", 50.0),
    ]


def test_promotion_and_rollback_left_the_alias_where_it_was(demo: Path) -> None:
    workspace = Workspace.open(demo)
    assert workspace.context.registry.aliases("flights") == {"champion": 1, "challenger": 2}
    moves = [move.after for move in workspace.history("flights").moves if move.what == "flights@champion"]
    assert moves == ["flights/1", "flights/2", "flights/1"]  # rolled back, promoted, registered


def test_april_drifts_and_the_reviewer_is_told(demo: Path) -> None:
    verdict = json.loads((report(demo, "drift") / "verdict.json").read_text(encoding="utf-8"))
    assert verdict["verdict"]["status"] == "alarm"
    assert "accuracy fell" in verdict["verdict"]["sentence"]
    assert verdict["bound_to"]["log_range"]["rows"] == 27_564


def test_the_split_alone_cannot_tell_the_two_models_apart_in_a_month(demo: Path) -> None:
    verdict = json.loads((report(demo, "abtest") / "verdict.json").read_text(encoding="utf-8"))
    assert verdict["verdict"]["status"] == "ok"
    assert "keep going" in verdict["verdict"]["sentence"]


@pytest.mark.parametrize("kind", ["drift", "abtest"])
def test_a_report_gives_the_same_outputs_when_it_is_executed_again(demo: Path, kind: str) -> None:
    result = nbval(report(demo, kind) / "report.ipynb", "--nbval", demo)
    assert result.returncode == 0, result.stdout[-3000:]


@pytest.mark.parametrize("kind", ["drift", "abtest"])
def test_a_page_carries_everything_it_needs(demo: Path, kind: str) -> None:
    page = (report(demo, kind) / "index.html").read_text(encoding="utf-8")
    assert len(page) < 200_000
    assert "src=" not in page
    assert "Content-Security-Policy" in page


def test_no_secret_is_in_any_notebook(demo: Path) -> None:
    secret = (demo / ".mlprod" / "secrets" / "local.token").read_text(encoding="utf-8").strip()
    for notebook in demo.rglob("*.ipynb"):
        assert secret not in notebook.read_text(encoding="utf-8")


def test_a_reviewer_approves_a_report_and_an_altered_one_cannot_be_approved(demo: Path) -> None:
    workspace = Workspace.open(demo)
    file = report(demo, "drift") / "verdict.json"
    content = json.loads(file.read_text(encoding="utf-8"))
    approved = workspace.approve(content["digest"][:12], reason="seasonal")
    assert approved.digest == content["digest"]
    altered = report(demo, "abtest") / "verdict.json"
    whole = altered.read_text(encoding="utf-8")
    altered.write_text(whole.replace("keep going", "ship"), encoding="utf-8")
    try:
        with pytest.raises(Corrupt, match="does not match its digest"):
            workspace.approve(json.loads(whole)["digest"], reason="looks good")
    finally:
        altered.write_text(whole, encoding="utf-8")


def test_nbval_runs_the_quickstart_from_nothing(tmp_path: Path) -> None:
    notebook = tmp_path / "quickstart.ipynb"
    notebook.write_bytes(QUICKSTART.read_bytes())
    try:
        result = nbval(notebook, "--nbval-lax", tmp_path)
        assert result.returncode == 0, result.stdout[-3000:]
    finally:
        Workspace.open(tmp_path).down(yes=True)


def test_shipped_notebooks_carry_no_outputs() -> None:
    for path in assets.folder("notebooks").glob("*.ipynb"):
        cells = [cell for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == "code"]
        assert all(not cell.outputs and cell.execution_count is None for cell in cells), path.name
