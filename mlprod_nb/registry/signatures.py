"""From a user's training data to a signature, and from a signature back to the frames that models take.

pandas 2 and 3 both: strings may be ``object``, ``string`` or ``str`` columns. A model meets rows at serving time as
the *plain frame* that :func:`plain_frame` makes, whatever dtypes its training data had: float64, int64, bool, and
objects for strings, a missing value being NaN.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mlprod_nb.errors import InvalidInput
from mlprod_nb.registry.bundles import (
    LABEL_COLUMN,
    PREDICTION_COLUMN,
    SCORE_COLUMN,
    Column,
    ColumnType,
    Signature,
)

_TYPE_OF_KIND: dict[str, ColumnType] = {"f": "double", "i": "long", "u": "long", "b": "boolean"}
_TYPE_OF_OBJECTS: dict[str, ColumnType] = {
    "string": "string",
    "boolean": "boolean",
    "integer": "long",
    "floating": "double",
    "mixed-integer-float": "double",
}
_RESERVED = {LABEL_COLUMN, SCORE_COLUMN, PREDICTION_COLUMN}


def as_frame(data: Any) -> pd.DataFrame:
    """Return training data as a frame: a DataFrame as it is, a two-dimensional array with columns ``x0``, ``x1``, ….

    Raises:
        InvalidInput: It is neither, or has no rows or columns, or a column's name will not do.
    """
    if isinstance(data, np.ndarray) and data.ndim == 2:
        frame = pd.DataFrame(data, columns=[f"x{index}" for index in range(data.shape[1])])
    elif isinstance(data, pd.DataFrame):
        frame = data
    else:
        what = f"an array of {data.ndim} dimension(s)" if isinstance(data, np.ndarray) else f"a {type(data).__name__}"
        raise InvalidInput(
            f"the training data is {what}; it must be a pandas DataFrame or a two-dimensional numpy array.",
            hint="For rows as dicts: pandas.DataFrame(rows).",
        )
    if frame.empty:
        raise InvalidInput(f"the training data has {len(frame)} rows and {frame.shape[1]} columns.")
    seen: set[str] = set()
    for name in frame.columns:
        _check_name(name, seen)
    return frame


def infer(data: Any) -> Signature:
    """Infer the signature of training data.

    Args:
        data: A DataFrame or a two-dimensional array; see :func:`as_frame`.

    Raises:
        InvalidInput: A column holds what cannot be sent to a model server: moments, mixed types, infinities.
    """
    frame = as_frame(data)
    return Signature(tuple(_column(str(name), frame[name]) for name in frame.columns))


def to_columns(frame: pd.DataFrame, signature: Signature) -> dict[str, NDArray[Any]]:
    """Return a frame's columns as arrays of shape ``(n,)``, as ``onnx_runner.OnnxRunner.run`` takes them.

    Raises:
        InvalidInput: A column is missing or does not fit its type.
    """
    arrays: dict[str, NDArray[Any]] = {}
    for column in signature.columns:
        if column.name not in frame.columns:
            raise InvalidInput(f"column {column.name!r} is missing.", column=column.name)
        try:
            arrays[column.name] = _array(frame[column.name], column.type)
        except (TypeError, ValueError):
            raise InvalidInput(
                f"column {column.name!r} holds a value that is not of type {column.type}.", column=column.name
            ) from None
    return arrays


def plain_frame(columns: Mapping[str, NDArray[Any]], signature: Signature) -> pd.DataFrame:
    """Return columns as the frame that a model meets at serving time, its columns in the signature's order."""
    series = {}
    for column in signature.columns:
        values = columns[column.name]
        if column.type == "string":
            values = np.array([value if isinstance(value, str) else np.nan for value in values], dtype=object)
        series[column.name] = pd.Series(values, dtype=object if column.type == "string" else values.dtype)
    return pd.DataFrame(series)


def _check_name(name: Any, seen: set[str]) -> None:
    if not isinstance(name, str) or not name.strip():
        raise InvalidInput(
            f"the training data has a column named {name!r}; a column's name must be a non-empty text.",
            hint="Rename it: frame.columns = [...]",
        )
    if name in seen:
        raise InvalidInput(f"the training data has two columns named {name!r}.", column=name)
    if name in _RESERVED:
        raise InvalidInput(f"column {name!r} has a name that bundles use themselves.", column=name, hint="Rename it.")
    seen.add(name)


def _column(name: str, values: pd.Series[Any]) -> Column:
    nullable = bool(values.isna().any())
    kind = _type(name, values)
    if kind == "double" and np.isinf(values.to_numpy(dtype=np.float64, na_value=np.nan)).any():
        raise InvalidInput(f"column {name!r} holds an infinity.", column=name, hint="Replace it or make it missing.")
    return Column(name, kind, nullable)


def _type(name: str, values: pd.Series[Any]) -> ColumnType:
    dtype: Any = values.dtype
    if isinstance(dtype, pd.CategoricalDtype):
        return _type(name, pd.Series(dtype.categories))
    if isinstance(dtype, pd.StringDtype) or dtype.kind == "U":  # the second is Arrow's
        return "string"
    if dtype.kind in _TYPE_OF_KIND:
        return _TYPE_OF_KIND[dtype.kind]
    if dtype.kind != "O":
        raise InvalidInput(
            f"column {name!r} is of type {dtype}, which cannot be sent to a model server.",
            column=name,
            hint="Make numbers or strings of it, for example the hour and the day of the week.",
        )
    found = pd.api.types.infer_dtype(values, skipna=True)
    if found == "empty":
        raise InvalidInput(f"column {name!r} has no value in any row, so its type is unknown.", column=name)
    if found not in _TYPE_OF_OBJECTS:
        raise InvalidInput(
            f"column {name!r} holds {_kinds(values)}; a column must hold only numbers, only booleans or only strings.",
            column=name,
            hint=f"Convert it first, for example: frame[{name!r}] = frame[{name!r}].astype(str)",
        )
    return _TYPE_OF_OBJECTS[found]


def _kinds(values: pd.Series[Any]) -> str:
    names = sorted({type(value).__name__ for value in values.dropna().head(100_000)})
    return f"{names[0]} values" if len(names) == 1 else f"values of mixed types ({', '.join(names[:4])})"


def _array(values: pd.Series[Any], kind: ColumnType) -> NDArray[Any]:
    missing = values.isna().to_numpy()
    if kind == "string":
        objects = values.astype(object).to_numpy(dtype=object, copy=True)
        objects[missing] = None
        if not all(value is None or isinstance(value, str) for value in objects):
            raise ValueError
        return objects
    if values.dtype.kind not in "fiubO" and not isinstance(values.dtype, pd.CategoricalDtype):
        raise ValueError
    if kind != "double" and not missing.any():
        return values.to_numpy(dtype=bool if kind == "boolean" else np.int64)
    if values.dtype.kind == "O":
        values = values.astype(object).where(~missing, np.nan)
    return values.to_numpy(dtype=np.float64, na_value=np.nan)
