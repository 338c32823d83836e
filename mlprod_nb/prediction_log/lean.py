"""Predictions with their labels, without their ids: a million ids take more memory than all that a look reads of rows.

The rows and their order are those of :meth:`PredictionLog.labelled`. Ids are needed twice, to order rows of one moment
and to find their labels, and never longer than a group of rows is: a file's rows are in order already, and a file
whose time no other one shares needs no comparing with other rows. Files that share their time are ordered together.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import cache

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from mlprod_nb.prediction_log import lake, tables
from mlprod_nb.prediction_log.decoding import PLACE
from mlprod_nb.prediction_log.ranges import LogRange
from mlprod_nb.prediction_log.scanning import Part, Places, inside

ID = "prediction_id"
_NOTHING_ROWS = 32_768
LABEL = (
    ("label", "text"),
    ("label_number", "number"),
    ("labelled_at", "event_time"),
    ("label_received_at", "received_at"),
)
"""What a label adds to a prediction, and the column of feedback that it is."""


@dataclass(frozen=True)
class _Piece:
    """Rows that are in order or can be ordered by themselves.

    Attributes:
        first_at: The earliest event time among them.
        last_at: The latest.
        ids: The smallest prediction id and the largest.
        part: The file that they are in; ``None``: they are ``rows``.
        rows: Rows that are in no file.
    """

    first_at: datetime
    last_at: datetime
    ids: tuple[str, str]
    part: Part | None = None
    rows: pa.Table | None = None


def read(places: Places, where: LogRange, only: Sequence[str]) -> pa.Table:
    """Return a range's predictions with their latest labels, shadows left out; texts that repeat as dictionaries.

    Args:
        places: Where the rows are.
        where: The range.
        only: The columns of predictions to read; neither the id nor the inputs.

    Raises:
        Corrupt: A record in the range is damaged, or a segment or a file is gone.
    """
    wanted = list(dict.fromkeys([*only, ID, "event_time", "shadow"]))
    pieces = _pieces(places, where, wanted)
    labels = _labels(places, where, pieces)
    found = [
        _with_labels(rows, labels).select([*only, *(name for name, _ in LABEL)])
        for together in _clusters(pieces)
        for rows in (
            _rows_alone(places, where, only, together[0], labelled=labels.num_rows > 0)
            if len(together) == 1
            else _in_order(places, where, wanted, together)
        )
        if rows.num_rows
    ]
    if found:
        return pa.concat_tables(found)
    nothing = tables.without_place(tables.empty("predictions", wanted), wanted)
    return _with_labels(_coded(nothing), labels).select([*only, *(name for name, _ in LABEL)])


def _pieces(places: Places, where: LogRange, wanted: Sequence[str]) -> list[_Piece]:
    tail, parts = places.sources(where, "predictions", wanted)
    found = [
        _Piece(part.file.first_at, part.file.last_at, (part.file.first_id, part.file.last_id), part) for part in parts
    ]
    known = [rows for rows in (inside(table, where) for table in tail) if rows.num_rows]
    if known:
        rows = tables.ordered(tables.unify(known), ("event_time", "ascending"), (ID, "ascending"))
        ids = pc.min_max(rows[ID]).as_py()
        found.append(_Piece(*tables.moment_bounds(rows["event_time"]), (ids["min"], ids["max"]), rows=rows))
    return sorted(found, key=lambda piece: piece.first_at)


def _clusters(pieces: Iterable[_Piece]) -> list[list[_Piece]]:
    """Put those together that share their time."""
    found: list[list[_Piece]] = []
    for piece in pieces:
        if found and piece.first_at <= max(other.last_at for other in found[-1]):
            found[-1].append(piece)
        else:
            found.append([piece])
    return found


def _in_order(places: Places, where: LogRange, wanted: Sequence[str], together: Sequence[_Piece]) -> Iterator[pa.Table]:
    """Yield the rows of some pieces, in the order of event times and ids."""
    some = (rows for piece in together for rows in _rows(places, where, wanted, piece))
    known = [rows.select([*wanted, *PLACE.names]) for rows in some if rows.num_rows]
    if known:
        yield tables.ordered(tables.unify(known), ("event_time", "ascending"), (ID, "ascending"))


def _rows_alone(
    places: Places, where: LogRange, only: Sequence[str], piece: _Piece, *, labelled: bool
) -> Iterator[pa.Table]:
    """Yield the rows of a piece that shares its time with no other, in their order.

    Nothing is read of a file that its rows are not chosen by: ids, of which no label is sought, take a fifth of the
    time, and places another.
    """
    part = piece.part
    chosen_by = (
        *((ID,) if labelled else ()),
        *(("event_time",) if part is not None and not part.whole else ()),
        *(("shadow",) if part is not None and part.file.shadows else ()),
    )
    yield from _rows(places, where, list(dict.fromkeys([*only, *chosen_by])), piece, placed=False)


def _rows(
    places: Places, where: LogRange, wanted: Sequence[str], piece: _Piece, *, placed: bool = True
) -> Iterator[pa.Table]:
    """Yield a piece's rows, in their order."""
    if piece.part is None:
        yield from [] if piece.rows is None else [_coded(piece.rows)]
        return
    times = replace(where, since=None, until=None) if piece.part.whole else where
    for table in _blocks(places, wanted, piece.part, placed=placed):
        yield _coded(inside(table, times, shadows=not piece.part.file.shadows))


def _coded(rows: pa.Table) -> pa.Table:
    """Return rows whose repeated texts are dictionaries, as they come where every row of a file is read."""
    for place, field in enumerate(rows.schema):
        if field.name in lake.REPEATED and pa.types.is_string(field.type):
            rows = rows.set_column(place, field.name, rows.column(place).dictionary_encode())
    return rows


def _blocks(places: Places, wanted: Sequence[str], part: Part, *, placed: bool = True) -> Iterator[pa.Table]:
    condition = None if part.whole else part.condition()
    return places.blocks(part.file, only=wanted, where=condition, coded=True, placed=placed)


def _labels(places: Places, where: LogRange, pieces: Sequence[_Piece]) -> pa.Table:
    """Return the latest label of each prediction that has one, by id, of all ids that the pieces may hold."""
    empty = tables.without_place(tables.empty("feedback"))
    if not pieces:
        return empty
    span = min(piece.ids[0] for piece in pieces), max(piece.ids[1] for piece in pieces)
    tail, parts = places.sources(where, "feedback", (), ids=span)
    some = [
        table.filter(pc.and_(pc.equal(table["kind"], "label"), pc.equal(table["name"], "label")))
        for table in (*tail, *(table for part in parts for table in _blocks(places, empty.column_names, part)))
    ]
    known = [rows for rows in some if rows.num_rows]
    if not known:
        return empty
    # Places are in the order of arrival; of equal times the later one is the newer.
    rows = tables.without_place(tables.ordered(tables.unify(known), ("received_at", "descending")))
    ids = rows[ID].combine_chunks()
    latest = rows.filter(pc.equal(pc.index_in(ids, value_set=ids), pa.array(np.arange(len(ids)), type=pa.int32())))
    return latest.take(pc.sort_indices(latest[ID])).combine_chunks()


def _with_labels(rows: pa.Table, labels: pa.Table) -> pa.Table:
    """Add the labels; they are sorted by id, so that only those near the rows' ids are looked through."""
    ids = labels[ID].combine_chunks()
    if len(ids) and rows.num_rows:
        ends = pc.min_max(rows[ID]).as_py()
        first = bisect_left(range(len(ids)), ends["min"], key=lambda place: ids[place].as_py())
        last = bisect_right(range(len(ids)), ends["max"], key=lambda place: ids[place].as_py())
        labels, ids = labels.slice(first, last - first), ids.slice(first, last - first)
    at = pc.index_in(rows[ID], value_set=ids) if len(ids) else None
    for name, column in LABEL:
        values = labels[column].combine_chunks()
        rows = rows.append_column(name, _nothing(values.type, rows.num_rows) if at is None else values.take(at))
    return rows


@cache
def _some_of_nothing(kind: pa.DataType) -> pa.Array:
    return pa.nulls(_NOTHING_ROWS, kind)


def _nothing(kind: pa.DataType, rows: int) -> pa.ChunkedArray:
    """Return a column of missing values, every chunk of which is the same memory."""
    whole, rest = divmod(rows, _NOTHING_ROWS)
    chunks = [*([_some_of_nothing(kind)] * whole), _some_of_nothing(kind).slice(0, rest)]
    return pa.chunked_array(chunks, kind)
