"""The kinds of report: those that ship, and a user's own notebooks, each copied from one of them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mlprod_nb import assets, notebooks
from mlprod_nb.errors import InvalidInput, NotFound, Refused, UsageError
from mlprod_nb.notebooks.files import Notebook, write
from mlprod_nb.results import Result

FOLDER = "notebooks"
_SUFFIX = "_report"
_NAME = re.compile(r"[^\W_][\w-]*")
#: What a report gives its notebook by itself; without these two no verdict could be bound to the rows it rests on.
GIVEN = ("workspace", "endpoint", "pinned")
_NEEDS = ("endpoint", "pinned")


@dataclass(frozen=True)
class OwnReport(Result):
    """A report notebook of the user's own was made.

    Attributes:
        kind: The kind of report that it is.
        notebook: The notebook, relative to the workspace.
        copied_from: The kind that it is a copy of.
        run_it: The line that runs it.
    """

    kind: str
    notebook: str
    copied_from: str
    run_it: str

    def headline(self) -> str:
        """Name the file."""
        return f"{self.notebook} is yours: change it, and end it in one verdict."


def names(root: Path) -> list[str]:
    """Return the kinds of report there are: those that ship and the workspace's own."""
    folders = (root, root / FOLDER, assets.folder("notebooks"))
    found = {path.stem for folder in folders if folder.is_dir() for path in folder.glob(f"*{_SUFFIX}.ipynb")}
    return sorted(name.removesuffix(_SUFFIX) for name in found)


def source(kind: str, root: Path) -> Path:
    """Return the notebook of a kind of report: ``KIND_report.ipynb``, else the workspace's own ``KIND.ipynb``.

    Raises:
        NotFound: There is no such kind.
    """
    known = names(root)
    if kind in known:
        return notebooks.find(kind + _SUFFIX, root=root)
    own = [folder / f"{kind}.ipynb" for folder in (root, root / FOLDER)] if _NAME.fullmatch(kind) else []
    found = next((path for path in own if path.is_file()), None)
    if found is None:
        raise NotFound("kind of report", kind, known)
    return found


def given(path: Path, offered: dict[str, Any], options: dict[str, Any]) -> dict[str, Any]:
    """Return what a report's notebook is given: of what is offered all that it declares, and the options.

    Raises:
        InvalidInput: Its parameters cell lacks the endpoint or the pinned range.
        UsageError: An option is one of those that a report sets itself.
    """
    declared = notebooks.declared(notebooks.read(path))
    for name in _NEEDS:
        if name not in declared:
            raise InvalidInput(
                f"{path.name} is no report: its parameters cell does not declare {name!r}.",
                hint=f'Add `{name}: str = ""` to the cell tagged "parameters", and read the rows that it names.',
            )
    taken = next((name for name in options if name in GIVEN), None)
    if taken:
        raise UsageError(f"parameter {taken!r} is set by the report itself.")
    return {name: value for name, value in offered.items() if name in declared} | options


def new(name: str, like: str, root: Path) -> OwnReport:
    """Copy the notebook of a kind of report into the workspace, as a kind of the user's own.

    Args:
        name: The new kind; where one that ships has this name, the copy takes its place.
        like: The kind to copy.
        root: The workspace's directory.

    Raises:
        UsageError: The name cannot be a file's.
        NotFound: There is no such kind to copy.
        Refused: The workspace has such a notebook already.
    """
    if not _NAME.fullmatch(name):
        raise UsageError(f"{name!r} cannot be a report's name.", hint="Take letters, digits, - and _, as in latency.")
    original = source(like, root)
    path = root / FOLDER / f"{name}{_SUFFIX}.ipynb"
    if path.exists():
        raise Refused(f"{path.relative_to(root)} is there already.", hint="Take another name, or change that one.")
    write(_titled(notebooks.read(original), name), path)
    return OwnReport(name, path.relative_to(root).as_posix(), like, f"mlprod report ENDPOINT {name}")


def _titled(notebook: Notebook, name: str) -> Notebook:
    """Give a notebook's first heading the new name."""
    title = f"# {name.replace('_', ' ').capitalize()} report"
    for cell in notebook["cells"]:
        if cell["cell_type"] == "markdown" and cell["source"].startswith("# "):
            cell["source"] = "\n".join([title, *cell["source"].split("\n")[1:]])
            break
    return notebook
