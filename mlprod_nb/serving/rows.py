"""The rows of one request, checked: their typed columns, ids, units, moments and variants."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mlprod_nb.errors import InvalidInput, NotFound
from mlprod_nb.routing import EndpointSpec, assign
from mlprod_nb.serving.columns import Columns, typed
from mlprod_nb.serving.protocols.mlflow_scoring import ScoringRequest
from mlprod_nb.serving.routes import LiveEndpoint

_LONGEST_UNIT = 512


@dataclass(frozen=True)
class Call:
    """The circumstances of one request.

    Attributes:
        request_id: Made by the server.
        received_at: When the whole request was there.
        began: The same moment in the seconds of the data plane's monotonic clock.
        variant: The variant that must answer, for a test; empty: the assigned one.
    """

    request_id: str
    received_at: datetime
    began: float
    variant: str = ""


@dataclass(frozen=True)
class Rows:
    """The checked rows of one request.

    Attributes:
        call: The request's circumstances.
        count: How many rows.
        columns: The typed columns of the endpoint's signature.
        ids: Each row's prediction id.
        units: Each row's unit; ``None`` where it has none.
        event_time: When each row happened.
    """

    call: Call
    count: int
    columns: Columns
    ids: list[str]
    units: list[str | None]
    event_time: list[datetime]


def read_rows(live: LiveEndpoint, request: ScoringRequest, call: Call, ids: list[str]) -> Rows:
    """Check a request against an endpoint.

    A column named as the endpoint's unit gives the units where the request has none apart.

    Raises:
        InvalidInput: A column, unit or moment does not fit.
    """
    columns = dict(request.columns)
    unit = live.spec.unit
    units = request.units
    if unit and unit in columns:
        units = columns[unit] if units is None else units
        if unit not in live.signature.names:
            del columns[unit]
    return Rows(
        call=call,
        count=request.rows,
        columns=typed(columns, request.rows, live.signature),
        ids=ids,
        units=_units(units, request.rows),
        event_time=_moments(request.event_time, request.rows, call.received_at),
    )


def choose(spec: EndpointSpec, rows: Rows) -> NDArray[np.intp]:
    """Return each row's index into ``spec.variants``, shape ``(rows,)``; a row without a unit is a unit of its own.

    Raises:
        NotFound: The call names a variant that is not there.
    """
    if not rows.call.variant:
        return assign(spec, [unit if unit is not None else own for unit, own in zip(rows.units, rows.ids, strict=True)])
    names = [variant.name for variant in spec.variants]
    if rows.call.variant not in names:
        raise NotFound(f"variant of endpoint {spec.endpoint!r} called", rows.call.variant, names)
    return np.full(rows.count, names.index(rows.call.variant), dtype=np.intp)


def _units(units: Sequence[Any] | None, rows: int) -> list[str | None]:
    if units is None:
        return [None] * rows
    found: list[str | None] = []
    for row, unit in enumerate(units):
        if type(unit) not in (str, int, type(None)) or len(str(unit)) > _LONGEST_UNIT:
            raise InvalidInput(f"the unit of row {row} must be a text of at most {_LONGEST_UNIT} characters.", row=row)
        found.append(None if unit is None or unit == "" else str(unit))
    return found


def _moments(given: str | Sequence[Any] | None, rows: int, received_at: datetime) -> list[datetime]:
    if given is None:
        return [received_at] * rows
    if isinstance(given, str):
        return [moment(given, "event_time", None)] * rows
    return [received_at if text is None else moment(text, "event_time", row) for row, text in enumerate(given)]


def moment(text: Any, key: str, row: int | None) -> datetime:
    """Read a moment in ISO 8601; one without an offset is in UTC.

    Raises:
        InvalidInput: It is none.
    """
    where = "" if row is None else f" in row {row}"
    try:
        found = datetime.fromisoformat(text)
        return found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)
    except (TypeError, ValueError, OverflowError):
        raise InvalidInput(f"{key} is not an ISO 8601 moment{where}.", row=row) from None
