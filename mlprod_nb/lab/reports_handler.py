"""A workspace's reports inside Jupyter: the list of them, and each page in a sandbox, without a gateway.

Guarantee: a report's page is data. It is served for reading only, to whoever Jupyter let in, in a sandbox of an origin
of its own: nothing in it runs, and neither Jupyter's cookie nor its API can be reached from it, whatever it says and
wherever it is opened. No path and no link leads out of the workspace's folder of reports.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import json
from pathlib import Path

from jupyter_server.auth.decorator import authorized
from jupyter_server.base.handlers import APIHandler, JupyterHandler
from tornado import web

from mlprod_nb.errors import NotFound
from mlprod_nb.lab import places
from mlprod_nb.lab.reader import Reader
from mlprod_nb.serving.report_site import files

#: What a page may do: be shown. Without ``allow-same-origin`` it is a stranger to Jupyter; without ``allow-scripts``
#: nothing in it runs, and it cannot lead its reader elsewhere by itself (``refresh``) either.
SANDBOX = (
    "sandbox; default-src 'none'; img-src data:; style-src 'unsafe-inline'; form-action 'none'; base-uri 'none'; "
    "frame-ancestors 'self'"
)
_HEADERS = {
    "Content-Security-Policy": SANDBOX,
    "Cache-Control": "no-store",
    "X-Content-Type-Options": "nosniff",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
}
_THEMES = {"dark": b"all", "light": b"not all"}


class ReportsHandler(APIHandler):
    """``GET mlprod/reports?path=…``: the reports of the workspace of a file of the server's.

    The answer is the reader's, with ``key``: what stands for the workspace in the addresses of its pages.
    """

    auth_resource = "contents"
    _track_activity = False

    def initialize(self, reader: Reader) -> None:
        """Take the process that reads."""
        self._reader = reader

    @web.authenticated
    @authorized
    async def get(self) -> None:
        """Answer with the list, or why there is none."""
        answer = await places.ask(self, self._reader, "reports")
        root = answer.pop("root", None)
        if root is not None:
            answer["key"] = key_of(places.root_dir(self), Path(root), places.asked_path(self))
        self.finish(json.dumps(answer))


class ReportPageHandler(JupyterHandler):
    """``GET mlprod/reports/KEY/…``: one file of the folder of reports, in the sandbox."""

    auth_resource = "contents"
    _track_activity = False

    @web.authenticated
    @authorized
    async def get(self, key: str, path: str) -> None:
        """Answer with the file.

        Raises:
            HTTPError: 404: there is no such file, or it is not one that is served.
        """
        root_dir, theme = places.root_dir(self), self.get_query_argument("theme", "")
        try:
            content = await asyncio.to_thread(_read, root_dir, key, path)
        except NotFound as error:
            raise web.HTTPError(404, str(error)) from None
        name = path.rpartition("/")[2]
        # Set here, not as defaults: what a server's settings say of headers must not open the sandbox.
        for header, value in _HEADERS.items():
            self.set_header(header, value)
        self.set_header("Content-Type", files.MEDIA[name])
        if name != files.PAGE:
            self.set_header("Content-Disposition", f'attachment; filename="{name}"')
            theme = ""
        self.finish(themed(content, theme))


def key_of(root_dir: Path, root: Path, path: str) -> str:
    """Return what stands for a workspace in an address: where it lies, or a path below which leads to it."""
    inside = places.inside(root_dir, root)
    folder = inside if inside is not None else places.relative(root_dir, places.folder_of(root_dir, path))
    return "w" + base64.urlsafe_b64encode(folder.encode()).decode().rstrip("=")


def themed(content: bytes, theme: str) -> bytes:
    """Return a page in JupyterLab's theme: a frame of another origin learns of the browser's only."""
    if theme not in _THEMES:
        return content
    content = content.replace(b":root{color-scheme:light dark;", b":root{color-scheme:" + theme.encode() + b";")
    return content.replace(b"@media (prefers-color-scheme:dark)", b"@media " + _THEMES[theme])


def _read(root_dir: Path, key: str, path: str) -> bytes:
    try:
        folder = base64.b64decode(key[1:] + "=" * (-len(key[1:]) % 4), altchars=b"-_", validate=True).decode()
    except (binascii.Error, ValueError):
        raise NotFound("workspace", key) from None
    root = places.workspace_of(places.folder_of(root_dir, folder))
    reports = root / "reports" if root is not None else None
    if reports is None or reports.is_symlink():
        raise NotFound("folder of reports", folder or ".")
    return files.read(reports, path)
