"""Files that hold a secret: readable by their owner alone, whole or not there."""

from __future__ import annotations

import os
import stat
import tempfile
from pathlib import Path

from mlprod_nb import durable
from mlprod_nb.errors import NotFound, Refused


def write_secret(path: Path, text: str) -> None:
    """Write a secret to a file of mode 0600, atomically, in a directory of mode 0700."""
    write_private(path, text.encode() + b"\n")


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


def read_secret(path: Path) -> str:
    """Read a secret.

    Raises:
        NotFound: The file does not exist.
        Refused: Others can read it too.
    """
    try:
        return read_private(path).decode().strip()
    except (FileNotFoundError, IsADirectoryError):
        raise NotFound("token file", str(path), hint="Make it anew with: mlprod init") from None


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
