"""Files that hold a secret: readable by their owner alone, whole or not there."""

from __future__ import annotations

from pathlib import Path

from mlprod_nb.errors import NotFound
from mlprod_nb.private_files import read_private, write_private


def write_secret(path: Path, text: str) -> None:
    """Write a secret to a file of mode 0600, atomically, in a directory of mode 0700."""
    write_private(path, text.encode() + b"\n")


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
