"""Merging: the small files of a day become one, since a reader pays for each file.

Guarantee: as that of the compaction, every row is in one file that counts, whatever kills the merging and when. The new
file is on the disk before one transaction lets it count in the place of the others, which are removed after that. A
version of the catalogue names the same rows as before.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path, PurePosixPath

import pyarrow as pa

from mlprod_nb.prediction_log import lake, writing
from mlprod_nb.prediction_log.catalogue import Catalogue, LogFile, Selection
from mlprod_nb.prediction_log.files import Files
from mlprod_nb.prediction_log.keys import LogKeys
from mlprod_nb.prediction_log.writing import Part

LEAST_FILES = 16
"""How many small files of one day and schema are merged: so many times, about, the rows of a day are written."""

_SMALL_BYTES = 2 * 1024 * 1024
_MERGED_BYTES = 32 * 1024 * 1024
"""How many bytes of files are merged at once, which bounds the memory."""


def merge(folder: Path, catalogue: Catalogue, disk: Files, *, keys: LogKeys, least_files: int = LEAST_FILES) -> None:
    """Merge what is small and many; the caller has the lease.

    Args:
        folder: The log's folder.
        catalogue: Its catalogue.
        disk: The disk.
        least_files: How many files are worth it.
        keys: Those that the files may be encrypted with; what is merged is written with the first.
    """
    for files in _groups(folder, catalogue, least_files, keys):
        tables = [lake.read(folder / file.path, keys=keys) for file in files]
        part = Part(files[0].kind, files[0].endpoint, pa.concat_tables(tables))
        age = PurePosixPath(files[0].path).name.partition("-")[0]
        sources = [file.path for file in files]
        (merged,) = writing.write(folder, disk, [part], age=age, sources=sources, keys=keys)
        versions = {file.first_version for file in files} | {file.version for file in files}
        catalogue.replace(files, replace(merged, first_version=min(versions), version=max(versions)))
        remove_replaced(folder, catalogue, disk)


def remove_replaced(folder: Path, catalogue: Catalogue, disk: Files) -> int:
    """Remove the files that others stand for; return how many there were."""
    paths = catalogue.replaced()
    for path in paths:
        disk.remove(folder / path)
    for parent in {(folder / path).parent for path in paths}:
        disk.sync(parent)
    if paths:
        catalogue.forget(paths)
    return len(paths)


def _groups(folder: Path, catalogue: Catalogue, least_files: int, keys: LogKeys) -> Iterator[list[LogFile]]:
    by_folder: dict[PurePosixPath, list[LogFile]] = defaultdict(list)
    for file in catalogue.files(Selection()):
        if file.bytes < _SMALL_BYTES:
            by_folder[PurePosixPath(file.path).parent].append(file)
    for files in by_folder.values():
        if len(files) >= least_files:
            for same in _of_one_schema(folder, files, keys):
                yield from (some for some in _portions(same) if len(some) >= least_files)


def _portions(files: Sequence[LogFile]) -> Iterator[list[LogFile]]:
    portion: list[LogFile] = []
    for file in files:
        if sum(one.bytes for one in portion) + file.bytes > _MERGED_BYTES:
            yield portion
            portion = []
        portion.append(file)
    yield portion


def _of_one_schema(folder: Path, files: Sequence[LogFile], keys: LogKeys) -> list[list[LogFile]]:
    by_schema: dict[pa.Schema, list[LogFile]] = defaultdict(list)
    for file in files:
        path = folder / file.path
        content = path.read_bytes() if path.is_file() else b""
        # What is damaged or gone is left for mlprod verify to name: a merged file would hide it behind its own digest.
        if hashlib.sha256(content).hexdigest() == file.digest:
            by_schema[lake.schema_of(path, content, keys)].append(file)
    return list(by_schema.values())
