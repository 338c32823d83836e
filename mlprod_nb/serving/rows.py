"""Rows that are answered together, checked: their typed columns, ids, units, moments and variants."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mlprod_nb.columns import Columns, Repeated
from mlprod_nb.errors import InvalidInput, NotFound
from mlprod_nb.routing import EndpointSpec, assign
from mlprod_nb.serving.columns import typed
from mlprod_nb.serving.protocols.mlflow_scoring import ScoringRequest
from mlprod_nb.serving.routes import LiveEndpoint

_LONGEST_UNIT = 512
_LAST_EXACT = 2**53  # beyond it a double stands for several whole numbers


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
    """Checked rows of one endpoint: those of one request, or of several that arrived together.

    Attributes:
        count: How many rows.
        columns: The typed columns of the endpoint's signature.
        ids: Each row's prediction id.
        request_ids: The request that each row came with.
        units: Each row's unit; ``None`` where it has none.
        event_time: When each row happened.
        received_at: When the rows were there.
        began: The same moment in the seconds of the data plane's monotonic clock.
        variant: The variant that must answer, for a test; empty: the assigned one.
    """

    count: int
    columns: Columns
    ids: Sequence[str]
    request_ids: Sequence[str]
    units: Sequence[str | None]
    event_time: Sequence[datetime]
    received_at: datetime
    began: float
    variant: str = ""


def read_rows(live: LiveEndpoint, request: ScoringRequest, call: Call, ids: Sequence[str]) -> Rows:
    """Check a request against an endpoint.

    A column named as the endpoint's unit gives the units where the request has none apart.

    Raises:
        InvalidInput: A column, unit or moment does not fit.
    """
    columns = dict(request.columns)
    unit = live.spec.unit
    units, source = request.units, ""
    if unit and unit in columns:
        units, source = (columns[unit], unit) if units is None else (units, "")
        if unit not in live.signature.names:
            del columns[unit]
    return Rows(
        count=request.rows,
        columns=typed(columns, request.rows, live.signature),
        ids=ids,
        request_ids=Repeated(call.request_id, request.rows),
        units=read_units(units, request.rows, source),
        event_time=_moments(request.event_time, request.rows, call.received_at),
        received_at=call.received_at,
        began=call.began,
        variant=call.variant,
    )


def choose(spec: EndpointSpec, rows: Rows) -> NDArray[np.intp]:
    """Return each row's index into ``spec.variants``, shape ``(rows,)``; a row without a unit is a unit of its own.

    Raises:
        NotFound: The rows ask for a variant that is not there.
    """
    if not rows.variant:
        # A row without a unit is its own; where no row has one, the ids are the units.
        alone = isinstance(rows.units, Repeated) and rows.units.value is None
        own = rows.ids if alone else [unit or row for unit, row in zip(rows.units, rows.ids, strict=True)]
        return assign(spec, own)
    names = [variant.name for variant in spec.variants]
    if rows.variant not in names:
        raise NotFound(f"variant of endpoint {spec.endpoint!r} called", rows.variant, names)
    return np.full(rows.count, names.index(rows.variant), dtype=np.intp)


def read_units(units: Sequence[Any] | None, rows: int, column: str = "") -> Sequence[str | None]:
    """Check units: texts or whole numbers; an empty text is none.

    A whole number is the text of its digits, also where it was written with a point: a library that has missing
    values as NaN makes ``1234.0`` of 1234, and one customer must not meet two variants.

    Args:
        units: One unit a row; ``None``: no row has one.
        rows: How many rows.
        column: The column that the units come from; empty where they were sent apart.

    Raises:
        InvalidInput: A unit does not fit.
    """
    if units is None:
        return Repeated(None, rows)
    found: list[str | None] = []
    for row, unit in enumerate(units):
        given = int(unit) if type(unit) is float and unit.is_integer() and abs(unit) <= _LAST_EXACT else unit
        if type(given) not in (str, int, type(None)) or len(str(given)) > _LONGEST_UNIT:
            whose = f"the unit of row {row}" + (f", column {column!r}," if column else "")
            is_now = f", not {unit}" if type(unit) is float else ""
            raise InvalidInput(
                f"{whose} must be a text of at most {_LONGEST_UNIT} characters or a whole number{is_now}.",
                column=column,
                row=row,
            )
        found.append(None if given is None or given == "" else str(given))
    return found


def _moments(given: str | Sequence[Any] | None, rows: int, received_at: datetime) -> Sequence[datetime]:
    if given is None or isinstance(given, str):
        return Repeated(received_at if given is None else moment(given, "event_time", None), rows)
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
