"""Writing the log's Parquet files so that they are on the disk, names included, before anything counts on them."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from mlprod_nb.prediction_log import lake
from mlprod_nb.prediction_log.catalogue import LogFile
from mlprod_nb.prediction_log.files import Files
from mlprod_nb.prediction_log.framing import RecordKind
from mlprod_nb.prediction_log.keys import LogKeys, name_part


@dataclass(frozen=True)
class Part:
    """Rows that go into one file for each day.

    Attributes:
        kind: ``"predictions"`` or ``"feedback"``.
        endpoint: The endpoint of all rows.
        rows: Placed rows of one schema.
    """

    kind: RecordKind
    endpoint: str
    rows: pa.Table


def write(
    folder: Path, disk: Files, parts: Iterable[Part], *, age: str, sources: Sequence[str], keys: LogKeys
) -> list[LogFile]:
    """Write files; when this returns they are on the disk.

    Args:
        folder: The log's folder.
        disk: The disk.
        parts: The rows.
        age: What their names begin with, so that they sort by age.
        sources: What all rows were in before.
        keys: Say whether they are encrypted, and how.
    """
    files = [_write(folder, disk, part, age, sources, keys) for part in parts for part in _days(part)]
    folders: set[Path] = set()
    for file in files:
        path = folder / file.path
        disk.rename(partial(path), path)
        folders |= {path.parents[number] for number in range(len(Path(file.path).parents))}
    # The deepest first: a name counts only where the folder that it is in has one.
    for changed in sorted(folders, reverse=True):
        disk.sync(changed)
    return files


def partial(path: Path) -> Path:
    """Return the name under which a file is written; a dot hides it from tools that read the folder."""
    return path.with_name(f".{path.name}{lake.PARTIAL}")


def _days(part: Part) -> Iterator[Part]:
    for rows in lake.by_day(part.kind, part.rows):
        yield Part(part.kind, part.endpoint, rows)


def _write(folder: Path, disk: Files, part: Part, age: str, sources: Sequence[str], keys: LogKeys) -> LogFile:
    first_at, last_at, first_id, last_id = lake.bounds(part.kind, part.rows)
    name = f"{age}-{secrets.token_hex(6)}{name_part(keys.writing)}"
    place = lake.place_of(part.kind, part.endpoint, first_at.date(), name)
    content = lake.encode(part.rows, sources, keys)
    disk.write(partial(folder / place), content)
    return LogFile(
        path=place,
        kind=part.kind,
        endpoint=part.endpoint,
        rows=part.rows.num_rows,
        shadows=pc.sum(part.rows["shadow"]).as_py() if part.kind == "predictions" else 0,
        bytes=len(content),
        digest=hashlib.sha256(content).hexdigest(),
        first_at=first_at,
        last_at=last_at,
        first_id=first_id,
        last_id=last_id,
    )
