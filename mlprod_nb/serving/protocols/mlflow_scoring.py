"""MLflow's scoring protocol: ``dataframe_split``, ``dataframe_records``, ``instances`` and ``inputs``.

As MLflow's model servers read it (mlflow.org, "Deploy MLflow Model as a Local Inference Server"), with four keys of
ours beside the data, ``units``, ``event_time``, ``client_ids`` and ``explain``; and strict: an unknown key is an error.
``params`` is read and must be empty: a model is served by its columns alone, and none takes parameters.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from mlprod_nb.errors import InvalidInput, nearest
from mlprod_nb.serving.errors import MalformedRequest
from mlprod_nb.serving.protocols.scoring import Columns, named, positional
from mlprod_nb.serving.protocols.scoring import ScoringRequest as ScoringRequest
from mlprod_nb.serving.protocols.strict import read_object

FORMATS = ("dataframe_split", "dataframe_records", "instances", "inputs")
OPTIONS = ("units", "event_time", "client_ids", "explain", "params")
_SPLIT_KEYS = ("columns", "data", "index")


def read(body: bytes | bytearray, names: Sequence[str]) -> ScoringRequest:
    """Read a request.

    Args:
        body: The request's body, JSON.
        names: The endpoint's columns, for data that name none.

    Raises:
        MalformedRequest: The body is not JSON or not of this protocol.
        InvalidInput: It has parameters, and no model takes any.
    """
    data = read_object(body)
    _check_keys("", data, (*FORMATS, *OPTIONS))
    given = [key for key in FORMATS if key in data]
    if len(given) != 1:
        what = "none" if not given else "more than one"
        raise MalformedRequest(f"the body has {what} of {', '.join(FORMATS)}.", hint="Send exactly one.")
    columns, rows = _READERS[given[0]](data[given[0]], names)
    if rows == 0:
        raise MalformedRequest("the request has no rows.")
    _check_params(data.get("params"))
    when = data.get("event_time")
    return ScoringRequest(
        columns,
        rows,
        units=_per_row(data, "units", rows),
        event_time=when if isinstance(when, str) else _per_row(data, "event_time", rows),
        client_ids=_per_row(data, "client_ids", rows),
        explain=_flag(data, "explain"),
    )


def _split(data: Any, names: Sequence[str]) -> tuple[Columns, int]:
    if not isinstance(data, dict) or not isinstance(data.get("data"), list):
        raise MalformedRequest("dataframe_split must be an object with columns and data.")
    _check_keys("dataframe_split", data, _SPLIT_KEYS)
    columns = data.get("columns", list(names))
    if not isinstance(columns, list) or not all(isinstance(name, str) for name in columns):
        raise MalformedRequest("dataframe_split: columns must be a list of names.")
    if len(set(columns)) != len(columns):
        twice = Counter(columns).most_common(1)[0][0]
        raise MalformedRequest(f"dataframe_split names the column {twice!r} twice.", pointer="/dataframe_split/columns")
    return positional("dataframe_split", data["data"], columns)


def _records(data: Any, names: Sequence[str]) -> tuple[Columns, int]:  # noqa: ARG001 (records name their columns)
    if not isinstance(data, list) or not all(isinstance(row, dict) for row in data):
        raise MalformedRequest("dataframe_records must be a list of objects.")
    return named(data)


def _instances(data: Any, names: Sequence[str]) -> tuple[Columns, int]:
    if not isinstance(data, list):
        raise MalformedRequest("instances must be a list of rows.")
    return _rows("instances", data, names)


def _inputs(data: Any, names: Sequence[str]) -> tuple[Columns, int]:
    if isinstance(data, list):
        return _rows("inputs", data, names)
    if not isinstance(data, dict) or not all(isinstance(values, list) for values in data.values()):
        raise MalformedRequest("inputs must be an object with a list of values for each column, or a list of rows.")
    lengths = {len(values) for values in data.values()}
    if len(lengths) > 1:
        raise MalformedRequest("inputs: the columns differ in length.")
    return data, lengths.pop() if lengths else 0


_READERS = {"dataframe_split": _split, "dataframe_records": _records, "instances": _instances, "inputs": _inputs}


def _rows(key: str, rows: list[Any], names: Sequence[str]) -> tuple[Columns, int]:
    """Read rows that are objects, lists, or the bare values of the only column."""
    kinds = set(map(type, rows))
    if kinds <= {dict}:
        return named(rows)
    if len(names) == 1 and kinds.isdisjoint((dict, list)):
        return {names[0]: rows}, len(rows)
    return positional(key, rows, names)


def _check_keys(where: str, data: Mapping[str, Any], known: Sequence[str]) -> None:
    for key in data:
        if key not in known:
            suggestion = nearest(key, known)
            raise MalformedRequest(
                f"{where or 'the body'} has the unknown key {key!r}.",
                pointer=f"{where and '/'}{where}/{key}",
                hint=f"Did you mean {suggestion!r}?" if suggestion else f"There is: {', '.join(known)}.",
            )


def _check_params(params: Any) -> None:
    if params is None or params == {}:
        return
    if not isinstance(params, dict):
        raise MalformedRequest("params must be an object.", pointer="/params")
    raise InvalidInput(f"the endpoint takes no parameter {next(iter(params))!r}.", hint="Leave params out.")


def _flag(data: Mapping[str, Any], key: str) -> bool:
    value = data.get(key, False)
    if not isinstance(value, bool):
        raise MalformedRequest(f"{key} must be true or false.", pointer=f"/{key}")
    return value


def _per_row(data: Mapping[str, Any], key: str, rows: int) -> Sequence[Any] | None:
    values = data.get(key)
    if values is None:
        return None
    if not isinstance(values, list) or len(values) != rows:
        raise MalformedRequest(f"{key} must be a list with one value for each of the {rows} rows.", pointer=f"/{key}")
    return values
