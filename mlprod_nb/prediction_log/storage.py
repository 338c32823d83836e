"""What a segment needs of a disk, as a small interface, so that tests can put a crashing disk in its place."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path
from typing import Protocol


class AppendFile(Protocol):
    """A file that only grows, and belongs to its writer until it is closed."""

    def append(self, data: bytes) -> None:
        """Append all of the bytes; return when they are on the disk."""

    def close(self) -> None:
        """Close the file."""


class Storage(Protocol):
    """A folder of files that only grow."""

    def names(self, folder: Path) -> list[str]:
        """Return the names of the files in a folder, which may not exist yet."""

    def create(self, path: Path) -> AppendFile:
        """Make a file that does not exist yet; its name is on the disk when this returns."""

    def is_open(self, path: Path) -> bool:
        """Return whether a file's writer still has it: more may come."""


class DiskStorage:
    """A real disk.

    Args:
        synced: Whether an append returns when the bytes are on the disk; else when the operating system has them, which
            survives the death of the process and not a power loss.
    """

    def __init__(self, *, synced: bool = True) -> None:
        self._flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC | (os.O_DSYNC if synced else 0)

    def names(self, folder: Path) -> list[str]:
        """Return the names of the files in a folder."""
        return sorted(path.name for path in folder.iterdir()) if folder.is_dir() else []

    def create(self, path: Path) -> AppendFile:
        """Make a file and sync the folder's entry for it, and the folder's own where it is new."""
        if not path.parent.is_dir():
            path.parent.mkdir(parents=True, exist_ok=True)
            _sync_folder(path.parent.parent)
        descriptor = os.open(path, self._flags, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            _sync_folder(path.parent)
        except BaseException:
            os.close(descriptor)
            raise
        return _DiskFile(descriptor)

    def is_open(self, path: Path) -> bool:
        """Return whether a living process writes to the file: it holds a lock that ends with it."""
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        finally:
            os.close(descriptor)
        return False


class _DiskFile:
    """A file opened with O_DSYNC: a write is one system call that returns when the data and the size are on the disk.

    A write and then an fdatasync would be two, and between them a thread has to wait for Python's global lock.
    """

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def append(self, data: bytes) -> None:
        view = memoryview(data)
        while view:
            view = view[os.write(self._descriptor, view) :]

    def close(self) -> None:
        os.close(self._descriptor)


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
