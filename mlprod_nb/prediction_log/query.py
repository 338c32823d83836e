"""A user's SQL condition over rows of the log, in a DuckDB that can reach nothing else."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from mlprod_nb.errors import UsageError, nearest

if TYPE_CHECKING:
    import pyarrow as pa

_UNKNOWN = re.compile(r'column "([^"]+)"')


def select(rows: pa.Table, *, where: str, limit: int) -> pa.Table:
    """Return the newest rows that fulfil a condition.

    Args:
        rows: Rows of the log.
        where: A SQL condition; empty for all rows.
        limit: How many rows at most.

    Raises:
        UsageError: The condition is malformed or names no column; the message names the nearest column.
    """
    import duckdb

    inputs = [field.name for field in rows.schema.field("inputs").type]
    plain = [name for name in inputs if name.lower() not in {column.lower() for column in rows.column_names}]
    flattened = "".join(f", inputs.{_quoted(name)} AS {_quoted(name)}" for name in plain)
    connection = duckdb.connect(
        config={"threads": 2, "enable_external_access": "false", "python_enable_replacements": "false"}
    )
    try:
        connection.register("__rows", rows)
        connection.execute("SET lock_configuration = true")
        columns = ", ".join(f"__log.{_quoted(name)}" for name in rows.column_names)
        # The condition stands in a subquery of its own, so it cannot end the statement and begin another.
        statement = (
            f"SELECT {columns} FROM (SELECT *{flattened} FROM __rows) AS __log WHERE ({where or 'true'}\n) "  # noqa: S608
            f"ORDER BY event_time DESC, prediction_id DESC LIMIT {int(limit)}"
        )
        if len(duckdb.extract_statements(statement)) != 1:
            raise UsageError("the condition holds more than one statement.", hint=_HINT)
        return connection.sql(statement).to_arrow_table()
    except duckdb.Error as error:
        raise _explained(error, [*rows.column_names, *plain]) from None
    finally:
        connection.close()


_HINT = "Write it like: variant = 'challenger' and score > 0.9"


def _explained(error: Exception, known: list[str]) -> UsageError:
    first = str(error).splitlines()[0]
    unknown = _UNKNOWN.search(first)
    if unknown:
        near = nearest(unknown.group(1), known)
        return UsageError(
            f"the log has no column {unknown.group(1)!r}.", hint=f"Did you mean {near!r}?" if near else _HINT
        )
    return UsageError(f"the condition is not SQL: {first}", hint=_HINT)


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
