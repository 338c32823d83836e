"""Segments as files: their bytes, which of them nobody writes to any more, and which process may compact them."""

from __future__ import annotations

import mmap
import os
import time
from contextlib import AbstractContextManager
from pathlib import Path

from mlprod_nb import locks
from mlprod_nb.prediction_log.framing import MAGIC
from mlprod_nb.prediction_log.segments import SUFFIX
from mlprod_nb.prediction_log.storage import DiskStorage

DAMAGED = "damaged"
"""Folder of the segments that were damaged; their whole records are in files."""

_LEASE = "compaction.lock"
_BEGUN_SECONDS = 3600.0
"""A file that has no header after an hour was left by a process that died in making it."""


def mapped(path: Path) -> memoryview:
    """Return a file's bytes as they are now, without reading them; they stay when the file is removed.

    Raises:
        FileNotFoundError: There is no such file.
    """
    with path.open("rb") as file:
        size = os.fstat(file.fileno()).st_size
        # An empty file cannot be mapped.
        return memoryview(mmap.mmap(file.fileno(), size, access=mmap.ACCESS_READ)) if size else memoryview(b"")


def sealed(path: Path) -> bool:
    """Return whether nothing will ever be written to a segment again.

    A writer takes its lock before it writes the header and keeps it until it is closed or dead. So a file with a header
    and without a lock is sealed; of one without a header this cannot be told, and it has no records.
    """
    try:
        found = path.stat()
        if found.st_size < len(MAGIC) and time.time() - found.st_mtime < _BEGUN_SECONDS:
            return False
        return not DiskStorage().is_open(path)
    except FileNotFoundError:
        return False


def sealed_segments(folder: Path) -> list[Path]:
    """Return the sealed segments, the oldest first."""
    return [path for path in sorted(folder.glob(f"*{SUFFIX}")) if sealed(path)]


def lease(folder: Path) -> AbstractContextManager[bool]:
    """Yield whether this process may compact the log: one at a time may, until it leaves or dies."""
    return locks.tried(folder / _LEASE)
