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


_WIDTHS = {
    "double": "f8",
    "float": "f4",
    "halffloat": "f2",
    **{f"{sign}int{bits}": f"{sign or 'i'}{bits // 8}" for sign in ("", "u") for bits in (8, 16, 32, 64)},
}


def arrow_values(array: Any) -> NDArray[Any]:
    """Return the numbers, truth values or moments of an Arrow array; where one is missing, anything.

    It is a view where it can be. ``to_numpy`` of pyarrow imports pandas, which takes longer than most of what is done
    with the numbers.

    Args:
        array: Of one chunk, of fixed width.
    """
    kind, first, length = str(array.type), int(array.offset), len(array)
    content = array.buffers()[1]
    if content is None or not length:
        return np.zeros(length, dtype=_WIDTHS.get(kind, "i8"))
    if kind == "bool":
        return np.unpackbits(np.frombuffer(content, dtype=np.uint8), bitorder="little")[first : first + length]
    return np.frombuffer(content, dtype=_WIDTHS.get(kind, "i8"))[first : first + length]


def one_chunk(column: Any) -> Any:
    """Return a chunked Arrow array as one array; a single chunk is not copied, as ``combine_chunks`` would."""
    if not hasattr(column, "chunks"):
        return column
    return column.chunk(0) if column.num_chunks == 1 else column.combine_chunks()


def arrow_present(array: Any) -> NDArray[np.bool_]:
    """Return which values of an Arrow array, of one chunk, are not missing."""
    content = array.buffers()[0] if array.null_count else None
    if content is None:
        return np.full(len(array), array.null_count == 0)
    first = int(array.offset)
    bits = np.unpackbits(np.frombuffer(content, dtype=np.uint8), bitorder="little")
    return bits[first : first + len(array)].astype(bool)


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
