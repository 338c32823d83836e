"""Where a range's rows are: records of open segments, and Parquet files, whole or in part.

What is said of a whole file stays true, since files are written once. So :meth:`Places.tally` keeps it in the
catalogue, and whoever asks again about the same files reads only the rows that the range's edges cut off, and the tail.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import pyarrow as pa
import pyarrow.compute as pc

from mlprod_nb.errors import Corrupt
from mlprod_nb.prediction_log import framing, lake, tables
from mlprod_nb.prediction_log.ahead import ahead
from mlprod_nb.prediction_log.catalogue import Catalogue, CompactedSegment, LogFile, Selection
from mlprod_nb.prediction_log.decoding import decode_placed
from mlprod_nb.prediction_log.framing import Damage, Record, RecordKind
from mlprod_nb.prediction_log.keys import NO_KEYS, LogKeys
from mlprod_nb.prediction_log.narrowing import MOMENT, condition_of, span_of, wanted_of, written_in
from mlprod_nb.prediction_log.ranges import LogRange
from mlprod_nb.prediction_log.removals import Removal, Removals, Removed, Why
from mlprod_nb.prediction_log.segment_files import mapped
from mlprod_nb.prediction_log.segments import SUFFIX

T = TypeVar("T")
Tally = Callable[[Iterable[pa.Table], int], bytes]
"""Says something of rows that come in some tables, all of which it takes, and that are at least so many."""

Times = Sequence[tuple[datetime | None, datetime | None]]
"""Windows: the first event time, and the one before which rows belong."""

ASIDE = "Once the segment is closed, mlprod compact puts it aside and goes on with its whole records."
_HINT = "mlprod verify lists all damage."
_MOST_TRIES = 5
_KEPT_TOGETHER = 16
"""Of so many files what was said is kept in one transaction, each of which waits for the disk."""


@dataclass(frozen=True)
class Contents:
    """What the log held at one moment.

    Attributes:
        segments: The bytes of each segment that was in no file, the oldest first.
        version: The catalogue's version.
        compacted: The other segments.
    """

    segments: dict[str, memoryview]
    version: int
    compacted: dict[str, CompactedSegment]


@dataclass(frozen=True)
class Part:
    """A file with rows of a range.

    Attributes:
        file: The file.
        whole: Whether every row of it is in the range, shadows included; of feedback, about whichever predictions.
        condition: Gives the condition on those that are; also on some that are not of the range's event times or ids.
    """

    file: LogFile
    whole: bool
    condition: Callable[[], pc.Expression]


@dataclass(frozen=True)
class Places:
    """Where the rows of one log are.

    Attributes:
        folder: Where the segments and files are; it may not exist yet.
        catalogue: Which files there are; ``None`` where nothing was ever compacted.
        keys: Those that they may be encrypted with.
        left: Whether what is left will do, where predictions of a range were removed; else :class:`Removed` says so.
    """

    folder: Path
    catalogue: Catalogue | None
    keys: LogKeys = NO_KEYS
    left: bool = False

    @property
    def removals(self) -> Removals:
        """What was removed on purpose."""
        return Removals(None if self.catalogue is None else self.catalogue.store)

    def steadily(self, read: Callable[[], T]) -> T:
        """Read, and again where a file was merged into another between the catalogue's word and the opening."""
        for _ in range(_MOST_TRIES):
            try:
                return read()
            except lake.Gone as gone:
                path = gone.path.relative_to(self.folder).as_posix()
                if any(file.path == path for file in self.files(Selection())):
                    raise
        return read()

    def look(self, names: Collection[str] | None = None) -> Contents:
        """Return what there is now, of all segments or of these."""
        paths = sorted(self.folder.glob(f"*{SUFFIX}")) if names is None else [self.folder / name for name in names]
        # The order matters: see the guarantee of the reader.
        segments: dict[str, memoryview] = {}
        for path in paths:
            with contextlib.suppress(FileNotFoundError):  # where it was compacted, the catalogue names it
                segments[path.name] = mapped(path)
        if self.catalogue is None:
            return Contents(segments, 0, {})
        version = self.catalogue.version()
        compacted = self.catalogue.segments(segments if names is None else names, until_version=version)
        return Contents(
            {name: content for name, content in segments.items() if name not in compacted}, version, compacted
        )

    def files(self, wanted: Selection) -> list[LogFile]:
        """Return the files that may hold what is wanted."""
        return [] if self.catalogue is None else self.catalogue.files(wanted)

    def read(self, file: LogFile, *, only: Sequence[str] = (), where: pc.Expression | None = None) -> pa.Table:
        """Return the rows of a file as :func:`lake.read` does."""
        return lake.read(self.folder / file.path, only=only, where=where, keys=self.keys)

    def blocks(self, file: LogFile, **options: Any) -> Iterator[pa.Table]:
        """Yield the rows of a file as :func:`lake.blocks` does."""
        return lake.blocks(self.folder / file.path, keys=self.keys, **options)

    def may_hold(self, file: LogFile, column: str, values: Sequence[str]) -> bool:
        """Say what :func:`lake.may_hold` says of a file."""
        return lake.may_hold(self.folder / file.path, column, values, self.keys)

    def until(self, file: LogFile, version: int) -> pc.Expression:
        """Return the condition on a file's rows that they came with a version or before."""
        if file.version <= version or self.catalogue is None:
            return pc.scalar(True)
        later = self.catalogue.segments(after_version=version, until_version=file.version)
        return ~pc.field("log_segment").isin(sorted(later))

    def rows(
        self, where: LogRange, kind: RecordKind, only: Sequence[str], *, ids: pa.ChunkedArray | None = None
    ) -> Iterator[pa.Table]:
        """Yield a range's rows of one kind, with their places; also some that are not of its event times or ids."""
        contents = self._look_at(where)
        yield from decode_placed(self._records(where, kind, contents), only=only)
        for part in self._parts(where, kind, contents, None if ids is None else span_of(ids)):
            yield self.read(part.file, only=only, where=part.condition())

    def sources(
        self,
        where: LogRange,
        kind: RecordKind,
        only: Sequence[str],
        *,
        ids: tuple[str, str] | None = None,
        holding: Sequence[bytes] = (),
    ) -> tuple[list[pa.Table], list[Part]]:
        """Return the rows of one kind that are in no file, with their places, and the files that hold the others.

        Args:
            where: The range.
            kind: The kind.
            only: The columns to read of rows that are in no file.
            ids: Leave out files whose prediction ids are all below the first or above the second.
            holding: Leave out records in which none of these bytes is, as Arrow keeps texts; none where empty.

        Raises:
            Corrupt: As :meth:`tally`.
        """
        contents = self._look_at(where)
        records = (
            (name, record)
            for name, record in self._records(where, kind, contents)
            if not holding or any(some in payload for payload in (bytes(record.payload),) for some in holding)
        )
        return decode_placed(records, only=only), list(self._parts(where, kind, contents, ids))

    def tally(self, where: LogRange, key: str, tally: Tally, *, only: Sequence[str], times: Times) -> list[list[bytes]]:
        """Return what a function says of a range's predictions, of each file and of each sort of records apart.

        Args:
            where: The range; shadows are left out.
            key: Names what the function says; at most 64 characters.
            tally: The function: what it says depends on nothing but the key and the rows.
            only: The columns that it reads.
            times: Of which event times, in place of those of the range; one result for each.

        Raises:
            Corrupt: A record in the range is damaged, or a segment or a file is gone.
        """
        contents = self._look_at(where)
        read = list(dict.fromkeys([*only, "event_time", "shadow"]))
        tail = decode_placed(self._records(where, "predictions", contents), only=read)
        found, new = [], dict[str, bytes]()
        try:
            for since, until in times:
                window = replace(where, since=since, until=until)
                said = [tally([inside(table, window)], 0) for table in tail]
                parts = list(self._parts(window, "predictions", contents, None))
                kept = self._kept([part.file.digest for part in parts if part.whole], key)
                lacking = [part.file for part in parts if part.whole and part.file.digest not in kept]
                for file, answer in self._tally_whole(lacking, tally, only):
                    kept[file.digest] = new[file.digest] = answer
                    if len(new) == _KEPT_TOGETHER:
                        self._keep(new, key)
                        new.clear()
                said += [
                    kept[part.file.digest] if part.whole else self._tally_some(part, window, tally, only)
                    for part in parts
                ]
                found.append(said)
        finally:  # an interrupt, too: what was said need not be said again
            self._keep(new, key)
        return found

    def tally_file(self, file: LogFile, key: str, tally: Tally, *, only: Sequence[str]) -> None:
        """Keep what a function says of all predictions of a file, shadows left out.

        Raises:
            Gone: The file is not there.
            Corrupt: It is damaged.
        """
        self._keep({told.digest: answer for told, answer in self._tally_whole([file], tally, only)}, key)

    def sample(self, where: LogRange, rows: int, *, only: Sequence[str]) -> list[pa.Table]:
        """Return some of a range's predictions by chance, with their places: the same ones wherever they lie.

        They are those whose ids end lowest: the end of an id is random. Memory is bounded by a file's group of rows.

        Args:
            where: The range; shadows are left out.
            rows: How many at most.
            only: The columns to read.

        Raises:
            Corrupt: As :meth:`tally`.
        """
        contents = self._look_at(where)
        read = list(dict.fromkeys([*only, "prediction_id", "event_time", "shadow"]))
        found: list[pa.Table] = []
        for table in self._blocks(where, contents, read):
            found.append(tables.lowest([inside(table, where)], rows)[0])
            if sum(kept.num_rows for kept in found) > 4 * rows:
                found = tables.lowest(found, rows)
        return tables.lowest(found, rows)

    def _blocks(self, where: LogRange, contents: Contents, read: Sequence[str]) -> Iterator[pa.Table]:
        yield from decode_placed(self._records(where, "predictions", contents), only=read)
        for part in self._parts(where, "predictions", contents, None):
            condition = None if part.whole else part.condition()
            yield from self.blocks(part.file, only=read, where=condition)

    def _kept(self, files: Collection[str], key: str) -> dict[str, bytes]:
        return self.catalogue.kept(files, key) if files and self.catalogue is not None else {}

    def _keep(self, said: Mapping[str, bytes], key: str) -> None:
        if said and self.catalogue is not None:
            self.catalogue.keep(said, key)

    def _tally_whole(
        self, files: Sequence[LogFile], tally: Tally, only: Sequence[str]
    ) -> Iterator[tuple[LogFile, bytes]]:
        """Yield each file with what is said of all its predictions."""
        with contextlib.closing(ahead(self._whole(files, only))) as coming:
            for file in files:
                yield file, tally(iter(partial(next, coming), None), file.rows - file.shadows)

    def _whole(self, files: Iterable[LogFile], only: Sequence[str]) -> Iterator[pa.Table | None]:
        """Yield all predictions of some files, shadows left out, table by table, and ``None`` after each file."""
        for file in files:
            read = list(dict.fromkeys([*only, *(("shadow",) if file.shadows else ())]))
            for table in self.blocks(file, only=read, coded=True, placed=False):
                yield table.filter(pc.invert(table["shadow"])) if file.shadows else table
            yield None

    def _tally_some(self, part: Part, where: LogRange, tally: Tally, only: Sequence[str]) -> bytes:
        read = list(dict.fromkeys([*only, "event_time", *(("shadow",) if part.file.shadows else ())]))
        tables = self.blocks(part.file, only=read, where=part.condition(), coded=True, placed=False)
        return tally((inside(table, where, shadows=not part.file.shadows) for table in tables), 0)

    def _look_at(self, where: LogRange) -> Contents:
        contents = self.look([name for name, _ in where.segments])
        if where.version > contents.version:
            raise Corrupt(
                f"the range has version {where.version} of the prediction log's catalogue, which ends at "
                f"{contents.version}.",
                hint="Bring back the state database that belongs to the log.",
            )
        return contents

    def removed(self, where: LogRange, why: Why = "retention") -> list[Removal]:
        """Return what was removed of a range's predictions since it was pinned."""
        return self.removals.since_pinned(where, _versions(where, self._look_at(where)), why)

    def _parts(
        self, where: LogRange, kind: RecordKind, contents: Contents, ids: tuple[str, str] | None
    ) -> Iterator[Part]:
        wanted = wanted_of(where, kind, ids)
        narrow = partial(condition_of, where, kind, wanted)
        versions = _versions(where, contents)
        files = self.files(replace(wanted, until_version=where.version))
        later = self.files(replace(wanted, versions=versions)) if versions else []
        # After the files: what is removed later is found to be gone when it is opened, and all is asked again.
        if kind == "predictions" and not self.left and (removed := self.removals.since_pinned(where, versions)):
            raise Removed(removed)
        for file in files:
            whole = file.version <= where.version and (kind == "feedback" or _all_in_time(file, where))
            yield Part(file, whole, partial(self._known_then, file, where.version, narrow))
        ends = {name: end for name, end in where.segments if name in contents.compacted}
        for file in later:
            own = {
                name: end
                for name, end in ends.items()
                if file.first_version <= contents.compacted[name].version <= file.version
            }
            if own:
                yield Part(file, False, partial(written_in, own, narrow))

    def _known_then(self, file: LogFile, version: int, narrow: Callable[[], pc.Expression]) -> pc.Expression:
        return narrow() & self.until(file, version)

    def _records(self, where: LogRange, kind: RecordKind, contents: Contents) -> Iterator[tuple[str, Record]]:
        """Yield the records of a range's segments that are in no file, each with its segment's name."""
        for name, end in where.segments:
            compacted = contents.compacted.get(name)
            if compacted is not None:
                if compacted.damaged_at is not None and compacted.damaged_at < end:
                    raise damaged(name, Damage(compacted.damaged_at, compacted.problem))
                continue
            content = contents.segments.get(name)
            if content is None:
                raise Corrupt(f"segment {name} of the prediction log is gone.", hint=_HINT)
            if len(content) < end:
                raise Corrupt(
                    f"segment {name} of the prediction log was cut short: it ends before byte {end}.", hint=_HINT
                )
            for found in framing.scan(content[:end]):
                if isinstance(found, Damage):
                    raise damaged(name, found)
                if found.kind == kind and found.endpoint == where.endpoint:
                    yield name, self.keys.open(name, found)


def inside(table: pa.Table, where: LogRange, *, shadows: bool = False) -> pa.Table:
    """Return the rows within a range's event times."""
    # By masks: a filter that is an expression imports pandas.
    if where.since is not None:
        table = table.filter(pc.greater_equal(table["event_time"], pa.scalar(where.since, MOMENT)))
    if where.until is not None:
        table = table.filter(pc.less(table["event_time"], pa.scalar(where.until, MOMENT)))
    return table if shadows else table.filter(pc.invert(table["shadow"]))


def damaged(name: str, damage: Damage, hint: str = _HINT) -> Corrupt:
    """Return the error that says where a segment is damaged."""
    return Corrupt(
        f"segment {name} of the prediction log is damaged at byte {damage.offset}: {damage.problem}.", hint=hint
    )


def _all_in_time(file: LogFile, where: LogRange) -> bool:
    since, until = where.since, where.until
    return (since is None or file.first_at >= since) and (until is None or file.last_at < until)


def _versions(where: LogRange, contents: Contents) -> set[int]:
    """Return the versions of the catalogue that brought a range's segments into files."""
    return {contents.compacted[name].version for name, _ in where.segments if name in contents.compacted}
