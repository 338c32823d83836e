"""MLflow's scoring protocol: ``dataframe_split``, ``dataframe_records``, ``instances`` and ``inputs``.

As MLflow's model servers read it (mlflow.org, "Deploy MLflow Model as a Local Inference Server"), with three keys of
ours beside the data, ``units``, ``event_time`` and ``client_ids``; and strict: an unknown key is an error.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from mlprod_nb.errors import nearest
from mlprod_nb.serving.errors import MalformedRequest

FORMATS = ("dataframe_split", "dataframe_records", "instances", "inputs")
OPTIONS = ("units", "event_time", "client_ids")

Columns = dict[str, Sequence[Any]]


@dataclass(frozen=True)
class ScoringRequest:
    """The rows of one request, not yet checked against a signature.

    Attributes:
        columns: One sequence a column.
        rows: How many rows.
        units: Who is randomised, one a row, or ``None``.
        event_time: One moment, or one a row, as text; ``None`` for now.
        client_ids: The caller's own ids, one a row, only echoed; or ``None``.
    """

    columns: Columns
    rows: int
    units: Sequence[Any] | None = None
    event_time: str | Sequence[Any] | None = None
    client_ids: Sequence[Any] | None = None


def read(body: bytes, names: Sequence[str]) -> ScoringRequest:
    """Read a request.

    Args:
        body: The request's body, JSON.
        names: The endpoint's columns, for data that name none.

    Raises:
        MalformedRequest: The body is not JSON or not of this protocol.
    """
    data = read_object(body)
    given = [key for key in FORMATS if key in data]
    for key in data:
        if key not in FORMATS and key not in OPTIONS:
            suggestion = nearest(key, (*FORMATS, *OPTIONS))
            raise MalformedRequest(
                f"the body has the unknown key {key!r}.",
                hint=f"Did you mean {suggestion!r}?" if suggestion else f"There is: {', '.join((*FORMATS, *OPTIONS))}.",
            )
    if len(given) != 1:
        what = "none" if not given else "more than one"
        raise MalformedRequest(f"the body has {what} of {', '.join(FORMATS)}.", hint="Send exactly one.")
    columns, rows = _READERS[given[0]](data[given[0]], names)
    if rows == 0:
        raise MalformedRequest("the request has no rows.")
    return ScoringRequest(
        columns,
        rows,
        units=_per_row(data, "units", rows),
        event_time=data["event_time"]
        if isinstance(data.get("event_time"), str)
        else _per_row(data, "event_time", rows),
        client_ids=_per_row(data, "client_ids", rows),
    )


def read_object(body: bytes) -> dict[str, Any]:
    """Read a body that must be a JSON object.

    Raises:
        MalformedRequest: It is not.
    """
    try:
        data = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise MalformedRequest(f"the body is not JSON: {error}.") from None
    if not isinstance(data, dict):
        raise MalformedRequest("the body must be a JSON object.")
    return data


def _split(data: Any, names: Sequence[str]) -> tuple[Columns, int]:
    if not isinstance(data, dict) or not isinstance(data.get("data"), list):
        raise MalformedRequest("dataframe_split must be an object with columns and data.")
    columns = data.get("columns", list(names))
    if not isinstance(columns, list) or not all(isinstance(name, str) for name in columns):
        raise MalformedRequest("dataframe_split: columns must be a list of names.")
    if len(set(columns)) != len(columns):
        raise MalformedRequest("dataframe_split names a column twice.")
    return _positional("dataframe_split", data["data"], columns)


def _records(data: Any, names: Sequence[str]) -> tuple[Columns, int]:  # noqa: ARG001 (records name their columns)
    if not isinstance(data, list) or not all(isinstance(row, dict) for row in data):
        raise MalformedRequest("dataframe_records must be a list of objects.")
    return _named(data)


def _instances(data: Any, names: Sequence[str]) -> tuple[Columns, int]:
    if not isinstance(data, list):
        raise MalformedRequest("instances must be a list of rows.")
    if all(isinstance(row, dict) for row in data):
        return _named(data)
    return _positional("instances", data, names)


def _inputs(data: Any, names: Sequence[str]) -> tuple[Columns, int]:
    if isinstance(data, list):
        return _positional("inputs", data, names)
    if not isinstance(data, dict) or not all(isinstance(values, list) for values in data.values()):
        raise MalformedRequest("inputs must be an object with a list of values for each column, or a list of rows.")
    lengths = {len(values) for values in data.values()}
    if len(lengths) > 1:
        raise MalformedRequest("inputs: the columns differ in length.")
    return data, lengths.pop() if lengths else 0


_READERS = {"dataframe_split": _split, "dataframe_records": _records, "instances": _instances, "inputs": _inputs}


def _named(rows: Sequence[Mapping[str, Any]]) -> tuple[Columns, int]:
    """Turn rows into columns; what only some rows name is missing in the others."""
    names = dict.fromkeys(name for row in rows for name in row)
    return {name: [row.get(name) for row in rows] for name in names}, len(rows)


def _positional(key: str, rows: Any, names: Sequence[str]) -> tuple[Columns, int]:
    for number, row in enumerate(rows):
        if not isinstance(row, list) or len(row) != len(names):
            raise MalformedRequest(f"{key}: row {number} must be a list of {len(names)} values.")
    return dict(zip(names, zip(*rows, strict=True), strict=True)) if rows else {}, len(rows)


def _per_row(data: Mapping[str, Any], key: str, rows: int) -> Sequence[Any] | None:
    values = data.get(key)
    if values is None:
        return None
    if not isinstance(values, list) or len(values) != rows:
        raise MalformedRequest(f"{key} must be a list with one value for each of the {rows} rows.")
    return values
