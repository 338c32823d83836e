"""The log's columns, and how batches become records."""

from __future__ import annotations

import math
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from itertools import accumulate
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mlprod_nb.columns import Block, Repeated, Texts
from mlprod_nb.errors import InvalidInput
from mlprod_nb.prediction_log import columns
from mlprod_nb.prediction_log.arrow_ipc import (
    END_OF_STREAM,
    Encoded,
    EncodedBlock,
    Field,
    Together,
    batch_message,
    padded,
    schema_message,
    together,
)
from mlprod_nb.prediction_log.forms import Form
from mlprod_nb.prediction_log.framing import frame

PREDICTION_FIELDS: tuple[Field, ...] = (
    ("prediction_id", "string"),
    ("request_id", "string"),
    ("endpoint", "string"),
    ("revision", "int32"),
    ("variant", "string"),
    ("model", "string"),
    ("version", "int32"),
    ("shadow", "boolean"),
    ("unit", "string"),
    ("event_time", "moment"),
    ("received_at", "moment"),
    ("latency_ms", "float"),
    ("prediction", "string"),
    ("score", "double"),
)
"""Every column of a prediction row but ``inputs``, a struct of the model's own columns."""
FEEDBACK_FIELDS: tuple[Field, ...] = (
    ("prediction_id", "string"),
    ("endpoint", "string"),
    ("kind", "string"),
    ("name", "string"),
    ("text", "string"),
    ("number", "double"),
    ("source", "string"),
    ("event_time", "moment"),
    ("received_at", "moment"),
)
FEEDBACK_KEY = ("prediction_id", "kind", "name", "source")
"""What feedback is told apart by: of values that are equal in these the latest counts."""
REACTIONS = ("interaction", "reward")
"""The kinds of feedback that tell what users did; a label tells what became true."""
_NULLABLE = frozenset({"unit", "latency_ms", "prediction", "score", "text", "number"})
_PARTS = (
    (slice(0, 2), False),  # the ids
    (slice(2, 9), True),  # from the endpoint to the unit
    (slice(9, 12), False),  # the moments and the latency
    (slice(12, 13), True),  # the prediction
    (slice(13, 14), False),  # the score
)
"""The columns of predictions in parts, and whether a part's values, where they repeat, are few."""
_HASHED = frozenset({str, int, bool, type(None)})
_MOST_KEPT_ROWS = 64
_REPEATED = frozenset({Repeated})
_PACK_MOMENT, _PACK_LATENCY = struct.Struct("<q").pack, struct.Struct("<f").pack
_CHANGING = (0, 1, 3, 4, 5, 7, 8)
"""Which of the encoded parts differ from record to record of a form: all but those of :data:`_PARTS` that are few."""
_MOST_FORMS = 1024
_forms: dict[tuple[Any, ...], Form] = {}


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
    return _filled_in(batch) or _encoded(batch)


def _encoded(batch: PredictionBatch) -> bytes:
    endpoint, rows = _one_endpoint(batch), len(batch.prediction_id)
    fields = _prediction_fields(batch, rows)
    inputs = _inputs(batch.inputs, rows)
    if isinstance(inputs, EncodedBlock):
        head = _head_of_numbers(tuple(batch.inputs))
    else:
        kinds = tuple((name, column.kind) for name, column in zip(batch.inputs, inputs, strict=True))
        head = schema_message(PREDICTION_FIELDS, kinds)
    return frame("predictions", endpoint, head, *batch_message(rows, fields, inputs), END_OF_STREAM)


def encode_feedback(batch: FeedbackBatch) -> bytes:
    """Return a record of feedback rows.

    Raises:
        InvalidInput: The columns are not of one length or of another kind, there are no rows, or several endpoints.
    """
    endpoint, rows = _one_endpoint(batch), len(batch.prediction_id)
    fields = [_column(field, getattr(batch, field[0]), rows) for field in FEEDBACK_FIELDS]
    return frame(
        "feedback", endpoint, schema_message(FEEDBACK_FIELDS, None), *batch_message(rows, fields, None), END_OF_STREAM
    )


def _filled_in(batch: PredictionBatch) -> bytes | None:
    """Return the same record from a form, where the rows are few and share all but ids, scores and inputs.

    Most records of a quiet gateway are of one request, which is so: this takes a third of the time.
    """
    ids, requests, inputs, score = batch.prediction_id, batch.request_id, batch.inputs, batch.score
    if not (type(ids) is type(requests) is Texts and type(inputs) is Block and type(score) is np.ndarray):
        return None
    rows = len(ids)
    served = (batch.endpoint, batch.revision, batch.variant, batch.model, batch.version, batch.shadow)
    repeated: tuple[Any, ...] = (*served, batch.unit, batch.prediction, batch.event_time, batch.received_at)
    repeated += (batch.latency_ms,)
    lengths = {len(requests), inputs.matrix.shape[-1], *score.shape, *map(len, repeated)}
    if not (0 < rows <= _MOST_KEPT_ROWS and _REPEATED.issuperset(map(type, repeated)) and lengths == {rows}):
        return None
    *shared, event_time, received_at, latency = [each.value for each in repeated]
    if (
        not (type(latency) is float and math.isfinite(latency))
        or score.dtype != np.float64
        or not _HASHED.issuperset(map(type, shared))
        or columns.has_nan(score)
        or columns.has_nan(inputs.matrix)
    ):
        return None
    try:
        parts = (
            ids.text.encode("ascii"),
            requests.text.encode("ascii"),
            _PACK_MOMENT(columns.microseconds(event_time)) * rows,
            _PACK_MOMENT(columns.microseconds(received_at)) * rows,
            _PACK_LATENCY(latency) * rows,
            score.tobytes(),
            inputs.matrix.tobytes(),
        )
    except (TypeError, AttributeError, ValueError, OverflowError):
        return None  # a value that does not fit, and that is named by whoever encodes it alone
    key = (rows, ids.width, requests.width, tuple(inputs.names), *shared)
    form = _forms.get(key)
    if form is None:
        if len(_forms) >= _MOST_FORMS:
            _forms.clear()
        form = _forms[key] = _form(batch, [len(part) for part in parts])
    return form.fill(*parts)


def _form(batch: PredictionBatch, lengths: Sequence[int]) -> Form:
    """Return the form of a batch's record.

    Args:
        batch: Rows as :func:`_filled_in` takes them.
        lengths: Bytes of the ids, the request ids, the moments, the latency, the scores and the inputs.
    """
    record = _encoded(batch)
    sizes = [len(column.content) for column in _prediction_fields(batch, len(batch.prediction_id))] + [lengths[-1]]
    ends = list(accumulate(sizes, initial=len(record) - len(END_OF_STREAM) - sum(sizes)))[1:]
    # Of a text's column, what changes stands at its end, behind the offsets.
    return Form(record, [(ends[at] - padded(length), length) for at, length in zip(_CHANGING, lengths, strict=True)])


@lru_cache(maxsize=256)
def _head_of_numbers(names: tuple[str, ...]) -> bytes:
    return schema_message(PREDICTION_FIELDS, tuple((name, "double") for name in names))


def _prediction_fields(batch: PredictionBatch, rows: int) -> list[Encoded | Together]:
    values = [getattr(batch, name) for name, _ in PREDICTION_FIELDS]
    found: list[Encoded | Together] = []
    for part, few in _PARTS:
        fields, given = PREDICTION_FIELDS[part], values[part]
        if few and rows <= _MOST_KEPT_ROWS and all(_repeats(each, rows) for each in given):
            found.append(_kept(fields, tuple([each.value for each in given]), rows))
        else:
            found += [_column(field, each, rows) for field, each in zip(fields, given, strict=True)]
    return found


def _repeats(values: Any, rows: int) -> bool:
    return type(values) is Repeated and len(values) == rows and type(values.value) in _HASHED


# The gateway repeats the same few values for groups of the same few sizes.
@lru_cache(maxsize=1024)
def _kept(fields: tuple[Field, ...], values: tuple[Any, ...], rows: int) -> Together:
    return together([_column(field, Repeated(value, rows), rows) for field, value in zip(fields, values, strict=True)])


def _column(field: Field, values: Any, rows: int) -> Encoded:
    name, kind = field
    _check_length(name, values, rows)
    try:
        column = columns.WRITERS[kind](values)
    except (TypeError, ValueError, AttributeError, OverflowError):
        raise InvalidInput(f"column {name!r} has a value that is not {kind}.", column=name) from None
    if column.nulls and name not in _NULLABLE:
        raise InvalidInput(f"column {name!r} must have a value in every row.", column=name)
    return column


def _inputs(inputs: Mapping[str, Any], rows: int) -> list[Encoded] | EncodedBlock:
    if isinstance(inputs, Block) and inputs.matrix.shape[1] == rows and not columns.has_nan(inputs.matrix):
        data = inputs.matrix.reshape(-1).view(np.uint8)
        data.flags.writeable = False
        return EncodedBlock(len(inputs), data)
    return [_input(name, values, rows) for name, values in inputs.items()]


def _input(name: str, values: Any, rows: int) -> Encoded:
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
    names: set[str] = set(batch.endpoint[:1] if isinstance(batch.endpoint, Repeated) else batch.endpoint)
    if len(names) != 1:
        found = "several endpoints" if names else "no rows"
        raise InvalidInput(f"a batch must be of one endpoint; this has {found}.", column="endpoint")
    return names.pop()
