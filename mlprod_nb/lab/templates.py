"""The notebooks that the launcher makes: shipped ones, copied as the user's own files.

A report and a retraining notebook are run by verbs, which look for them in the workspace's directory and in its folder
of notebooks: so they are made there, under names that no other notebook in either has.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

from mlprod_nb import assets
from mlprod_nb.errors import NotFound
from mlprod_nb.lab import places

_FOLDER = "notebooks"


@dataclass(frozen=True)
class Template:
    """What the launcher offers.

    Attributes:
        name: What it is called.
        notebook: The shipped notebook that it begins as.
        own: What the user's own is called, ``{}`` for the number of a further one; empty: made where the launcher is.
    """

    name: str
    notebook: str
    own: str = ""


@dataclass(frozen=True)
class Place:
    """Where a new notebook goes.

    Attributes:
        folder: The folder, as the server's contents know it.
        name: The file's name; empty: any that is free in the folder.
        makes_folder: Whether the folder is yet to be made.
    """

    folder: str
    name: str = ""
    makes_folder: bool = False


TEMPLATES = {
    template.name: template
    for template in (
        Template("report", "drift_report.ipynb", own="own{}_report.ipynb"),
        Template("train", "train.ipynb"),
        Template("retrain", "retrain.ipynb", own="retrain{}.ipynb"),
        Template("triage", "triage.ipynb"),
    )
}


def find(name: str) -> Template:
    """Return a template.

    Raises:
        NotFound: There is no such template.
    """
    if name not in TEMPLATES:
        raise NotFound("template", name, TEMPLATES)
    return TEMPLATES[name]


def place(template: Template, folder: str, root_dir: Path) -> Place:
    """Return where a new notebook goes.

    Args:
        template: What it begins as.
        folder: The folder that the launcher is in, as the server's contents know it.
        root_dir: The server's directory.

    Raises:
        HTTPError: 404: the folder is outside the server's directory.
    """
    here = places.folder_of(root_dir, folder).resolve()
    root = places.workspace_of(here)
    inside = places.inside(root_dir, root) if root is not None else None
    if not template.own:
        return Place(folder)
    if root is None or inside is None:
        return Place(folder, _free(template, [here]))
    searched = [root, root / _FOLDER]
    name = _free(template, searched)
    if here in searched:
        return Place(folder, name)
    return Place(f"{inside}/{_FOLDER}".strip("/"), name, makes_folder=not searched[1].is_dir())


def content(template: Template, file: str) -> dict[str, Any]:
    """Return the notebook, whose first heading and line say what it is called and what runs it."""
    notebook: dict[str, Any] = json.loads(assets.path("notebooks", template.notebook).read_text(encoding="utf-8"))
    if template.name == "report":
        kind = file.removesuffix("_report.ipynb")
        title = f"# {kind.replace('_', ' ').capitalize()} report"
        first = notebook["cells"][0]
        rest = "".join(first["source"]).split("\n", 1)[1]
        first["source"] = f"{title}\n\nRun it as a report: `%mlprod report ENDPOINT {kind}`\n{rest}"
    return notebook


def _free(template: Template, folders: list[Path]) -> str:
    names = (template.own.format("" if number == 1 else f"_{number}") for number in count(1))
    return next(name for name in names if not any((folder / name).exists() for folder in folders))
