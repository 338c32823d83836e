"""What the log needs of a disk, as a small interface, so that tests can put a crashing or a full disk in its place."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
from pathlib import Path
from typing import Protocol

from mlprod_nb import durable

_FULL = frozenset((errno.ENOSPC, errno.EDQUOT))
_STEP = 1024 * 1024


class NoRoom(OSError):
    """The disk is full; what the call wrote before is known, so the rest may be written elsewhere.

    Attributes:
        written: How many of the bytes are on the disk; the file has no others of them.
    """

    def __init__(self, written: int = 0) -> None:
        super().__init__(errno.ENOSPC, os.strerror(errno.ENOSPC))
        self.written = written


class AppendFile(Protocol):
    """A file that only grows, and belongs to its writer until it is closed."""

    def append(self, data: bytes) -> None:
        """Append all of the bytes; return when they are on the disk.

        Raises:
            NoRoom: Only some of them are, and the file ends with these.
            OSError: What the file holds of them is unknown.
        """

    def close(self) -> None:
        """Close the file."""


class Storage(Protocol):
    """A folder of files that only grow."""

    def names(self, folder: Path) -> list[str]:
        """Return the names of the files in a folder, which may not exist yet."""

    def create(self, path: Path) -> AppendFile:
        """Make a file that does not exist yet; its name is on the disk when this returns.

        Raises:
            NoRoom: The disk is full, and the file is not there.
        """

    def is_open(self, path: Path) -> bool:
        """Return whether a file's writer still has it: more may come."""

    def remove(self, path: Path) -> None:
        """Remove a file where it is there; the space it had is free when this returns."""

    def allocate(self, path: Path, size: int) -> None:
        """Make a file, or take over the one that is there, whose space nobody else can have until it is removed.

        Raises:
            OSError: There is no room; the file is not there.
        """

    def free(self, folder: Path) -> int:
        """Return how many bytes can still be written."""


class DiskStorage:
    """A real disk.

    Guarantee: what ``append`` wrote survives a power loss where ``synced``; else the death of the process and no more.

    Args:
        synced: Whether an append returns when the bytes are on the disk; else when the operating system has them.
    """

    def __init__(self, *, synced: bool = True) -> None:
        self._flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC | (os.O_DSYNC if synced else 0)

    def names(self, folder: Path) -> list[str]:
        """Return the names of the files in a folder."""
        return sorted(path.name for path in folder.iterdir()) if folder.is_dir() else []

    def create(self, path: Path) -> AppendFile:
        """Make a file and sync the folder's entry for it, and the folder's own where it is new."""
        try:
            return _DiskFile(self._create(path))
        except OSError as error:
            if error.errno in _FULL:
                raise NoRoom from None
            raise

    def _create(self, path: Path) -> int:
        if not path.parent.is_dir():
            path.parent.mkdir(parents=True, exist_ok=True)
            durable.sync(path.parent.parent)
        descriptor = os.open(path, self._flags, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            durable.sync(path.parent)
        except BaseException:
            os.close(descriptor)
            with contextlib.suppress(OSError):
                path.unlink()
            raise
        return descriptor

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

    def remove(self, path: Path) -> None:
        """Remove a file where it is there, and sync the folder: until then a file system may hold its space back."""
        path.unlink(missing_ok=True)
        durable.sync(path.parent)

    def allocate(self, path: Path, size: int) -> None:
        """Make a file whose blocks are the file system's to give to nobody else."""
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            os.ftruncate(descriptor, size)
            if hasattr(os, "posix_fallocate"):
                os.posix_fallocate(descriptor, 0, size)
            else:  # macOS: only what is written has its blocks
                for start in range(0, size, _STEP):
                    os.pwrite(descriptor, bytes(min(_STEP, size - start)), start)
            os.fsync(descriptor)
        except BaseException:
            with contextlib.suppress(OSError):
                path.unlink()
            raise
        finally:
            os.close(descriptor)

    def free(self, folder: Path) -> int:
        """Return how many bytes this process's user can still write."""
        found = os.statvfs(folder)
        return found.f_bavail * found.f_frsize


class _DiskFile:
    """A file opened with O_DSYNC: a write is one system call that returns when the data and the size are on the disk.

    A write and then an fdatasync would be two, and between them a thread has to wait for Python's global lock.
    """

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._size = 0

    def append(self, data: bytes) -> None:
        view = memoryview(data)
        before = self._size
        try:
            while view:
                written = os.write(self._descriptor, view)
                self._size += written
                view = view[written:]
        except OSError as error:
            # A write that fails for want of room leaves nothing; one that fails in its sync may have left anything.
            if error.errno in _FULL and os.fstat(self._descriptor).st_size == self._size:
                raise NoRoom(self._size - before) from None
            raise

    def close(self) -> None:
        os.close(self._descriptor)
