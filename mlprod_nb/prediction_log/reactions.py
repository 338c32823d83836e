"""What users did with a range's predictions: interactions and rewards, each beside the prediction that it is about.

Most logs have labels only. So files and records that hold nothing else are passed over by what their bounds and their
bytes tell, and predictions are read only where something is known of one.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import pyarrow as pa
import pyarrow.compute as pc

from mlprod_nb.prediction_log import tables
from mlprod_nb.prediction_log.decoding import FEEDBACK_FIELDS, PREDICTION_FIELDS
from mlprod_nb.prediction_log.ranges import LogRange
from mlprod_nb.prediction_log.scanning import Part, Places, inside
from mlprod_nb.prediction_log.schema import FEEDBACK_KEY, REACTIONS

ID = "prediction_id"
_OWN = (ID, "kind", "name", "text", "number", "source", "received_at")
_PREDICTION = ("event_time", "variant", "received_at")
_READ = (ID, *_PREDICTION, "shadow")
PREDICTED_AT = "predicted_at"
"""The column of when the prediction was received; ``received_at`` is when it was heard what a user did."""


def read(places: Places, where: LogRange) -> pa.Table:
    """Return the interactions and rewards about a range's predictions: of each source the latest.

    An interaction of which a source says false or 0 is taken back: it is none.

    The columns are those of feedback but the endpoint and the event time, then ``event_time``, ``variant`` and
    ``predicted_at`` of the prediction.

    Args:
        places: Where the rows are.
        where: The range; shadows have the ids of what answered and are left out.

    Raises:
        Corrupt: A record in the range is damaged, or a segment or a file is gone.
    """
    events, files = _sources(places, where)
    if not events and not files:
        return _joined(tables.empty("feedback"), _none())
    tail, parts = places.sources(where, "predictions", _READ)
    known = [rows for rows in (inside(table, where) for table in tail) if rows.num_rows]
    spans = [(part.file.first_id, part.file.last_id) for part in parts]
    spans += [(ends["min"], ends["max"]) for ends in (pc.min_max(rows[ID]).as_py() for rows in known)]
    near = [part for part in files if any(_meet(part, span) for span in spans)]
    columns = FEEDBACK_FIELDS.names
    latest = _kept(_latest([*events, *(rows for part in near for rows in _rows(places, part, columns, placed=True))]))
    ids = latest[ID].combine_chunks().unique()
    known += [inside(rows, where) for part in parts for rows in _rows(places, part, _READ, placed=False, about=ids)]
    return _joined(latest, pa.concat_tables([table.select(_READ) for table in (*known, _none())]))


def _none() -> pa.Table:
    return tables.empty("predictions", _READ)


def _meet(part: Part, span: tuple[str, str]) -> bool:
    """Say whether a file may be about predictions whose ids lie between two."""
    return part.file.first_id <= span[1] and span[0] <= part.file.last_id


def _sources(places: Places, where: LogRange) -> tuple[list[pa.Table], list[Part]]:
    """Return the interactions and rewards that are in no file, and the files that may hold some."""
    tail, parts = places.sources(where, "feedback", (), holding=tuple(kind.encode() for kind in REACTIONS))
    return _of_users(tail), [part for part in parts if places.may_hold(part.file, "kind", REACTIONS)]


def _of_users(some: Iterable[pa.Table]) -> list[pa.Table]:
    chosen = (table.filter(_any_of(table["kind"])) for table in some)
    return [rows for rows in chosen if rows.num_rows]


def _any_of(kinds: pa.ChunkedArray) -> pa.ChunkedArray:
    # Not by ``is_in``: to make an array of texts imports pandas.
    found, *others = (pc.equal(kinds, kind) for kind in REACTIONS)
    for other in others:
        found = pc.or_(found, other)
    return found


def _rows(
    places: Places, part: Part, only: Sequence[str], *, placed: bool, about: pa.Array | None = None
) -> Iterator[pa.Table]:
    """Yield a file's rows, or those of some ids, group by group."""
    condition = None if part.whole else part.condition()
    for rows in places.blocks(part.file, only=only, where=condition, placed=placed):
        yield rows if about is None else rows.filter(pc.is_in(rows[ID], value_set=about))


def _latest(some: Iterable[pa.Table]) -> pa.Table:
    """Return of each prediction, kind, name and source the newest row."""
    known = _of_users(some)
    if not known:
        return tables.empty("feedback")
    # Places are in the order of arrival; of equal times the later one is the newer.
    rows = tables.ordered(tables.unify(known), ("received_at", "descending"))
    return tables.first_of_each(rows, FEEDBACK_KEY)


def _kept(events: pa.Table) -> pa.Table:
    """Leave out the interactions that were taken back."""
    done = pc.fill_null(pc.not_equal(events["number"], 0.0), True)  # a text that is no number is something done
    return events.filter(pc.or_(pc.not_equal(events["kind"], "interaction"), done))


def _joined(events: pa.Table, predictions: pa.Table) -> pa.Table:
    """Put each event beside its prediction; events about others are left out."""
    at = pc.index_in(events[ID], value_set=predictions[ID].combine_chunks())
    events, at = events.filter(pc.is_valid(at)), at.drop_null()
    found = events.select(_OWN)
    for name in _PREDICTION:
        column = predictions[name].combine_chunks().cast(PREDICTION_FIELDS.field(name).type)
        found = found.append_column(PREDICTED_AT if name == "received_at" else name, column.take(at))
    return found
