"""What is on disk of the package: its version, and the notebooks and widget modules that ship with it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Literal

from mlprod_nb.errors import NotFound

_PACKAGE = Path(__file__).resolve().parent
_VERSION = re.compile(r'^__version__ = "([^"]+)"$', re.MULTILINE)


def version() -> str:
    """Return the version that a process which starts now runs by: it may be newer than this process's own."""
    found = _VERSION.search((_PACKAGE / "__init__.py").read_text(encoding="utf-8"))
    assert found is not None
    return found[1]


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
