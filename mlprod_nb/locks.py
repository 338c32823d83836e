"""Locks on files: one process at a time, and the system frees the lock of one that dies."""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_POLL_SECONDS = 0.1


@contextmanager
def held(path: Path) -> Iterator[None]:
    """Hold a lock; wait as long as another process has it.

    Args:
        path: A folder; or a file, which is made, and the folder that it is in, where they are not there.
    """
    with _opened(path) as descriptor:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield


@contextmanager
def tried(path: Path, *, seconds: float = 0.0) -> Iterator[bool]:
    """Yield whether the lock is held; wait for another process that has it no longer than so.

    Args:
        path: As :func:`held` takes it.
        seconds: How long to wait.
    """
    deadline = time.monotonic() + seconds
    with _opened(path) as descriptor:
        while not (taken := _taken(descriptor)) and time.monotonic() < deadline:
            time.sleep(_POLL_SECONDS)
        yield taken


@contextmanager
def _opened(path: Path) -> Iterator[int]:
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_RDONLY if path.is_dir() else os.O_RDWR | os.O_CREAT, 0o600)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _taken(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
