"""The log's columns, and how batches become records. Arrow without ``pyarrow.array``: the gateway imports no pandas."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from mlprod_nb.errors import InvalidInput
from mlprod_nb.prediction_log import columns
from mlprod_nb.prediction_log.framing import END_OF_STREAM, RecordKind, frame

_MOMENT = pa.timestamp("us", tz="UTC")

#: Every column of a prediction row but ``inputs``, a struct of the model's own columns.
PREDICTION_FIELDS = pa.schema(
    [
        ("prediction_id", pa.string()),
        ("request_id", pa.string()),
        ("endpoint", pa.string()),
        ("revision", pa.int32()),
        ("variant", pa.string()),
        ("model", pa.string()),
        ("version", pa.int32()),
        ("shadow", pa.bool_()),
        ("unit", pa.string()),
        ("event_time", _MOMENT),
        ("received_at", _MOMENT),
        ("latency_ms", pa.float32()),
        ("prediction", pa.string()),
        ("score", pa.float64()),
    ]
)
FEEDBACK_FIELDS = pa.schema(
    [
        ("prediction_id", pa.string()),
        ("endpoint", pa.string()),
        ("kind", pa.string()),
        ("name", pa.string()),
        ("text", pa.string()),
        ("number", pa.float64()),
        ("source", pa.string()),
        ("event_time", _MOMENT),
        ("received_at", _MOMENT),
    ]
)
_NULLABLE = frozenset({"unit", "latency_ms", "prediction", "score", "text", "number"})


@dataclass(frozen=True, eq=False)
class PredictionBatch:
    """Rows that were answered together: columns of one length.

    Attributes:
        prediction_id: Server-made UUIDv7.
        request_id: The request that each row came with.
        endpoint: One endpoint for all rows.
        revision: The endpoint's revision number.
        variant: Which variant answered.
        model: Its model.
        version: Its version.
        shadow: Whether the answer was only logged.
        unit: Who is randomised, or ``None``.
        event_time: When it happened, aware.
        received_at: When the gateway received it, aware.
        latency_ms: How long the answer took, milliseconds.
        prediction: The predicted label as text; ``None`` for a regression.
        score: The score.
        inputs: The model's input columns, each of the same length.
    """

    prediction_id: Sequence[str]
    request_id: Sequence[str]
    endpoint: Sequence[str]
    revision: Sequence[int]
    variant: Sequence[str]
    model: Sequence[str]
    version: Sequence[int]
    shadow: Sequence[bool]
    unit: Sequence[str | None]
    event_time: Sequence[datetime]
    received_at: Sequence[datetime]
    latency_ms: Sequence[float]
    prediction: Sequence[str | None]
    score: Sequence[float] | NDArray[np.floating[Any]]
    inputs: Mapping[str, Sequence[Any] | NDArray[Any]]


@dataclass(frozen=True, eq=False)
class FeedbackBatch:
    """Values that arrived together: columns of one length.

    Attributes:
        prediction_id: Which prediction each value is about.
        endpoint: One endpoint for all rows.
        kind: ``label``, ``reward`` or ``interaction``.
        name: What the value is called.
        text: The value as text, or ``None``.
        number: The value as a number, or ``None``.
        source: Where it comes from.
        event_time: When it happened, aware.
        received_at: When the gateway received it, aware.
    """

    prediction_id: Sequence[str]
    endpoint: Sequence[str]
    kind: Sequence[str]
    name: Sequence[str]
    text: Sequence[str | None]
    number: Sequence[float | None]
    source: Sequence[str]
    event_time: Sequence[datetime]
    received_at: Sequence[datetime]


def encode_predictions(batch: PredictionBatch) -> bytes:
    """Return a record of prediction rows.

    Raises:
        InvalidInput: The columns are not of one length or of another kind, there are no rows, or several endpoints.
    """
    endpoint, rows = _one_endpoint(batch), len(batch.prediction_id)
    arrays = [_column(batch, field, rows) for field in PREDICTION_FIELDS]
    inputs = {name: _input(name, values, rows) for name, values in batch.inputs.items()}
    kind = pa.struct([pa.field(name, array.type) for name, array in inputs.items()])
    arrays.append(pa.Array.from_buffers(kind, rows, [None], children=list(inputs.values())))
    return _record("predictions", endpoint, arrays, PREDICTION_FIELDS.append(pa.field("inputs", kind)))


def encode_feedback(batch: FeedbackBatch) -> bytes:
    """Return a record of feedback rows.

    Raises:
        InvalidInput: The columns are not of one length or of another kind, there are no rows, or several endpoints.
    """
    endpoint, rows = _one_endpoint(batch), len(batch.prediction_id)
    arrays = [_column(batch, field, rows) for field in FEEDBACK_FIELDS]
    return _record("feedback", endpoint, arrays, FEEDBACK_FIELDS)


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


def _column(batch: PredictionBatch | FeedbackBatch, field: pa.Field, rows: int) -> pa.Array:
    values = getattr(batch, field.name)
    _check_length(field.name, values, rows)
    try:
        array = _typed(values, field.type)
    except (TypeError, ValueError, AttributeError, OverflowError):
        raise InvalidInput(f"column {field.name!r} has a value that is not {field.type}.", column=field.name) from None
    if array.null_count and field.name not in _NULLABLE:
        raise InvalidInput(f"column {field.name!r} must have a value in every row.", column=field.name)
    return array


def _typed(values: Any, kind: pa.DataType) -> pa.Array:
    if pa.types.is_string(kind):
        return columns.strings(values)
    if pa.types.is_boolean(kind):
        return columns.booleans(values)
    if pa.types.is_timestamp(kind):
        return columns.moments(values)
    return columns.numbers(values, kind)


def _input(name: str, values: Any, rows: int) -> pa.Array:
    _check_length(name, values, rows)
    try:
        return columns.inferred(values)
    except InvalidInput as error:
        raise InvalidInput(f"input {name!r}: {error.message}", column=name) from None
    except OverflowError:
        raise InvalidInput(f"input {name!r} has a number that is too large.", column=name) from None
    except ValueError:
        raise InvalidInput(f"input {name!r} has a text that is not Unicode.", column=name) from None


def _check_length(name: str, values: Any, rows: int) -> None:
    if len(values) != rows:
        raise InvalidInput(f"column {name!r} has {len(values)} values where there are {rows} rows.", column=name)


def _one_endpoint(batch: PredictionBatch | FeedbackBatch) -> str:
    names = set(batch.endpoint)
    if len(names) != 1:
        found = "several endpoints" if names else "no rows"
        raise InvalidInput(f"a batch must be of one endpoint; this has {found}.", column="endpoint")
    return names.pop()


def _record(kind: RecordKind, endpoint: str, arrays: list[pa.Array], schema: pa.Schema) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, schema) as writer:
        writer.write_batch(pa.RecordBatch.from_arrays(arrays, schema=schema))
    return frame(kind, endpoint, sink.getvalue().to_pybytes())
