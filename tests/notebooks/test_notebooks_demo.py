"""What the demo leaves behind."""

from __future__ import annotations

from pathlib import Path

import nbformat
import pytest
from nbformat.sign import NotebookNotary

from tools import demo


def test_jupyterlab_trusts_the_notebook_that_the_demo_executed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JUPYTER_DATA_DIR", str(tmp_path / "data"))
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("%mlprod status")])
    nbformat.write(notebook, tmp_path / "quickstart.ipynb")
    demo.trust(tmp_path / "quickstart.ipynb")
    assert NotebookNotary().check_signature(nbformat.read(tmp_path / "quickstart.ipynb", as_version=4))
