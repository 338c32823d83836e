"""Typed columns: what a request sends, checked against a signature, one array a column."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import chain
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mlprod_nb.columns import Block
from mlprod_nb.columns import Columns as Columns
from mlprod_nb.errors import InvalidInput, nearest
from mlprod_nb.registry.bundles import Column, ColumnType, Signature

INEXACT = 2.0**53
"""From here on a double has not every whole number, and one may stand for another."""

_FIRST = 8
"""How many columns are named to who sent one that the endpoint does not take."""

_NUMBERS = frozenset((float, int))
_WORDS: dict[ColumnType, str] = {
    "double": "a number",
    "long": "a whole number",
    "boolean": "true or false",
    "string": "text",
}
_ACCEPTED: dict[ColumnType, frozenset[type]] = {
    "double": frozenset((float, int)),
    "long": frozenset((int, float)),
    "boolean": frozenset((bool,)),
    "string": frozenset((str,)),
}
_FOUND = {
    float: "a fraction",
    int: "a whole number",
    bool: "true or false",
    str: "text",
    list: "a list",
    dict: "an object",
}


def typed(columns: Mapping[str, Sequence[Any]], rows: int, signature: Signature) -> Columns:
    """Check the columns of a request against a signature.

    Args:
        columns: One sequence a column, each with ``rows`` values as JSON gives them; ``None`` is missing.
        rows: How many rows.
        signature: What the endpoint takes.

    Returns:
        One array of shape ``(rows,)`` a column, in the signature's order: float64 for ``double`` with NaN for missing,
        int64 for ``long``, bool for ``boolean``, object for ``string`` with ``None`` for missing. A ``long`` or
        ``boolean`` column with a missing value is float64 with NaN, as the training frame had it.

    Raises:
        InvalidInput: A column is unknown or missing, or a value does not fit; the error names column and row.
    """
    _check_names(columns, signature)
    block = _block([columns[name] for name in signature.names], rows, signature)
    return block or {column.name: _array(column, columns[column.name], rows) for column in signature.columns}


def _block(columns: Sequence[Sequence[Any]], rows: int, signature: Signature) -> Block | None:
    """Return columns that hold numbers only in one array, in a third of the time; ``None`` where one may not fit."""
    if not signature.only_numbers or set(map(len, columns)) != {rows}:
        return None
    kinds = set(map(type, chain.from_iterable(columns)))
    if not kinds <= _NUMBERS:
        return None
    try:
        matrix = np.array(columns, dtype=np.float64)
    except OverflowError:
        return None
    largest = np.abs(matrix).max(initial=0)
    return Block(signature.names, matrix) if largest < (INEXACT if int in kinds else np.inf) else None


def _check_names(columns: Mapping[str, Sequence[Any]], signature: Signature) -> None:
    known = signature.names
    for name in columns:
        if name not in known:
            suggestion = nearest(name, set(known) - set(columns))
            hint = f"Did you mean {suggestion!r}?" if suggestion else f"It takes: {_first(known)}."
            raise InvalidInput(f"the endpoint takes no column {name!r}.", column=name, hint=hint)
    for column in signature.columns:
        if column.name not in columns:
            raise InvalidInput(f"column {column.name!r} is missing.", column=column.name)


def _first(names: Sequence[str]) -> str:
    return ", ".join(names[:_FIRST]) + (f" and {len(names) - _FIRST} more" if len(names) > _FIRST else "")


def _array(column: Column, values: Sequence[Any], rows: int) -> NDArray[Any]:
    if len(values) != rows:
        raise InvalidInput(
            f"column {column.name!r} has {len(values)} values where there are {rows} rows.", column=column.name
        )
    types = set(map(type, values))
    missing = type(None) in types
    if not types <= _ACCEPTED[column.type] | {type(None)} or (missing and not column.nullable):
        raise _misfit(column, values)
    try:
        if column.type == "string":
            array = np.empty(rows, dtype=object)
            array[:] = values
            return array
        if column.type == "boolean" and not missing:
            return np.array(values, dtype=np.bool_)
        if column.type == "long" and types <= {int}:
            return np.array(values, dtype=np.int64)
        array = np.array(values, dtype=np.float64)
        if column.type == "long" or int in types:
            _check_exact(column, array, values)
        return _numbers(column, array, values)
    except OverflowError:
        raise InvalidInput(f"column {column.name!r} has a number that is too large.", column=column.name) from None


def _numbers(column: Column, array: NDArray[np.float64], values: Sequence[Any]) -> NDArray[Any]:
    array = _finite(column, array, values)
    if column.type != "long":
        return array
    # JSON has one kind of number, and many writers put whole ones as 3.0.
    fractions = np.flatnonzero(np.isfinite(array) & (array != np.floor(array)))
    if len(fractions):
        raise _misfit(column, values, int(fractions[0]))
    return array if np.isnan(array).any() else array.astype(np.int64)


def _check_exact(column: Column, array: NDArray[np.float64], values: Sequence[Any]) -> None:
    """Refuse a whole number that another one would stand for: in a ``long`` column, or written without a point."""
    for row in np.flatnonzero(np.isfinite(array) & (np.abs(array) >= INEXACT)):
        if column.type == "double" and (type(values[row]) is float or int(array[row]) == values[row]):
            continue
        raise InvalidInput(
            f"column {column.name!r} has a number in row {row} that is too large to be exact.",
            column=column.name,
            row=int(row),
        )


def _finite(column: Column, array: NDArray[np.float64], values: Sequence[Any]) -> NDArray[np.float64]:
    """Refuse infinite numbers, and NaN that stands there as a number rather than as a missing value."""
    bad = np.flatnonzero(~np.isfinite(array))
    for row in bad:
        if values[row] is None or (column.nullable and np.isnan(array[row])):
            continue
        raise InvalidInput(
            f"column {column.name!r} has a number that is not finite in row {row}.", column=column.name, row=int(row)
        )
    return array


def _misfit(column: Column, values: Sequence[Any], row: int | None = None) -> InvalidInput:
    """Return the error of the row given, or of the first row whose value's type does not fit."""
    if row is None:
        accepted = _ACCEPTED[column.type] | ({type(None)} if column.nullable else set())
        row = next(i for i, value in enumerate(values) if type(value) not in accepted)
    if values[row] is None:
        message = f"column {column.name!r} has no value in row {row}, and must have one."
    else:
        found = _FOUND.get(type(values[row]), "something else")
        message = f"column {column.name!r} takes {_WORDS[column.type]}, not {found}, as in row {row}."
    return InvalidInput(message, column=column.name, row=row)
