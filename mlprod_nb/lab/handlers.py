"""What the JupyterLab extension asks the Jupyter server; the server's own authentication and authorization apply."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from jupyter_core.utils import ensure_async
from jupyter_server.auth.decorator import authorized
from jupyter_server.base.handlers import APIHandler
from jupyter_server.utils import url_path_join
from tornado import web

from mlprod_nb.errors import MlprodError
from mlprod_nb.lab import templates
from mlprod_nb.lab.reader import Reader


def add(application: web.Application, reader: Reader) -> None:
    """Add the handlers to a Jupyter server's application."""
    base = application.settings["base_url"]
    application.add_handlers(
        ".*$",
        [
            (url_path_join(base, "mlprod", "status"), StatusHandler, {"reader": reader}),
            (url_path_join(base, "mlprod", "notebooks"), NotebooksHandler),
        ],
    )


class StatusHandler(APIHandler):
    """``GET mlprod/status?path=…``: the status of the workspace of a file of the server's.

    The answer is the reader's, with ``inside``: where the workspace lies below the server's directory, or ``null``.
    """

    auth_resource = "contents"
    _track_activity = False  # a page that is left open asks by itself: that keeps no idle server alive

    def initialize(self, reader: Reader) -> None:
        """Take the process that reads."""
        self._reader = reader

    @web.authenticated
    @authorized
    async def get(self) -> None:
        """Answer with the status, or why there is none."""
        root_dir = str(getattr(self.contents_manager, "root_dir", ""))
        if not root_dir:
            self.finish(json.dumps({"problem": "this server's files are not on its disk, so no workspace is found."}))
            return
        folder = folder_of(Path(root_dir), self.get_query_argument("path", "", strip=False))
        asked = self.get_query_argument("asked", "") == "1"
        try:
            answer = await self._reader.ask({"folder": str(folder), "asked": asked})
        except MlprodError as error:
            answer = {"problem": str(error)}
        root = answer.pop("root", None)
        if root is not None:
            answer["inside"] = inside(Path(root_dir), Path(root))
        self.finish(json.dumps(answer))


class NotebooksHandler(APIHandler):
    """``POST mlprod/notebooks``: a new notebook from a template, as the user's own file."""

    auth_resource = "contents"

    @web.authenticated
    @authorized
    async def post(self) -> None:
        """Make the notebook and answer with its path.

        Raises:
            HTTPError: 400: the body is no order, or there is no such template.
        """
        asked: Any = self.get_json_body()
        if not isinstance(asked, dict):
            raise web.HTTPError(400, 'the body is {"template": …, "folder": …}')
        folder = str(asked.get("folder", "")).strip("/")
        try:
            name, content = templates.read(str(asked.get("template", "")))
        except MlprodError as error:
            raise web.HTTPError(400, str(error)) from None
        contents = self.contents_manager
        name = await ensure_async(contents.increment_filename(name, folder, insert="-"))
        model = {"type": "notebook", "format": "json", "content": content}
        saved = await ensure_async(contents.save(model, f"{folder}/{name}".strip("/")))
        self.set_status(201)
        self.finish(json.dumps({"path": saved["path"]}))


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


def inside(root_dir: Path, root: Path) -> str | None:
    """Return where a workspace lies below the server's directory, or ``None`` where it does not."""
    top = root_dir.resolve()
    if not root.is_relative_to(top):
        return None
    return "" if root == top else root.relative_to(top).as_posix()
