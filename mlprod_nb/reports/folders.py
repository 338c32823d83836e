"""A report's folder: built hidden beside the others, then published whole under its name."""

from __future__ import annotations

import os
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from urllib.parse import quote

from mlprod_nb import durable

BUILDING = ".building-"
#: Bytes held for the page that says that the disk was full; a page is at most 200 kB, the notebook as it was less.
_RESERVE_BYTES = 2**19
_RESERVE = ".reserve"


@contextmanager
def building(parent: Path) -> Iterator[Path]:
    """Yield a fresh folder beside the reports, hidden; what was not published is removed at the end."""
    folder = parent / f"{BUILDING}{uuid.uuid4().hex[:12]}"
    folder.mkdir(parents=True)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def reserve(made: Path) -> None:
    """Hold room on the disk, so that a report that fills it can still say so."""
    (made / _RESERVE).write_bytes(bytes(_RESERVE_BYTES))


def clear(made: Path) -> None:
    """Remove what was written so far, and give the room back that was held."""
    for file in made.iterdir():
        file.unlink()


def release(made: Path) -> None:
    """Give the room back."""
    (made / _RESERVE).unlink(missing_ok=True)


def publish(made: Path, name: str) -> Path:
    """Sync the files to disk and give the folder its name, or that name with a number where it is taken."""
    for file in made.iterdir():
        with file.open("rb+") as handle:
            os.fsync(handle.fileno())
    for number in count(1):
        folder = made.with_name(name if number == 1 else f"{name}-{number}")
        if not folder.exists():
            break
    made.rename(folder)
    durable.sync(folder.parent)
    return folder


def stamp(moment: datetime) -> str:
    """Return a moment as folders are named after it."""
    return moment.astimezone(UTC).strftime("%Y%m%dT%H%M%SZ")


def name_of(name: str) -> str:
    """Return the folder's name of an endpoint or a kind: no way out of the folder of reports, and never hidden."""
    safe = quote(name, safe=" ")
    return "%2E" + safe[1:] if safe.startswith(".") else safe
