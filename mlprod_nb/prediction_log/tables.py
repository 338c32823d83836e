"""Rows of the log as tables: in what order they are, and how those of versions with different inputs become one."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from mlprod_nb.columns import arrow_values
from mlprod_nb.prediction_log.decoding import FEEDBACK_FIELDS, PLACE, PREDICTION_FIELDS
from mlprod_nb.prediction_log.framing import RecordKind

INPUTS = "inputs"
_ENDING = 12
"""How many characters at the end of an id are random: 48 of the 62 random bits of a UUIDv7."""
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECONDS = pa.timestamp("us", tz="UTC")
_BY_PLACE = [(name, "ascending") for name in PLACE.names]
# Where more rows than this share have the moment of the one before, it is as fast to sort all.
_FEW = 0.05


def empty(kind: RecordKind, only: Sequence[str] = ()) -> pa.Table:
    """Return a table without rows.

    Args:
        kind: Of which rows.
        only: Its columns; all where empty.
    """
    fields = FEEDBACK_FIELDS if kind == "feedback" else PREDICTION_FIELDS.append(pa.field(INPUTS, pa.struct([])))
    kept = _with_place(pa.schema([fields.field(name) for name in only or fields.names]))
    # Arrow's own empty table imports pandas.
    return pa.Table.from_arrays([pa.nulls(0, field.type) for field in kept], schema=kept)


def moment_bounds(moments: pa.ChunkedArray) -> tuple[datetime, datetime]:
    """Return the first and the last of some moments, in UTC."""
    # As whole numbers: a moment made a Python object imports pandas.
    ends = pc.min_max(moments.cast(_MICROSECONDS).cast(pa.int64())).as_py()
    return _EPOCH + timedelta(microseconds=ends["min"]), _EPOCH + timedelta(microseconds=ends["max"])


def unify(tables: Sequence[pa.Table]) -> pa.Table:
    """Concatenate tables of placed rows whose inputs may differ, as the versions that took them do.

    An input that a version did not take is missing in its rows, and numbers of different types become float64. The
    result depends on the rows alone, and not on how they are distributed over the tables.

    Args:
        tables: At least one, each with a row.
    """
    by_schema: dict[pa.Schema, list[pa.Table]] = {}
    for table in tables:
        by_schema.setdefault(table.schema, []).append(table)
    if len(by_schema) == 1 or INPUTS not in tables[0].column_names:
        return pa.concat_tables(tables)
    in_order = sorted((pa.concat_tables(found) for found in by_schema.values()), key=_first_place)
    types: dict[str, set[pa.DataType]] = {}
    for table in in_order:
        for field in table.schema.field(INPUTS).type:
            types.setdefault(field.name, set()).add(field.type)
    inputs = pa.struct([pa.field(name, _common(found)) for name, found in types.items()])
    return pa.concat_tables([_with_inputs(table, inputs) for table in in_order])


def ordered(table: pa.Table, *columns: tuple[str, str]) -> pa.Table:
    """Return the rows in the order of columns, and of equal ones in the order of their places.

    Args:
        table: Placed rows.
        columns: Of each its name, and ``ascending`` or ``descending``; places go the way of the first.
    """
    if _in_order(table, columns):
        return table
    places = [(name, columns[0][1] if columns else way) for name, way in _BY_PLACE]
    keys = [*columns, *places]
    return table.take(pc.sort_indices(table.select([name for name, _ in keys]), sort_keys=keys))


def lowest(tables: Sequence[pa.Table], rows: int) -> list[pa.Table]:
    """Return the rows of some tables, in as many, whose ids end lowest."""
    ids = pa.chunked_array([chunk for table in tables for chunk in table["prediction_id"].chunks], pa.string())
    if len(ids) <= rows:
        return list(tables)
    keys = pa.table({"end": pc.utf8_slice_codeunits(ids, start=-_ENDING), "id": ids})
    chosen = pc.select_k_unstable(keys, k=rows, sort_keys=[("end", "ascending"), ("id", "ascending")])
    kept = pc.is_in(ids, value_set=ids.take(chosen).combine_chunks())
    found, first = [], 0
    for table in tables:
        found.append(table.filter(kept[first : first + table.num_rows]))
        first += table.num_rows
    return found


def _in_order(table: pa.Table, columns: Sequence[tuple[str, str]]) -> bool:
    """Say whether rows are in the order of a moment and a text already, as those of a file are; no where unsure."""
    if len(columns) != 2 or {way for _, way in columns} != {"ascending"} or not table.num_rows:
        return False
    first, second = (table[name] for name, _ in columns)
    if not pa.types.is_timestamp(first.type) or first.null_count or second.null_count:
        return False
    steps = np.diff(np.concatenate([arrow_values(chunk) for chunk in first.chunks]))
    equal = np.flatnonzero(steps == 0)
    if (steps < 0).any() or equal.size > _FEW * table.num_rows:
        return False
    one, next_one = (second.take(pa.array(equal + ahead)).combine_chunks() for ahead in (0, 1))
    return bool(pc.all(pc.less(one, next_one), min_count=0).as_py())


def first_of_each(rows: pa.Table, names: Sequence[str]) -> pa.Table:
    """Return of the rows that are equal in some texts the first, in their order."""
    keys = pc.binary_join_element_wise(*(rows[name] for name in names), "\0").combine_chunks()
    first = pc.index_in(keys, value_set=keys)
    return rows.filter(pc.equal(first, pa.array(np.arange(rows.num_rows), type=pa.int32())))


def without_place(table: pa.Table, only: Sequence[str] = ()) -> pa.Table:
    """Return the rows as callers want them: these columns; all but those of the place where empty."""
    return table.select(only) if only else table.drop_columns(PLACE.names)


def _with_place(schema: pa.Schema) -> pa.Schema:
    for field in PLACE:
        schema = schema.append(field)
    return schema


def _first_place(table: pa.Table) -> tuple[str, int, int]:
    segment = pc.min(table["log_segment"])
    table = table.filter(pc.equal(table["log_segment"], segment))
    offset = pc.min(table["log_offset"])
    row = pc.min(table.filter(pc.equal(table["log_offset"], offset))["log_row"])
    return segment.as_py(), offset.as_py(), row.as_py()


def _common(types: set[pa.DataType]) -> pa.DataType:
    if len(types) == 1:
        return next(iter(types))
    return pa.float64() if types <= {pa.float64(), pa.int64(), pa.bool_()} else pa.string()


def _with_inputs(table: pa.Table, inputs: pa.StructType) -> pa.Table:
    given = table[INPUTS].combine_chunks()
    # By place: a name that begins with a dot or a bracket would be read as a path.
    places = {field.name: place for place, field in enumerate(given.type)}
    columns = [
        _cast(pc.struct_field(given, [places[field.name]]), field.type)
        if field.name in places
        else pa.nulls(table.num_rows, field.type)
        for field in inputs
    ]
    struct = pa.StructArray.from_arrays(columns, fields=list(inputs)) if columns else given
    return table.set_column(table.column_names.index(INPUTS), pa.field(INPUTS, inputs), struct)


def _cast(column: pa.Array, kind: pa.DataType) -> pa.Array:
    if pa.types.is_boolean(column.type) and pa.types.is_floating(kind):
        column = column.cast(pa.int8())
    return column.cast(kind)
