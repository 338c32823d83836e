"""Reading every byte of the log: each checksum, digest and count, and what is missing or left over."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from pathlib import Path

from mlprod_nb.clock import iso
from mlprod_nb.errors import Corrupt
from mlprod_nb.prediction_log import compaction, framing, lake
from mlprod_nb.prediction_log.catalogue import Catalogue, CompactedSegment, LogFile, Selection
from mlprod_nb.prediction_log.framing import Damage
from mlprod_nb.prediction_log.keys import NO_KEYS, KeyMissing, LogKeys
from mlprod_nb.prediction_log.removals import Removal, Removals
from mlprod_nb.prediction_log.segment_files import DAMAGED, lease
from mlprod_nb.prediction_log.segments import SUFFIX


def problems(folder: Path, catalogue: Catalogue | None, keys: LogKeys = NO_KEYS) -> list[str]:
    """Return one line for each damage: which file, what is wrong and what to do.

    A flipped bit is found in whatever was acknowledged, be it in a segment or in a file.

    Args:
        folder: The log's folder.
        catalogue: Its catalogue, or ``None`` where nothing was ever compacted.
        keys: Those that it may be encrypted with.
    """
    # As for any reader, the segments come first and the catalogue after: see the reader.
    segments = {path.name: path for path in sorted(folder.glob(f"*{SUFFIX}"))}
    damaged = {name: list(_segment(path, keys)) for name, path in segments.items()}
    if catalogue is None:
        return [line for lines in damaged.values() for line in lines]
    version = catalogue.version()
    compacted = catalogue.segments(until_version=version)
    files = catalogue.files(Selection(until_version=version))
    removed = Removals(catalogue.store).every()
    # A file that was merged meanwhile may have rows of later segments, too.
    settled = all(file.version <= version for file in files) and all(one.version <= version for one in removed)
    return [
        *(line for name, lines in damaged.items() if name not in compacted for line in lines),
        *(line for segment in compacted.values() for line in _put_aside(folder, segment)),
        *(line for file in files for line in _file(folder, catalogue, file, keys)),
        *(_counts(files, removed, compacted.values()) if settled else ()),
        *_left_over(folder, catalogue, keys),
    ]


def _segment(path: Path, keys: LogKeys) -> Iterator[str]:
    try:
        content = path.read_bytes()
    except FileNotFoundError:  # compacted meanwhile
        return
    for found in framing.scan(memoryview(content)):
        if isinstance(found, Damage):
            yield (
                f"{path.name} at byte {found.offset}: {found.problem}. Its other records are whole: once the segment "
                "is closed, mlprod compact keeps them and puts the segment aside."
            )
            continue
        try:
            keys.open(path.name, found)
        except KeyMissing as error:
            yield str(error)
            return
        except Corrupt as error:
            yield error.message


def _put_aside(folder: Path, segment: CompactedSegment) -> Iterator[str]:
    place = f"{DAMAGED}/{segment.name}"
    if segment.damaged_at is not None and (folder / place).is_file():
        yield (
            f"{place} at byte {segment.damaged_at}: {segment.problem}. Its other records, {segment.rows} rows, are "
            "kept. Remove the file when nothing more is to be made of it."
        )


def _file(folder: Path, catalogue: Catalogue, file: LogFile, keys: LogKeys) -> Iterator[str]:
    what = f"{file.rows} rows of {file.endpoint!r} from {iso(file.first_at)} to {iso(file.last_at)}"
    try:
        content = (folder / file.path).read_bytes()
    except FileNotFoundError:
        if file.path not in {one.path for one in catalogue.files(Selection())}:  # merged meanwhile
            return
        yield f"{file.path}: it is gone, with {what}. Bring it back from a backup."
        return
    if len(content) != file.bytes or hashlib.sha256(content).hexdigest() != file.digest:
        yield f"{file.path}: its bytes are not those that were written, {what}. Bring it back from a backup."
        return
    try:
        rows = lake.rows_of(folder / file.path, content, keys)
    except KeyMissing as error:
        yield str(error)
        return
    if rows != file.rows:
        yield f"{file.path}: it has {rows} rows, and the catalogue says {what}. Report this: it is a fault of mlprod."


def _counts(
    files: Iterable[LogFile], removed: Iterable[Removal], segments: Iterable[CompactedSegment]
) -> Iterator[str]:
    rows = {one.path: one.rows for one in removed} | {file.path: file.rows for file in files}  # some meanwhile
    in_files, in_segments = sum(rows.values()), sum(segment.rows for segment in segments)
    if in_files != in_segments:
        yield (
            f"catalogue: its files have {in_files} rows and its segments had {in_segments}. "
            "Bring back the state database from a backup."
        )


def _left_over(folder: Path, catalogue: Catalogue, keys: LogKeys) -> Iterator[str]:
    """Yield what a compaction that was killed has left; while one runs, nothing can be said of that."""
    if not folder.is_dir():
        return
    with lease(folder) as held:
        if not held:
            return
        for path in compaction.orphans(folder, catalogue):
            if compaction.repeated(folder, catalogue, path, keys):
                place = path.relative_to(folder).as_posix()
                yield f"{place}: a compaction that was killed left it. mlprod compact removes it."
            else:
                yield compaction.unknown_file(folder, path)
        for place in catalogue.replaced():
            yield f"{place}: a compaction that was killed left it; it counts no more. mlprod compact removes it."
        for name in catalogue.segments([path.name for path in folder.glob(f"*{SUFFIX}")]):
            yield f"{name}: a compaction that was killed left it; its rows are in files. mlprod compact removes it."
