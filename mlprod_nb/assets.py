"""Files that ship with the package: notebooks and widget modules."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from mlprod_nb.errors import NotFound

_PACKAGE = Path(__file__).resolve().parent


def folder(kind: Literal["notebooks", "widgets"]) -> Path:
    """Return the folder of one kind of asset: inside the wheel, or the source tree's where it runs from there."""
    installed = _PACKAGE / "_assets" / kind
    return installed if installed.is_dir() else _PACKAGE.parent / kind


def path(kind: Literal["notebooks", "widgets"], name: str) -> Path:
    """Return the path of one shipped file.

    Raises:
        NotFound: No such file ships.
    """
    here = folder(kind)
    found = here / name
    if not found.is_file():
        raise NotFound(kind.removesuffix("s"), name, (p.name for p in here.iterdir() if p.is_file()))
    return found
