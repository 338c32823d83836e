"""Which feedback names no prediction of its endpoint: an id that was never given, or another endpoint's."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import pyarrow as pa
import pyarrow.compute as pc

from mlprod_nb.prediction_log.ranges import LogRange
from mlprod_nb.prediction_log.scanning import Places
from mlprod_nb.results import counted

_ID = "prediction_id"


@dataclass(frozen=True)
class Unmatched:
    """How much of an endpoint's feedback names none of its predictions.

    Attributes:
        endpoint: The endpoint's name.
        feedback: How many pieces of feedback there are.
        strays: How many of them name none of its predictions.
        example: The first id that one of them names; empty where all match.
    """

    endpoint: str
    feedback: int
    strays: int
    example: str

    def told(self) -> str:
        """Say how many they are; empty where all match."""
        if not self.strays:
            return ""
        verb = "names" if self.strays == 1 else "name"
        of = f"{self.strays:,} of {counted(self.feedback, 'piece')} of feedback"
        return f"{of} {verb} no prediction of {self.endpoint!r}, as {self.example}"


def unmatched(places: Places, where: LogRange, ids: Sequence[str] | None = None) -> Unmatched:
    """Hold feedback against all of an endpoint's predictions in a range, whatever their event times.

    Args:
        places: Where the rows are.
        where: The range.
        ids: The ids that the feedback names; ``None``: all feedback of the range.
    """
    everything = replace(where, since=None, until=None)
    named = pa.chunked_array([pa.array(ids, pa.string())]) if ids is not None else _named(places, everything)
    left = _not_removed(places, where.endpoint, named)
    if len(left):
        # A file at a time, so that no more ids are held than one file has beside those that are sought.
        for table in replace(places, left=True).rows(everything, "predictions", [_ID], ids=left):
            left = left.filter(pc.invert(pc.is_in(left, value_set=table[_ID].combine_chunks())))
            if not len(left):
                break
    return Unmatched(where.endpoint, len(named), len(left), pc.min(left).as_py() or "")


def _not_removed(places: Places, endpoint: str, ids: pa.ChunkedArray) -> pa.ChunkedArray:
    """Return the ids that are not of the time from which predictions were removed: of those nothing can be said."""
    removed = places.removals.of(endpoint)
    if not removed or not len(ids):
        return ids
    first, last = min(one.first_id for one in removed), max(one.last_id for one in removed)
    return ids.filter(pc.or_(pc.less(ids, first), pc.greater(ids, last)))


def _named(places: Places, where: LogRange) -> pa.ChunkedArray:
    chunks = [chunk for table in places.rows(where, "feedback", [_ID]) for chunk in table[_ID].chunks]
    return pa.chunked_array(chunks, pa.string())
