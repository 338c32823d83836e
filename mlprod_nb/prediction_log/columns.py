"""Python lists and numpy arrays in the layout of the Arrow columnar format."""

from __future__ import annotations

import math
import struct
from array import array
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from functools import lru_cache, partial
from itertools import accumulate
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mlprod_nb.columns import Repeated, Texts
from mlprod_nb.errors import InvalidInput
from mlprod_nb.prediction_log.arrow_ipc import Buffer, Encoded, Kind, encode

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_FEW = 64
_MOST_TEXT = 1 << 31
_TOO_MUCH_TEXT = "a column of text is larger than 2 GiB in one batch."
_DAY_US = 86_400_000_000
_SECOND_US = 1_000_000
_DTYPES: dict[Kind, str] = {"double": "<f8", "float": "<f4", "int64": "<i8", "int32": "<i4"}
_FORMATS: dict[Kind, str] = {"double": "<d", "float": "<f", "int64": "<q", "int32": "<i"}
_INTEGERS = (int, np.integer)
_NUMBERS = (*_INTEGERS, float, np.floating)


def numbers(values: Sequence[Any] | NDArray[Any], kind: Kind) -> Encoded:
    """Return values of the kind double, float, int64 or int32; ``None`` and NaN are missing."""
    if isinstance(values, Repeated) and (type(values.value) is int or _fits(values.value, kind)):
        return _repeated_number(values.value, len(values), kind)
    found, missing = _numeric(values)
    # Whole numbers past 64 bits become objects; past 63 bits, unsigned.
    if found.dtype == np.object_ or (found.dtype == np.uint64 and found.max(initial=0) > np.iinfo(np.int64).max):
        raise OverflowError
    # Refuses fractions where whole numbers are due.
    data = np.ascontiguousarray(found.astype(_DTYPES[kind], casting="same_kind", copy=False))
    return _encoded(kind, missing, data)


def booleans(values: Sequence[Any] | NDArray[Any]) -> Encoded:
    """Return truth values; ``None`` is missing."""
    if isinstance(values, Repeated) and values.value is not None:
        return _encoded("boolean", None, (b"\xff" if values.value else b"\0") * (-(-len(values) // 8)))
    if isinstance(values, np.ndarray) and values.dtype == np.bool_:
        found, missing = values, None
    else:
        found = np.fromiter((bool(value) for value in values), dtype=np.bool_, count=len(values))
        missing = _nones(values)
    return _encoded("boolean", missing, np.packbits(found, bitorder="little"))


def strings(values: Sequence[Any] | NDArray[Any]) -> Encoded:
    """Return texts; ``None`` is missing."""
    if isinstance(values, Repeated):
        return _repeated_text(values.value, len(values))
    if isinstance(values, Texts) and values.text.isascii() and len(values.text) < _MOST_TEXT:
        return encode("string", 0, b"", _even_offsets(len(values), values.width), values.text.encode())
    texts = values.tolist() if isinstance(values, np.ndarray) else values
    missing = _nones(texts)
    if missing is not None:
        texts = ["" if text is None else text for text in texts]
    joined = "".join(texts)
    parts: Sequence[str | bytes] = texts if joined.isascii() else [text.encode() for text in texts]
    try:
        ends = array("i", accumulate(map(len, parts), initial=0))
    except OverflowError:
        raise InvalidInput(_TOO_MUCH_TEXT) from None
    return _encoded("string", missing, ends, joined.encode())


def moments(values: Sequence[datetime]) -> Encoded:
    """Return aware moments as microseconds of UTC."""
    if isinstance(values, Repeated):
        data = microseconds(values.value).to_bytes(8, "little", signed=True) * len(values)
        return Encoded("moment", 0, (0, len(data)), data)
    known, us = _EPOCH, 0
    since_epoch = array("q")
    for value in values:
        # The rows of a request are often given one event time.
        if value is not known:
            known, us = value, microseconds(value)
        since_epoch.append(us)
    return _encoded("moment", None, since_epoch)


def has_nan(numbers: NDArray[np.float64]) -> bool:
    """Return whether one of some contiguous numbers is NaN."""
    flat = numbers.reshape(-1)
    # A square is not NaN, and neither is a sum of squares, which may be infinite: so one pass tells, and it is short.
    return math.isnan(np.dot(flat, flat))


def inferred(values: Sequence[Any] | NDArray[Any]) -> Encoded:
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
    return numbers(values, "int64" if all(issubclass(kind, _INTEGERS) for kind in kinds) else "double")


def _from_numpy(values: NDArray[Any]) -> Encoded:
    match values.dtype.kind:
        case "f":
            return numbers(values, "double")
        case "i" | "u":
            return numbers(values, "int64")
        case "b":
            return booleans(values)
        case "U":
            return strings(values.tolist())
        case _:
            raise InvalidInput(f"values of numpy type {values.dtype} cannot be logged.")


def _numeric(values: Sequence[Any] | NDArray[Any]) -> tuple[NDArray[Any], NDArray[np.bool_] | None]:
    if isinstance(values, Repeated):
        missing = np.ones(len(values), dtype=np.bool_) if values.value is None else None
        found = np.full(len(values), 0 if values.value is None else values.value)
    elif isinstance(values, np.ndarray) and values.dtype.kind in "iuf":
        found, missing = values, None
    else:
        missing = _nones(values)
        found = np.array([0 if value is None else value for value in values])
    if found.dtype.kind == "f" and has_nan(found):
        missing = np.isnan(found) if missing is None else missing | np.isnan(found)
        found = np.where(missing, 0, found)
    return found, missing


def _nones(values: Sequence[Any] | NDArray[Any]) -> NDArray[np.bool_] | None:
    if None not in values:
        return None
    return np.fromiter((value is None for value in values), dtype=np.bool_, count=len(values))


def _encoded(kind: Kind, missing: NDArray[np.bool_] | None, *buffers: Buffer) -> Encoded:
    if missing is None:
        return encode(kind, 0, b"", *buffers)
    return encode(kind, int(np.count_nonzero(missing)), np.packbits(~missing, bitorder="little"), *buffers)


def _fits(value: Any, kind: Kind) -> bool:
    return type(value) is float and kind in ("double", "float") and math.isfinite(value)


@lru_cache(maxsize=128)
def _offsets_of_few(count: int, width: int) -> bytes:
    return (np.arange(count + 1, dtype="<i4") * np.int32(width)).tobytes()


def _even_offsets(count: int, width: int) -> Buffer:
    """Return where texts of one width begin, and where the last one ends."""
    return _offsets_of_few(count, width) if count <= _FEW else np.arange(count + 1, dtype="<i4") * np.int32(width)


def _repeated_number(number: float, rows: int, kind: Kind) -> Encoded:
    try:
        return encode(kind, 0, b"", struct.pack(_FORMATS[kind], number) * rows)
    except struct.error:
        raise OverflowError from None


def _repeated_text(text: str | None, rows: int) -> Encoded:
    content = (text or "").encode()
    if len(content) * rows >= _MOST_TEXT:
        raise InvalidInput(_TOO_MUCH_TEXT)
    missing = np.ones(rows, np.bool_) if text is None else None
    return _encoded("string", missing, _even_offsets(rows, len(content)), content * rows)


def microseconds(moment: datetime) -> int:
    """Return an aware moment as microseconds since the Unix epoch."""
    passed = moment - _EPOCH
    return passed.days * _DAY_US + passed.seconds * _SECOND_US + passed.microseconds


WRITERS: dict[Kind, Callable[[Any], Encoded]] = {
    "string": strings,
    "boolean": booleans,
    "moment": moments,
    **{kind: partial(numbers, kind=kind) for kind in _DTYPES},
}
"""What writes values of a kind, and raises where they are of another."""
