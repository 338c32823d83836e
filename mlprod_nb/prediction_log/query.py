"""A user's SQL condition over rows of the log, in a DuckDB that can reach nothing else."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from mlprod_nb.errors import UsageError, nearest

if TYPE_CHECKING:
    import pyarrow as pa

ALONE: dict[str, str | bool | int | float | list[str]] = {
    "threads": 2,
    "enable_external_access": "false",
    "python_enable_replacements": "false",
    "autoinstall_known_extensions": "false",
    "autoload_known_extensions": "false",
}
"""How a DuckDB is opened that reads no file, no variable of Python, and loads nothing."""

_UNKNOWN = re.compile(r'(?:Referenced column|Could not find key|not have a column named) "([^"]+)"')

_KIND_OF_ERROR = re.compile(r"^[A-Z][A-Za-z ]* Error: |[.!]$")


def select(rows: pa.Table, *, where: str, limit: int | None) -> pa.Table:
    """Return the newest rows that fulfil a condition.

    Args:
        rows: Rows of the log.
        where: A SQL condition; empty for all rows.
        limit: How many rows at most; ``None``: all.

    Raises:
        UsageError: The condition is malformed or names no column; the message names the nearest column.
    """
    import duckdb
    import pyarrow as pa

    inputs = [field.name for field in rows.schema.field("inputs").type]
    plain = _plain_names(rows.column_names, inputs)
    flattened = "".join(f", inputs.{_quoted(name)} AS {_quoted(name)}" for name in plain)
    connection = duckdb.connect(config=ALONE)
    try:
        connection.register("log", _numbered(rows, keep_inputs=bool(inputs)))
        connection.execute("SET TimeZone = 'UTC'")
        connection.execute("SET lock_configuration = true")
        relation = connection.sql(f"SELECT *{flattened} FROM log")  # noqa: S608 (names of columns, quoted)
        # A filter takes one expression, so the condition cannot end the statement and begin another.
        found = relation.filter(where.strip() or "true").order("event_time DESC, prediction_id DESC")
        found = found if limit is None else found.limit(limit)
        return rows.take(pa.array(found.project(_NUMBER).fetchnumpy()[_NUMBER]))
    except duckdb.Error as error:
        raise _explained(error, [*rows.column_names, *plain]) from None
    finally:
        connection.close()


def flat(rows: pa.Table) -> pa.Table:
    """Return rows with each input as a column of its own, named as a condition names it: plainly where it can be."""
    given = rows["inputs"].combine_chunks()
    plain = set(_plain_names(rows.column_names, [field.name for field in given.type]))
    rows = rows.drop_columns(["inputs"])
    for number, field in enumerate(given.type):
        rows = rows.append_column(field.name if field.name in plain else f"inputs.{field.name}", given.field(number))
    return rows


_NUMBER = "__row"
_HINT = "Write it like: variant = 'challenger' and score > 0.9"


def _explained(error: Exception, known: list[str]) -> UsageError:
    first = str(error).splitlines()[0]
    unknown = _UNKNOWN.search(first)
    if unknown:
        near = nearest(unknown.group(1), known)
        return UsageError(
            f"the log has no column {unknown.group(1)!r}.", hint=f"Did you mean {near!r}?" if near else _HINT
        )
    return UsageError(f"the condition cannot be evaluated: {_KIND_OF_ERROR.sub('', first)}.", hint=_HINT)


def _plain_names(columns: list[str], inputs: list[str]) -> list[str]:
    """Return the inputs that can be named without ``inputs.``; SQL does not tell upper from lower case."""
    taken = {name.lower() for name in columns}
    plain = []
    for name in inputs:
        if name.lower() not in taken:
            taken.add(name.lower())
            plain.append(name)
    return plain


def _numbered(rows: pa.Table, *, keep_inputs: bool) -> pa.Table:
    """Return the rows with their numbers; a struct without fields is none that SQL knows."""
    import pyarrow as pa

    numbered = rows.append_column(_NUMBER, pa.array(range(rows.num_rows), pa.int64()))
    return numbered if keep_inputs else numbered.drop_columns(["inputs"])


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
