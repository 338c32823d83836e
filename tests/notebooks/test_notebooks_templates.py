"""The notebooks to begin with: copied as the user's own, run from the top, and passed by nbval."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import nbformat
import papermill
import pytest

from mlprod_nb import Workspace
from mlprod_nb.errors import NotFound, Refused
from mlprod_nb.lifecycle.templates import TEMPLATES
from tests.notebooks.executions import nbval

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning", "ignore::RuntimeWarning")


def test_a_template_becomes_the_users_own_file_and_never_replaces_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in TEMPLATES:
        made = Workspace.notebook(name)
        assert made.notebook == f"{name}.ipynb"
        nbformat.validate(nbformat.read(tmp_path / made.notebook, as_version=4))
        assert f'href="{name}.ipynb"' in made._repr_html_()
    (tmp_path / "train.ipynb").write_text("mine")
    with pytest.raises(Refused, match=r"train\.ipynb is there already"):
        Workspace.notebook("train")
    assert (tmp_path / "train.ipynb").read_text() == "mine"
    assert Workspace.notebook("train", path="other").notebook == "other.ipynb"
    with pytest.raises(NotFound, match="Did you mean 'triage'"):
        Workspace.notebook("triag")
    with pytest.raises(NotFound, match="no folder 'nowhere'"):
        Workspace.notebook("train", path="nowhere/a.ipynb")


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A workspace in which train.ipynb ran, whose version serves and has answered."""
    folder = tmp_path_factory.mktemp("templates")
    Workspace.init(str(folder))
    for name in ("train", "triage"):
        Workspace.notebook(name, path=str(folder / name))
    papermill.execute_notebook(folder / "train.ipynb", folder / "trained.ipynb", cwd=folder, progress_bar=False)
    workspace = Workspace.open(folder)
    workspace.up()
    workspace.deploy("tumours@challenger")
    from sklearn.datasets import load_breast_cancer

    workspace.predict("tumours", data=load_breast_cancer(as_frame=True).data[:200])
    yield folder
    workspace.down(yes=True)
    workspace.context.store.close()


@pytest.mark.slow
def test_train_registers_a_version_that_passes_its_gates(trained: Path) -> None:
    workspace = Workspace.open(trained)
    assert workspace.check("tumours@challenger").verdict.status != "alarm"
    assert workspace.models("tumours").versions[0].note.startswith("Logistic regression")
    workspace.context.store.close()


@pytest.mark.slow
def test_triage_answers_its_questions_from_the_top(trained: Path) -> None:
    done = trained / "triaged.ipynb"
    papermill.execute_notebook(trained / "triage.ipynb", done, cwd=trained, progress_bar=False)
    cells = {cell.id: cell for cell in nbformat.read(done, as_version=4).cells}
    assert "tumours" in str(cells["status"].outputs)
    assert all(cells[name].outputs for name in ("alerts", "look", "columns", "history", "logs"))


@pytest.mark.slow
@pytest.mark.parametrize("name", ["train", "triage"])
def test_nbval_passes_them(trained: Path, name: str) -> None:
    done = nbval(trained / f"{name}.ipynb", "--nbval-lax", trained)
    assert done.returncode == 0, done.stdout[-3000:]
