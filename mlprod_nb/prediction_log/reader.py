"""Reading the log: pinned ranges, labels joined by prediction id, single predictions, SQL conditions.

Guarantee: a read gives every row that was acknowledged before it began, once, whatever is compacted meanwhile: segments
are opened first and the catalogue is read after, so a segment that it names is left out and one that it does not name
is still open. ``kill -9`` of writer or compactor at any moment changes nothing in that.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from mlprod_nb.errors import Corrupt
from mlprod_nb.prediction_log import framing, lake, query, tables
from mlprod_nb.prediction_log.catalogue import Catalogue, CompactedSegment, LogFile, Selection
from mlprod_nb.prediction_log.decoding import PLACE, decode, decode_placed
from mlprod_nb.prediction_log.framing import Damage, Record, RecordKind
from mlprod_nb.prediction_log.ranges import LogRange, utc
from mlprod_nb.prediction_log.segment_files import mapped
from mlprod_nb.prediction_log.segments import SUFFIX

T = TypeVar("T")

_MOST_TRIES = 5
_MOMENT = pa.timestamp("us", tz="UTC")


@dataclass(frozen=True)
class FoundPrediction:
    """One prediction and what was learnt of it.

    Attributes:
        row: The prediction's columns.
        feedback: Feedback rows, the oldest first.
    """

    row: dict[str, Any]
    feedback: list[dict[str, Any]]


@dataclass(frozen=True)
class _Contents:
    """What the log held at one moment.

    Attributes:
        segments: The bytes of each segment that was in no file, the oldest first.
        version: The catalogue's version.
        compacted: The other segments.
    """

    segments: dict[str, memoryview]
    version: int
    compacted: dict[str, CompactedSegment]


class PredictionLog:
    """The log of one workspace as readers see it, the live tail included.

    Args:
        folder: Where the segments and files are; it may not exist yet.
        catalogue: Which files there are; ``None`` where nothing was ever compacted.
    """

    def __init__(self, folder: Path, catalogue: Catalogue | None = None) -> None:
        self.folder = folder
        self.catalogue = catalogue

    def pin(self, endpoint: str, *, since: datetime | None = None, until: datetime | None = None) -> LogRange:
        """Return the range that holds an endpoint's rows as of now.

        Args:
            endpoint: The endpoint's name.
            since: The first event time, or ``None``.
            until: The event time before which rows belong, or ``None``.

        Raises:
            Corrupt: A segment is damaged that was not compacted yet.
        """
        return self._steadily(lambda: self._pin(endpoint, since, until))

    def _pin(self, endpoint: str, since: datetime | None, until: datetime | None) -> LogRange:
        contents = self._look()
        ends: dict[str, int] = {}
        payloads: list[memoryview] = []
        for name, content in contents.segments.items():
            for found in framing.scan(content):
                if isinstance(found, Damage):  # whose records these were nobody can tell
                    raise _damaged(name, found, _ASIDE)
                if found.endpoint == endpoint:
                    ends[name] = found.end
                    payloads += [found.payload] if found.kind == "predictions" else []
        since, until = (utc(since) if since else None), (utc(until) if until else None)
        files = self._files(Selection(endpoint=endpoint, until_version=contents.version))
        version = min(max((file.version for file in files), default=0), contents.version)
        everything = LogRange(endpoint, tuple(ends.items()), since, until, 0, version)
        rows = sum(_inside(table, everything).num_rows for table in decode(payloads, only=["shadow", "event_time"]))
        rows += sum(self._count(file, everything) for file in files if file.kind == "predictions")
        return replace(everything, rows=rows)

    def predictions(self, where: LogRange, *, shadows: bool = False, only: Sequence[str] = ()) -> pa.Table:
        """Return a range's predictions by event time, then id.

        The columns are ``schema.PREDICTION_FIELDS`` and ``inputs``, a struct of the columns that the versions took: one
        that a version did not take is missing there, and numbers of different types become float64.

        Args:
            where: The range.
            shadows: Return shadow rows, too.
            only: The columns to read; all where empty.

        Raises:
            Corrupt: A record in the range is damaged, or a segment or a file is gone.
        """
        read = list(dict.fromkeys([*only, "prediction_id", "event_time", "shadow"])) if only else []
        found = self._steadily(
            lambda: [_inside(table, where, shadows=shadows) for table in self._rows(where, "predictions", read)]
        )
        rows = _together("predictions", found, read)
        rows = tables.ordered(rows, ("event_time", "ascending"), ("prediction_id", "ascending"))
        return tables.without_place(rows, only)

    def feedback(self, where: LogRange) -> pa.Table:
        """Return a range's feedback about its predictions: of each prediction, kind, name and source the latest.

        Raises:
            Corrupt: As :meth:`predictions`.
        """
        return self._feedback(where, self.predictions(where, shadows=True, only=["prediction_id"])["prediction_id"])

    def labelled(self, where: LogRange, *, only: Sequence[str] = ()) -> pa.Table:
        """Return a range's predictions with their latest label.

        Three columns are added: ``label`` (text), ``label_number`` (where the label is a number) and ``labelled_at``;
        all missing where no label has come.

        Args:
            where: The range.
            only: The columns of predictions to read; all where empty.

        Raises:
            Corrupt: As :meth:`predictions`.
        """
        rows = self.predictions(where, only=list(dict.fromkeys([*only, "prediction_id"])) if only else ())
        feedback = self._feedback(where, rows["prediction_id"])
        labels = feedback.filter((pc.field("kind") == "label") & (pc.field("name") == "label"))
        # The newest comes first, and the first match counts.
        at = pc.index_in(rows["prediction_id"], value_set=labels["prediction_id"].combine_chunks())
        for name, column in (("label", "text"), ("label_number", "number"), ("labelled_at", "event_time")):
            rows = rows.append_column(name, labels[column].combine_chunks().take(at))
        return rows

    def find(self, prediction_id: str) -> FoundPrediction | None:
        """Return one prediction with all its feedback, or ``None``; what answered, where shadows were scored, too."""
        return self._steadily(lambda: self._find(prediction_id))

    def _find(self, prediction_id: str) -> FoundPrediction | None:
        contents = self._look()
        sought = prediction_id.encode()
        matches = pc.field("prediction_id") == prediction_id
        found: dict[RecordKind, list[pa.Table]] = {"predictions": [], "feedback": []}
        for file in self._files(Selection(ids=(prediction_id, prediction_id), until_version=contents.version)):
            known = self._until(file, contents.version)
            found[file.kind].append(lake.read(self.folder / file.path, where=matches & known))
        for kind, some in found.items():
            records = (
                (name, record)
                for name, content in contents.segments.items()
                for record in _whole_records(content)
                # Arrow keeps texts as they are, so a payload without these bytes need not be decoded.
                if record.kind == kind and sought in bytes(record.payload)
            )
            some += [table.filter(matches) for table in decode_placed(records)]
        # A shadow's row has the id of the prediction that it shadows.
        rows = [row for table in found["predictions"] for row in tables.without_place(table).to_pylist()]
        row = min(rows, key=lambda row: row["shadow"], default=None)
        feedback = tables.ordered(_together("feedback", found["feedback"]))
        return None if row is None else FoundPrediction(row, tables.without_place(feedback).to_pylist())

    def query(
        self,
        endpoint: str,
        *,
        since: datetime | None = None,
        until: datetime | None = None,
        where: str = "",
        limit: int | None = 20,
    ) -> pa.Table:
        """Return the newest rows that fulfil a SQL condition, newest first.

        Args:
            endpoint: The endpoint's name.
            since: The first event time, or ``None``.
            until: The event time before which rows belong, or ``None``.
            where: A condition over the columns of :meth:`labelled`; inputs may be named plainly, or as ``inputs.name``.
            limit: How many rows at most; ``None``: all.

        Raises:
            UsageError: The condition is malformed or names no column.
        """
        return query.select(self.labelled(self.pin(endpoint, since=since, until=until)), where=where, limit=limit)

    def verify(self) -> list[str]:
        """Read every byte of the log; return one line for each damage: which file, what is wrong and what to do."""
        from mlprod_nb.prediction_log import verify

        return verify.problems(self.folder, self.catalogue)

    def _count(self, file: LogFile, where: LogRange) -> int:
        """Return how many rows of a file that are no shadows are in a range of event times."""
        since, until = where.since, where.until
        if (since is not None and file.last_at < since) or (until is not None and file.first_at >= until):
            return 0
        all_in_time = (since is None or file.first_at >= since) and (until is None or file.last_at < until)
        if all_in_time and file.version <= where.version:
            return file.rows - file.shadows
        known = self._until(file, where.version)
        return int(
            _inside(lake.read(self.folder / file.path, only=["shadow", "event_time"], where=known), where).num_rows
        )

    def _steadily(self, read: Callable[[], T]) -> T:
        """Read, and again where a file was merged into another between the catalogue's word and the opening."""
        for _ in range(_MOST_TRIES):
            try:
                return read()
            except lake.Gone as gone:
                path = gone.path.relative_to(self.folder).as_posix()
                if any(file.path == path for file in self._files(Selection())):
                    raise
        return read()

    def _feedback(self, where: LogRange, ids: pa.ChunkedArray) -> pa.Table:
        """Return the range's feedback about predictions, latest first, one a prediction, kind, name and source."""
        about = pc.is_in(pc.field("prediction_id"), value_set=ids.combine_chunks())
        found = self._steadily(lambda: [table.filter(about) for table in self._rows(where, "feedback", (), ids=ids)])
        rows = _together("feedback", found)
        # Places are in the order of arrival; of equal times the later one is the newer.
        rows = tables.without_place(tables.ordered(rows, ("received_at", "descending")))
        parts = (rows[name] for name in ("prediction_id", "kind", "name", "source"))
        keys = pc.binary_join_element_wise(*parts, "\0").combine_chunks()
        first = pc.index_in(keys, value_set=keys)
        return rows.filter(pc.equal(first, pa.array(np.arange(rows.num_rows), type=pa.int32())))

    def _rows(
        self, where: LogRange, kind: RecordKind, only: Sequence[str], *, ids: pa.ChunkedArray | None = None
    ) -> Iterator[pa.Table]:
        """Yield a range's rows of one kind, with their places; also some that are not of its event times or ids."""
        contents = self._look([name for name, _ in where.segments])
        if where.version > contents.version:
            raise Corrupt(
                f"the range has version {where.version} of the prediction log's catalogue, which ends at "
                f"{contents.version}.",
                hint="Bring back the state database that belongs to the log.",
            )
        yield from decode_placed(self._records(where, kind, contents), only=only)
        wanted, condition = _wanted(where, kind, ids)
        for file in self._files(replace(wanted, until_version=where.version)):
            yield lake.read(self.folder / file.path, only=only, where=condition & self._until(file, where.version))
        ends = {name: end for name, end in where.segments if name in contents.compacted}
        versions = {contents.compacted[name].version for name in ends}
        for file in self._files(replace(wanted, versions=versions)) if versions else ():
            own = {
                name: end
                for name, end in ends.items()
                if file.first_version <= contents.compacted[name].version <= file.version
            }
            if own:
                yield lake.read(self.folder / file.path, only=only, where=_written_in(own) & condition)

    def _until(self, file: LogFile, version: int) -> pc.Expression:
        """Return the condition on a file's rows that they came with a version or before."""
        if file.version <= version or self.catalogue is None:
            return pc.scalar(True)
        later = self.catalogue.segments(after_version=version, until_version=file.version)
        return ~pc.field("log_segment").isin(sorted(later))

    def _records(self, where: LogRange, kind: RecordKind, contents: _Contents) -> Iterator[tuple[str, Record]]:
        """Yield the records of a range's segments that are in no file, each with its segment's name."""
        for name, end in where.segments:
            compacted = contents.compacted.get(name)
            if compacted is not None:
                if compacted.damaged_at is not None and compacted.damaged_at < end:
                    raise _damaged(name, Damage(compacted.damaged_at, compacted.problem))
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
                    raise _damaged(name, found)
                if found.kind == kind and found.endpoint == where.endpoint:
                    yield name, found

    def _look(self, names: Collection[str] | None = None) -> _Contents:
        """Return what there is now, of all segments or of these."""
        paths = sorted(self.folder.glob(f"*{SUFFIX}")) if names is None else [self.folder / name for name in names]
        # The order matters: see the module's guarantee.
        segments: dict[str, memoryview] = {}
        for path in paths:
            with contextlib.suppress(FileNotFoundError):  # where it was compacted, the catalogue names it
                segments[path.name] = mapped(path)
        if self.catalogue is None:
            return _Contents(segments, 0, {})
        version = self.catalogue.version()
        compacted = self.catalogue.segments(segments if names is None else names, until_version=version)
        return _Contents(
            {name: content for name, content in segments.items() if name not in compacted}, version, compacted
        )

    def _files(self, wanted: Selection) -> list[LogFile]:
        return [] if self.catalogue is None else self.catalogue.files(wanted)


_HINT = "mlprod verify lists all damage."
_ASIDE = "Once the segment is closed, mlprod compact puts it aside and goes on with its whole records."


def _damaged(name: str, damage: Damage, hint: str = _HINT) -> Corrupt:
    return Corrupt(
        f"segment {name} of the prediction log is damaged at byte {damage.offset}: {damage.problem}.", hint=hint
    )


def _whole_records(content: memoryview) -> Iterator[Record]:
    return (found for found in framing.scan(content) if isinstance(found, Record))


def _wanted(where: LogRange, kind: RecordKind, ids: pa.ChunkedArray | None) -> tuple[Selection, pc.Expression]:
    """Return which files may have rows of a range, and a condition on the rows that Parquet's statistics can use."""
    wanted, condition = Selection(endpoint=where.endpoint, kind=kind), pc.scalar(True)
    if kind == "predictions":
        wanted = replace(wanted, since=where.since, until=where.until)
        if where.since is not None:
            condition &= pc.field("event_time") >= pa.scalar(where.since, _MOMENT)
        if where.until is not None:
            condition &= pc.field("event_time") < pa.scalar(where.until, _MOMENT)
    if ids is not None:
        found = pc.min_max(ids).as_py()
        first, last = found["min"] or "", found["max"] or ""
        wanted = replace(wanted, ids=(first, last))
        condition &= (pc.field("prediction_id") >= first) & (pc.field("prediction_id") <= last)
    return wanted, condition


def _written_in(ends: Mapping[str, int]) -> pc.Expression:
    """Return the condition that a row was written to one of these segments before this end of it."""
    condition = pc.scalar(False)
    for name, end in ends.items():
        condition |= (pc.field("log_segment") == name) & (pc.field("log_offset") <= end)
    return condition


def _inside(table: pa.Table, where: LogRange, *, shadows: bool = False) -> pa.Table:
    """Return the rows within a range's event times."""
    if where.since is not None:
        table = table.filter(pc.field("event_time") >= pa.scalar(where.since, _MOMENT))
    if where.until is not None:
        table = table.filter(pc.field("event_time") < pa.scalar(where.until, _MOMENT))
    return table if shadows else table.filter(~pc.field("shadow"))


def _together(kind: RecordKind, found: Iterable[pa.Table], only: Sequence[str] = ()) -> pa.Table:
    """Return the rows as one table."""
    columns = [*only, *PLACE.names]
    some = [table.select(columns) if only else table for table in found if table.num_rows]
    return tables.unify(some) if some else tables.empty(kind, only)
