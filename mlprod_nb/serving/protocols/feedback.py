"""How feedback is written: ``{"feedback": [{"prediction_id": …, "value": …}]}``, or one such row alone.

It may come late, and again: the reader takes the latest of each prediction, kind, name and source.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from mlprod_nb.errors import InvalidInput, nearest
from mlprod_nb.prediction_log.schema import FeedbackBatch
from mlprod_nb.registry.bundles import ClassLabel
from mlprod_nb.serving.errors import MalformedRequest
from mlprod_nb.serving.identifiers import is_identifier, moment_of
from mlprod_nb.serving.protocols.strict import read_object
from mlprod_nb.serving.rows import moment

KINDS = ("label", "reward", "interaction")
KEYS = ("prediction_id", "value", "kind", "name", "source", "event_time")
LATEST = timedelta(days=90)
"""How long after its prediction feedback is taken."""

_LONGEST_TEXT = 4096


@dataclass(frozen=True)
class FeedbackRow:
    """One checked piece of feedback.

    Attributes:
        prediction_id: Which prediction it is about.
        kind: ``"label"``, ``"reward"`` or ``"interaction"``.
        name: Which of several feedbacks of a kind; ``"label"`` where not said.
        text: The value as text.
        number: The value as a number, or ``None``.
        source: Who says so.
        event_time: When it happened.
    """

    prediction_id: str
    kind: str
    name: str
    text: str | None
    number: float | None
    source: str
    event_time: datetime


def read(body: bytes, classes: Sequence[ClassLabel], *, received_at: datetime) -> list[FeedbackRow]:
    """Read a request.

    Args:
        body: The request's body, JSON.
        classes: The labels of the endpoint's models: a label equal to one of them (``1.0`` and ``1``) is written as it.
        received_at: The moment of feedback that names none.

    Raises:
        MalformedRequest: The body is not JSON or not of this form.
        InvalidInput: A row does not fit; the error names it.
    """
    data = read_object(body)
    rows = [data] if "prediction_id" in data else data.get("feedback")
    if not isinstance(rows, list) or not ("prediction_id" in data or len(data) == 1):
        raise MalformedRequest(
            'the body must be an object with one list, {"feedback": […]}, or one row of it, {"prediction_id": …}.'
        )
    names = {label: str(label) for label in classes}
    return [_row(number, row, names, received_at) for number, row in enumerate(rows)]


def batch(endpoint: str, rows: Sequence[FeedbackRow], *, received_at: datetime) -> FeedbackBatch:
    """Return checked rows as the prediction log takes them."""
    return FeedbackBatch(
        prediction_id=[row.prediction_id for row in rows],
        endpoint=[endpoint] * len(rows),
        kind=[row.kind for row in rows],
        name=[row.name for row in rows],
        text=[row.text for row in rows],
        number=[row.number for row in rows],
        source=[row.source for row in rows],
        event_time=[row.event_time for row in rows],
        received_at=[received_at] * len(rows),
    )


def _row(number: int, row: Any, names: Mapping[ClassLabel, str], received_at: datetime) -> FeedbackRow:
    if not isinstance(row, dict):
        raise InvalidInput(f"feedback row {number} must be an object.", row=number)
    for key in row:
        if key not in KEYS:
            hint = f"Did you mean {nearest(key, KEYS)!r}?" if nearest(key, KEYS) else f"There is: {', '.join(KEYS)}."
            raise InvalidInput(f"feedback row {number} has the unknown key {key!r}.", row=number, hint=hint)
    prediction_id = row.get("prediction_id")
    if not isinstance(prediction_id, str) or not is_identifier(prediction_id):
        raise InvalidInput(f"feedback row {number}: prediction_id is not one that the gateway gave.", row=number)
    if received_at - moment_of(prediction_id) > LATEST:
        raise InvalidInput(f"feedback row {number}: its prediction is older than {LATEST.days} days.", row=number)
    kind = row.get("kind", "label")
    if kind not in KINDS:
        raise InvalidInput(f"feedback row {number}: kind must be one of {', '.join(KINDS)}.", row=number)
    text, number_value = _value(number, row, names if kind == "label" else {})
    when = row.get("event_time")
    return FeedbackRow(
        prediction_id=prediction_id,
        kind=kind,
        name=_text(number, row, "name", "label"),
        text=text,
        number=number_value,
        source=_text(number, row, "source", ""),
        event_time=received_at if when is None else moment(when, "event_time", number),
    )


def _value(number: int, row: Mapping[str, Any], names: Mapping[ClassLabel, str]) -> tuple[str, float | None]:
    value = row.get("value")
    if not isinstance(value, (str, int, float)):
        raise InvalidInput(f"feedback row {number}: value must be a text, a number, true or false.", row=number)
    text = names.get(value, str(value))
    if len(text) > _LONGEST_TEXT:
        raise InvalidInput(f"feedback row {number}: value is longer than {_LONGEST_TEXT} characters.", row=number)
    return text, None if isinstance(value, str) else float(value)


def _text(number: int, row: Mapping[str, Any], key: str, default: str) -> str:
    text = row.get(key)
    if text is None or text == "":
        return default
    if not isinstance(text, str) or len(text) > _LONGEST_TEXT:
        raise InvalidInput(f"feedback row {number}: {key} must be a text.", row=number)
    return text
