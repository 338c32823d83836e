"""Files that their owner alone may read: whole or not there."""

from __future__ import annotations

import os
import stat
import tempfile
from collections.abc import Callable
from pathlib import Path

from mlprod_nb import durable, locks
from mlprod_nb.errors import Refused


def write_private(path: Path, content: bytes) -> None:
    """Write bytes to a file of mode 0600, atomically, in a directory of mode 0700."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    # mkstemp makes the file with mode 0600 from the start, so there is no moment at which others could read it.
    descriptor, scratch = tempfile.mkstemp(dir=path.parent)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        Path(scratch).replace(path)
        durable.sync(path.parent)
    except BaseException:
        Path(scratch).unlink(missing_ok=True)
        raise


def make_private(path: Path, content: Callable[[], bytes]) -> None:
    """Write a file as :func:`write_private` does where it is not there: of several processes at once one makes it."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with locks.held(path.parent):
        if not path.is_file():
            write_private(path, content())


def read_private(path: Path) -> bytes:
    """Read a file that its owner alone may read.

    Raises:
        OSError: It is not there, or cannot be read.
        Refused: Others can read it, or write to it.
    """
    with path.open("rb") as file:
        # Of what is open, not of the name, which may be another file's a moment later.
        if stat.S_IMODE(os.fstat(file.fileno()).st_mode) & 0o077:
            raise Refused(f"{path} can be read by others.", hint=f"Close it with: chmod 600 {path}")
        return file.read()
