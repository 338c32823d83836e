"""Where things lie: the server's directory, the folder of a notebook, its workspace; and what the reader says of it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from jupyter_server.base.handlers import JupyterHandler
from tornado import web

from mlprod_nb.errors import MlprodError
from mlprod_nb.lab.reader import Reader


def root_dir(handler: JupyterHandler) -> Path:
    """Return the server's directory.

    Raises:
        HTTPError: 404: its files are not on its disk.
    """
    found = str(getattr(handler.contents_manager, "root_dir", ""))
    if not found:
        raise web.HTTPError(404, "this server's files are not on its disk, so no workspace is found.")
    return Path(found)


def folder_of(root_dir: Path, path: str) -> Path:
    """Return the directory of a file, or the directory that a path names.

    Raises:
        HTTPError: 404: the path leaves the server's directory.
    """
    root = Path(os.path.abspath(root_dir))  # noqa: PTH100 (as Jupyter does: links inside the directory are followed)
    target = Path(os.path.normpath(root / path.strip("/")))
    if "\0" in path or not target.is_relative_to(root):
        raise web.HTTPError(404, "the path is outside the server's directory")
    return target if target == root or target.is_dir() else target.parent


def relative(root_dir: Path, folder: Path) -> str:
    """Return a folder as the server's contents know it."""
    found = folder.relative_to(os.path.abspath(root_dir)).as_posix()  # noqa: PTH100
    return "" if found == "." else found


def inside(root_dir: Path, root: Path) -> str | None:
    """Return where a workspace lies below the server's directory, or ``None`` where it does not."""
    top = root_dir.resolve()
    if not root.is_relative_to(top):
        return None
    return "" if root == top else root.relative_to(top).as_posix()


def workspace_of(folder: Path) -> Path | None:
    """Return the workspace of a folder, as a notebook's kernel there would find it, or ``None``."""
    from mlprod_nb import settings  # takes a tenth of a second: not while the server starts

    return settings.root_for(folder)


def asked_path(handler: JupyterHandler) -> str:
    """Return the path that a request is about, as the server's contents know it."""
    return str(handler.get_query_argument("path", "", strip=False))


async def ask(handler: JupyterHandler, reader: Reader, wants: str) -> dict[str, Any]:
    """Return what the reader says of the workspace that a request is about; a failure is a ``problem`` in words."""
    folder = folder_of(root_dir(handler), asked_path(handler))
    asked = handler.get_query_argument("asked", "") == "1"
    try:
        return await reader.ask({"folder": str(folder), "asked": asked, "wants": wants})
    except MlprodError as error:
        return {"problem": str(error)}
