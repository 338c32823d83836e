"""``text/csv`` as RFC 4180 has it: a line of names, then a line a row; an empty cell is a missing value."""

from __future__ import annotations

import csv
import io
import re
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

from mlprod_nb.errors import InvalidInput
from mlprod_nb.registry.bundles import ColumnType, Signature
from mlprod_nb.serving.errors import MalformedRequest
from mlprod_nb.serving.protocols.scoring import Columns, ScoringRequest

_NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?", re.ASCII)
_WHOLE = re.compile(r"[+-]?\d{1,20}", re.ASCII)
_FLAGS = {"true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False}


def read(body: bytes, signature: Signature) -> ScoringRequest:
    """Read a request.

    Args:
        body: The request's body: UTF-8, a byte order mark is passed over.
        signature: What the endpoint takes: it says which cells are numbers.

    Raises:
        MalformedRequest: The body is not CSV, or its rows have other lengths than its first line.
        InvalidInput: A cell cannot be read as its column's type; the error names column and row.
    """
    names, rows = _table(body)
    columns: Columns = {}
    for place, name in enumerate(names):
        column = signature.column(name)
        read_cell = _READERS[column.type if column else "string"]
        columns[name] = [_cell(row[place], name, number, read_cell) for number, row in enumerate(rows)]
    return ScoringRequest(columns, len(rows))


def _table(body: bytes) -> tuple[Sequence[str], list[list[str]]]:
    try:
        lines = csv.reader(io.StringIO(body.decode("utf-8-sig"), newline=""), strict=True)
        rows = list(lines)
    except (UnicodeDecodeError, csv.Error):
        raise MalformedRequest("the body is not CSV.", hint="It must be UTF-8 and quoted as RFC 4180 says.") from None
    if len(rows) < 2:
        raise MalformedRequest("the body has no rows.", hint="Send a line of column names, then a line a row.")
    names = rows.pop(0)
    if len(set(names)) != len(names):
        twice = Counter(names).most_common(1)[0][0]
        raise MalformedRequest(f"the first line names the column {twice!r} twice.")
    for number, row in enumerate(rows):
        if len(row) != len(names):  # a line without anything has no cells; one missing value is written ""
            raise MalformedRequest(f"row {number} has {len(row)} cells where the first line has {len(names)}.")
    return names, rows


def _cell(text: str, name: str, row: int, read_cell: Callable[[str], Any]) -> Any:
    if text == "":
        return None
    try:
        return read_cell(text)
    except (ValueError, KeyError):
        raise InvalidInput(f"column {name!r} cannot be read as its type in row {row}.", column=name, row=row) from None


def _number(text: str) -> int | float:
    if _WHOLE.fullmatch(text):
        return int(text)
    if not _NUMBER.fullmatch(text):
        raise ValueError
    return float(text)


_READERS: dict[ColumnType, Callable[[str], Any]] = {
    "double": _number,
    "long": _number,
    "boolean": _FLAGS.__getitem__,
    "string": str,
}
