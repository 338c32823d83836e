"""A runner that was started early executes one notebook as any other does, and leaves nothing where none needs it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from mlprod_nb import notebooks
from tests.notebook_files import code, write
from tests.notebooks.executions import alive, printed, until

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="a runner waits on Linux only")


def execute(runner: notebooks.EarlyRunner, folder: Path, source: str) -> str:
    """Execute a cell and return what it prints."""
    path = write(folder / "in.ipynb", code(source))
    within = notebooks.Surroundings(nursery=runner)
    notebooks.execute(path, folder / "out.ipynb", {}, timeout_seconds=120, cwd=folder, within=within)
    return printed(folder)[0]


def waiting(mark: str) -> list[int]:
    """Return the processes that carry a mark, as the system tells their environments."""
    found = []
    for process in psutil.process_iter():
        try:
            if mark in process.environ().values() and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process.pid)
        except (psutil.Error, OSError):
            continue
    return found


def test_it_executes_one_notebook_and_the_next_has_a_runner_of_its_own(tmp_path: Path) -> None:
    look = f"import os, sys\nprint(os.environ['{notebooks.execution.MARK}'], getattr(sys, 'seen', 0))\nsys.seen = 1"
    with notebooks.EarlyRunner() as runner:
        assert execute(runner, tmp_path, look).split() == [runner.mark, "0"]
        assert waiting(runner.mark) == []
        assert execute(runner, tmp_path, look).split()[1] == "0"
    assert waiting(runner.mark) == []


def test_one_that_is_not_needed_ends_with_its_kernel(tmp_path: Path) -> None:
    with notebooks.EarlyRunner() as runner:
        until(lambda: len(waiting(runner.mark)) == 2)
    until(lambda: not waiting(runner.mark))


def test_one_that_has_ended_is_done_without(tmp_path: Path) -> None:
    with notebooks.EarlyRunner() as runner:
        assert runner._process is not None
        runner._process.kill()
        runner._process.wait()
        assert execute(runner, tmp_path, "print('started')") == "started\n"


def test_a_line_that_fails_before_its_notebook_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "mlprod.toml").touch()
    (tmp_path / ".mlprod").mkdir()
    line = [sys.executable, "-m", "mlprod_nb.cli", "report", "nowhere", "drift"]
    with subprocess.Popen(line, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as shell:
        below: set[int] = set()
        while shell.poll() is None:
            below |= {process.pid for process in psutil.Process(shell.pid).children(recursive=True)}
        assert shell.stderr is not None
        assert "nowhere" in shell.stderr.read()
    assert below
    until(lambda: not any(map(alive, below)))
