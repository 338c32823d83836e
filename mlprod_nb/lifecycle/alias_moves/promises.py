"""What a process wrote down that it would do in two stores, held by it as long as it lives.

A promise is a file of its own that its process holds locked, which ends with the process. It goes once it is kept; one
that nobody holds was left by somebody who died over it, and the next verb sees to it.
"""

from __future__ import annotations

import fcntl
import json
import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from mlprod_nb.errors import Corrupt

_SUFFIX, _UNREADABLE = ".json", ".unreadable"


def write(folder: Path, said: dict[str, Any]) -> tuple[Path, IO[str]]:
    """Write a promise down and hold it; the file gets its name once it is locked, so nobody finds it free."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{uuid.uuid4().hex}{_SUFFIX}"
    begun = path.with_suffix(".new")
    file = begun.open("w", encoding="utf-8")
    fcntl.flock(file, fcntl.LOCK_EX)
    json.dump(said, file)
    file.flush()
    os.fsync(file.fileno())
    begun.rename(path)
    return path, file


def paths(folder: Path) -> list[Path]:
    """Return the promises in a folder, whoever holds them."""
    return sorted(folder.glob(f"*{_SUFFIX}"))


@contextmanager
def left(path: Path) -> Iterator[dict[str, Any] | None]:
    """Yield what a promise says while it is held here; ``None`` where its process lives, or it has gone.

    Raises:
        Corrupt: It cannot be read.
    """
    try:
        file = path.open(encoding="utf-8")
    except FileNotFoundError:
        yield None
        return
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield None
            return
        yield _read(file, path) if path.exists() else None


def set_aside(path: Path) -> Path:
    """Give a promise that cannot be read a name by which nobody takes it for one; return it."""
    return path.rename(path.with_suffix(_UNREADABLE))


def _read(file: IO[str], path: Path) -> dict[str, Any]:
    try:
        said = json.load(file)
    except ValueError:
        said = None
    if not isinstance(said, dict):
        raise Corrupt(f"{path.name} cannot be read.")
    return said
