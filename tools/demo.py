"""Run the quickstart headless in a folder, and say where its reports lie."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import nbformat
import papermill
from nbformat.sign import NotebookNotary

from mlprod_nb import Workspace, assets


def trust(notebook: Path) -> None:
    """Let JupyterLab show what was executed here as it is: a stranger's outputs lose their style and pictures."""
    NotebookNotary().sign(nbformat.read(notebook, as_version=4))


def main(folder: Path) -> int:
    """Execute the quickstart in an empty folder; return the exit code."""
    if (folder / "mlprod.toml").exists():
        print(f"{folder}/ holds an earlier demo; removing it.")
        Workspace.open(folder).down(yes=True)
        shutil.rmtree(folder)
    folder.mkdir(parents=True, exist_ok=True)
    executed = folder / "quickstart.ipynb"
    print("Running notebooks/quickstart.ipynb on the New York flights of 2013 …")
    try:
        papermill.execute_notebook(
            assets.path("notebooks", "quickstart.ipynb"),
            executed,
            cwd=folder,
            progress_bar=True,
            log_output=False,
            # Its warnings are about the network of a kernel that talks to this process alone.
            extra_arguments=["--IPKernelApp.log_level=ERROR"],
        )
    except papermill.PapermillExecutionError as error:
        print(f"\nThe quickstart failed in cell {error.exec_count}: {error.ename}: {error.evalue}", file=sys.stderr)
        print(f"What it had done is in {executed}", file=sys.stderr)
        return 1
    trust(executed)
    workspace = Workspace.open(folder)
    print(f"\n{workspace.status()}\n")
    print(f"The executed notebook: {executed}")
    for page in sorted(folder.glob("reports/*/**/index.html")):
        print(f"A report:              {page}")
    print(f"All reports:           {workspace.site().page}")
    workspace.down(yes=True)
    print("The gateway is stopped. Explore further with: make lab")
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
