"""A user's notebook under nbval: run again, its cells show what JupyterLab kept of them."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient

from mlprod_nb import Workspace
from mlprod_nb.lifecycle.ci import sanitizing
from tests.lifecycle.conftest import Site, make_site

#: Cells that look at what is there: they show the moment, ages, ids, processes, what was measured.
READING = [
    "%load_ext mlprod_nb",
    "print('said before a panel')\n%mlprod status",
    "%mlprod logs flights --limit 3",
    "%mlprod monitor flights --since 1d",
    "%mlprod history flights",
    "%mlprod verify",
    *(f"%mlprod panel {name}" for name in ("live", "registry", "traffic", "drift", "jobs", "approvals")),
]


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    site = make_site(tmp_path)
    site.workspace.up()
    site.workspace.deploy("flights@champion")
    site.workspace.predict("flights", data=site.data[:50])
    yield site
    site.workspace.down(yes=True)
    site.workspace.context.store.close()


class JupyterLab(NotebookClient):
    """Executes a notebook as JupyterLab does: a request names its cell, and so the kernel sends panels."""

    def execute_with_panels(self) -> None:
        with self.setup_kernel(cwd=str(self.resources["metadata"]["path"])):
            session = self.kc.session
            plain = session.msg
            for index, cell in enumerate(self.nb.cells):

                def named(kind: str, *args: Any, cell: Any = cell, **options: Any) -> Any:
                    message = plain(kind, *args, **options)
                    return {**message, "metadata": {**message["metadata"], "cellId": cell.id}}

                session.msg = named
                self.execute_cell(cell, index)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::RuntimeWarning")
def test_what_jupyterlab_kept_of_a_notebook_is_what_nbval_finds(site: Site) -> None:
    root = site.workspace.root
    written = site.workspace.ci_nbval()
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source) for source in READING])
    notebook.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3", "language": "python"}
    JupyterLab(notebook, resources={"metadata": {"path": root}}).execute_with_panels()
    widgets = [o for cell in notebook.cells for o in cell.outputs if is_a_panel(o)]
    assert len(widgets) == sum("panel" in source for source in READING)
    nbformat.write(notebook, root / "reading.ipynb")
    command = [sys.executable, *written.run.replace("NOTEBOOK", "reading").split()[1:]]
    done = subprocess.run(
        [*command, "-q", "-p", "no:cacheprovider", "-c", "/dev/null", f"--rootdir={root}", "-W", "ignore"],
        cwd=root, capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-5000:]


def is_a_panel(output: Any) -> bool:
    return "application/vnd.jupyter.widget-view+json" in output.get("data", {})


def sanitized(output: str) -> str:
    """Return an output as nbval compares it."""
    for regex, replace in sanitizing.PATTERNS.values():
        output = re.sub(regex, replace, output)
    return output


@pytest.mark.parametrize(
    ("once", "again"),
    [
        ("at  2026-11-27T02:51:32Z", "at  2026-11-28T03:00:00Z"),
        ('<span class="s">2026-11-26</span> 02:51 to …', '<span class="s">2026-11-27</span> 03:51 to …'),
        ("newest: 2026-11-27 02:51 UTC, 1 s before now", "newest: 2026-11-28 02:51 UTC, 1.1 days before now"),
        ("of 2026-11-27 02:51 UTC, 5 minutes before now", "of 2026-11-27 02:51 UTC, 1 hour before now"),
        ("seconds  15.14", "seconds  9.8"),
        ("| seconds | 15.14 |", "| seconds | 9.8 |"),
        ("answers after 0.017 s.", "answers after 1.2 s."),
        ("gateway pid  12", "gateway pid  123456"),
        ("| scheduler pid | 12 |", "| scheduler pid | 7 |"),
        ("01a21aeb-d0bf-767a-a377-e42060f742eb  x", "01a21aeb-24ab-75b6-acfc-74f8dc6c5999  x"),
        ("f/drift/20261127T025316Z-7da550a9165c/index.html", "f/drift/20261128T025316Z-123456789012/index.html"),
        ("p95 12.5 ms  of 1,024 MB", "p95 9 ms  of 98.1 MB"),
    ],
)  # fmt: skip
def test_moments_ids_and_measurements_are_taken_for_equal(once: str, again: str) -> None:
    assert once != again
    assert sanitized(once) == sanitized(again)


@pytest.mark.parametrize(
    ("once", "again"),
    [
        ("269 predictions", "270 predictions"),
        ("window  2013-04-01 to 2013-05-01", "window  2013-04-02 to 2013-05-01"),
        ("accuracy holds at 0.974", "accuracy holds at 0.973"),
        ("flights/1", "flights/2"),
        ("rolled out in 3 days", "rolled out in 4 days"),
    ],
)
def test_all_else_is_compared(once: str, again: str) -> None:
    assert sanitized(once) != sanitized(again)


def test_the_file_holds_each_expression_as_nbval_reads_it() -> None:
    pairs = re.findall(r"^regex: (.*)$\n^replace: (.*)$", sanitizing.text(), re.MULTILINE)
    assert pairs == list(sanitizing.PATTERNS.values())


def test_a_file_that_is_there_is_kept_unless_forced_and_a_dry_run_writes_none(tmp_path: Path) -> None:
    Workspace.init(str(tmp_path))
    workspace, file = Workspace.open(tmp_path), tmp_path / "nbval.cfg"
    assert "would be written" in str(workspace.ci_nbval(dry_run=True))
    assert not file.exists()
    file.write_text("mine\n", encoding="utf-8")
    assert "stays as it is; --force writes it anew" in str(workspace.ci_nbval())
    assert file.read_text(encoding="utf-8") == "mine\n"
    workspace.ci_nbval(force=True)
    assert file.read_text(encoding="utf-8") == sanitizing.text()
