"""Retention: rows that are older than ``[log] keep_days`` are removed, a day's files at a time.

Guarantee: rows go when their day, in UTC, ended longer ago than ``keep_days``, and so did the day on which they came
into a file; no row goes before. Whatever kills the process and when, a file counts whole or not at all: one transaction
of the catalogue takes all files that are due out of the log and says so, then they are removed from the disk.

A prediction's day is that of its event time, and feedback's that on which it came. What was counted of a file for
monitors goes with it: counts of a day's few rows can tell a row, and a new reference would find nothing to count.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from mlprod_nb.prediction_log.segment_files import DAMAGED

if TYPE_CHECKING:
    from mlprod_nb.prediction_log.catalogue import Catalogue
    from mlprod_nb.prediction_log.files import Files

_DAY = "day="


@dataclass(frozen=True)
class Forgotten:
    """What was removed since it was older than the settings keep it.

    Attributes:
        rows: How many rows, shadows and feedback included.
        files: How many files they were in.
    """

    rows: int = 0
    files: int = 0


def limit(keep_days: int, now: datetime) -> datetime:
    """Return the moment, a day's beginning in UTC, before which rows are too old."""
    return now.replace(hour=0, minute=0, second=0, microsecond=0) - timedelta(days=keep_days)


def waiting(folder: Path, keep_days: int, now: datetime) -> bool:
    """Return whether files may be due, by the names of their folders and when they were written.

    It imports nothing that takes long: it is asked every few minutes, and only once a day there is something.

    Args:
        folder: The log's folder.
        keep_days: For how many days rows are kept; 0: for ever.
        now: The present moment, in UTC.
    """
    if not keep_days:
        return False
    before = limit(keep_days, now)
    old = (
        file
        for day in folder.glob(f"*/*/{_DAY}*")
        if day.name.removeprefix(_DAY) < f"{before:%Y-%m-%d}"
        for file in day.iterdir()
    )
    return any(_written_before(file, before) for file in old) or any(_put_aside(folder, before))


def remove(folder: Path, catalogue: Catalogue, disk: Files, *, keep_days: int, now: datetime) -> Forgotten:
    """Remove what is too old; the caller has the lease.

    Args:
        folder: The log's folder.
        catalogue: Its catalogue.
        disk: The disk.
        keep_days: For how many days rows are kept; 0: for ever.
        now: The present moment, in UTC.
    """
    from mlprod_nb.prediction_log import merging, removals

    if not keep_days:
        return Forgotten()
    before = limit(keep_days, now)
    files = removals.due(catalogue.store, before)
    if files:
        removals.remove(catalogue.store, files, "retention", now=now)
        merging.remove_replaced(folder, catalogue, disk)
    aside = list(_put_aside(folder, before))
    for segment in aside:
        disk.remove(segment)
    if aside:
        disk.sync(folder / DAMAGED)
    return Forgotten(sum(file.rows for file in files), len(files))


def _put_aside(folder: Path, before: datetime) -> Iterator[Path]:
    """Return the damaged segments that were last written before a moment: they hold rows, too."""
    return (path for path in sorted((folder / DAMAGED).glob("*")) if _written_before(path, before))


def _written_before(path: Path, moment: datetime) -> bool:
    try:
        return path.stat().st_mtime < moment.timestamp()
    except FileNotFoundError:  # another process was quicker
        return False
