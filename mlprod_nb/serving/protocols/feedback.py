"""How feedback is written: ``{"feedback": [{"prediction_id": …, "value": …}]}``, or one such row alone.

It may come late, and again: the reader takes the latest of each prediction, kind, name and source.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property
from typing import Any

from mlprod_nb.errors import InvalidInput, nearest
from mlprod_nb.prediction_log.schema import FeedbackBatch
from mlprod_nb.registry.bundles import ClassLabel, Task, spellings
from mlprod_nb.serving.errors import MalformedRequest
from mlprod_nb.serving.identifiers import is_identifier, moment_of
from mlprod_nb.serving.protocols.strict import read_object
from mlprod_nb.serving.rows import moment

KINDS = ("label", "reward", "interaction")
KEYS = ("prediction_id", "value", "kind", "name", "source", "event_time")
LATEST = timedelta(days=90)
"""How long after its prediction feedback is taken."""

_AHEAD = timedelta(minutes=5)
"""How far the clocks of two gateways may be apart."""

_LONGEST_TEXT = 4096
_SHOWN = 60
_TWO = 2


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


@dataclass(frozen=True)
class Labels:
    """What the labels of an endpoint's predictions can be.

    Of two classes there is no third, so a label that is neither is refused. Of more, the truth may be a class that no
    model knows yet: only one that is written otherwise, in case or blanks, is refused.

    Attributes:
        task: What the endpoint's models do.
        classes: The classes of all of them; none for a regression.
    """

    task: Task
    classes: Sequence[ClassLabel]

    @cached_property
    def _spelled(self) -> dict[str, str]:
        """Each class by its spellings."""
        return {spelling: str(label) for label in reversed(self.classes) for spelling in spellings(label)}

    def read(self, value: str | float) -> tuple[str, float | None]:
        """Return a label as text, a class as the models write it in whatever usual spelling it came, and as a number.

        Raises:
            InvalidInput: It can be no label of the endpoint; the message names the nearest class.
        """
        text = str(value)
        if self.task == "regression":
            return text, _number(value)
        number = None if isinstance(value, str) else float(value)
        known = self._spelled.get(text)
        if known is not None:
            return known, number
        names = [str(label) for label in self.classes]
        bare = {name.strip().casefold(): name for name in names}
        meant = bare.get(text.strip().casefold(), "")
        if not meant and len(names) != _TWO:
            return text, number
        near = meant or nearest(text, names)
        hint = f"Did you mean {near!r}?" if near else f"There is: {', '.join(names)}."
        raise InvalidInput(f"{text[:_SHOWN]!r} is no class of the endpoint.", hint=hint)


def read(body: bytes, labels: Labels, *, received_at: datetime) -> list[FeedbackRow]:
    """Read a request.

    Args:
        body: The request's body, JSON.
        labels: What a label can be.
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
    return [_row(number, row, labels, received_at) for number, row in enumerate(rows)]


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


def _row(number: int, row: Any, labels: Labels, received_at: datetime) -> FeedbackRow:
    if not isinstance(row, dict):
        raise InvalidInput(f"feedback row {number} must be an object.", row=number)
    for key in row:
        if key not in KEYS:
            hint = f"Did you mean {nearest(key, KEYS)!r}?" if nearest(key, KEYS) else f"There is: {', '.join(KEYS)}."
            raise InvalidInput(f"feedback row {number} has the unknown key {key!r}.", row=number, hint=hint)
    prediction_id = row.get("prediction_id")
    if not isinstance(prediction_id, str) or not is_identifier(prediction_id):
        raise InvalidInput(f"feedback row {number}: prediction_id is not one that the gateway gave.", row=number)
    age = received_at - moment_of(prediction_id)
    if age < -_AHEAD:
        raise InvalidInput(f"feedback row {number}: prediction_id is of a moment that is to come.", row=number)
    if age > LATEST:
        raise InvalidInput(f"feedback row {number}: its prediction is older than {LATEST.days} days.", row=number)
    kind = row.get("kind", "label")
    if kind not in KINDS:
        raise InvalidInput(f"feedback row {number}: kind must be one of {', '.join(KINDS)}.", row=number)
    name = _text(number, row, "name", "label")
    text, number_value = _value(number, row, labels if (kind, name) == ("label", "label") else None)
    when = row.get("event_time")
    return FeedbackRow(
        prediction_id=prediction_id,
        kind=kind,
        name=name,
        text=text,
        number=number_value,
        source=_text(number, row, "source", ""),
        event_time=received_at if when is None else moment(when, "event_time", number),
    )


def _value(number: int, row: Mapping[str, Any], labels: Labels | None) -> tuple[str, float | None]:
    value = row.get("value")
    if not isinstance(value, (str, int, float)):
        raise InvalidInput(f"feedback row {number}: value must be a text, a number, true or false.", row=number)
    if len(str(value)) > _LONGEST_TEXT:
        raise InvalidInput(f"feedback row {number}: value is longer than {_LONGEST_TEXT} characters.", row=number)
    if labels is None:
        return str(value), None if isinstance(value, str) else float(value)
    try:
        return labels.read(value)
    except InvalidInput as error:
        raise InvalidInput(f"feedback row {number}: {error.message}", row=number, hint=error.hint) from None


def _number(value: str | float) -> float:
    """Return a regression's label, which may be written as a text."""
    try:
        number = float(value)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise InvalidInput(f"{str(value)[:_SHOWN]!r} is no number, and the endpoint predicts numbers.")
    return number


def _text(number: int, row: Mapping[str, Any], key: str, default: str) -> str:
    text = row.get(key)
    if text is None or text == "":
        return default
    if not isinstance(text, str) or len(text) > _LONGEST_TEXT:
        raise InvalidInput(f"feedback row {number}: {key} must be a text.", row=number)
    return text
