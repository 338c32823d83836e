"""Requests of the ordinary form: JSON in one of MLflow's formats, and at most units beside.

Bodies of one client differ in their rows only. So what stands around the rows, the *frame*, is remembered once such a
body was looked at value by value: of one with the same frame only the rows are read. Where no text, ``true``,
``false`` and ``null`` are among them, they are one JSON value, or the body is no JSON.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from itertools import chain
from operator import itemgetter
from typing import Any

import numpy as np
import orjson
from numpy.typing import NDArray

from mlprod_nb.columns import Block, Columns
from mlprod_nb.errors import MlprodError
from mlprod_nb.registry.bundles import Signature
from mlprod_nb.serving.columns import INEXACT, typed
from mlprod_nb.serving.protocols import strict

# JSONDecodeError is a ValueError.
NOT_ORDINARY = (MlprodError, ValueError, KeyError, TypeError, AttributeError, OverflowError)
"""What reading raises where a request is not of the ordinary form, or does not fit."""

_NUMBERS = frozenset((float, int))
_NESTED = frozenset((dict, list))
_LIST = frozenset((list,))
_MOST_FRAMES = 16
_MOST_TRIES = 1024


@dataclass(slots=True)
class Table:
    """What an ordinary request holds.

    Attributes:
        rows: One value a column of the signature, in its order and not yet checked.
        units: The units, not yet checked; ``None`` where there are none.
        body: The request's body.
        names: How many names the objects of the body have.
        only_numbers: Whether it is known that every value is a number; how large is not known yet.
    """

    rows: Sequence[Sequence[Any]]
    units: Sequence[Any] | None
    body: bytes | bytearray
    names: int
    only_numbers: bool


@dataclass(frozen=True, slots=True)
class _Frame:
    """What stands before and behind the rows of a body, and how many names its objects have."""

    begin: bytes
    end: bytes
    names: int


class Reader:
    """Reads the ordinary requests of one signature.

    Args:
        signature: What the endpoint takes.
    """

    def __init__(self, signature: Signature) -> None:
        self.signature = signature
        self._width = {len(signature.names)}
        self._frames: list[_Frame] = []
        self._tries = _MOST_TRIES if signature.only_numbers else 0

    def read(self, body: bytes | bytearray) -> Table:
        """Read a request.

        Raises:
            JSONDecodeError: The body is not JSON.
            ValueError: The request is not of the ordinary form.
            KeyError: A column is missing.
            TypeError: A part is of another type.
        """
        for frame in self._frames:
            if body.startswith(frame.begin) and body.endswith(frame.end):
                inner = body[len(frame.begin) : -len(frame.end)]
                if not (b'"' in inner or b"u" in inner or b"l" in inner):  # no text, true, false or null
                    return self._framed(orjson.loads(inner), body, frame)
        data = orjson.loads(body)
        names = len(data)
        units = data.pop("units", None)
        ((key, content),) = data.items()
        rows = _READERS[key](content, self.signature)
        if not rows or (units is not None and (type(units) is not list or len(units) != len(rows))):
            raise ValueError
        if type(content) is dict:
            names += len(content)
        elif type(content[0]) is dict:
            names += len(rows) * len(self.signature.names)
        if not strict.plain(body, names):
            raise ValueError
        if self._tries and len(self._frames) < _MOST_FRAMES:
            self._remember(bytes(body), data, names)
        return Table(rows, units, body, names, only_numbers=False)

    def _framed(self, rows: Any, body: bytes | bytearray, frame: _Frame) -> Table:
        if type(rows) is not list or set(map(len, rows)) != self._width:
            raise ValueError
        return Table(rows, None, body, frame.names, only_numbers=True)

    def _remember(self, body: bytes, data: dict[str, Any], names: int) -> None:
        """Remember a body's frame, where rows in the signature's order are all that comes after it."""
        ((key, content),) = data.items()
        if names == 1 and type(content) is list:
            data = {key: 0}
        elif names == 3 and key == "dataframe_split" and tuple(content["columns"]) == self.signature.names:
            data = {key: {**content, "data": 0}}
        else:
            return
        self._tries -= 1
        frame = _Frame(body[: body.rindex(b":") + 1], body[body.rindex(b"]") + 1 :], names)
        emptied = frame.begin + b"0" + frame.end
        with suppress(orjson.JSONDecodeError):
            if orjson.loads(emptied) == data and strict.plain(emptied, names):
                self._frames.append(frame)

    def decode(self, tables: Sequence[Table]) -> Columns:
        """Return the typed columns of tables, one after the other; see :func:`mlprod_nb.serving.columns.typed`.

        Raises:
            InvalidInput: A value does not fit.
            ValueError: A table is not of the ordinary form.
        """
        rows = tables[0].rows if len(tables) == 1 else [row for table in tables for row in table.rows]
        names = self.signature.names
        if all(table.only_numbers for table in tables):
            matrix = _matrix(rows, len(names))
            # A number of so many digits that it was rounded is as large, too, and so is none that is not finite.
            if (np.abs(matrix) < INEXACT).all():
                return Block(names, np.ascontiguousarray(matrix.T))
            if not all(strict.plain(table.body, table.names) for table in tables):
                raise ValueError
        if self.signature.only_numbers:
            kinds = _kinds(rows)
            if kinds <= _NUMBERS:
                matrix = _matrix(rows, len(names))
                # JSON has no number that is not finite, and orjson refuses those beyond a double.
                if int not in kinds or (np.abs(matrix) < INEXACT).all():
                    return Block(names, np.ascontiguousarray(matrix.T))
        return typed(dict(zip(names, zip(*rows, strict=True), strict=True)), len(rows), self.signature)


def _matrix(rows: Sequence[Sequence[float]], width: int) -> NDArray[np.float64]:
    """Return rows of numbers as an array of shape ``(rows, width)``, in half the time that numpy takes for lists.

    Raises:
        ValueError: A value is no number.
    """
    try:
        packed = _doubles(len(rows) * width).pack(*(rows[0] if len(rows) == 1 else chain.from_iterable(rows)))
    except struct.error:
        raise ValueError from None
    return np.frombuffer(packed).reshape(len(rows), width)


@lru_cache(maxsize=64)
def _doubles(count: int) -> struct.Struct:
    return struct.Struct(f"={count}d")


def _kinds(rows: Sequence[Sequence[Any]]) -> set[type]:
    return set(map(type, chain.from_iterable(rows)))


def _split(content: Any, signature: Signature) -> Sequence[Sequence[Any]]:
    rows, columns = content["data"], content["columns"]
    if len(content) > 2 + ("index" in content) or not _NESTED.isdisjoint(map(type, content.get("index", ()))):
        raise ValueError
    if tuple(columns) == signature.names:
        return _positional(rows, signature)
    place = {name: number for number, name in enumerate(columns)}
    if len(place) != len(signature.names) or len(columns) != len(place):
        raise ValueError
    order = [place[name] for name in signature.names]
    return [[row[number] for number in order] for row in _of_width(rows, len(order))]


def _positional(rows: Any, signature: Signature) -> Sequence[Sequence[Any]]:
    return _of_width(rows, len(signature.names))


def _of_width(rows: Any, width: int) -> Sequence[Sequence[Any]]:
    if type(rows) is not list or not _LIST.issuperset(map(type, rows)) or set(map(len, rows)) != {width}:
        raise ValueError
    return rows


def _records(rows: Any, signature: Signature) -> Sequence[Sequence[Any]]:
    names = signature.names
    if len(names) == 1 or type(rows) is not list or any(len(row) != len(names) for row in rows):
        raise ValueError
    return list(map(itemgetter(*names), rows))


def _either(rows: Any, signature: Signature) -> Sequence[Sequence[Any]]:
    return _records(rows, signature) if rows and type(rows[0]) is dict else _positional(rows, signature)


def _columns(content: Any, signature: Signature) -> Sequence[Sequence[Any]]:
    if type(content) is not dict:
        return _positional(content, signature)
    if len(content) != len(signature.names):
        raise ValueError
    columns = [content[name] for name in signature.names]
    if any(type(values) is not list for values in columns):
        raise ValueError
    return list(zip(*columns, strict=True))


_READERS: dict[str, Callable[[Any, Signature], Sequence[Sequence[Any]]]] = {
    "dataframe_split": _split,
    "dataframe_records": _records,
    "instances": _either,
    "inputs": _columns,
}
