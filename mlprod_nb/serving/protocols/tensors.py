"""Tensors of the Open Inference Protocol v2: in JSON, or after it by the binary tensor data extension.

Values are row-major. In JSON they stand flat or nested as the shape says, and ``null`` is a missing value; in binary
they are little-endian, and a text (``BYTES``) stands after its length in four bytes.
Source: the Open Inference Protocol, "Tensor Data", and Triton's "Binary Tensor Data Extension".
"""

from __future__ import annotations

import math
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from mlprod_nb.serving.errors import MalformedRequest

BYTES = "BYTES"
DTYPES: dict[str, str] = {
    "BOOL": "?",
    "UINT8": "u1",
    "UINT16": "<u2",
    "UINT32": "<u4",
    "UINT64": "<u8",
    "INT8": "i1",
    "INT16": "<i2",
    "INT32": "<i4",
    "INT64": "<i8",
    "FP16": "<f2",
    "FP32": "<f4",
    "FP64": "<f8",
}
_MOST_DIMENSIONS = 8
_LENGTH = struct.Struct("<I")
_UNREAD_PARAMETERS = ("shared_memory_region", "shared_memory_byte_size", "shared_memory_offset")


@dataclass(frozen=True)
class Tensor:
    """One tensor.

    Attributes:
        name: Its name.
        datatype: A key of ``DTYPES``, or ``"BYTES"``.
        shape: Its shape.
        values: Its values, row-major; ``None`` is missing.
    """

    name: str
    datatype: str
    shape: tuple[int, ...]
    values: Sequence[Any]


class Tail:
    """The binary data after a request's JSON, taken tensor by tensor.

    Args:
        data: The bytes.
    """

    def __init__(self, data: bytes) -> None:
        self._data = memoryview(data)
        self._at = 0

    def take(self, size: int) -> memoryview:
        """Return the next bytes.

        Raises:
            MalformedRequest: There are not so many.
        """
        if size > len(self._data) - self._at:
            raise MalformedRequest("the body ends before the binary data of its tensors.")
        self._at += size
        return self._data[self._at - size : self._at]

    def finish(self) -> None:
        """Check that nothing is left.

        Raises:
            MalformedRequest: There is more.
        """
        if self._at < len(self._data):
            raise MalformedRequest("the body has more binary data than its tensors.")


def read(given: Any, tail: Tail) -> Tensor:
    """Read one tensor of a request.

    Args:
        given: The tensor as JSON tells it.
        tail: Where its binary data are, if it has any.

    Raises:
        MalformedRequest: It is not one.
    """
    if not isinstance(given, dict) or not isinstance(given.get("name"), str):
        raise MalformedRequest("an input must be an object with name, shape, datatype and data.")
    name, datatype, shape = given["name"], given.get("datatype"), given.get("shape")
    if datatype != BYTES and datatype not in DTYPES:
        raise MalformedRequest(
            f"input {name!r}: there is no such datatype here.", hint=f"There is: {', '.join((*DTYPES, BYTES))}."
        )
    if not isinstance(shape, list) or not 0 < len(shape) <= _MOST_DIMENSIONS:
        raise MalformedRequest(f"input {name!r}: shape must be a list of one to {_MOST_DIMENSIONS} whole numbers.")
    if not all(type(size) is int and size >= 0 for size in shape):
        raise MalformedRequest(f"input {name!r}: shape must be a list of whole numbers.")
    size = _binary_size(name, given)
    if (size is None) == ("data" not in given):
        raise MalformedRequest(f"input {name!r} must have either data or binary_data_size.")
    if size is None:
        values = _from_json(name, datatype, given["data"], shape)
    else:
        values = _from_binary(name, datatype, tail.take(size), math.prod(shape))
    return Tensor(name, datatype, tuple(shape), values)


def pack(tensor: Tensor) -> bytes:
    """Return a tensor's values as binary data; none is missing."""
    if tensor.datatype != BYTES:
        return np.asarray(tensor.values, dtype=DTYPES[tensor.datatype]).tobytes()
    texts = [str(value).encode() for value in tensor.values]
    return b"".join(part for text in texts for part in (_LENGTH.pack(len(text)), text))


def _binary_size(name: str, given: dict[str, Any]) -> int | None:
    parameters = given.get("parameters", {})
    if not isinstance(parameters, dict):
        raise MalformedRequest(f"input {name!r}: parameters must be an object.")
    if any(key in parameters for key in _UNREAD_PARAMETERS):
        raise MalformedRequest(f"input {name!r}: the gateway does not read shared memory.", hint="Send the data.")
    size = parameters.get("binary_data_size")
    if size is not None and (type(size) is not int or size < 0):
        raise MalformedRequest(f"input {name!r}: binary_data_size must be a whole number.")
    return size


def _from_binary(name: str, datatype: str, data: memoryview, count: int) -> Sequence[Any]:
    if datatype == BYTES:
        values = _texts(name, data)
        if len(values) != count:
            raise MalformedRequest(f"input {name!r} has {len(values)} values where its shape has {count}.")
        return values
    dtype = np.dtype(DTYPES[datatype])
    if len(data) != count * dtype.itemsize:
        raise MalformedRequest(f"input {name!r} has not as many bytes as its shape and datatype ask for.")
    if datatype == "BOOL" and data.nbytes and max(data) > 1:
        raise MalformedRequest(f"input {name!r}: a BOOL must be the byte 0 or 1.")
    return list(np.frombuffer(data, dtype=dtype).tolist())


def _texts(name: str, data: memoryview) -> list[str]:
    found, at = [], 0
    try:
        while at < len(data):
            (length,) = _LENGTH.unpack_from(data, at)
            at += _LENGTH.size + length
            if at > len(data):
                raise ValueError
            found.append(str(data[at - length : at], "utf-8"))
    except (struct.error, ValueError):
        raise MalformedRequest(f"input {name!r}: its BYTES are not UTF-8 texts, each after its length.") from None
    return found


def _from_json(name: str, datatype: str, data: Any, shape: Sequence[int]) -> Sequence[Any]:
    values = _flat(name, data, shape)
    kinds = set(map(type, values)) - {type(None)}
    if datatype == BYTES:
        fits = kinds <= {str}
    elif datatype == "BOOL":
        fits = kinds <= {bool}
    elif datatype.startswith("FP"):
        fits = kinds <= {int, float}
    else:
        fits = kinds <= {int} and _in_range(datatype, values)
    if not fits:
        raise MalformedRequest(f"input {name!r}: a value is not of its datatype {datatype}.")
    return _rounded(datatype, values) if datatype in {"FP16", "FP32"} else values


def _flat(name: str, data: Any, shape: Sequence[int]) -> list[Any]:
    """Return values in a row, which stand so already or are nested as the shape says."""
    if not isinstance(data, list):
        raise MalformedRequest(f"input {name!r}: data must be a list.")
    values, count = data, math.prod(shape)
    if len(shape) > 1 and any(isinstance(value, list) for value in data):
        count = shape[0]
        for size in shape[1:]:
            if len(values) != count or any(not isinstance(part, list) or len(part) != size for part in values):
                raise MalformedRequest(f"input {name!r}: data are not nested as the shape says.")
            values = [value for part in values for value in part]
            count *= size
    if len(values) != count:
        raise MalformedRequest(f"input {name!r} has {len(values)} values where its shape has {count}.")
    return values


def _in_range(datatype: str, values: Sequence[Any]) -> bool:
    limits = np.iinfo(DTYPES[datatype])
    given = [value for value in values if value is not None]
    return not given or (int(limits.min) <= min(given) and max(given) <= int(limits.max))


def _rounded(datatype: str, values: Sequence[Any]) -> Sequence[Any]:
    """Round to the datatype, so that a tensor means the same in JSON and in binary."""
    dtype = np.dtype(DTYPES[datatype])
    with np.errstate(over="ignore"):
        numbers = np.array([0.0 if value is None else value for value in values], dtype=np.float64).astype(dtype)
    return [None if value is None else number for value, number in zip(values, numbers.tolist(), strict=True)]
