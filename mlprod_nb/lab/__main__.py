"""The reader: ``python -m mlprod_nb.lab`` answers each line of its input by one line, until its input ends.

A question is ``{"folder": …, "asked": …, "wants": …}``. Who wants ``"state"`` gets what the status panel shows, who
wants ``"reports"`` their list; with ``root``, where the workspace lies. Or the answer holds ``missing``, ``asks`` or
``problem``: why there is none, in words.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from mlprod_nb import settings
from mlprod_nb.errors import MlprodError

if TYPE_CHECKING:
    from mlprod_nb import site

_LOOPBACK = ("127.0.0.1", "localhost", "::1")


def main() -> None:
    """Answer until the input ends."""
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # what a library prints is no answer
    for line in sys.stdin:
        question = json.loads(line)
        said = answer(
            Path(question["folder"]), asked=bool(question.get("asked")), wants=str(question.get("wants", "state"))
        )
        answers.write(json.dumps(said) + "\n")
        answers.flush()


def answer(folder: Path, *, asked: bool, wants: str = "state") -> dict[str, Any]:
    """Return what is asked of the workspace of a folder.

    Args:
        folder: Where a notebook lies.
        asked: Whether the user asked for this workspace, where reading it reaches beyond its directory.
        wants: ``"state"`` or ``"reports"``.
    """
    try:
        root = settings.root_for(folder)
        if root is None:
            return {"missing": f"There is no workspace at or above {folder.name!r}."}
        beyond = "" if asked else _beyond(root)
        if beyond:
            return {"root": str(root), "asks": beyond}
        return {"root": str(root), wants: _ANSWERS[wants](root)}
    except MlprodError as error:
        return {"problem": str(error)}
    except Exception as error:  # noqa: BLE001 (the side bar says what broke; the process lives on)
        return {"problem": f"{type(error).__name__}: {error}"}


def _state(root: Path) -> dict[str, Any]:
    from mlprod_nb.widgets.status import view
    from mlprod_nb.workspace import Workspace

    workspace = Workspace.open(root)
    try:
        return view(workspace.status())
    finally:
        workspace.context.store.close()


def _reports(root: Path) -> dict[str, Any]:
    from mlprod_nb import site
    from mlprod_nb.workspace import Workspace

    workspace = Workspace.open(root)
    try:
        context = workspace.context
        found = site.listing(context.store, context.layout.reports)
        title = context.settings.name or root.name
    finally:
        workspace.context.store.close()
    return {"title": title, "entries": [_entry(entry) for entry in found.entries], "left_out": found.left_out}


def _entry(entry: site.Entry) -> dict[str, Any]:
    return {
        "endpoint": entry.endpoint,
        "kind": entry.kind,
        "status": entry.status,
        "sentence": entry.sentence,
        "page": entry.href,
        "digest": entry.short,
        "approvals": entry.approvals,
        "created_at": entry.stamp,
    }


_ANSWERS: dict[str, Callable[[Path], dict[str, Any]]] = {"state": _state, "reports": _reports}


def _beyond(root: Path) -> str:
    """Say what beyond its own directory reading a workspace would reach: a directory may come from a stranger."""
    url = settings.load(root).store.url
    if url:
        return f"its state is kept at {_without_secrets(url)}"
    layout = settings.Layout(root)
    places = (layout.state, layout.database)
    strange = next((place for place in places if not place.resolve().is_relative_to(root)), None)
    if strange is not None:
        return f"{strange.name} is a link to {strange.resolve()}"
    return _strange_gateway(layout)


def _strange_gateway(layout: settings.Layout) -> str:
    from mlprod_nb.store import Store, gateways

    if not layout.database.is_file():
        return ""
    store = Store(Store.sqlite_url(layout.database))
    try:
        if store.schema_version() is None:
            return ""
        with store.read() as connection:
            record = gateways.latest(connection)
    finally:
        store.close()
    strange = record is not None and urlsplit(record.url).hostname not in _LOOPBACK
    return f"its gateway is at {record.url}" if strange and record is not None else ""


def _without_secrets(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.hostname or ''}{parts.path}"


if __name__ == "__main__":
    main()
