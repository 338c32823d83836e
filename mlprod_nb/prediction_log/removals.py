"""What was taken out of the log on purpose, when and why.

Guarantee: one transaction of the catalogue takes rows out and says so, before a file goes from the disk. It begins a
version of the catalogue: a range that was pinned before it is known by that, and told from one that never had the rows.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import asdict, dataclass, fields
from datetime import datetime
from typing import Literal

import sqlalchemy as sa

from mlprod_nb.errors import Refused
from mlprod_nb.prediction_log.catalogue import LogFile, next_version
from mlprod_nb.prediction_log.framing import RecordKind
from mlprod_nb.prediction_log.ranges import LogRange
from mlprod_nb.store import Store, tables

Why = Literal["retention", "erasure"]

_NOTHING = ""
"""What stands for a file of which nothing is left."""


class Removed(Refused):
    """Rows of a range were removed since it was pinned, as the settings say."""

    def __init__(self, removals: Sequence[Removal]) -> None:
        first, last = min(one.first_at for one in removals), max(one.last_at for one in removals)
        on = max(one.at for one in removals)
        super().__init__(
            f"the range's rows of {removals[0].endpoint!r} from {first:%Y-%m-%d} to {last:%Y-%m-%d} were removed, the "
            f"last of them on {on:%Y-%m-%d}, as [log] keep_days says.",
            hint="What was said of them before still stands; it cannot be read again.",
        )


@dataclass(frozen=True)
class Removal:
    """Rows of one file that were removed.

    Attributes:
        path: Where the file was, from the log's folder.
        removed_version: The catalogue's version that removed them.
        at: When.
        why: ``"retention"``: they were older than the settings keep rows; ``"erasure"``: somebody asked for it.
        kind: ``"predictions"`` or ``"feedback"``.
        endpoint: The endpoint.
        rows: How many.
        first_at: The file's earliest moment, as :class:`LogFile` has it.
        last_at: Its latest.
        first_id: The smallest prediction id in it.
        last_id: The largest.
        first_version: The version of the catalogue that brought its first rows.
        version: The version that brought its last ones.
    """

    path: str
    removed_version: int
    at: datetime
    why: Why
    kind: RecordKind
    endpoint: str
    rows: int
    first_at: datetime
    last_at: datetime
    first_id: str
    last_id: str
    first_version: int
    version: int


@dataclass(frozen=True)
class Cut:
    """Rows that are erased from a file.

    Attributes:
        file: The file.
        rows: How many.
        rest: The file that has the others; ``None`` where there are none.
    """

    file: LogFile
    rows: int
    rest: LogFile | None


class Removals:
    """What was removed from one workspace's log.

    Args:
        store: The state database, at the newest schema; ``None`` where nothing was ever compacted.
    """

    def __init__(self, store: Store | None) -> None:
        self._store = store

    def version(self, endpoint: str) -> int:
        """Return the newest version that removed rows of an endpoint; 0 where none has."""
        table = tables.log_removals.c
        if self._store is None:
            return 0
        with self._store.read() as connection:
            newest = sa.select(sa.func.max(table.removed_version)).where(table.endpoint == endpoint)
            return int(connection.scalar(newest) or 0)

    def since_pinned(self, where: LogRange, versions: Collection[int], why: Why = "retention") -> list[Removal]:
        """Return what was removed of the predictions of a range after it was pinned.

        Args:
            where: The range.
            versions: The versions of the catalogue that brought rows of the range's segments into files.
            why: For which reason.
        """
        table = tables.log_removals.c
        wanted = [table.kind == "predictions", table.endpoint == where.endpoint, table.removed_version > where.version]
        wanted.append(table.why == why)
        wanted += [] if where.since is None else [table.last_at >= where.since]
        wanted += [] if where.until is None else [table.first_at < where.until]
        return [
            one
            for one in self._find(*wanted)
            if one.first_version <= where.version or any(one.first_version <= each <= one.version for each in versions)
        ]

    def of(self, endpoint: str) -> list[Removal]:
        """Return what was removed of an endpoint's predictions since it was too old."""
        table = tables.log_removals.c
        return self._find(table.kind == "predictions", table.endpoint == endpoint, table.why == "retention")

    def every(self) -> list[Removal]:
        """Return all that was removed."""
        return self._find()

    def _find(self, *wanted: sa.ColumnElement[bool]) -> list[Removal]:
        if self._store is None:
            return []
        query = sa.select(tables.log_removals).where(*wanted).order_by(tables.log_removals.c.path)
        with self._store.read() as connection:
            return [Removal(**row) for row in connection.execute(query).mappings()]


def due(store: Store, before: datetime) -> list[LogFile]:
    """Return the files whose rows all happened before a moment, and came into files before it, too."""
    table, versions = tables.log_files, tables.log_versions.c
    query = (
        sa.select(*(table.c[field.name] for field in fields(LogFile)))
        .join(tables.log_versions, versions.version == table.c.version)
        .where(table.c.replaced_by.is_(None), table.c.last_at < before, versions.at < before)
        .order_by(table.c.path)
    )
    with store.read() as connection:
        return [LogFile(**row) for row in connection.execute(query).mappings()]


def remove(store: Store, files: Sequence[LogFile], why: Why, *, now: datetime) -> None:
    """Take files out of the log; they are removed from the disk as those are that others were put in place of.

    Raises:
        Refused: One of them does not count any more; nothing was changed.
    """
    with store.write() as connection:
        _take_out(connection, [Cut(file, file.rows, None) for file in files], why, now)


def erase(store: Store, cuts: Sequence[Cut], *, now: datetime, also: Callable[[sa.Connection], None]) -> None:
    """Let files count that lack some rows in the place of those that have them.

    Args:
        store: The state database.
        cuts: What goes, file by file.
        now: The present moment.
        also: Is called in the transaction.

    Raises:
        Refused: One of the files does not count any more; nothing was changed.
    """
    with store.write() as connection:
        _take_out(connection, cuts, "erasure", now)
        also(connection)


def _take_out(connection: sa.Connection, cuts: Sequence[Cut], why: Why, now: datetime) -> None:
    table, version = tables.log_files, next_version(connection, now)
    for cut in cuts:
        if cut.rest is not None:
            connection.execute(sa.insert(table).values(**asdict(cut.rest)))
        counts = sa.and_(table.c.path == cut.file.path, table.c.replaced_by.is_(None))
        instead = _NOTHING if cut.rest is None else cut.rest.path
        if connection.execute(sa.update(table).where(counts).values(replaced_by=instead)).rowcount != 1:
            raise Refused("another process changed files of the prediction log meanwhile.")
    facts = {"removed_version": version, "at": now, "why": why}
    rows = [{**_known(asdict(cut.file)), **facts, "rows": cut.rows} for cut in cuts]
    connection.execute(sa.insert(tables.log_removals), rows)


def _known(file: dict[str, object]) -> dict[str, object]:
    """Return what is kept of a file that is removed."""
    return {name: value for name, value in file.items() if name in tables.log_removals.c}
