"""Files of the folder of reports, read one folder at a time, so that no path and no link leads out of it."""

from __future__ import annotations

import os
from pathlib import Path

from mlprod_nb.errors import NotFound

PAGE = "index.html"
#: What is served of a report, and as what.
MEDIA = {
    PAGE: "text/html; charset=utf-8",
    "feed.xml": "application/atom+xml",
    "report.ipynb": "application/x-ipynb+json",
    "verdict.json": "application/json",
    "report.json": "application/json",
    "junit.xml": "application/xml",
}
_REPORT = 4  # endpoint, kind, report, file
_LARGEST = 64 * 1024 * 1024


def read(folder: Path, path: str) -> bytes:
    """Return a file's bytes.

    Args:
        folder: The folder of reports.
        path: The file's path in it, as the address has it.

    Raises:
        NotFound: It is no file that is served: there is none, it is of another kind, hidden, a link, or elsewhere.
    """
    parts = path.split("/")
    whole = len(parts) in (1, _REPORT) and all(part and not part.startswith(".") for part in parts)
    if not whole or parts[-1] not in MEDIA:
        raise _missing()
    try:
        return _read(folder, parts)
    except (OSError, ValueError):  # not there, a link, too long, or a name that no file can have
        raise _missing() from None


def _read(folder: Path, parts: list[str]) -> bytes:
    here = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        for part in parts[:-1]:
            deeper = os.open(part, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=here)
            os.close(here)
            here = deeper
        # Without O_NONBLOCK a pipe of that name would hold the thread.
        opened = os.open(parts[-1], os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=here)
        with os.fdopen(opened, "rb") as file:
            if os.fstat(opened).st_size > _LARGEST:
                raise OSError(f"{parts[-1]} is too large")
            return file.read()
    finally:
        os.close(here)


def _missing() -> NotFound:
    error = NotFound("page", "")
    # The address may hold anything, so it is not repeated.
    error.message = "there is no page at this address; all reports are at /reports/."
    return error
