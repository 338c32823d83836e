"""What the compaction needs of a disk, as a small interface, so that tests can take its power away at any call."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Protocol

from mlprod_nb import durable


class Files(Protocol):
    """Files that are written at once. Their names are on the disk when their folders, and those above, are synced."""

    def write(self, path: Path, content: bytes) -> None:
        """Make a file that does not exist yet, and the folders above it; its bytes are on the disk at the end."""

    def rename(self, path: Path, target: Path) -> None:
        """Give a file another name, in a folder that may not exist yet."""

    def remove(self, path: Path) -> None:
        """Remove a file where it is there."""

    def sync(self, folder: Path) -> None:
        """Bring the names in a folder to the disk."""


class DiskFiles:
    """A real disk."""

    def write(self, path: Path, content: bytes) -> None:
        """Write a file that only its owner can read, and sync it."""
        path.parent.mkdir(parents=True, exist_ok=True)
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600), "wb") as output:
            output.write(content)
            output.flush()
            os.fsync(output.fileno())

    def rename(self, path: Path, target: Path) -> None:
        """Rename a file."""
        target.parent.mkdir(parents=True, exist_ok=True)
        path.rename(target)

    def remove(self, path: Path) -> None:
        """Remove a file where it is there."""
        path.unlink(missing_ok=True)

    def sync(self, folder: Path) -> None:
        """Sync a folder."""
        durable.sync(folder)
