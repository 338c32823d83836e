"""The note in the workspace that its gateway is on a Ray cluster: so no verb but ``up`` and ``down`` asks Ray."""

from __future__ import annotations

import json
import uuid
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from mlprod_nb.private_files import write_private
from mlprod_nb.settings import Layout


@dataclass(frozen=True)
class Note:
    """What is known of a gateway on a cluster.

    Attributes:
        id: By which a node tells that it sees the same folder as whoever started the gateway.
        root: The workspace's directory; in a copy of the workspace it is the original's.
        node: The node that it runs on, as ``10.0.0.3 (its name)``; empty before it is on one.
    """

    id: str
    root: str
    node: str = ""


def read(root: Path) -> Note | None:
    """Return a workspace's note; ``None`` where there is none, or it came with a copy."""
    try:
        note = Note(**json.loads(file_of(root).read_text(encoding="utf-8")))
    except FileNotFoundError:
        return None
    return note if note.root == str(root.resolve()) else None


def claim(root: Path) -> Note:
    """Return a workspace's note, which is made where there is none."""
    note = read(root)
    if note is None:
        note = Note(uuid.uuid4().hex, str(root.resolve()))
        _write(root, note)
    return note


def place(root: Path, note: Note, node: str) -> None:
    """Write down which node the gateway runs on."""
    _write(root, replace(note, node=node))


def remove(root: Path) -> None:
    """Write down that there is no gateway on a cluster."""
    file_of(root).unlink(missing_ok=True)


def file_of(root: Path) -> Path:
    """Return the note's file."""
    return Layout(root).run / "ray.json"


def _write(root: Path, note: Note) -> None:
    write_private(file_of(root), json.dumps(asdict(note)).encode())
