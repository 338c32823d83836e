"""The catalogue: which Parquet files hold the rows of which segments, in the state database.

Guarantee: one transaction adds the files of a compaction and takes its segments out of the log, so that at any moment a
row is either in a segment that the catalogue does not name or in one file that counts. Versions count those
transactions without a gap and in their order, so a version names the same rows forever: also where files were merged,
since every row says from which segment it is.
"""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from datetime import datetime

import sqlalchemy as sa

from mlprod_nb.errors import Refused
from mlprod_nb.prediction_log.framing import RecordKind
from mlprod_nb.store import Store, tables

_MOST_NAMES = 500
"""How many names one statement takes; databases limit them."""


@dataclass(frozen=True)
class LogFile:
    """One Parquet file of the log.

    Attributes:
        path: Where it is, from the log's folder.
        kind: ``"predictions"`` or ``"feedback"``.
        endpoint: The endpoint of all its rows.
        rows: How many rows it has.
        shadows: How many of them are shadows.
        bytes: Its size.
        digest: SHA-256 of its bytes, in hex.
        first_at: The earliest moment in it: of predictions the event time, of feedback when it was received.
        last_at: The latest.
        first_id: The smallest prediction id in it.
        last_id: The largest.
        first_version: The version of the catalogue that brought its first rows.
        version: The version that brought its last ones; the same, but in a file that others were merged into.
    """

    path: str
    kind: RecordKind
    endpoint: str
    rows: int
    shadows: int
    bytes: int
    digest: str
    first_at: datetime
    last_at: datetime
    first_id: str
    last_id: str
    first_version: int = 0
    version: int = 0


@dataclass(frozen=True)
class CompactedSegment:
    """One segment whose rows are in files now.

    Attributes:
        name: Its file name.
        rows: How many rows of it are in files.
        damaged_at: Where its first damage begins, or ``None``; rows of damaged records are lost.
        problem: What the damage is, or empty.
        version: The version of the catalogue that brought its rows.
    """

    name: str
    rows: int
    damaged_at: int | None = None
    problem: str = ""
    version: int = 0


@dataclass(frozen=True)
class Selection:
    """Which files are wanted; what is ``None`` does not matter.

    Attributes:
        endpoint: Of this endpoint.
        kind: Of this kind.
        until_version: With rows of this version or one before; there may be later rows in it, too.
        versions: May have rows of one of these; at least one.
        ids: May hold a prediction id from the first to the second, both included.
        since: May hold this moment or a later one.
        until: May hold a moment before this.
    """

    endpoint: str | None = None
    kind: RecordKind | None = None
    until_version: int | None = None
    versions: Collection[int] | None = None
    ids: tuple[str, str] | None = None
    since: datetime | None = None
    until: datetime | None = None


class Catalogue:
    """The catalogue of one workspace's log.

    Args:
        store: The state database, at the newest schema.
    """

    def __init__(self, store: Store) -> None:
        self.store = store

    def add(self, files: Sequence[LogFile], segments: Sequence[CompactedSegment], *, now: datetime) -> int:
        """Add the files that hold the rows of segments, and take the segments out of the log; return the version.

        Raises:
            sqlalchemy.exc.IntegrityError: Somebody else has added one of them, or a version, meanwhile; nothing was
                changed.
        """
        with self.store.write() as connection:
            version = next_version(connection, now)
            if files:
                both = {"first_version": version, "version": version}
                connection.execute(sa.insert(tables.log_files), [{**asdict(file), **both} for file in files])
            if segments:
                rows = [{**asdict(segment), "version": version} for segment in segments]
                connection.execute(sa.insert(tables.log_segments), rows)
        return version

    def replace(self, files: Sequence[LogFile], merged: LogFile) -> None:
        """Let one file count in the place of others.

        Raises:
            Refused: One of them does not count any more; nothing was changed.
        """
        table = tables.log_files
        by = sa.and_(table.c.path.in_([file.path for file in files]), table.c.replaced_by.is_(None))
        with self.store.write() as connection:
            connection.execute(sa.insert(table).values(**asdict(merged)))
            changed = connection.execute(sa.update(table).where(by).values(replaced_by=merged.path))
            if changed.rowcount != len(files):
                raise Refused("another process merged files of the prediction log meanwhile.")

    def replaced(self) -> list[str]:
        """Return the paths of files that do not count any more and were not forgotten."""
        with self.store.read() as connection:
            table = tables.log_files.c
            return list(connection.scalars(sa.select(table.path).where(table.replaced_by.is_not(None))))

    def forget(self, paths: Sequence[str]) -> None:
        """Forget files that do not count any more and are gone, and what was kept of them."""
        table = tables.log_files
        with self.store.write() as connection:
            for some in _portions(paths):
                gone = sa.and_(table.c.path.in_(some), table.c.replaced_by.is_not(None))
                digests = sa.select(table.c.digest).where(gone)
                connection.execute(sa.delete(tables.log_counts).where(tables.log_counts.c.file.in_(digests)))
                connection.execute(sa.delete(table).where(gone))

    def kept(self, files: Collection[str], key: str) -> dict[str, bytes]:
        """Return by file what :meth:`keep` kept; what is torn or was moved is as if it were not there.

        Args:
            files: The files' digests.
            key: What was said of them.
        """
        table = tables.log_counts.c
        found: dict[str, bytes] = {}
        with self.store.read() as connection:
            for some in _portions(sorted(files)):
                query = sa.select(table.file, table.content, table.digest).where(table.file.in_(some), table.key == key)
                for row in connection.execute(query):
                    if row.digest == _seal(row.file, key, row.content):
                        found[row.file] = bytes(row.content)
        return found

    def lacking(self, endpoint: str, key: str) -> list[LogFile]:
        """Return an endpoint's files of predictions of which nothing is kept under a key, the newest rows first."""
        table, kept = tables.log_files, tables.log_counts.c
        columns = [table.c[field.name] for field in fields(LogFile)]
        wanted = _conditions(Selection(endpoint=endpoint, kind="predictions"))
        nothing = ~sa.exists().where(kept.file == table.c.digest, kept.key == key)
        query = sa.select(*columns).where(*wanted, nothing).order_by(table.c.last_at.desc(), table.c.path)
        with self.store.read() as connection:
            return [LogFile(**row) for row in connection.execute(query).mappings()]

    def keep(self, said: Mapping[str, bytes], key: str) -> None:
        """Keep what was said of files, in the place of what was kept under this key before.

        Nothing is kept of a file that was forgotten meanwhile: nobody would ever take it away.

        Args:
            said: What was said, any bytes, by the files' digests.
            key: What was said of them.
        """
        table, digest = tables.log_counts, tables.log_files.c.digest
        with contextlib.suppress(sa.exc.IntegrityError), self.store.write() as connection:  # another process did
            for some in _portions(sorted(said)):
                connection.execute(sa.delete(table).where(table.c.file.in_(some), table.c.key == key))
                known = set(connection.scalars(sa.select(digest).where(digest.in_(some))))
                rows = [
                    {"file": file, "key": key, "content": said[file], "digest": _seal(file, key, said[file])}
                    for file in some
                    if file in known
                ]
                if rows:
                    connection.execute(sa.insert(table), rows)

    def version(self) -> int:
        """Return the newest version; 0 where there is none. What is read up to one version is one state."""
        with self.store.read() as connection:
            return int(connection.scalar(sa.select(sa.func.max(tables.log_versions.c.version))) or 0)

    def files(self, wanted: Selection) -> list[LogFile]:
        """Return the files that count and may hold what is wanted, by version and path."""
        with self.store.read() as connection:
            table = tables.log_files
            columns = [table.c[field.name] for field in fields(LogFile)]
            query = sa.select(*columns).where(*_conditions(wanted)).order_by(table.c.version, table.c.path)
            return [LogFile(**row) for row in connection.execute(query).mappings()]

    def segments(
        self, names: Collection[str] | None = None, *, after_version: int = 0, until_version: int | None = None
    ) -> dict[str, CompactedSegment]:
        """Return by name the segments, or those of these names, whose rows came into files with these versions."""
        table = tables.log_segments
        at_version = table.c.version > after_version
        if until_version is not None:
            at_version &= table.c.version <= until_version
        found: dict[str, CompactedSegment] = {}
        with self.store.read() as connection:
            for some in [None] if names is None else _portions(sorted(names)):
                named = sa.true() if some is None else table.c.name.in_(some)
                for row in connection.execute(sa.select(table).where(at_version, named)).mappings():
                    found[row["name"]] = CompactedSegment(**row)
        return found


def next_version(connection: sa.Connection, now: datetime) -> int:
    """Begin the catalogue's next version, in a transaction that writes; return it."""
    version = int(connection.scalar(sa.select(sa.func.max(tables.log_versions.c.version))) or 0) + 1
    connection.execute(sa.insert(tables.log_versions).values(version=version, at=now))
    return version


def _conditions(wanted: Selection) -> list[sa.ColumnElement[bool]]:
    table = tables.log_files.c
    conditions: list[sa.ColumnElement[bool] | None] = [
        table.replaced_by.is_(None),
        None if wanted.endpoint is None else table.endpoint == wanted.endpoint,
        None if wanted.kind is None else table.kind == wanted.kind,
        None if wanted.until_version is None else table.first_version <= wanted.until_version,
        None if wanted.versions is None else table.version >= min(wanted.versions),
        None if wanted.versions is None else table.first_version <= max(wanted.versions),
        None if wanted.ids is None else table.last_id >= wanted.ids[0],
        None if wanted.ids is None else table.first_id <= wanted.ids[1],
        None if wanted.since is None else table.last_at >= wanted.since,
        None if wanted.until is None else table.first_at < wanted.until,
    ]
    return [condition for condition in conditions if condition is not None]


def _seal(file: str, key: str, content: bytes) -> str:
    return hashlib.sha256(f"{file}\0{key}\0".encode() + content).hexdigest()


def _portions(names: Sequence[str]) -> list[Sequence[str]]:
    return [names[begin : begin + _MOST_NAMES] for begin in range(0, len(names), _MOST_NAMES)]
