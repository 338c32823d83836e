"""Reading records with pyarrow; what is written is in ``schema``."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import pyarrow as pa

from mlprod_nb.prediction_log import schema
from mlprod_nb.prediction_log.arrow_ipc import END_OF_STREAM, Field, Kind
from mlprod_nb.prediction_log.framing import Record

_TYPES: dict[Kind, pa.DataType] = {
    "string": pa.string(),
    "double": pa.float64(),
    "float": pa.float32(),
    "int64": pa.int64(),
    "int32": pa.int32(),
    "boolean": pa.bool_(),
    "moment": pa.timestamp("us", tz="UTC"),
}


def _arrow(fields: tuple[Field, ...]) -> pa.Schema:
    return pa.schema([(name, _TYPES[kind]) for name, kind in fields])


PREDICTION_FIELDS = _arrow(schema.PREDICTION_FIELDS)
FEEDBACK_FIELDS = _arrow(schema.FEEDBACK_FIELDS)


PLACE = pa.schema([("log_segment", pa.string()), ("log_offset", pa.int64()), ("log_row", pa.int32())])
"""Where a row was written: the segment, the offset of the first byte after its record, and its number in the record."""

_PORTION_BYTES = 8 * 1024 * 1024
"""How much is decoded at once: a record of one row is ten times as large as the row."""


def decode(payloads: Iterable[memoryview], *, only: Sequence[str] = ()) -> list[pa.Table]:
    """Read records' payloads: one table for each schema among them, rows in the order of the payloads.

    Streams of one schema are joined into one, since opening a stream costs more than a small batch.

    Args:
        payloads: What follows the endpoint in each record.
        only: The fields of ``PREDICTION_FIELDS`` or ``FEEDBACK_FIELDS`` to read, or ``inputs``; all where empty.
    """
    streams: dict[bytes, list[bytes]] = {}
    for payload in payloads:
        head, batches = _split(payload)
        streams.setdefault(head, []).append(batches)
    # Chunks as small as single rows would make every later step slow.
    return [_read(head, batches, only).combine_chunks() for head, batches in streams.items()]


def decode_placed(records: Iterable[tuple[str, Record]], *, only: Sequence[str] = ()) -> list[pa.Table]:
    """Read records of one kind as :func:`decode` does, with the columns of ``PLACE``.

    Args:
        records: The name of each one's segment, and the record.
        only: As in :func:`decode`.

    Raises:
        ValueError: A payload is no stream of one record batch.
    """
    found: dict[pa.Schema, list[pa.Table]] = {}
    portion: list[tuple[str, Record]] = []
    size = 0
    for segment, record in records:
        portion.append((segment, record))
        size += len(record.payload)
        if size > _PORTION_BYTES:
            _decode_portion(portion, only, found)
            portion, size = [], 0
    _decode_portion(portion, only, found)
    return [pa.concat_tables(tables) for tables in found.values()]


def _decode_portion(
    records: Sequence[tuple[str, Record]], only: Sequence[str], found: dict[pa.Schema, list[pa.Table]]
) -> None:
    """Read some records and add their rows to those found."""
    streams: dict[bytes, list[bytes]] = {}
    places: dict[bytes, list[tuple[str, int]]] = {}
    for segment, record in records:
        head, batches = _split(record.payload)
        streams.setdefault(head, []).append(batches)
        places.setdefault(head, []).append((segment, record.end))
    for head, some in streams.items():
        table = _placed(_read(head, some, only), places[head])
        found.setdefault(table.schema, []).append(table)


def _placed(table: pa.Table, records: Sequence[tuple[str, int]]) -> pa.Table:
    lengths = np.array([len(chunk) for chunk in table.column(0).chunks], dtype=np.int64)
    if len(lengths) != len(records):
        raise ValueError("a record's payload is not one batch of rows")
    numbers = np.arange(table.num_rows) - np.repeat(np.cumsum(lengths) - lengths, lengths)
    segments, offsets = zip(*records, strict=True)
    columns = (
        pa.array(np.repeat(np.array(segments, dtype=object), lengths), pa.string()),
        pa.array(np.repeat(np.array(offsets, dtype=np.int64), lengths)),
        pa.array(numbers.astype(np.int32)),
    )
    for field, column in zip(PLACE, columns, strict=True):
        table = table.append_column(field, column)
    return table.combine_chunks()


def _split(payload: memoryview) -> tuple[bytes, bytes]:
    """Return the schema's message and the batches' messages of a stream."""
    content = bytes(payload)
    # The schema's message: a continuation mark, the length of its metadata, the metadata; it has no body.
    end = 8 + int.from_bytes(content[4:8], "little")
    return content[:end], content[end : -len(END_OF_STREAM)]


def _read(head: bytes, batches: Sequence[bytes], only: Sequence[str]) -> pa.Table:
    """Read streams of one schema; each record's rows are one chunk."""
    stream = b"".join((head, *batches, END_OF_STREAM))
    options = pa.ipc.IpcReadOptions()
    if only:
        with pa.ipc.open_stream(stream) as reader:
            options.included_fields = [reader.schema.get_field_index(name) for name in only]
    with pa.ipc.open_stream(stream, options=options) as reader:
        return reader.read_all()
