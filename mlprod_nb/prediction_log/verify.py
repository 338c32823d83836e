"""Reading every byte of the log: each checksum, digest and count, and what is missing or left over."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from mlprod_nb.clock import iso
from mlprod_nb.prediction_log import compaction, framing
from mlprod_nb.prediction_log.catalogue import Catalogue, CompactedSegment, LogFile, Selection
from mlprod_nb.prediction_log.framing import Damage
from mlprod_nb.prediction_log.segment_files import lease
from mlprod_nb.prediction_log.segments import SUFFIX


def problems(folder: Path, catalogue: Catalogue | None) -> list[str]:
    """Return one line for each damage: which file, what is wrong and what to do.

    A flipped bit is found in whatever was acknowledged, be it in a segment or in a file.

    Args:
        folder: The log's folder.
        catalogue: Its catalogue, or ``None`` where nothing was ever compacted.
    """
    # As for any reader, the segments come first and the catalogue after: see the reader.
    segments = {path.name: path for path in sorted(folder.glob(f"*{SUFFIX}"))}
    damaged = {name: list(_segment(path)) for name, path in segments.items()}
    if catalogue is None:
        return [line for lines in damaged.values() for line in lines]
    version = catalogue.version()
    compacted = catalogue.segments(until_version=version)
    files = catalogue.files(Selection(until_version=version))
    return [
        *(line for name, lines in damaged.items() if name not in compacted for line in lines),
        *(line for segment in compacted.values() for line in _put_aside(folder, segment)),
        *(line for file in files for line in _file(folder, file)),
        *_counts(files, compacted.values()),
        *_left_over(folder, catalogue),
    ]


def _segment(path: Path) -> Iterator[str]:
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


def _put_aside(folder: Path, segment: CompactedSegment) -> Iterator[str]:
    place = f"{compaction.DAMAGED}/{segment.name}"
    if segment.damaged_at is not None and (folder / place).is_file():
        yield (
            f"{place} at byte {segment.damaged_at}: {segment.problem}. Its other records, {segment.rows} rows, are "
            "kept. Remove the file when nothing more is to be made of it."
        )


def _file(folder: Path, file: LogFile) -> Iterator[str]:
    what = f"{file.rows} rows of {file.endpoint!r} from {iso(file.first_at)} to {iso(file.last_at)}"
    try:
        content = (folder / file.path).read_bytes()
    except FileNotFoundError:
        yield f"{file.path}: it is gone, with {what}. Bring it back from a backup."
        return
    if len(content) != file.bytes or hashlib.sha256(content).hexdigest() != file.digest:
        yield f"{file.path}: its bytes are not those that were written, {what}. Bring it back from a backup."
        return
    rows = pq.read_metadata(pa.BufferReader(content)).num_rows
    if rows != file.rows:
        yield f"{file.path}: it has {rows} rows, and the catalogue says {what}. Report this: it is a fault of mlprod."


def _counts(files: list[LogFile], segments: Iterable[CompactedSegment]) -> Iterator[str]:
    in_files: Counter[int] = Counter()
    in_segments: Counter[int] = Counter()
    for file in files:
        in_files[file.version] += file.rows
    for segment in segments:
        in_segments[segment.version] += segment.rows
    for version in sorted(in_files.keys() | in_segments.keys()):
        if in_files[version] != in_segments[version]:
            yield (
                f"catalogue version {version}: its files have {in_files[version]} rows and its segments had "
                f"{in_segments[version]}. Bring back the state database from a backup."
            )


def _left_over(folder: Path, catalogue: Catalogue) -> Iterator[str]:
    """Yield what a compaction that was killed has left; while one runs, nothing can be said of that."""
    if not folder.is_dir():
        return
    with lease(folder) as held:
        if not held:
            return
        for path in compaction.orphans(folder, catalogue):
            if compaction.repeated(folder, catalogue, path):
                place = path.relative_to(folder).as_posix()
                yield f"{place}: a compaction that was killed left it. mlprod compact removes it."
            else:
                yield compaction.unknown_file(folder, path)
        for name in catalogue.segments([path.name for path in folder.glob(f"*{SUFFIX}")]):
            yield f"{name}: a compaction that was killed left it; its rows are in files. mlprod compact removes it."
