"""``register --from-clean-run``: the saved notebook runs in a fresh kernel, and that registers."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from mlprod_nb import Workspace
from mlprod_nb.errors import ExecutionFailed, Refused, UsageError
from mlprod_nb.lifecycle.context import Caller
from mlprod_nb.lifecycle.registering import recorded
from mlprod_nb.lifecycle.registering.register import RegisterResult
from mlprod_nb.registry.lineage import ExecutedCell, NotebookContext
from tests.notebook_files import code, text, write
from tests.workspaces import new_workspace

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")

LOAD = "%load_ext mlprod_nb"
FIT = (
    "import pandas as pd\nfrom sklearn.linear_model import LogisticRegression\n"
    "X = pd.DataFrame({'hour': [1, 2, 3, 4] * 20})\ny = [False, False, True, True] * 20\n"
    "clf = LogisticRegression().fit(X, y)"
)
REGISTER = "%%mlprod register late --model $clf --data $X --target $y --alias champion --from-clean-run\nfirst"
SAVED = 1_700_000_000.0
FILE = (text("# Training"), code(LOAD), code(FIT), code(REGISTER), code("1 / 0"))


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("site")
    new_workspace(root)
    return root


def ran(*sources: str, at: float = 0.0) -> tuple[ExecutedCell, ...]:
    """Return cells as a front end tells them: the notebook's first cell is text."""
    return tuple(ExecutedCell(place, source, f"cell-{place}", at=at) for place, source in enumerate(sources, 1))


def register(root: Path, cells: tuple[ExecutedCell, ...], path: str = "train.ipynb") -> RegisterResult:
    """Register as the magic does whose notebook has run these cells; what the kernel holds is not looked at."""
    caller = Caller("ada", notebook=NotebookContext(path, cells))
    return Workspace(root, caller=caller).register("late", model=object(), data=object(), from_clean_run=True)


def test_the_fresh_kernel_registers_and_the_lineage_says_so(root: Path) -> None:
    write(root / "train.ipynb", *FILE)
    result = register(root, ran(LOAD, FIT, REGISTER))
    assert result.headline() == "Registered late/1 as @champion."
    assert result.notebook == "ran from top to bottom in a fresh kernel"
    assert (result.note, result.reference_rows, result.remarks) == ("first", 80, ())
    registry = Workspace.open(root).context.registry
    assert len(registry.versions("late")) == 1  # the cell inside of the clean run has started no other
    notebook = registry.lineage(registry.resolve("late/1")).notebook
    assert notebook is not None
    assert notebook.clean
    assert (notebook.path, notebook.registers, notebook.folder) == (str((root / "train.ipynb").resolve()), 3, ".")
    again = Workspace.open(root).reproduce("late/1")
    assert again.exit_code == 0, str(again)


def test_a_clean_run_that_fails_registers_nothing_and_names_cell_and_page(root: Path) -> None:
    broken = "clf.fit(elsewhere)"
    write(root / "broken.ipynb", code(LOAD), code(broken), code(REGISTER))
    before = Workspace.open(root).models().versions
    cells = tuple(ExecutedCell(n, source, f"cell-{n - 1}") for n, source in enumerate((LOAD, broken, REGISTER), 1))
    with pytest.raises(ExecutionFailed) as caught:
        register(root, cells, "broken.ipynb")
    message = str(caught.value)
    assert message.startswith("the clean run failed in cell 2: NameError: name 'clf' is not defined; no version is")
    page = root / message.rpartition("As far as it came: ")[2]
    assert page.is_file()
    assert Workspace.open(root).models().versions == before


def test_what_ran_since_the_file_was_saved_and_is_not_in_it_is_refused_before_anything_runs(root: Path) -> None:
    file = write(root / "train.ipynb", *FILE)
    os.utime(file, (SAVED, SAVED))
    edited = FIT + "\nclf.fit(X, y)"
    new = ExecutedCell(3, "y = [True] * 80", "cell-new", at=SAVED + 1)
    with pytest.raises(Refused, match=r"train.ipynb is not saved since \[2\] ran. Save the notebook, and run this"):
        register(root, ran(LOAD, edited, REGISTER, at=SAVED + 1))
    with pytest.raises(Refused, match=r"not saved since \[3\] ran"):
        register(root, (*ran(LOAD, FIT), new, *ran(LOAD, FIT, REGISTER)[-1:]))
    with pytest.raises(Refused, match=r"not saved since \[3\] ran"):
        register(root, ran(LOAD, FIT, REGISTER + " again", at=SAVED + 1))


def test_what_was_edited_or_deleted_and_saved_after_it_ran_is_no_hindrance(root: Path) -> None:
    file = write(root / "edited.ipynb", *FILE)
    os.utime(file, (SAVED, SAVED))
    before = (*ran(LOAD, "X = 1 / 0", at=SAVED - 1), ExecutedCell(8, "X.head()", "cell-gone", at=SAVED - 1))
    now = ExecutedCell(9, REGISTER, "cell-3", at=SAVED + 1)
    assert recorded.standing(file, (*before, now)) == recorded.Standing(3, ())


def test_a_front_end_with_ids_of_its_own_is_understood_by_the_text(root: Path) -> None:
    file = write(root / "code.ipynb", *FILE)
    cells = tuple(ExecutedCell(n, source, f"vscode#{n}") for n, source in enumerate((LOAD, FIT, REGISTER), 1))
    assert recorded.standing(file, cells) == recorded.Standing(3, ())


def test_without_a_notebook_or_its_file_it_says_where_it_works(root: Path) -> None:
    with pytest.raises(UsageError, match="runs the notebook that asks, and this is none"):
        Workspace.open(root).register("late", model=object(), data=object(), from_clean_run=True)
    with pytest.raises(UsageError, match="the notebook's file is not known"):
        register(root, ran(LOAD), "")
    with pytest.raises(UsageError, match="the notebook's file is not known"):
        register(root, ran(LOAD), "gone.ipynb")
