"""Raw columns, however they come, as numbers or as category counts.

A column may be a numpy array, a list, an Arrow array or anything with ``to_numpy``. Missing are ``None``, NaN, NaT and
pandas' NA. Numbers are compared in float32, so that a value that was float32 in training and float64 in a request
falls into the same bin.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mlprod_nb.columns import arrow_present, arrow_values, one_chunk

Floats = NDArray[np.float64]
_LARGEST_SINGLE = np.finfo(np.float32).max
_MISSING_TYPES = ("NAType", "NaTType")


@dataclass(frozen=True)
class Coded:
    """A column of few distinct texts: each row's place in ``names``, -1 where a value is missing."""

    codes: NDArray[np.signedinteger[Any]]
    names: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.codes)

    def equals(self, name: str) -> NDArray[np.bool_]:
        """Return which rows hold a text."""
        place = self.names.index(name) if name in self.names else len(self.names)
        equal: NDArray[np.bool_] = self.codes == place
        return equal

    def present(self) -> tuple[str, ...]:
        """Return the texts that some row holds, sorted."""
        every = self.codes if any(self.codes.strides) else self.codes[:1]  # one code that stands for all rows
        return tuple(sorted({self.names[place] for place in np.unique(every).tolist() if place >= 0}))


def is_missing(value: Any) -> bool:
    """Say whether one value is missing."""
    return value is None or type(value).__name__ in _MISSING_TYPES or (isinstance(value, float) and value != value)


def to_numbers(column: Any) -> Floats:
    """Return a column as float64, shape ``(rows,)``, NaN where a value is missing.

    Raises:
        ValueError: A value is not a number.
    """
    if is_arrow(column):
        return _arrow_numbers(column)
    values = _numpy(column)
    if values.dtype.kind in "fiub":
        return values.astype(np.float64)
    if values.dtype.kind in "mM":
        raise ValueError(f"holds {values.dtype}, not numbers")
    return np.array([np.nan if is_missing(value) else _number(value) for value in values.tolist()], dtype=np.float64)


def to_present_numbers(column: Any) -> Floats:
    """Return the numbers of a column, those that Arrow says are missing left out: that is one pass less.

    Raises:
        ValueError: A value is not a number.
    """
    if not is_arrow(column) or not column.null_count:
        return to_numbers(column)
    whole = one_chunk(column)
    if str(whole.type) != "double":
        return to_numbers(whole.drop_null())
    # numpy chooses rows three times as fast as Arrow does
    found: Floats = arrow_values(whole)[arrow_present(whole)]
    return found


def to_texts(column: Any) -> list[str | None]:
    """Return a column as texts, ``None`` where a value is missing; truth values are ``"true"`` and ``"false"``."""
    if is_arrow(column):
        import pyarrow as pa

        texts: list[str | None] = column.cast(pa.string()).to_pylist()
        return texts
    values = _numpy(column)
    return [None if is_missing(value) else _text(value) for value in values.tolist()]


def to_counts(column: Any) -> tuple[Counter[str], int]:
    """Return the count of each category of a column, and how many values are missing."""
    if isinstance(column, Coded):
        sizes = np.bincount(column.codes + 1, minlength=len(column.names) + 1).tolist()
        return Counter({name: size for name, size in zip(column.names, sizes[1:], strict=True) if size}), sizes[0]
    if is_arrow(column):
        import pyarrow as pa
        import pyarrow.compute as pc

        if pa.types.is_dictionary(column.type):
            return _dictionary_counts(column)
        pairs = pc.value_counts(column.cast(pa.string()))
        names = pairs.field(0).to_pylist()
        counts: Counter[str] = Counter(dict(zip(names, pairs.field(1).to_pylist(), strict=True)))
    else:
        counts = Counter(to_texts(column))  # type: ignore[arg-type]
    missing = counts.pop(None, 0)  # type: ignore[call-overload]
    return counts, int(missing)


def _dictionary_counts(column: Any) -> tuple[Counter[str], int]:
    """Count by the dictionary's places, which is several times as fast as Arrow's ``value_counts``."""
    import pyarrow as pa

    counts: Counter[str] = Counter()
    for chunk in column.chunks if hasattr(column, "chunks") else (column,):
        places = arrow_values(chunk.indices)
        some = places[arrow_present(chunk.indices)] if chunk.indices.null_count else places
        names = chunk.dictionary.cast(pa.string()).to_pylist()
        sizes = np.bincount(some, minlength=len(names)).tolist()
        for name, size in zip(names, sizes, strict=True):
            if size:
                counts[name] += size
    counts.pop(None, 0)  # type: ignore[call-overload]
    return counts, len(column) - sum(counts.values())


def to_codes(column: Any) -> Coded:
    """Return a column as texts that are few, by number."""
    import pyarrow as pa

    values = column if is_arrow(column) else pa.array(to_texts(column), pa.string())
    values = values.cast(pa.string()) if pa.types.is_null(values.type) else values
    only = _only_number(values)
    if only is not None:  # as a version is mostly; a dictionary of a million rows takes longer
        return Coded(np.broadcast_to(np.int32(0), len(values)), (only,))
    encoded = values if pa.types.is_dictionary(values.type) else values.dictionary_encode()
    if isinstance(encoded, pa.ChunkedArray):
        if encoded.num_chunks > 1 and not encoded.null_count:
            names = {name for chunk in encoded.chunks for name in chunk.dictionary.cast(pa.string()).to_pylist()}
            if len(names) == 1 and None not in names:  # as the one variant of most windows
                return Coded(np.broadcast_to(np.int32(0), len(encoded)), tuple(names))
        encoded = one_chunk(encoded if encoded.num_chunks == 1 else encoded.unify_dictionaries())
    indices = encoded.indices
    codes = arrow_values(indices).astype(np.int32, copy=False)  # a view mostly: a window has many columns of these
    if indices.null_count:
        codes = np.where(arrow_present(indices), codes, np.int32(-1))
    return Coded(codes, tuple(encoded.dictionary.cast(pa.string()).to_pylist()))


def _only_number(values: Any) -> str | None:
    """Return the whole number that every row holds, as a text; ``None`` where they hold more."""
    import pyarrow as pa

    if not pa.types.is_integer(values.type) or values.null_count or not len(values):
        return None
    numbers = arrow_values(one_chunk(values))
    return str(numbers[0]) if (numbers == numbers[0]).all() else None


def ranks_of(values: Floats) -> Floats:
    """Return the rank of each value, from 1, equal ones at the middle of their places, as ``scipy.stats.rankdata``."""
    order = np.argsort(values, kind="stable")
    ordered = values[order]
    first = np.flatnonzero(np.concatenate([[True], ordered[1:] != ordered[:-1]])) if values.size else order
    ends = np.append(first[1:], values.size)
    found = np.empty(values.size)
    found[order] = np.repeat((first + ends + 1) / 2, ends - first)
    return found


def single(values: Floats) -> NDArray[np.float32]:
    """Return numbers in float32, finite ones kept finite."""
    with np.errstate(over="ignore"):
        found = values.astype(np.float32)
    endless = np.isinf(found)
    if endless.any():
        endless &= np.isfinite(values)
        found[endless] = np.copysign(_LARGEST_SINGLE, values[endless])
    return found


def is_arrow(column: Any) -> bool:
    """Say whether a column is an Arrow array, chunked or not."""
    return type(column).__module__.startswith("pyarrow")


def _arrow_numbers(column: Any) -> Floats:
    import pyarrow as pa

    column = one_chunk(column)
    if pa.types.is_null(column.type):
        return np.full(len(column), np.nan)
    if pa.types.is_temporal(column.type):
        raise ValueError(f"holds {column.type}, not numbers")
    if not (pa.types.is_boolean(column.type) or pa.types.is_integer(column.type) or pa.types.is_floating(column.type)):
        column = column.cast(pa.float64(), safe=False)
    numbers: Floats = arrow_values(column).astype(np.float64, copy=False)
    return np.where(arrow_present(column), numbers, np.nan) if column.null_count else numbers


def _numpy(column: Any) -> NDArray[Any]:
    values = column.to_numpy() if hasattr(column, "to_numpy") else column
    if isinstance(values, np.ndarray):
        return values
    items = list(values)
    array = np.empty(len(items), dtype=object)
    array[:] = items
    return array


def _number(value: Any) -> float:
    if isinstance(value, str | bytes):
        raise ValueError(f"holds {str(value)[:40]!r}, not a number")
    try:
        return float(value)
    except TypeError:
        raise ValueError(f"holds a {type(value).__name__}, not a number") from None


def _text(value: Any) -> str:
    if isinstance(value, bool | np.bool_):
        return "true" if value else "false"
    return str(value)
