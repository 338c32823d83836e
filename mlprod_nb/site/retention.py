"""Which reports go, by the rule of ``[reports]``: the files of old ones; what they said stays in the index.

Guarantee: no report goes that somebody approved, that an open alert rests on, or that is among the newest of its kind.
A folder is taken out of sight in one step, in the transaction in which it is seen to be unapproved, and removed then;
whoever is killed in between leaves a hidden folder, which the next one removes. So a report is there whole, or not.
"""

from __future__ import annotations

import re
import shutil
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import groupby
from pathlib import Path

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from mlprod_nb.store import Store, tables

_PRUNED = ".pruned-"
_BUILDING = ".building-"
_ABANDONED_SECONDS = 24 * 3600
_STAMP = re.compile(r"(\d{8}T\d{6}Z)-")
_OF_VERSION = re.compile(r"(v\d+)-")


@dataclass(frozen=True)
class Rule:
    """How long reports are kept.

    Attributes:
        days: For how many days; 0: for ever.
        newest: How many of the newest of each endpoint and kind are kept, however old.
    """

    days: int
    newest: int


@dataclass(frozen=True)
class _Folder:
    path: Path
    series: tuple[str, str, str]
    made_at: datetime


def due(connection: Connection, folder: Path, rule: Rule, *, now: datetime) -> list[Path]:
    """Return the folders of the reports that go, the oldest first."""
    if not rule.days or not folder.is_dir():
        return []
    made = {row.path: row.created_at for row in connection.execute(sa.select(tables.reports))}
    kept = _kept(connection)
    found = sorted(_folders(folder, made), key=lambda one: (one.series, one.made_at, one.path.name), reverse=True)
    old = [
        one
        for _, series in groupby(found, key=lambda one: one.series)
        for one in list(series)[max(rule.newest, 1) :]
        if one.made_at < now - timedelta(days=rule.days) and _place(one.path, folder) not in kept
    ]
    return [one.path for one in sorted(old, key=lambda one: (one.made_at, one.path))]


def prune(store: Store, folder: Path, rule: Rule, *, now: datetime) -> list[Path]:
    """Remove the reports that are due; return their folders."""
    gone = []
    with store.write() as connection:
        for path in due(connection, folder, rule, now=now):
            path.rename(path.with_name(f"{_PRUNED}{uuid.uuid4().hex[:12]}"))
            gone.append(path)
    for leftover in _leftovers(folder):
        shutil.rmtree(leftover, ignore_errors=True)
    return gone


def _kept(connection: Connection) -> set[str]:
    """Return the folders that stay whatever their age: of approved reports, and of those that open alerts rest on."""
    reports, alerts, causes = tables.reports.c, tables.alerts.c, tables.alert_causes.c
    approved = sa.select(tables.approvals.c.report_digest)
    rested_on = sa.select(alerts.report).join(tables.alert_causes, causes.alert_id == alerts.id)
    wanted = reports.digest.in_(approved) | reports.digest.in_(rested_on.where(causes.recovered_at.is_(None)))
    return set(connection.scalars(sa.select(reports.path).where(wanted)))


def _folders(folder: Path, made: dict[str, datetime]) -> Iterator[_Folder]:
    for page in folder.glob("*/*/*/index.html"):
        path = page.parent
        if path.name.startswith(".") or path.is_symlink():
            continue
        endpoint, kind, name = path.relative_to(folder).parts
        # Of gate reports, each version has a newest of its own.
        version = _OF_VERSION.match(name)
        yield _Folder(path, (endpoint, kind, version.group(1) if version else ""), _moment(path, folder, made))


def _moment(path: Path, folder: Path, made: dict[str, datetime]) -> datetime:
    """Return when a report was made: as the index has it, or its name, or else its folder."""
    known = made.get(_place(path, folder))
    stamp = _STAMP.match(path.name)
    if known is None and stamp:
        return datetime.strptime(stamp.group(1), "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
    return known or datetime.fromtimestamp(path.stat().st_mtime, tz=UTC)


def _place(path: Path, folder: Path) -> str:
    return path.relative_to(folder.parent).as_posix()


def _leftovers(folder: Path) -> list[Path]:
    """Return what killed processes left: pruned folders, and such that were being built long ago."""
    pruned = [path for path in folder.glob(f"*/*/{_PRUNED}*") if path.is_dir()]
    oldest = time.time() - _ABANDONED_SECONDS
    abandoned = [path for path in folder.glob(f"*/*/{_BUILDING}*") if path.is_dir() and path.stat().st_mtime < oldest]
    return [*pruned, *abandoned]
