"""What the JupyterLab extension asks the Jupyter server; the server's own authentication and authorization apply."""

from __future__ import annotations

import asyncio
import json
from typing import Any

from jupyter_core.utils import ensure_async
from jupyter_server.auth.decorator import authorized
from jupyter_server.base.handlers import APIHandler
from jupyter_server.utils import url_path_join
from tornado import web

from mlprod_nb.errors import MlprodError
from mlprod_nb.lab import places, templates
from mlprod_nb.lab.reader import Reader
from mlprod_nb.lab.reports_handler import ReportPageHandler, ReportsHandler


def add(application: web.Application, reader: Reader) -> None:
    """Add the handlers to a Jupyter server's application."""

    def at(*parts: str) -> str:
        return str(url_path_join(application.settings["base_url"], "mlprod", *parts))

    application.add_handlers(
        ".*$",
        [
            (at("status"), StatusHandler, {"reader": reader}),
            (at("notebooks"), NotebooksHandler, {"turn": asyncio.Lock()}),
            (at("reports"), ReportsHandler, {"reader": reader}),
            (at("reports", "(w[A-Za-z0-9_-]*)", "(.*)"), ReportPageHandler),
        ],
    )


class StatusHandler(APIHandler):
    """``GET mlprod/status?path=…``: the status of the workspace of a file of the server's, as the reader says it."""

    auth_resource = "contents"
    _track_activity = False  # a page that is left open asks by itself: that keeps no idle server alive

    def initialize(self, reader: Reader) -> None:
        """Take the process that reads."""
        self._reader = reader

    @web.authenticated
    @authorized
    async def get(self) -> None:
        """Answer with the status, or why there is none."""
        answer = await places.ask(self, self._reader, "state")
        answer.pop("root", None)
        self.finish(json.dumps(answer))


class NotebooksHandler(APIHandler):
    """``POST mlprod/notebooks``: a template as the user's own new file, in a folder or beside a path."""

    auth_resource = "contents"

    def initialize(self, turn: asyncio.Lock) -> None:
        """Take the lock under which names are chosen, or two that are made at once would have one."""
        self._turn = turn

    @web.authenticated
    @authorized
    async def post(self) -> None:
        """Make the notebook and answer with its path.

        Raises:
            HTTPError: 400: the body is no order, or there is no such template.
        """
        asked: Any = self.get_json_body()
        if not isinstance(asked, dict):
            raise web.HTTPError(400, 'the body is {"template": …, "folder": …} or {"template": …, "path": …}')
        try:
            template = templates.find(str(asked.get("template", "")))
        except MlprodError as error:
            raise web.HTTPError(400, str(error)) from None
        contents, root_dir = self.contents_manager, places.root_dir(self)
        beside = places.relative(root_dir, places.folder_of(root_dir, str(asked.get("path", ""))))
        async with self._turn:
            place = templates.place(template, str(asked.get("folder", beside)).strip("/"), root_dir)
            name = place.name or await ensure_async(
                contents.increment_filename(f"{template.name}.ipynb", place.folder, insert="-")
            )
            if place.makes_folder:
                await ensure_async(contents.save({"type": "directory"}, place.folder))
            model = {"type": "notebook", "format": "json", "content": templates.content(template, name)}
            saved = await ensure_async(contents.save(model, f"{place.folder}/{name}".strip("/")))
        self.set_status(201)
        self.finish(json.dumps({"path": saved["path"]}))
