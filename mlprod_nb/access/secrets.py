"""Secrets in files that only their owner can read."""

from __future__ import annotations

import os
import secrets
import stat
from pathlib import Path

from mlprod_nb.errors import NotFound, Refused

_OTHERS = stat.S_IRWXG | stat.S_IRWXO


def write_secret(path: Path, text: str) -> None:
    """Write a secret to a file of mode 0600, whole or not at all, and sync it.

    The folder is made with mode 0700 where it is not there. A file or link of that name is replaced, never followed.
    """
    write_private(path, text.encode() + b"\n")


def read_secret(path: Path) -> str:
    """Read a secret.

    Raises:
        NotFound: There is no such file.
        Refused: Others than the owner can read or write it.
    """
    try:
        with path.open("rb") as file:
            mode = os.fstat(file.fileno()).st_mode
            if mode & _OTHERS:
                raise Refused(f"{path} can be read by others than its owner.", hint=f"Run: chmod 600 {path}")
            return file.read().decode().strip()
    except FileNotFoundError:
        raise NotFound("secret file", str(path), hint="Make a token with: mlprod access grant NAME") from None


def write_private(path: Path, content: bytes, *, mode: int = 0o600) -> None:
    """Write a file of the given mode, whole or not at all, and sync file and folder."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    try:
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
        with os.fdopen(descriptor, "wb") as file:
            os.fchmod(descriptor, mode)
            file.write(content)
            file.flush()
            os.fsync(descriptor)
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    _sync_folder(path.parent)


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
