"""However a report's kernel ends: the right reason, no process left, a page that marks the cell and says what to do."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from mlprod_nb import notebooks, reports
from mlprod_nb.notebooks.execution import LARGEST_NOTEBOOK
from mlprod_nb.store import Store, report_index
from tests.notebook_files import PARAMETERS, code, text, verdict, write
from tests.notebooks.executions import alive

PINNED = '{"endpoint": "flights", "rows": 0, "segments": [], "since": null, "until": null}'
#: What every one of these notebooks does first; its output must be kept.
BEGIN = "import os, signal\nprint('process', os.getpid(), flush=True)"
#: Of the kernel's cells: the title, the parameters, those injected, the beginning, the end.
LAST = 4


@dataclass(frozen=True)
class Ending:
    """How a cell ends its kernel, and what must come of it."""

    source: str
    reason: str
    said: str
    limit: float = 120.0


ENDINGS = {
    "killed, as by a system without memory": Ending(
        "os.kill(os.getpid(), signal.SIGKILL)", "died", "ended because its kernel died"
    ),
    "crashed in a library": Ending("import ctypes\nctypes.string_at(0)", "died", "ended because its kernel died"),
    "killed by another process": Ending(
        "import subprocess, time\n"
        "subprocess.Popen(['sh', '-c', f'sleep 0.3; kill -9 {os.getpid()}'], start_new_session=True)\n"
        "time.sleep(600)",
        "died",
        "ended because its kernel died",
    ),
    "out of memory within its limit": Ending("b'x' * 2**33", "memory", "ran out of memory: MemoryError"),
    "out of memory in numpy, bit by bit": Ending(
        "import numpy\nkept = []\nwhile True:\n    kept.append(numpy.ones(2**22))", "memory", "ran out of memory"
    ),
    "hung with the interpreter locked": Ending(
        "import ctypes\nctypes.PyDLL(None).sleep(600)", "timeout", "it reached the limit of 20 s", limit=20
    ),
    # A kernel that wrote such lines faster than they are read would die of what it keeps.
    "printing long lines without end": Ending(
        "while True:\n    print('x' * 50_000)", "output", "it made more than 32 MiB of output"
    ),
    "silent after it printed too much": Ending(
        "import time\nfor _ in range(40):\n    print('x' * 2**20)\ntime.sleep(600)",
        "output",
        "it made more than 32 MiB of output",
    ),
    "left by an exit": Ending("raise SystemExit(3)", "error", "SystemExit"),
}


def run(root: Path, store: Store, *cells: dict[str, Any], limit: float) -> reports.ReportResult:
    path = root / "notebooks" / "own_report.ipynb"
    write(path, text("# Own"), code(PARAMETERS, "parameters"), code(BEGIN), *cells)
    request = reports.ReportRequest("flights", "own", PINNED, ("flights/1",), timeout_seconds=limit, memory_mib=1024)
    return reports.run_report(request, root=root, store=store, clock=lambda: datetime(2013, 5, 1, tzinfo=UTC))


def kernel_of(notebook: Path) -> int:
    printed = "".join(
        "".join(output.get("text", ""))
        for cell in notebooks.read(notebook)["cells"]
        for output in cell.get("outputs", ())
    )
    return int(re.findall(r"process (\d+)", printed)[0])


@pytest.mark.parametrize("ending", ENDINGS.values(), ids=list(ENDINGS))
def test_a_report_whose_kernel_ends_early_leaves_a_page_and_no_process(
    tmp_path: Path, store: Store, ending: Ending
) -> None:
    with pytest.raises(reports.ReportFailed) as caught:
        run(tmp_path, store, code(ending.source), verdict(), limit=ending.limit)
    error = caught.value
    assert (error.reason, error.cell_index) == (ending.reason, LAST)
    assert not alive(kernel_of(error.notebook))
    page = error.page.read_text(encoding="utf-8")
    assert ending.said in page.split("<h1>")[1].split("</h1>")[0]
    assert "What to do" in page
    assert f'<div class="cell failed" id="cell-{LAST + 1}">' in page
    assert f"Not run (cell {LAST + 2})" in page
    assert "process " in page
    assert len(page.encode()) <= 200_000
    assert error.notebook.stat().st_size <= 2 * LARGEST_NOTEBOOK
    with store.read() as connection:
        assert report_index.list_reports(connection) == []


def test_a_kernel_that_dies_when_all_cells_have_ended_changes_nothing(tmp_path: Path, store: Store) -> None:
    late = code("import atexit\natexit.register(os.kill, os.getpid(), signal.SIGKILL)")
    found = run(tmp_path, store, late, verdict("warn", "a little moved."), limit=120)
    assert found.verdict.sentence == "a little moved."
    assert not alive(kernel_of(found.notebook))
    assert "A little moved." in found.page.read_text(encoding="utf-8")


def test_a_kernel_that_dies_before_the_last_cell_is_answered_has_come_to_no_verdict(
    tmp_path: Path, store: Store
) -> None:
    hook = "def end(*_):\n    os.kill(os.getpid(), signal.SIGKILL)\n\n"
    hook += "get_ipython().events.register('pre_run_cell', "
    hook += "lambda *_: get_ipython().events.register('post_run_cell', end))"
    with pytest.raises(reports.ReportFailed) as caught:
        run(tmp_path, store, code(hook), verdict("ok", "nothing moved."), limit=120)
    assert (caught.value.reason, caught.value.cell_index) == ("died", LAST + 1)
    assert not alive(kernel_of(caught.value.notebook))
