"""Arrow arrays made of Python lists and numpy arrays, without pandas.

``pyarrow.array`` imports pandas where it is installed (1 to 1.7 seconds), which the gateway must not. So arrays
are made from buffers, in the layout of the Arrow columnar format, which is faster for small batches too.
"""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from datetime import UTC, datetime
from itertools import accumulate
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from mlprod_nb.errors import InvalidInput

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_DAY_US = 86_400_000_000
_SECOND_US = 1_000_000
_DTYPES = {pa.float64(): "float64", pa.float32(): "float32", pa.int64(): "int64", pa.int32(): "int32"}
_INTEGERS = (int, np.integer)
_NUMBERS = (*_INTEGERS, float, np.floating)


def numbers(values: Sequence[Any] | NDArray[Any], kind: pa.DataType) -> pa.Array:
    """Return float64, float32, int64 or int32 values; ``None`` and NaN are null."""
    found, missing = _numeric(values)
    # Whole numbers past 64 bits become objects; past 63 bits, unsigned.
    if found.dtype == np.object_ or (found.dtype == np.uint64 and found.max(initial=0) > np.iinfo(np.int64).max):
        raise OverflowError
    # Refuses fractions where whole numbers are due.
    found = np.ascontiguousarray(found.astype(_DTYPES[kind], casting="same_kind", copy=False))
    return pa.Array.from_buffers(kind, len(found), [_validity(missing), pa.py_buffer(found)])


def booleans(values: Sequence[Any] | NDArray[Any]) -> pa.Array:
    """Return truth values; ``None`` is null."""
    if isinstance(values, np.ndarray) and values.dtype == np.bool_:
        found, missing = values, None
    else:
        found = np.fromiter((bool(value) for value in values), dtype=np.bool_, count=len(values))
        missing = _nones(values)
    bits = np.packbits(found, bitorder="little")
    return pa.Array.from_buffers(pa.bool_(), len(found), [_validity(missing), pa.py_buffer(bits)])


def strings(values: Sequence[Any] | NDArray[Any]) -> pa.Array:
    """Return texts; ``None`` is null."""
    texts = values.tolist() if isinstance(values, np.ndarray) else values
    missing = _nones(texts)
    if missing is not None:
        texts = ["" if text is None else text for text in texts]
    joined = "".join(texts)
    parts: Sequence[str | bytes] = texts if joined.isascii() else [text.encode() for text in texts]
    try:
        offsets = array("i", accumulate(map(len, parts), initial=0))
    except OverflowError:
        raise InvalidInput("a column of text is larger than 2 GiB in one batch.") from None
    buffers = [_validity(missing), pa.py_buffer(offsets), pa.py_buffer(joined.encode())]
    return pa.Array.from_buffers(pa.string(), len(texts), buffers)


def moments(values: Sequence[datetime]) -> pa.Array:
    """Return aware moments as microseconds of UTC."""
    known, us = _EPOCH, 0
    since_epoch = array("q")
    for value in values:
        # All rows of a request were received at once, and are often given one event time.
        if value is not known:
            known, us = value, _microseconds(value)
        since_epoch.append(us)
    return pa.Array.from_buffers(pa.timestamp("us", "UTC"), len(since_epoch), [None, pa.py_buffer(since_epoch)])


def inferred(values: Sequence[Any] | NDArray[Any]) -> pa.Array:
    """Return one input column as double, int64, bool or string, whichever its values are.

    Raises:
        InvalidInput: The values are of another kind or of several.
    """
    if isinstance(values, np.ndarray) and values.dtype.kind != "O":
        return _from_numpy(values)
    kinds = {type(value) for value in values} - {type(None)}
    if all(issubclass(kind, str) for kind in kinds):
        return strings(values)
    if kinds <= {bool, np.bool_}:
        return booleans(values)
    if kinds & {bool, np.bool_} or not all(issubclass(kind, _NUMBERS) for kind in kinds):
        raise InvalidInput(f"values of {', '.join(sorted(kind.__name__ for kind in kinds))} cannot be logged.")
    return numbers(values, pa.int64() if all(issubclass(kind, _INTEGERS) for kind in kinds) else pa.float64())


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
        found, missing = values, None
    else:
        missing = _nones(values)
        found = np.array([0 if value is None else value for value in values])
    if found.dtype.kind == "f" and np.isnan(found).any():
        missing = np.isnan(found) if missing is None else missing | np.isnan(found)
        found = np.where(missing, 0, found)
    return found, missing


def _nones(values: Sequence[Any] | NDArray[Any]) -> NDArray[np.bool_] | None:
    if None not in values:
        return None
    return np.fromiter((value is None for value in values), dtype=np.bool_, count=len(values))


def _validity(missing: NDArray[np.bool_] | None) -> pa.Buffer | None:
    return None if missing is None else pa.py_buffer(np.packbits(~missing, bitorder="little"))


def _microseconds(moment: datetime) -> int:
    passed = moment - _EPOCH
    return passed.days * _DAY_US + passed.seconds * _SECOND_US + passed.microseconds
