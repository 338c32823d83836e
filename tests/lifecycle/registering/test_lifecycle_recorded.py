"""What a version keeps of the notebook that registers, and what it says where that is not what ran."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from mlprod_nb import Workspace, notebooks
from mlprod_nb.lifecycle.context import Caller, Context
from mlprod_nb.lifecycle.registering import recorded
from mlprod_nb.registry import attachments
from mlprod_nb.registry.lineage import ExecutedCell, NotebookContext
from tests.notebook_files import code, text, write
from tests.workspaces import new_workspace

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")

IMPORT, LOAD, FIT, REGISTER = "import pandas", "X = 1", "clf = X + 1", "%mlprod register flights"
FILE = (code(IMPORT), text("# Training"), code(LOAD), code(FIT), code(REGISTER))


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("site")
    new_workspace(root)
    return root


def kept(root: Path, *ran: ExecutedCell, path: str = "train.ipynb") -> recorded.Recorded:
    """Return what is kept after these cells ran, of which the last registers."""
    caller = Caller("ada", notebook=NotebookContext(path, ran))
    found = recorded.record(Context(root, caller, Workspace.open(root).clock))
    assert found is not None
    return found


def sources(found: recorded.Recorded) -> list[str]:
    return [cell["source"] for cell in json.loads(found.notebook)["cells"]]


def ran(number: int, source: str, place: int | None = None, **more: Any) -> ExecutedCell:
    return ExecutedCell(number, source, "" if place is None else f"cell-{place}", **more)


IN_ORDER = (ran(1, IMPORT, 0), ran(2, LOAD, 2), ran(3, FIT, 3), ran(4, REGISTER, 4))


@pytest.mark.parametrize("with_ids", [True, False], ids=["ids", "no ids"])
def test_a_notebook_that_ran_from_top_to_bottom_is_kept_as_it_is_saved(root: Path, with_ids: bool) -> None:
    file = write(root / "train.ipynb", *FILE)
    cells = IN_ORDER if with_ids else [ExecutedCell(cell.execution_count, cell.source) for cell in IN_ORDER]
    found = kept(root, *cells)
    assert found.context.remarks == ()
    assert (found.context.kept, found.context.registers) == ("saved", 4)
    assert found.context.sha256 == notebooks.sha256(file)
    assert [cell.id for cell in found.context.cells] == ["cell-0", "cell-2", "cell-3", "cell-4"]
    assert sources(found) == [cell["source"] for cell in FILE]


def test_outputs_are_not_kept(root: Path) -> None:
    output = {"output_type": "stream", "name": "stdout", "text": "a customer's name"}
    write(root / "train.ipynb", code(IMPORT, outputs=[output]), code(REGISTER))
    assert b"customer" not in kept(root, ran(1, IMPORT, 0), ran(2, REGISTER, 1)).notebook


CASES = {
    "out of order": (
        [ran(1, LOAD, 2), ran(2, IMPORT, 0), ran(3, FIT, 3), ran(4, REGISTER, 4)],
        "cells ran out of order: cell 3 [1] before cell 1 [2].",
        "saved",
    ),
    "run again after the next": (
        [*IN_ORDER[:3], ran(4, LOAD, 2), ran(5, REGISTER, 4)],
        "cells ran out of order: cell 4 [3] before cell 3 [4].",
        "saved",
    ),
    "edited": (
        [ran(1, IMPORT, 0), ran(2, "X = 2", 2), ran(3, FIT, 3), ran(4, REGISTER, 4)],
        "edited since it ran, or not saved: cell 3.",
        "cells",
    ),
    "deleted": (
        [ran(1, IMPORT, 0), ran(2, LOAD, 2), ran(3, "X = 7", 9), ran(4, FIT, 3), ran(5, REGISTER, 4)],
        "ran and is not in the saved notebook: [3].",
        "cells",
    ),
    "skipped": ([ran(1, IMPORT, 0), ran(2, REGISTER, 4)], "did not run in this kernel: cell 3, 4.", "saved"),
}


@pytest.mark.parametrize("case", CASES)
def test_what_does_not_agree_is_said(root: Path, case: str) -> None:
    write(root / "train.ipynb", *FILE)
    cells, remark, what = CASES[case]
    found = kept(root, *cells)
    assert found.context.remarks == ((remark,) if what == "saved" else (remark, recorded.AS_THEY_RAN))
    assert found.context.kept == what


def test_cells_that_no_file_holds_are_kept_as_they_ran_without_those_that_failed(root: Path) -> None:
    found = kept(root, ran(1, "1 / 0", failed=True), ran(2, LOAD), ran(3, REGISTER), path="")
    assert found.context.remarks == ("the order of the cells is not checked: the notebook's file is not known.",)
    assert (found.context.kept, found.context.registers, sources(found)) == ("cells", 1, [LOAD, REGISTER])


def test_a_cell_that_failed_and_was_mended_is_no_remark(root: Path) -> None:
    write(root / "train.ipynb", *FILE)
    found = kept(
        root, ran(1, IMPORT, 0), ran(2, "X =", 2, failed=True), ran(3, LOAD, 2), ran(4, FIT, 3), ran(5, REGISTER, 4)
    )
    assert (found.context.remarks, found.context.kept) == ((), "saved")


def test_the_oldest_cells_of_an_endless_session_are_left_out(root: Path) -> None:
    long = "x" * (recorded.LARGEST // 2)
    found = kept(root, ran(1, long), ran(2, long), ran(3, REGISTER), path="")
    assert [cell.execution_count for cell in found.context.cells] == [2, 3]
    assert "the first 1 cells that ran are left out" in found.context.remarks[0]


def test_a_file_that_is_no_notebook_is_not_known(root: Path) -> None:
    (root / "train.ipynb").write_text("no notebook")
    assert kept(root, *IN_ORDER).context.kept == "cells"


def test_from_python_without_a_notebook_nothing_is_kept(root: Path) -> None:
    assert recorded.record(Workspace.open(root).context) is None


CELLS = (
    "%load_ext mlprod_nb",
    "from sklearn.linear_model import LogisticRegression",
    "import pandas as pd\nX = pd.DataFrame({'hour': [1, 2, 3, 4] * 20})\ny = [False, False, True, True] * 20",
    "clf = LogisticRegression(C=0.5).fit(X, y)",
    "%mlprod register late --model $clf --data $X --target $y --snapshot",
)


def through_a_front_end(root: Path, cells: dict[str, str]) -> None:
    """Run cells in a real kernel, each with its id, as JupyterLab sends them."""
    lines = (
        "from jupyter_client.manager import start_new_kernel\n"
        "import json, sys\n"
        "manager, client = start_new_kernel()\n"
        "for name, source in json.loads(sys.argv[1]).items():\n"
        "    content = dict(code=source, silent=False, store_history=True, user_expressions={},\n"
        "                   allow_stdin=False, stop_on_error=True)\n"
        "    message = client.session.msg('execute_request', content, metadata={'cellId': name})\n"
        "    client.shell_channel.send(message)\n"
        "    reply = client._recv_reply(message['header']['msg_id'], timeout=90)\n"
        "    assert reply['content']['status'] == 'ok', reply['content']\n"
        "client.stop_channels()\n"
        "manager.shutdown_kernel(now=True)\n"
    )
    environment = {**os.environ, "JPY_SESSION_NAME": str(root / "train.ipynb"), "MLPROD_WORKSPACE": str(root)}
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", lines, json.dumps(cells)],
        cwd=root,
        env=environment,
        capture_output=True,
        text=True,
        timeout=150,
    )
    assert done.returncode == 0, done.stderr


def test_a_real_kernel_tells_ids_and_order_and_the_version_carries_its_notebook(root: Path) -> None:
    write(root / "train.ipynb", *(code(source) for source in CELLS))
    order = [0, 2, 1, 3, 4]
    through_a_front_end(root, {f"cell-{index}": CELLS[index] for index in order})
    registry = Workspace.open(root).context.registry
    version = registry.resolve("late/1")
    lineage = registry.lineage(version)
    assert lineage.notebook is not None
    assert [cell.id for cell in lineage.notebook.cells] == [f"cell-{index}" for index in order]
    assert lineage.notebook.path == str(root / "train.ipynb")
    assert lineage.notebook.registers == 4
    assert lineage.notebook.remarks == ("cells ran out of order: cell 3 [2] before cell 2 [3].",)
    assert (lineage.parameters["estimator"], lineage.parameters["C"]) == ("LogisticRegression", "0.5")
    kept = json.loads(attachments.read(registry, version, "notebook.ipynb"))
    assert [cell["source"] for cell in kept["cells"]] == list(CELLS)
    (root / "data.parquet").write_bytes(attachments.read(registry, version, "data.parquet"))
    assert list(pd.read_parquet(root / "data.parquet").columns) == ["hour", "__label__"]
