"""Compaction: the rows of sealed segments go into Parquet files, and then the segments go.

Guarantee: every row that was acknowledged is in the log exactly once, whatever kills the compaction and when, a power
loss included. Files are written under temporary names, synced and renamed, and their folders are synced; then one
transaction of the catalogue adds them and takes the segments out of the log; then the segments are removed. Before the
transaction the segments count and the files do not, after it the files count and the segments do not; what a killed run
left of the other kind is removed by the next. The transaction refuses a segment that is in files already, so two
processes that compact at once, against the lease, do not double a row either: one of them fails.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import pyarrow as pa

from mlprod_nb.clock import Clock, utc_now
from mlprod_nb.errors import Corrupt
from mlprod_nb.prediction_log import framing, lake, merging, retention, writing
from mlprod_nb.prediction_log.catalogue import Catalogue, CompactedSegment, LogFile, Selection
from mlprod_nb.prediction_log.decoding import decode_placed
from mlprod_nb.prediction_log.files import DiskFiles, Files
from mlprod_nb.prediction_log.framing import Damage, Record, RecordKind
from mlprod_nb.prediction_log.keys import KeyMissing, LogKeys
from mlprod_nb.prediction_log.retention import Forgotten
from mlprod_nb.prediction_log.segment_files import DAMAGED, lease, mapped, sealed_segments
from mlprod_nb.prediction_log.segments import SUFFIX
from mlprod_nb.prediction_log.writing import Part

_BATCH_BYTES = 64 * 1024 * 1024


@dataclass(frozen=True)
class Compacted:
    """What a compaction did.

    Attributes:
        busy: Whether another process compacts this log, so that nothing was done.
        segments: How many segments went.
        rows: How many rows of them are in files now.
        files: How many files were added.
        leftovers: How many files and segments that a killed run had left were removed.
        forgotten: What was removed since it was older than rows are kept.
        problems: What is damaged or was left alone, one line each.
    """

    busy: bool = False
    segments: int = 0
    rows: int = 0
    files: int = 0
    leftovers: int = 0
    forgotten: Forgotten = field(default_factory=Forgotten)
    problems: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Read:
    """What a segment holds."""

    segment: CompactedSegment
    tables: dict[tuple[RecordKind, str], list[pa.Table]]


class Compactor:
    """Compacts one log.

    Args:
        folder: The log's folder.
        catalogue: Its catalogue.
        clock: Gives the present moment.
        files: The disk.
        batch_bytes: How many bytes of segments one transaction takes, which bounds the memory; a larger segment is
            taken alone.
        least_files: How many small files of a day are merged into one.
        keys: Those that segments and files may be encrypted with, and whether what is written is encrypted.
        keep_days: For how many days rows are kept; 0: for ever.
    """

    def __init__(
        self,
        folder: Path,
        catalogue: Catalogue,
        *,
        keys: LogKeys,
        clock: Clock = utc_now,
        files: Files | None = None,
        batch_bytes: int = _BATCH_BYTES,
        least_files: int = merging.LEAST_FILES,
        keep_days: int = 0,
    ) -> None:
        self._folder = folder
        self._catalogue = catalogue
        self._clock = clock
        self._files = files or DiskFiles()
        self._batch_bytes = batch_bytes
        self._least_files = least_files
        self._keys = keys
        self._keep_days = keep_days

    def run(self) -> Compacted:
        """Remove what killed runs left, compact every sealed segment, and remove what is too old."""
        if not self._folder.is_dir():
            return Compacted()
        with lease(self._folder) as held:
            if not held:
                return Compacted(busy=True)
            done = self._clean()
            for batch in self._batches(sealed_segments(self._folder)):
                try:
                    some = self._compact(batch)
                except Exception:
                    self._clean()  # on a full disk what was begun would take the gateway's room until the next run
                    raise
                done = replace(
                    done,
                    segments=done.segments + some.segments,
                    rows=done.rows + some.rows,
                    files=done.files + some.files,
                    problems=done.problems + some.problems,
                )
            forgotten = retention.remove(
                self._folder, self._catalogue, self._files, keep_days=self._keep_days, now=self._clock()
            )
            try:
                merging.merge(
                    self._folder, self._catalogue, self._files, least_files=self._least_files, keys=self._keys
                )
            except Exception:
                self._clean()
                raise
            return replace(done, forgotten=forgotten)

    def _clean(self) -> Compacted:
        """Remove the files and the segments that do not count."""
        removed, problems = merging.remove_replaced(self._folder, self._catalogue, self._files), []
        for path in orphans(self._folder, self._catalogue):
            if not repeated(self._folder, self._catalogue, path, self._keys):
                problems.append(unknown_file(self._folder, path))
                continue
            self._files.remove(path)
            removed += 1
        compacted = self._catalogue.segments([path.name for path in self._folder.glob(f"*{SUFFIX}")])
        self._take_away([compacted[name] for name in sorted(compacted)])
        return Compacted(leftovers=removed + len(compacted), problems=tuple(problems))

    def _batches(self, paths: Sequence[Path]) -> Iterator[list[Path]]:
        batch: list[Path] = []
        size = 0
        for path in paths:
            size += path.stat().st_size
            if batch and size > self._batch_bytes:
                yield batch
                batch, size = [], path.stat().st_size
            batch.append(path)
        if batch:
            yield batch

    def _compact(self, paths: Sequence[Path]) -> Compacted:
        """Compact some segments in one transaction."""
        read, problems = [], []
        for path in paths:
            try:
                read.append(_read(path, self._keys))
            except KeyMissing as error:
                problems.append(f"{path.name}: it was left: {error}")
            except ValueError as error:  # written by a program that knows more; it stays, and readers say so
                problems.append(f"{path.name}: its records cannot be read, so it was left: {error}.")
        segments = [found.segment for found in read]
        problems += [f"{found.name} at byte {found.damaged_at}: {found.problem}" for found in segments if found.problem]
        files = self._write(read)
        rows = sum(file.rows for file in files)
        if rows != sum(segment.rows for segment in segments):
            raise Corrupt("the files of a compaction do not hold the rows of its segments; nothing was changed.")
        if segments:
            self._catalogue.add(files, segments, now=self._clock())
            self._take_away(segments)
        return Compacted(segments=len(segments), rows=rows, files=len(files), problems=tuple(problems))

    def _write(self, read: Sequence[_Read]) -> list[LogFile]:
        """Write the rows of segments to files that are on the disk when this returns."""
        tables: dict[tuple[RecordKind, str, pa.Schema], list[pa.Table]] = {}
        for found in read:
            for (kind, endpoint), some in found.tables.items():
                for table in some:
                    tables.setdefault((kind, endpoint, table.schema), []).append(table)
        parts = [Part(kind, endpoint, pa.concat_tables(some)) for (kind, endpoint, _), some in tables.items()]
        names = [found.segment.name for found in read]
        age = names[0].partition("-")[0] if names else ""
        return writing.write(self._folder, self._files, parts, age=age, sources=names, keys=self._keys)

    def _take_away(self, segments: Sequence[CompactedSegment]) -> None:
        """Remove segments whose rows are in files; put those that are damaged aside."""
        for segment in segments:
            path = self._folder / segment.name
            if segment.damaged_at is None:
                self._files.remove(path)
            elif path.is_file():
                self._files.rename(path, self._folder / DAMAGED / segment.name)
                self._files.sync(self._folder / DAMAGED)
        if segments:
            self._files.sync(self._folder)


def orphans(folder: Path, catalogue: Catalogue) -> list[Path]:
    """Return the files that the catalogue does not name; those that a compaction writes just now are among them."""
    there = [
        path
        for kind in lake.KINDS
        for path in sorted((folder / kind).rglob("*"))
        if path.suffix in (lake.SUFFIX, lake.PARTIAL)
    ]
    known = {file.path for file in catalogue.files(Selection())} | set(catalogue.replaced()) if there else set()
    return [path for path in there if path.relative_to(folder).as_posix() not in known]


def repeated(folder: Path, catalogue: Catalogue, path: Path, keys: LogKeys) -> bool:
    """Return whether every row of a file that the catalogue does not name is still in what counts."""
    if path.suffix == lake.PARTIAL:
        return True
    try:
        sources = lake.sources_of(path, keys)
    except Corrupt:
        return False
    files = {file.path for file in catalogue.files(Selection())}
    return not catalogue.segments(sources) and all(name in files or _is_segment(folder, name) for name in sources)


def _is_segment(folder: Path, name: str) -> bool:
    return name.endswith(SUFFIX) and (folder / name).is_file()


def unknown_file(folder: Path, path: Path) -> str:
    """Say of a file that it may hold rows that are nowhere else, though the catalogue does not name it."""
    return (
        f"{path.relative_to(folder).as_posix()}: the catalogue does not name it, and its segments are gone. "
        "Bring back the state database that belongs to the log; the file is left as it is."
    )


def _read(path: Path, keys: LogKeys) -> _Read:
    records: dict[tuple[RecordKind, str], list[tuple[str, Record]]] = {}
    damages: list[Damage] = []
    for found in framing.scan(mapped(path)):
        if isinstance(found, Damage):
            damages.append(found)
        else:
            records.setdefault((found.kind, found.endpoint), []).append((path.name, keys.open(path.name, found)))
    tables = {key: decode_placed(some) for key, some in records.items()}
    rows = sum(table.num_rows for some in tables.values() for table in some)
    if not damages:
        return _Read(CompactedSegment(path.name, rows), tables)
    return _Read(CompactedSegment(path.name, rows, damages[0].offset, damages[0].problem), tables)
