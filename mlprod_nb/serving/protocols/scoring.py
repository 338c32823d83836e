"""What every protocol reads its requests into: columns of plain values, not yet checked against a signature."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mlprod_nb.serving.errors import MalformedRequest

Columns = dict[str, Sequence[Any]]


@dataclass(frozen=True)
class ScoringRequest:
    """The rows of one request, not yet checked against a signature.

    Attributes:
        columns: One sequence a column.
        rows: How many rows.
        units: Who is randomised, one a row, or ``None``.
        event_time: One moment, or one a row, as text; ``None`` for now.
        client_ids: The caller's own ids, one a row, only echoed; or ``None``.
        explain: Whether the caller wants each row's contributions too.
    """

    columns: Columns
    rows: int
    units: Sequence[Any] | None = None
    event_time: str | Sequence[Any] | None = None
    client_ids: Sequence[Any] | None = None
    explain: bool = False


def named(rows: Sequence[Mapping[str, Any]]) -> tuple[Columns, int]:
    """Turn rows into columns; what only some rows name is missing in the others."""
    names = dict.fromkeys(name for row in rows for name in row)
    return {name: [row.get(name) for row in rows] for name in names}, len(rows)


def positional(key: str, rows: Sequence[Any], names: Sequence[str]) -> tuple[Columns, int]:
    """Turn rows without names into columns.

    Args:
        key: How the caller calls the rows, for the error.
        rows: Lists with one value a column.
        names: The columns, in order.

    Raises:
        MalformedRequest: A row is no list or of another length.
    """
    for number, row in enumerate(rows):
        if not isinstance(row, list) or len(row) != len(names):
            raise MalformedRequest(f"{key}: row {number} must be a list of {len(names)} values.")
    return dict(zip(names, zip(*rows, strict=True), strict=True)) if rows else {}, len(rows)
