"""The note in the workspace that its gateway is on a Ray cluster: so no verb but ``up`` and ``down`` asks Ray."""

from __future__ import annotations

import json
import os
import uuid
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from mlprod_nb.private_files import write_private
from mlprod_nb.settings import Layout


@dataclass(frozen=True)
class Note:
    """What is known of a gateway on a cluster.

    Attributes:
        id: By which the actor is found, and a node tells that it sees the same folder as whoever started the gateway.
        root: The workspace's directory; in a copy of the workspace it is the original's.
        node: The node that it runs on, as ``10.0.0.3 (its name)``; empty before it is on one.
    """

    id: str
    root: str
    node: str = ""


def read(root: Path) -> Note | None:
    """Return a workspace's note; ``None`` where there is none, or it came with a copy."""
    stored = _stored(root)
    return stored if stored is not None and stored.root == str(root.resolve()) else None


def claim(root: Path) -> Note:
    """Return a workspace's note, which is made where there is none: of several at once, on any machine, by one."""
    mine = Note(uuid.uuid4().hex, str(root.resolve()))
    stored, file = _stored(root), file_of(root)
    if stored is not None:
        if stored.root == mine.root:
            return stored
        file.unlink(missing_ok=True)  # it came with a copy
    scratch = file.with_name(f"{file.name}.{mine.id}")
    _write(scratch, mine)
    try:
        os.link(scratch, file)
    except FileExistsError:
        return read(root) or mine
    finally:
        scratch.unlink()
    return mine


def place(root: Path, note: Note, node: str) -> None:
    """Write down which node the gateway runs on."""
    _write(file_of(root), replace(note, node=node))


def remove(root: Path) -> None:
    """Write down that there is no gateway on a cluster."""
    file_of(root).unlink(missing_ok=True)


def file_of(root: Path) -> Path:
    """Return the note's file."""
    return Layout(root).run / "ray.json"


def _stored(root: Path) -> Note | None:
    try:
        return Note(**json.loads(file_of(root).read_text(encoding="utf-8")))
    except FileNotFoundError:
        return None


def _write(file: Path, note: Note) -> None:
    write_private(file, json.dumps(asdict(note)).encode())
