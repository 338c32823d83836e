"""What a segment needs of a disk, as a small interface, so that tests can put a crashing disk in its place."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Protocol


class AppendFile(Protocol):
    """A file that only grows."""

    def write(self, data: bytes) -> None:
        """Append all of the bytes."""

    def sync(self) -> None:
        """Return when all that was written is on the disk."""

    def close(self) -> None:
        """Close the file."""


class Storage(Protocol):
    """A folder of files that only grow."""

    def create(self, path: Path) -> AppendFile:
        """Make a file that does not exist yet; its name is on the disk when this returns."""


class DiskStorage:
    """A real disk."""

    def create(self, path: Path) -> AppendFile:
        """Make a file and sync the folder's entry for it."""
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND, 0o600)
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
        return _DiskFile(descriptor)


class _DiskFile:
    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def write(self, data: bytes) -> None:
        view = memoryview(data)
        while view:
            view = view[os.write(self._descriptor, view) :]

    def sync(self) -> None:
        os.fdatasync(self._descriptor)

    def close(self) -> None:
        os.close(self._descriptor)
