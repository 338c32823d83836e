"""A real file system that is small, so that a test can fill it."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

MIB = 1024 * 1024
_PAGE = 4096


@contextmanager
def small_disk(folder: Path, mib: int) -> Iterator[Path]:
    """Mount a tmpfs of this size on a folder; skip the test where the system does not let this user mount."""
    folder.mkdir(parents=True, exist_ok=True)
    command = ["mount", "-t", "tmpfs", "-o", f"size={mib}m", "tmpfs", str(folder)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=20)
        refused = done.stderr.strip() if done.returncode else ""
    except FileNotFoundError as error:
        refused = str(error)
    if refused:
        pytest.skip(f"no file system can be mounted here: {refused}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True, timeout=20)


def fill(folder: Path) -> Path:
    """Write a file until not a byte more goes onto the disk; return the file, whose removal frees the space again."""
    ballast = folder / "ballast"
    with ballast.open("ab", buffering=0) as file:
        for size in (MIB, _PAGE):
            block = bytes(size)
            try:
                while file.write(block) == size:
                    pass
            except OSError:
                pass
    assert os.statvfs(folder).f_bavail == 0
    return ballast
