"""Reading the log: pinned ranges, labels joined by prediction id, single predictions, SQL conditions."""

from __future__ import annotations

import mmap
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from mlprod_nb.errors import Corrupt
from mlprod_nb.prediction_log import framing, query
from mlprod_nb.prediction_log.decoding import FEEDBACK_FIELDS, PREDICTION_FIELDS, decode
from mlprod_nb.prediction_log.framing import Damage, Record, RecordKind
from mlprod_nb.prediction_log.ranges import LogRange, utc
from mlprod_nb.prediction_log.segments import SUFFIX

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


class PredictionLog:
    """The segments of one workspace, as readers see them, the live tail included.

    Args:
        folder: Where the segments are; it may not exist yet.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def pin(self, endpoint: str, *, since: datetime | None = None, until: datetime | None = None) -> LogRange:
        """Return the range that holds an endpoint's rows as of now.

        Args:
            endpoint: The endpoint's name.
            since: The first event time, or ``None``.
            until: The event time before which rows belong, or ``None``.
        """
        ends: dict[str, int] = {}
        payloads: list[memoryview] = []
        for path in self._paths():
            for record in _whole_records(path):
                if record.endpoint == endpoint:
                    ends[path.name] = record.end
                    payloads += [record.payload] if record.kind == "predictions" else []
        since, until = (utc(since) if since else None), (utc(until) if until else None)
        everything = LogRange(endpoint, tuple(ends.items()), since, until, 0)
        rows = sum(_inside(table, everything).num_rows for table in decode(payloads, only=["shadow", "event_time"]))
        return replace(everything, rows=rows)

    def predictions(self, where: LogRange, *, shadows: bool = False) -> pa.Table:
        """Return a range's predictions by event time, then id.

        The columns are ``schema.PREDICTION_FIELDS`` and ``inputs``, a struct of the columns that the versions took: one
        that a version did not take is missing there, and numbers of different types become float64.

        Args:
            where: The range.
            shadows: Return shadow rows, too.

        Raises:
            Corrupt: A record in the range is damaged, or a segment is gone.
        """
        tables = decode(record.payload for record in self._records(where, "predictions"))
        table = _inside(_unify(tables), where, shadows=shadows)
        order = pc.sort_indices(
            table.select(["event_time", "prediction_id"]),
            sort_keys=[("event_time", "ascending"), ("prediction_id", "ascending")],
        )
        return table.take(order)

    def feedback(self, where: LogRange) -> pa.Table:
        """Return the feedback in a range's bytes about its predictions.

        Of each prediction, kind, name and source it is the latest.

        Raises:
            Corrupt: As :meth:`predictions`.
        """
        return _about(self._feedback(where), self.predictions(where, shadows=True)["prediction_id"])

    def labelled(self, where: LogRange) -> pa.Table:
        """Return a range's predictions with their latest label.

        Three columns are added: ``label`` (text), ``label_number`` (where the label is a number) and ``labelled_at``;
        all missing where no label has come.

        Raises:
            Corrupt: As :meth:`predictions`.
        """
        rows = self.predictions(where)
        feedback = self._feedback(where)
        labels = feedback.filter((pc.field("kind") == "label") & (pc.field("name") == "label"))
        # The newest comes first, and the first match counts.
        at = pc.index_in(rows["prediction_id"], value_set=labels["prediction_id"].combine_chunks())
        for name, column in (("label", "text"), ("label_number", "number"), ("labelled_at", "event_time")):
            rows = rows.append_column(name, labels[column].combine_chunks().take(at))
        return rows

    def find(self, prediction_id: str) -> FoundPrediction | None:
        """Return one prediction with all its feedback, or ``None``; what answered, where shadows were scored, too."""
        sought = prediction_id.encode()
        payloads: dict[RecordKind, list[memoryview]] = {"predictions": [], "feedback": []}
        for path in self._paths():
            for record in _whole_records(path):
                # Arrow keeps texts as they are, so a payload without these bytes need not be decoded.
                if sought in bytes(record.payload):
                    payloads[record.kind].append(record.payload)
        matches = pc.field("prediction_id") == prediction_id
        rows = [row for table in decode(payloads["predictions"]) for row in table.filter(matches).to_pylist()]
        if not rows:
            return None
        # A shadow's row has the id of the prediction that it shadows.
        row = min(rows, key=lambda row: row["shadow"])
        feedback = [found for table in decode(payloads["feedback"]) for found in table.filter(matches).to_pylist()]
        return FoundPrediction(row, feedback)

    def query(
        self,
        endpoint: str,
        *,
        since: datetime | None = None,
        until: datetime | None = None,
        where: str = "",
        limit: int = 20,
    ) -> pa.Table:
        """Return the newest rows that fulfil a SQL condition, newest first.

        Args:
            endpoint: The endpoint's name.
            since: The first event time, or ``None``.
            until: The event time before which rows belong, or ``None``.
            where: A condition over the columns of :meth:`labelled`; inputs may be named plainly, or as ``inputs.name``.
            limit: How many rows at most.

        Raises:
            UsageError: The condition is malformed or names no column.
        """
        return query.select(self.labelled(self.pin(endpoint, since=since, until=until)), where=where, limit=limit)

    def verify(self) -> list[str]:
        """Read every byte of every segment; return one line for each damage."""
        return [
            f"{path.name} at byte {found.offset}: {found.problem}."
            for path in self._paths()
            for found in framing.scan(_map(path))
            if isinstance(found, Damage)
        ]

    def _feedback(self, where: LogRange) -> pa.Table:
        """Return the endpoint's feedback in the range, latest first, one a prediction, kind, name and source."""
        tables = decode(record.payload for record in self._records(where, "feedback"))
        table = pa.concat_tables(tables) if tables else FEEDBACK_FIELDS.empty_table()
        # Records are in the order of their arrival; of equal times the later one is the newer.
        table = table.append_column("__place", pa.array(np.arange(table.num_rows)))
        order = [("received_at", "descending"), ("__place", "descending")]
        table = table.take(pc.sort_indices(table.select(["received_at", "__place"]), sort_keys=order)).drop(["__place"])
        keys = pc.binary_join_element_wise(
            table["prediction_id"], table["kind"], table["name"], table["source"], "\0"
        ).combine_chunks()
        first = pc.index_in(keys, value_set=keys)
        return table.filter(pc.equal(first, pa.array(np.arange(table.num_rows), type=pa.int32())))

    def _records(self, where: LogRange, kind: RecordKind) -> Iterator[Record]:
        for name, end in where.segments:
            path = self.folder / name
            if not path.is_file():
                raise Corrupt(f"segment {name} of the prediction log is gone.")
            content = _map(path)
            if len(content) < end:
                raise Corrupt(f"segment {name} of the prediction log was cut short: it ends before byte {end}.")
            for found in framing.scan(content[:end]):
                if isinstance(found, Damage):
                    raise Corrupt(
                        f"segment {name} of the prediction log is damaged at byte {found.offset}: {found.problem}.",
                        hint="mlprod verify lists all damage.",
                    )
                if found.kind == kind and found.endpoint == where.endpoint:
                    yield found

    def _paths(self) -> list[Path]:
        return sorted(self.folder.glob(f"*{SUFFIX}"))


def _about(feedback: pa.Table, ids: pa.ChunkedArray) -> pa.Table:
    return feedback.filter(pc.is_in(feedback["prediction_id"], value_set=ids.combine_chunks()))


def _map(path: Path) -> memoryview:
    """Return a file's bytes without reading them; an empty file cannot be mapped."""
    with path.open("rb") as file:
        size = path.stat().st_size
        return memoryview(mmap.mmap(file.fileno(), size, access=mmap.ACCESS_READ)) if size else memoryview(b"")


def _whole_records(path: Path) -> Iterator[Record]:
    return (found for found in framing.scan(_map(path)) if isinstance(found, Record))


def _inside(table: pa.Table, where: LogRange, *, shadows: bool = False) -> pa.Table:
    """Return the rows within a range's event times."""
    if where.since is not None:
        table = table.filter(pc.field("event_time") >= pa.scalar(where.since, _MOMENT))
    if where.until is not None:
        table = table.filter(pc.field("event_time") < pa.scalar(where.until, _MOMENT))
    return table if shadows else table.filter(~pc.field("shadow"))


def _unify(tables: list[pa.Table]) -> pa.Table:
    """Concatenate batches whose inputs may differ, as the versions that took them do."""
    if not tables:
        return PREDICTION_FIELDS.append(pa.field("inputs", pa.struct([]))).empty_table()
    schemas = {table.schema: None for table in tables}
    if len(schemas) == 1:
        return pa.concat_tables(tables)
    types: dict[str, set[pa.DataType]] = {}
    for schema in schemas:
        for field in _inputs(schema):
            types.setdefault(field.name, set()).add(field.type)
    inputs = pa.struct([pa.field(name, _common(found)) for name, found in types.items()])
    return pa.concat_tables([_with_inputs(table, inputs) for table in tables])


def _inputs(schema: pa.Schema) -> list[pa.Field]:
    return list(schema.field("inputs").type) if "inputs" in schema.names else []


def _common(types: set[pa.DataType]) -> pa.DataType:
    if len(types) == 1:
        return next(iter(types))
    return pa.float64() if types <= {pa.float64(), pa.int64(), pa.bool_()} else pa.string()


def _with_inputs(table: pa.Table, inputs: pa.StructType) -> pa.Table:
    present = {field.name for field in _inputs(table.schema)}
    columns = []
    for field in inputs:
        if field.name in present:
            column = pc.struct_field(table["inputs"].combine_chunks(), field.name)
            columns.append(_cast(column, field.type))
        else:
            columns.append(pa.nulls(table.num_rows, field.type))
    struct = pa.StructArray.from_arrays(columns, fields=list(inputs))
    base = table.select(PREDICTION_FIELDS.names)
    return base.append_column(pa.field("inputs", inputs), struct)


def _cast(column: pa.Array, kind: pa.DataType) -> pa.Array:
    if pa.types.is_boolean(column.type) and pa.types.is_floating(kind):
        column = column.cast(pa.int8())
    return column.cast(kind)
