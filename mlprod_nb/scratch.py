"""Temporary folders that a killed process leaves, and the next one takes away.

Who uses a folder holds a lock on a file in it, which the system lets go when the process ends, however it does.
"""

from __future__ import annotations

import errno
import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

#: What the system says where a disk, or its user's part of it, is full.
FULL = (errno.ENOSPC, errno.EDQUOT)
_HELD = ".held"


@contextmanager
def temporary_folder(kind: str) -> Iterator[Path]:
    """Give an empty temporary folder for as long as the block lasts; those of dead processes go first.

    Args:
        kind: What it is for, in one word, ``work`` for ordinary work; only folders of the same kind, and of the same
            user, are taken away.
    """
    prefix = f"mlprod-{kind}-"
    _sweep(prefix)
    with tempfile.TemporaryDirectory(prefix=prefix) as made, _hold(Path(made)):
        work = Path(made) / "work"  # beside the lock's file, which nobody takes for one of theirs
        work.mkdir(mode=0o700)
        yield work


def _hold(made: Path) -> IO[str]:
    """Lock a folder; the lock's file gets its name once it is locked, so nobody finds it free in between."""
    begun = made / f"{_HELD}.new"
    file = begun.open("w")
    fcntl.flock(file, fcntl.LOCK_EX)
    begun.rename(made / _HELD)
    return file


def _sweep(prefix: str) -> None:
    for found in Path(tempfile.gettempdir()).glob(f"{prefix}*"):
        try:
            if found.is_symlink() or found.stat().st_uid != os.getuid():
                continue
            with (found / _HELD).open("r") as file:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(found, ignore_errors=True)
        except OSError:  # in use, being made, or just gone
            continue
