"""Erasure: the rows of one person, or of some predictions, are taken out of the log, with the feedback about them.

Guarantee: all rows of theirs that the log had when it began are gone from its files, or nothing is changed: each file
that has some is written anew without them, and one transaction of the catalogue lets the new ones count and says how
many rows went. Whatever kills the process and when, the next compaction removes the files that count no more.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path, PurePosixPath

import pyarrow as pa
import pyarrow.compute as pc
import sqlalchemy as sa

from mlprod_nb.errors import Corrupt, Refused
from mlprod_nb.prediction_log import framing, lake, merging, removals, writing
from mlprod_nb.prediction_log.catalogue import Catalogue, LogFile, Selection
from mlprod_nb.prediction_log.decoding import decode
from mlprod_nb.prediction_log.files import DiskFiles, Files
from mlprod_nb.prediction_log.framing import Record, RecordKind
from mlprod_nb.prediction_log.keys import LogKeys
from mlprod_nb.prediction_log.removals import Cut
from mlprod_nb.prediction_log.scanning import Places
from mlprod_nb.prediction_log.segment_files import DAMAGED, lease
from mlprod_nb.prediction_log.writing import Part

_ID = "prediction_id"


@dataclass(frozen=True)
class Sought:
    """Whose rows.

    Attributes:
        endpoint: The endpoint.
        unit: The unit; empty: those of some predictions.
        ids: The predictions' ids; empty: those of a unit.
    """

    endpoint: str
    unit: str = ""
    ids: tuple[str, ...] = ()


@dataclass(frozen=True)
class Erased:
    """What went.

    Attributes:
        predictions: How many predictions, shadows included.
        feedback: How many pieces of feedback about them.
        files: How many files had them.
        aside: The segments that were put aside as damaged, which nobody can search.
    """

    predictions: int
    feedback: int
    files: int
    aside: tuple[str, ...]


class Eraser:
    """Erases from one log, whose sealed segments were compacted just before.

    Args:
        folder: The log's folder.
        catalogue: Its catalogue.
        keys: Those that its files may be encrypted with.
        files: The disk.
    """

    def __init__(self, folder: Path, catalogue: Catalogue, *, keys: LogKeys, files: Files | None = None) -> None:
        self._folder = folder
        self._catalogue = catalogue
        self._keys = keys
        self._files = files or DiskFiles()

    def count(self, sought: Sought) -> Erased:
        """Return what :meth:`erase` would take out."""
        return self._told([(file, rows) for file, rows, _ in self._found(sought)])

    def erase(self, sought: Sought, *, now: datetime, also: Callable[[sa.Connection, Erased], None]) -> Erased:
        """Take the rows out.

        Args:
            sought: Whose.
            now: The present moment.
            also: Is called in the transaction, with what goes.

        Raises:
            Refused: Some are in a segment that is still written, or another process works on the log.
            Corrupt: A file that has some is damaged; nothing was changed.
        """
        with lease(self._folder) as held:
            if not held:
                raise Refused("another process compacts the prediction log just now.", hint="Try again in a minute.")
            found = list(self._found(sought))
            self._refuse_open(sought, _ids(sought, found))
            told = self._told([(file, rows) for file, rows, _ in found])
            if found:
                cuts = [self._cut(file, where) for file, _, where in found]
                removals.erase(self._catalogue.store, cuts, now=now, also=lambda connection: also(connection, told))
                merging.remove_replaced(self._folder, self._catalogue, self._files)
            return told

    def _found(self, sought: Sought) -> Iterator[tuple[LogFile, pa.Table, pc.Expression]]:
        """Yield each file that has such rows, with their ids and the condition that chooses them."""
        about = pc.field(_ID).isin(list(sought.ids)) if sought.ids else pc.field("unit") == sought.unit
        ids = set(sought.ids)
        for file, rows in self._chosen(sought.endpoint, "predictions", about):
            ids |= set(rows[_ID].to_pylist())
            yield file, rows, about
        if ids:
            named = pc.field(_ID).isin(sorted(ids))
            for file, rows in self._chosen(sought.endpoint, "feedback", named):
                yield file, rows, named

    def _chosen(self, endpoint: str, kind: RecordKind, where: pc.Expression) -> Iterator[tuple[LogFile, pa.Table]]:
        for file in self._catalogue.files(Selection(endpoint=endpoint, kind=kind)):
            rows = lake.read(self._folder / file.path, keys=self._keys, only=[_ID], where=where)
            if rows.num_rows:
                yield file, rows

    def _cut(self, file: LogFile, where: pc.Expression) -> Cut:
        """Write a file anew without some rows."""
        path = self._folder / file.path
        if hashlib.sha256(path.read_bytes()).hexdigest() != file.digest:
            raise Corrupt(f"file {file.path} of the prediction log is damaged.", hint="mlprod verify lists all damage.")
        rest = lake.read(path, keys=self._keys, where=~pc.coalesce(where, pc.scalar(False)))
        if not rest.num_rows:
            return Cut(file, file.rows, None)
        age = PurePosixPath(file.path).name.partition("-")[0]
        part = Part(file.kind, file.endpoint, rest)
        (made,) = writing.write(self._folder, self._files, [part], age=age, sources=[file.path], keys=self._keys)
        made = replace(made, first_version=file.first_version, version=file.version)
        return Cut(file, file.rows - rest.num_rows, made)

    def _refuse_open(self, sought: Sought, ids: set[str]) -> None:
        """See whether none of the rows is in a segment, which cannot be written anew."""
        records = [
            self._keys.open(name, found)
            for name, content in Places(self._folder, self._catalogue, self._keys).look().segments.items()
            for found in framing.scan(content)
            if isinstance(found, Record) and found.endpoint == sought.endpoint
        ]
        predicted = decode((record.payload for record in records if record.kind == "predictions"), only=[_ID, "unit"])
        told = decode((record.payload for record in records if record.kind == "feedback"), only=[_ID])
        theirs = any(not ids.isdisjoint(rows[_ID].to_pylist()) for rows in (*predicted, *told))
        if theirs or (sought.unit and any(sought.unit in rows["unit"].to_pylist() for rows in predicted)):
            raise Refused(
                "rows of theirs are in a segment that is still written; nothing was erased.",
                hint="Try again in five minutes, when the gateway has begun another, or after: mlprod down",
            )

    def _told(self, found: Sequence[tuple[LogFile, pa.Table]]) -> Erased:
        def rows(kind: RecordKind) -> int:
            return sum(some.num_rows for file, some in found if file.kind == kind)

        aside = tuple(sorted(f"{DAMAGED}/{path.name}" for path in (self._folder / DAMAGED).glob("*")))
        return Erased(rows("predictions"), rows("feedback"), len(found), aside)


def _ids(sought: Sought, found: Sequence[tuple[LogFile, pa.Table, pc.Expression]]) -> set[str]:
    named = (rows[_ID].to_pylist() for file, rows, _ in found if file.kind == "predictions")
    return {*sought.ids, *(one for some in named for one in some)}
