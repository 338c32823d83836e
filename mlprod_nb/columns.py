"""Columns that cost less than a list: one value in every row, texts of one length, many columns in one array."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import chain, repeat
from typing import Any, TypeVar, cast, overload

import numpy as np
from numpy.typing import NDArray

T = TypeVar("T")

Columns = Mapping[str, NDArray[Any]]
"""One array of shape ``(rows,)`` a column."""


class Repeated(Sequence[T]):
    """One value in every row.

    Args:
        value: The value.
        count: How many rows.
    """

    __slots__ = ("_count", "value")

    def __init__(self, value: T, count: int) -> None:
        self.value = value
        self._count = count

    def __len__(self) -> int:
        """Return how many rows."""
        return self._count

    def __iter__(self) -> Iterator[T]:
        """Yield the value for each row."""
        return repeat(self.value, self._count)

    @overload
    def __getitem__(self, at: int) -> T: ...
    @overload
    def __getitem__(self, at: slice) -> Repeated[T]: ...
    def __getitem__(self, at: int | slice) -> T | Repeated[T]:
        """Return the value of one row, or a part of the column."""
        if isinstance(at, slice):
            return Repeated(self.value, len(range(*at.indices(self._count))))
        if not -self._count <= at < self._count:
            raise IndexError(at)
        return self.value


class Texts(Sequence[str]):
    """Texts of one length that stand one after the other in one text.

    Args:
        text: All of them.
        count: How many.
    """

    __slots__ = ("_count", "text", "width")

    def __init__(self, text: str, count: int) -> None:
        self.text = text
        self.width = len(text) // count if count else 0
        self._count = count

    def __len__(self) -> int:
        """Return how many."""
        return self._count

    def __iter__(self) -> Iterator[str]:
        """Yield each."""
        text, width = self.text, self.width
        return iter([text[at : at + width] for at in range(0, len(text), width)] if width else [""] * self._count)

    @overload
    def __getitem__(self, at: int) -> str: ...
    @overload
    def __getitem__(self, at: slice) -> list[str]: ...
    def __getitem__(self, at: int | slice) -> str | list[str]:
        """Return one, or some."""
        if isinstance(at, slice):
            return list(self)[at]
        begin = range(self._count)[at] * self.width
        return self.text[begin : begin + self.width]


class Block(Mapping[str, NDArray[np.float64]]):
    """Columns of float64 that lie in one array.

    Args:
        names: The columns' names.
        matrix: Their values, C-contiguous, shape ``(columns, rows)``.
    """

    __slots__ = ("_places", "matrix", "names")

    def __init__(self, names: Sequence[str], matrix: NDArray[np.float64]) -> None:
        self.names = names
        self.matrix = matrix
        self._places: dict[str, int] | None = None

    def __getitem__(self, name: str) -> NDArray[np.float64]:
        """Return one column, shape ``(rows,)``."""
        if self._places is None:
            self._places = {known: place for place, known in enumerate(self.names)}
        found: NDArray[np.float64] = self.matrix[self._places[name]]
        return found

    def __iter__(self) -> Iterator[str]:
        """Yield the names."""
        return iter(self.names)

    def __len__(self) -> int:
        """Return how many columns."""
        return len(self.names)

    def rows(self, which: slice | NDArray[np.intp]) -> Block:
        """Return some rows of every column."""
        return Block(self.names, np.ascontiguousarray(self.matrix[:, which]))


def select(columns: Columns, names: Sequence[str]) -> Columns:
    """Return the columns of these names, in their order."""
    if isinstance(columns, Block):
        return columns if columns.names == names else Block(names, np.stack([columns[name] for name in names]))
    return {name: columns[name] for name in names}


def take(columns: Columns, which: slice | NDArray[np.intp]) -> Columns:
    """Return some rows of every column."""
    if isinstance(columns, Block):
        return columns.rows(which)
    return {name: values[which] for name, values in columns.items()}


def concatenate(parts: Sequence[Columns]) -> Columns:
    """Return the rows of several parts, which have the same columns, one after the other."""
    first = parts[0]
    if len(parts) == 1:
        return first
    if isinstance(first, Block) and all(isinstance(part, Block) and part.names == first.names for part in parts):
        return Block(first.names, np.concatenate([part.matrix for part in parts if isinstance(part, Block)], axis=1))
    return {name: np.concatenate([part[name] for part in parts]) for name in first}


def join(parts: Sequence[Sequence[T]]) -> Sequence[T]:
    """Return sequences one after the other; where one value is repeated throughout, it stays repeated."""
    first = parts[0]
    if len(parts) == 1:
        return first
    if isinstance(first, Repeated) and all(isinstance(part, Repeated) and part.value == first.value for part in parts):
        return Repeated(first.value, sum(map(len, parts)))
    if isinstance(first, Texts) and all(isinstance(part, Texts) and part.width == first.width for part in parts):
        return cast("Sequence[T]", Texts("".join(cast("Texts", part).text for part in parts), sum(map(len, parts))))
    return list(chain.from_iterable(parts))
