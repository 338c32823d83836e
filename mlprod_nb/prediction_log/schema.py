"""The log's columns, and how batches become records. Arrow only: the gateway imports this, and no pandas."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from mlprod_nb.prediction_log.framing import frame

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
        ValueError: The columns are not of one length, or there are no rows.
    """
    _check_lengths(batch, batch.inputs)
    arrays = [pa.array(getattr(batch, field.name), type=field.type) for field in PREDICTION_FIELDS]
    inputs = {name: _array(values) for name, values in batch.inputs.items()}
    if inputs:
        struct = pa.StructArray.from_arrays(list(inputs.values()), names=list(inputs))
        arrays.append(struct)
        schema = PREDICTION_FIELDS.append(pa.field("inputs", struct.type))
    else:
        schema = PREDICTION_FIELDS
    return frame("predictions", batch.endpoint[0], _stream(arrays, schema))


def encode_feedback(batch: FeedbackBatch) -> bytes:
    """Return a record of feedback rows.

    Raises:
        ValueError: The columns are not of one length, or there are no rows.
    """
    _check_lengths(batch, {})
    arrays = [pa.array(getattr(batch, field.name), type=field.type) for field in FEEDBACK_FIELDS]
    return frame("feedback", batch.endpoint[0], _stream(arrays, FEEDBACK_FIELDS))


def decode(payload: memoryview) -> pa.Table:
    """Read a record's payload."""
    # Copied, because a record begins at any byte, and Arrow computes on aligned buffers.
    with pa.ipc.open_stream(pa.py_buffer(bytes(payload))) as reader:
        return reader.read_all()


def _check_lengths(batch: PredictionBatch | FeedbackBatch, inputs: Mapping[str, Any]) -> None:
    lengths = {len(getattr(batch, f.name)) for f in fields(batch) if f.name != "inputs"}
    lengths |= {len(values) for values in inputs.values()}
    if len(lengths) != 1 or lengths == {0}:
        raise ValueError(f"the columns are not of one length above 0: {sorted(lengths)}")


def _array(values: Sequence[Any] | NDArray[Any]) -> pa.Array:
    """Return an input column as float64, int64, bool or string; NaN is kept as missing."""
    array = pa.array(values, from_pandas=True)
    kind = array.type
    if pa.types.is_floating(kind):
        return array.cast(pa.float64())
    if pa.types.is_integer(kind):
        return array.cast(pa.int64())
    if pa.types.is_boolean(kind) or pa.types.is_string(kind):
        return array
    return pa.nulls(len(array), pa.string()) if pa.types.is_null(kind) else array.cast(pa.string())


def _stream(arrays: list[pa.Array], schema: pa.Schema) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, schema) as writer:
        writer.write_batch(pa.record_batch(arrays, schema=schema))
    return sink.getvalue().to_pybytes()  # type: ignore[no-any-return]
