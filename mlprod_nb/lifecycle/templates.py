"""Notebooks to begin with, each copied into the user's own folder."""

from __future__ import annotations

import html
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar
from urllib.parse import quote

from mlprod_nb import assets
from mlprod_nb.errors import NotFound, Refused
from mlprod_nb.results import Result

#: What each is called, and the notebook that it is a copy of.
TEMPLATES = {
    "quickstart": "quickstart.ipynb",
    "train": "train.ipynb",
    "report": "drift_report.ipynb",
    "retrain": "retrain.ipynb",
    "triage": "triage.ipynb",
}


@dataclass(frozen=True)
class NotebookMade(Result):
    """A notebook of the user's own is there.

    Attributes:
        notebook: The file.
        template: What it is a copy of.
    """

    notebook: str
    template: str
    _hidden: ClassVar[tuple[str, ...]] = ("notebook", "template")

    def headline(self) -> str:
        """Name the file."""
        template = self.template.removesuffix(".ipynb")
        return f"{self.notebook} is yours, made from the template {template}: open it, and run it from the top."

    def _repr_html_(self) -> str:
        link = f'<a href="{html.escape(quote(self.notebook))}" target="_blank">Open {html.escape(self.notebook)}</a>'
        return f"{super()._repr_html_()}<p>{link}</p>"


def make(name: str, path: str) -> NotebookMade:
    """Copy a template; what is there stays.

    Raises:
        NotFound: There is no such template.
        Refused: A file of that name is there already.
    """
    from mlprod_nb.lifecycle import context

    context.change()
    if name not in TEMPLATES:
        raise NotFound("notebook to begin with", name, TEMPLATES)
    to = Path(path or f"{name}.ipynb")
    to = to if to.suffix == ".ipynb" else to.with_name(f"{to.name}.ipynb")
    if not to.parent.is_dir():
        raise NotFound("folder", str(to.parent))
    try:
        with to.open("xb") as file, assets.path("notebooks", TEMPLATES[name]).open("rb") as template:
            shutil.copyfileobj(template, file)
    except FileExistsError:
        raise Refused(f"{to} is there already.", hint="Give yours another name: --path NAME.ipynb") from None
    return NotebookMade(to.as_posix(), TEMPLATES[name])
