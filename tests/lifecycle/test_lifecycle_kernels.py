from __future__ import annotations

import json
import shlex
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from mlprod_nb import reports
from mlprod_nb.errors import ExecutionFailed
from mlprod_nb.lifecycle import kernels
from mlprod_nb.store import evidence
from mlprod_nb.workspace import Workspace
from tests.notebook_files import PARAMETERS, verdict, write
from tests.notebook_files import code as cell

ROOT = Path(__file__).parent.parent.parent


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    Workspace.init(str(tmp_path / "shop"))
    return Workspace.open(tmp_path / "shop")


def test_a_dry_run_shows_the_commands_and_makes_nothing(workspace: Workspace) -> None:
    result = workspace.kernel_alibi(dry_run=True)
    environment, packages, kernel = (shlex.split(command) for command in result.commands)
    assert environment[1:3] == ["-m", "venv"]
    assert packages[-1].startswith(("mlprod_nb[alibi]==", "/"))
    assert "[alibi]" in packages[-1]
    assert kernel[kernel.index("--name") + 1] == "mlprod-alibi"
    assert kernel[kernel.index("--prefix") + 1] == sys.prefix
    assert not Path(result.folder).exists()
    assert "Business Source License" in str(result)
    assert "would be made" in str(result)


def test_the_commands_run_in_their_order_and_the_audit_says_so(workspace: Workspace) -> None:
    ran: list[Sequence[str]] = []
    result = kernels.make_alibi(workspace.context, source="wheel", dry_run=False, run=ran.append)
    assert [shlex.join(command) for command in ran] == list(result.commands)
    assert "kernel" in str(workspace.audit_show())


def test_a_command_that_fails_tells_its_last_lines(workspace: Workspace, tmp_path: Path) -> None:
    with pytest.raises(ExecutionFailed, match="pip install") as failed:
        kernels._run([sys.executable, "-m", "pip", "install", "--no-index", str(tmp_path / "nothing")])
    assert "nothing" in failed.value.hint


def test_of_what_a_command_said_only_the_errors_are_told_where_it_names_any() -> None:
    said = "print('WARNING: a place is ignored', 'ERROR: no space left', sep='\\n'); raise SystemExit(1)"
    with pytest.raises(ExecutionFailed) as failed:
        kernels._run([sys.executable, "-c", said])
    assert failed.value.hint == "ERROR: no space left"


@pytest.mark.parametrize("end", [ExecutionFailed("no space left."), KeyboardInterrupt()])
def test_of_a_kernel_that_could_not_be_made_nothing_is_left(workspace: Workspace, end: BaseException) -> None:
    def run(command: Sequence[str]) -> None:
        if "venv" in command:
            (Path(command[-1]) / "lib").mkdir(parents=True)
        else:
            raise end

    with pytest.raises(type(end)):
        kernels.make_alibi(workspace.context, source="wheel", dry_run=False, run=run)
    assert not any((workspace.context.layout.state / "kernels").iterdir())
    assert "kernel" not in str(workspace.audit_show())


@pytest.mark.exhaustive
def test_a_kernel_is_made_that_has_alibi_detect_and_runs_a_report(
    workspace: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Takes minutes, and the package index."""

    def run(command: Sequence[str]) -> None:
        kernels._run([str(tmp_path) if word == sys.prefix else word for word in command])

    made = kernels.make_alibi(workspace.context, source=f"{ROOT}[alibi]", dry_run=False, run=run)
    spec = json.loads((tmp_path / "share/jupyter/kernels/mlprod-alibi/kernel.json").read_text())
    assert spec["argv"][0] == f"{made.folder}/bin/python"
    code = "from mlprod_nb.monitoring.detectors.alibi import available; assert available(); import alibi_detect.cd"
    subprocess.run([spec["argv"][0], "-c", code], check=True, capture_output=True, env={"PATH": ""})
    monkeypatch.setenv("JUPYTER_PATH", str(tmp_path / "share/jupyter"))
    ask = cell("import numpy\nfrom alibi_detect.cd import KSDrift\nprint('numpy', numpy.__version__)")
    root = workspace.context.root
    write(root / "notebooks" / "own_report.ipynb", cell(PARAMETERS, "parameters"), ask, verdict("warn"))
    pinned = '{"endpoint": "flights", "rows": 0, "segments": [], "since": null, "until": null}'
    request = reports.ReportRequest("flights", "own", pinned, ("flights/1",), kernel=kernels.NAME)
    found = reports.run_report(request, root=root, store=workspace.context.store)
    packages = evidence.verify(found.page.parent)["bound_to"]["packages"]
    assert packages["alibi-detect"].startswith("0.13")
    assert f"numpy {packages['numpy']}" in found.notebook.read_text(encoding="utf-8")
    assert packages["numpy"].startswith("1.")
