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

    def names(self, folder: Path) -> list[str]:
        """Return the names of the files in a folder, which may not exist yet."""

    def create(self, path: Path) -> AppendFile:
        """Make a file that does not exist yet; its name is on the disk when this returns."""


class DiskStorage:
    """A real disk."""

    def names(self, folder: Path) -> list[str]:
        """Return the names of the files in a folder."""
        return sorted(path.name for path in folder.iterdir()) if folder.is_dir() else []

    def create(self, path: Path) -> AppendFile:
        """Make a file and sync the folder's entry for it, and the folder's own where it is new."""
        if not path.parent.is_dir():
            path.parent.mkdir(parents=True, exist_ok=True)
            _sync_folder(path.parent.parent)
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC
        descriptor = os.open(path, flags, 0o600)
        try:
            _sync_folder(path.parent)
        except BaseException:
            os.close(descriptor)
            raise
        return _DiskFile(descriptor)


class _DiskFile:
    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def write(self, data: bytes) -> None:
        view = memoryview(data)
        while view:
            view = view[os.write(self._descriptor, view) :]

    def sync(self) -> None:
        # fdatasync also writes the new size, without which the bytes could not be found again.
        os.fdatasync(self._descriptor)

    def close(self) -> None:
        os.close(self._descriptor)


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
