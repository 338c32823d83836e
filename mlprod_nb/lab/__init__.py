"""The Jupyter server's part of the JupyterLab extension: it reads statuses and makes notebooks from templates.

Loaded by every Jupyter server in whose environment mlprod_nb is installed, so it imports nothing of the rooms: what
reads a workspace is a process of its own.
"""

from __future__ import annotations

from typing import Any


def _jupyter_server_extension_points() -> list[dict[str, str]]:
    """Return where Jupyter finds the extension."""
    return [{"module": "mlprod_nb.lab"}]


def _load_jupyter_server_extension(server: Any) -> None:
    """Add the handlers to a Jupyter server."""
    from mlprod_nb.lab import handlers
    from mlprod_nb.lab.reader import Reader

    handlers.add(server.web_app, Reader())
