"""``why`` after an error, and errors that stop what runs notebooks."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx
import nbformat
import pytest

from mlprod_nb import Workspace, commands
from mlprod_nb.clock import utc_now
from mlprod_nb.errors import MlprodError, NotFound, Unavailable
from mlprod_nb.lifecycle import faults
from mlprod_nb.settings import Layout


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    Workspace.init(str(tmp_path))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def fail(line: str) -> MlprodError:
    with pytest.raises(MlprodError) as caught:
        commands.run(commands.split(line), commands.Door(command=f"mlprod {line}"))
    return caught.value


def test_why_shows_the_last_error_with_what_lay_beneath_it(root: Path) -> None:
    assert str(Workspace.open(root).why()) == "Nothing has failed here yet."
    fail("predict nowhere --data x.csv")
    fail("rollback nowhere")
    found = Workspace.open(root).why()
    assert found.command == "mlprod rollback nowhere"
    assert found.chain[0].error == "NotFound"
    assert found.chain[0].where.startswith("revise.py:")
    assert "there is no endpoint 'nowhere'" in str(found)
    assert len(found.to_frame()) == len(found.chain)


def test_a_mistyped_line_shows_no_servers_log(root: Path) -> None:
    Layout(root).run.mkdir(parents=True, exist_ok=True)
    (Layout(root).run / "gateway.log").write_text("nothing to do with it\n")
    for line in ("rollback nowhere", "deplyo flights"):
        fail(line)
        assert Workspace.open(root).why().log == ""


def test_a_wrong_word_is_kept_too(root: Path) -> None:
    fail("deplyo flights")
    assert "Did you mean 'deploy'" in Workspace.open(root).why().chain[0].message


def test_the_chain_holds_what_the_line_hides(root: Path) -> None:
    request = httpx.Request("POST", "http://somebody:secret@127.0.0.1:9/predict")
    try:
        try:
            raise httpx.ConnectError("refused", request=request)
        except httpx.ConnectError:
            raise Unavailable("the gateway does not answer.") from None
    except Unavailable as error:
        faults.note(Layout(root), error, "mlprod predict", utc_now())
    (Layout(root).run / "gateway.log").write_text("first\nBearer abc.def\n")
    found = faults.why(Layout(root))
    assert [row.error for row in found.chain] == ["Unavailable", "ConnectError"]
    assert found.request.startswith("POST http://somebody:")
    assert found.log == ".mlprod/run/gateway.log"
    assert found.log_end == ("first", "Bearer …")
    assert "secret" not in Layout(root).faults.read_text()


def test_only_the_last_errors_are_kept_and_a_damaged_file_is_none(root: Path) -> None:
    for number in range(30):
        faults.note(Layout(root), NotFound("model", str(number)), "mlprod x", utc_now())
    assert len(Layout(root).faults.read_text().splitlines()) == 20
    Layout(root).faults.write_text("{")
    assert faults.why(Layout(root)).chain == ()


def test_a_notebooks_own_error_comes_before_anothers(root: Path) -> None:
    fail("rollback mine")
    other = {**json.loads(Layout(root).faults.read_text()), "session": 1, "command": "mlprod rollback other"}
    with Layout(root).faults.open("a") as file:
        file.write(json.dumps(other) + "\n")
    assert Workspace.open(root).why().command == "mlprod rollback mine"
    mine, _ = Layout(root).faults.read_text().splitlines()
    Layout(root).faults.write_text(mine.replace('"session": ', '"session": 9') + "\n" + json.dumps(other) + "\n")
    assert Workspace.open(root).why().command == "mlprod rollback other"


def test_an_error_outside_of_a_workspace_is_told_all_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert "Make one with: mlprod init" in str(fail("why"))
    assert list(tmp_path.iterdir()) == []


def failing(root: Path) -> Path:
    cells = ["%load_ext mlprod_nb", "%mlprod rollback nowhere", "print('never')"]
    notebook: Any = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
    notebook.metadata.kernelspec = {"name": "python3", "display_name": "Python 3", "language": "python"}
    nbformat.write(notebook, root / "failing.ipynb")
    return root / "failing.ipynb"


def test_an_error_stops_papermill_with_its_message_stored(root: Path) -> None:
    notebook = failing(root)
    command = [sys.executable, "-m", "papermill", str(notebook), str(root / "out.ipynb"), "--no-progress-bar"]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, timeout=120)
    assert done.returncode != 0
    cells = nbformat.read(root / "out.ipynb", as_version=4).cells
    stored = [output for cell in cells for output in cell.get("outputs", ()) if output.output_type == "error"]
    assert stored[0].traceback == [
        "mlprod: there is no endpoint 'nowhere'. Nothing is deployed yet: %mlprod deploy MODEL@ALIAS"
    ]
    assert not any("never" in str(cell.get("outputs")) for cell in cells)


@pytest.mark.parametrize("how", ["--nbval", "--nbval-lax"])
def test_an_error_fails_nbval(root: Path, how: str) -> None:
    notebook = failing(root)
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:asyncio", how, str(notebook)]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, timeout=120)
    assert done.returncode == 1
    assert "there is no endpoint 'nowhere'" in done.stdout
