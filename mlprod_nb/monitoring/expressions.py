"""A user's SQL expression over input columns, one value a row, in a DuckDB that can reach nothing else."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from mlprod_nb.errors import UsageError, nearest
from mlprod_nb.prediction_log.query import ALONE

if TYPE_CHECKING:
    import pyarrow as pa

_UNKNOWN = re.compile(r'Referenced column "([^"]+)"')
_OURS = {")": 'syntax error at or near ")"', " as ": 'syntax error at or near "AS"'}
_NUMBER, _VALUE = "__row", "__value"


def evaluate(columns: Mapping[str, Any], expression: str) -> pa.ChunkedArray:
    """Return the value of an expression in each row, in the rows' order.

    Args:
        columns: Arrow arrays of one length, by name.
        expression: SQL, such as ``carrier`` or ``hour >= 18 and origin = 'JFK'``.

    Raises:
        UsageError: It is malformed, names no column, or is not one value a row.
    """
    import duckdb
    import pyarrow as pa

    if not expression.strip():
        raise UsageError("a segment's expression is empty.", hint=_HINT)
    if not columns:
        raise UsageError(f"the segment {expression!r} needs input columns, and there are none.")
    if expression.strip() in columns:  # a column's own name, be it a word of SQL too
        values = columns[expression.strip()]
        return values if isinstance(values, pa.ChunkedArray) else pa.chunked_array([values])
    table = pa.table(dict(columns))
    rows = table.append_column(_NUMBER, pa.array(range(table.num_rows), pa.int64()))
    connection = duckdb.connect(config=ALONE)
    try:
        connection.register("inputs", rows)
        connection.execute("SET TimeZone = 'UTC'")
        connection.execute("SET lock_configuration = true")
        # Inside brackets an expression can end neither the brackets nor the statement: what it adds shows as columns.
        found = connection.table("inputs").project(f'({expression}) AS "{_VALUE}", "{_NUMBER}"')
        if found.columns != [_VALUE, _NUMBER]:
            raise UsageError(f"the segment {expression!r} is more than one expression.", hint=_HINT)
        ordered = found.order(_NUMBER).to_arrow_table()
    except duckdb.Error as error:
        raise _explained(expression, error, list(columns)) from None
    finally:
        connection.close()
    if ordered.num_rows != table.num_rows:
        raise UsageError(f"the segment {expression!r} is not one value a row.", hint=_HINT)
    return ordered.column(_VALUE)


_HINT = "Write it like: carrier, or: hour >= 18 and origin = 'JFK'"


def _explained(expression: str, error: Exception, known: list[str]) -> UsageError:
    unknown = _UNKNOWN.search(str(error))
    if unknown:
        near = nearest(unknown.group(1), known)
        hint = f"Did you mean {near!r}?" if near else _HINT
        return UsageError(
            f"the segment {expression!r} names {unknown.group(1)!r}, which is no input column.", hint=hint
        )
    first = re.sub(r"^[A-Z][A-Za-z ]* Error: |[.!]$", "", str(error).splitlines()[0])
    if _NUMBER in first or "clause cannot contain aggregates" in first:  # our own row numbers are grouped away
        return UsageError(f"the segment {expression!r} is not one value a row.", hint=_HINT)
    if any(told in first and word not in expression.lower() for word, told in _OURS.items()):  # what we add behind it
        return UsageError(f"the segment {expression!r} ends too early.", hint=_HINT)
    return UsageError(f"the segment {expression!r} cannot be evaluated: {first}.", hint=_HINT)
