"""Arrow arrays made of Python lists and numpy arrays, without pandas.

``pyarrow.array`` imports pandas where it is installed (1 to 1.7 seconds), which the gateway must not. So arrays
are made from buffers, in the layout of the Arrow columnar format, which is faster for small batches too.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from mlprod_nb.errors import InvalidInput

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_DAY_US = 86_400_000_000
_SECOND_US = 1_000_000


def numbers(values: Sequence[Any] | NDArray[Any], kind: pa.DataType) -> pa.Array:
    """Return float64, float32, int64 or int32 values; ``None`` and NaN are null."""
    dtype = np.dtype(str(kind) if not pa.types.is_floating(kind) else _FLOATS[str(kind)])
    array, missing = _numeric(values)
    array = np.ascontiguousarray(array, dtype=dtype)
    return pa.Array.from_buffers(kind, len(array), [_validity(missing), pa.py_buffer(array)])


def booleans(values: Sequence[Any] | NDArray[Any]) -> pa.Array:
    """Return truth values; ``None`` is null."""
    if isinstance(values, np.ndarray) and values.dtype == np.bool_:
        array, missing = values, None
    else:
        array = np.fromiter((bool(value) for value in values), dtype=np.bool_, count=len(values))
        missing = _nones(values)
    bits = np.packbits(array, bitorder="little")
    return pa.Array.from_buffers(pa.bool_(), len(array), [_validity(missing), pa.py_buffer(bits)])


def strings(values: Sequence[Any] | NDArray[Any]) -> pa.Array:
    """Return texts; ``None`` is null."""
    encoded = [b"" if value is None else value.encode("utf-8", "surrogatepass") for value in values]
    offsets = np.zeros(len(encoded) + 1, dtype=np.int64)
    np.cumsum(np.fromiter(map(len, encoded), dtype=np.int64, count=len(encoded)), out=offsets[1:])
    if offsets[-1] > np.iinfo(np.int32).max:
        raise InvalidInput("a column of text is larger than 2 GiB in one batch.")
    buffers = [_validity(_nones(values)), pa.py_buffer(offsets.astype(np.int32)), pa.py_buffer(b"".join(encoded))]
    return pa.Array.from_buffers(pa.string(), len(encoded), buffers)


def moments(values: Sequence[datetime]) -> pa.Array:
    """Return aware moments as microseconds of UTC."""
    array = np.fromiter((_microseconds(value) for value in values), dtype=np.int64, count=len(values))
    return pa.Array.from_buffers(pa.timestamp("us", "UTC"), len(array), [None, pa.py_buffer(array)])


def inferred(values: Sequence[Any] | NDArray[Any]) -> pa.Array:
    """Return one input column as double, int64, bool or string, whichever its values are.

    Raises:
        InvalidInput: The values are of another kind or of several.
    """
    if isinstance(values, np.ndarray) and values.dtype.kind != "O":
        return _from_numpy(values)
    kinds = {type(value) for value in values} - {type(None)}
    if kinds <= {bool, np.bool_} and kinds:
        return booleans(values)
    if kinds <= {int} or (kinds and all(issubclass(kind, np.integer | int) and kind is not bool for kind in kinds)):
        return numbers(values, pa.int64()) if kinds else strings(values)
    if all(issubclass(kind, float | int | np.floating | np.integer) and kind is not bool for kind in kinds):
        return numbers(values, pa.float64())
    if all(issubclass(kind, str) for kind in kinds):
        return strings(values)
    raise InvalidInput(f"values of {', '.join(sorted(kind.__name__ for kind in kinds))} cannot be logged.")


_FLOATS = {"double": "float64", "float": "float32"}


def _from_numpy(values: NDArray[Any]) -> pa.Array:
    match values.dtype.kind:
        case "f":
            return numbers(values, pa.float64())
        case "i" | "u":
            return numbers(values, pa.int64())
        case "b":
            return booleans(values)
        case "U":
            return strings(values.tolist())
        case _:
            raise InvalidInput(f"values of numpy type {values.dtype} cannot be logged.")


def _numeric(values: Sequence[Any] | NDArray[Any]) -> tuple[NDArray[Any], NDArray[np.bool_] | None]:
    if isinstance(values, np.ndarray) and values.dtype.kind in "iuf":
        array, missing = values, None
    else:
        missing = _nones(values)
        array = np.array([0 if value is None else value for value in values])
    if array.dtype.kind == "f" and np.isnan(array).any():
        missing = np.isnan(array) if missing is None else missing | np.isnan(array)
        array = np.where(missing, 0, array)
    return array, missing


def _nones(values: Sequence[Any] | NDArray[Any]) -> NDArray[np.bool_] | None:
    if not any(value is None for value in values):
        return None
    return np.fromiter((value is None for value in values), dtype=np.bool_, count=len(values))


def _validity(missing: NDArray[np.bool_] | None) -> pa.Buffer | None:
    return None if missing is None else pa.py_buffer(np.packbits(~missing, bitorder="little"))


def _microseconds(moment: datetime) -> int:
    passed = moment - _EPOCH
    return passed.days * _DAY_US + passed.seconds * _SECOND_US + passed.microseconds
