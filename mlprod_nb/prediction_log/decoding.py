"""Reading records with pyarrow; what is written is in ``schema``."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import pyarrow as pa

from mlprod_nb.prediction_log import schema
from mlprod_nb.prediction_log.arrow_ipc import END_OF_STREAM, Field, Kind

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


def decode(payloads: Iterable[memoryview], *, only: Sequence[str] = ()) -> list[pa.Table]:
    """Read records' payloads: one table for each schema among them, rows in the order of the payloads.

    Streams of one schema are joined into one, since opening a stream costs more than a small batch.

    Args:
        payloads: What follows the endpoint in each record.
        only: The fields of ``PREDICTION_FIELDS`` or ``FEEDBACK_FIELDS`` to read; all where empty.
    """
    streams: dict[bytes, list[bytes]] = {}
    for payload in payloads:
        content = bytes(payload)
        # The schema's message: a continuation mark, the length of its metadata, the metadata; it has no body.
        end = 8 + int.from_bytes(content[4:8], "little")
        streams.setdefault(content[:end], []).append(content[end : -len(END_OF_STREAM)])
    return [_read(b"".join((head, *batches, END_OF_STREAM)), only) for head, batches in streams.items()]


def _read(stream: bytes, only: Sequence[str]) -> pa.Table:
    options = pa.ipc.IpcReadOptions()
    # Chunks as small as single rows would make every later step slow.
    with pa.ipc.open_stream(stream) as reader:
        if not only:
            return reader.read_all().combine_chunks()
        options.included_fields = [reader.schema.get_field_index(name) for name in only]
    with pa.ipc.open_stream(stream, options=options) as reader:
        return reader.read_all().combine_chunks()
