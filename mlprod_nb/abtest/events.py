"""Rewards and interactions as numbers of a prediction: what became of it within a time that is the same for all.

A prediction that nothing came of counts as 0. To leave it out would be to choose predictions by what the variant itself
changed. For the same reason every prediction has the same time: one that is younger does not count yet, and what comes
later than that does not count at all, so neither an old prediction nor a patient variant has more chances.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from mlprod_nb.abtest.outcome import EVENT
from mlprod_nb.abtest.queries import LARGEST, micros, quoted
from mlprod_nb.abtest.rows import CLOCKS_AGREE_US
from mlprod_nb.clock import spell_duration
from mlprod_nb.results import counted

if TYPE_CHECKING:
    import pyarrow as pa

EventKind = Literal["reward", "interaction"]

#: What counts where a metric does not say how long.
USUAL_WITHIN = "1d"
#: The gateway takes no feedback later than this after its prediction.
LONGEST_WITHIN = timedelta(days=90)


@dataclass(frozen=True)
class Event:
    """A reward or an interaction as the value of a metric.

    Attributes:
        metric: The metric's name.
        kind: ``"reward"``: the numbers that its sources told last are added up. ``"interaction"``: whether any source
            told it last; a source that says false or 0 takes it back.
        name: Its name in the feedback.
        equals: The value that an interaction must have; empty: any.
        within: How long after its prediction it counts.
    """

    metric: str
    kind: EventKind
    name: str
    equals: str
    within: timedelta

    @property
    def column(self) -> str:
        """The column of a scan that holds it."""
        return EVENT + self.metric

    @property
    def sql(self) -> str:
        """The same in SQL; null while a prediction is too young."""
        return quoted(self.column)

    @property
    def sql_type(self) -> str:
        """Its type in SQL."""
        return "BOOLEAN" if self.kind == "interaction" else "DOUBLE"

    @property
    def words(self) -> str:
        """What counts, in words."""
        value = f" = {self.equals!r}" if self.equals else ""
        return f"{self.kind} {self.name!r}{value} within {spell_duration(self.within.total_seconds())}"


@dataclass(frozen=True)
class Told:
    """Predictions with what became of each, and what a reader should know of it.

    Attributes:
        rows: The predictions; one more column for the event.
        notes: What counts, and what does not.
    """

    rows: pa.Table
    notes: tuple[str, ...]


def beside(rows: pa.Table, told: pa.Table, event: Event, *, until: datetime) -> Told:
    """Return predictions with an event's value in a further column; null where a prediction is too young.

    Args:
        rows: Predictions, one row each.
        told: The rewards and interactions of their log, every value that came, the newest first.
        event: Which of them.
        until: What has come by then is known.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    asked = _micros(rows["event_time"])
    mine = told.filter(pc.and_(pc.equal(told["kind"], event.kind), pc.equal(told["name"], event.name)))
    at = pc.index_in(mine["prediction_id"], value_set=rows["prediction_id"].combine_chunks())
    mine, at = mine.filter(at.is_valid()), at.drop_null()
    place = np.asarray(at.to_numpy(), np.int64)
    after = _micros(mine["event_time"]) - asked[place]
    within = event.within // timedelta(microseconds=1)
    late, early = after > within, after < -CLOCKS_AGREE_US
    values, known = _values(mine, event)
    counts = known & ~late & ~early
    inside, place, values = mine.filter(pa.array(counts)), place[counts], values[counts]
    newest = _newest(inside)
    totals = np.bincount(place[newest], weights=values[newest], minlength=rows.num_rows)
    young = asked > micros(until) - within
    column = pa.array(totals > 0 if event.kind == "interaction" else totals, mask=young)
    notes = _notes(event, young=int(young.sum()), late=int(late.sum()), early=int(early.sum()), odd=int((~known).sum()))
    return Told(rows.append_column(event.column, column), notes)


def last_word(rows: pa.Table, told: pa.Table) -> datetime | None:
    """Return the moment at which the last of these rows was received; ``None`` where there is none."""
    import pyarrow.compute as pc

    moments = [pc.max(table["received_at"]).as_py() for table in (rows, told)]
    return max((moment for moment in moments if moment is not None), default=None)


def _values(told: pa.Table, event: Event) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Return what each piece of feedback is worth, and whether it is of the right type."""
    numbers = told["number"].to_numpy().astype(float)
    if event.kind == "reward":
        known = np.abs(np.nan_to_num(numbers, nan=np.inf)) <= LARGEST
        return numbers, known
    if event.equals:
        alike = np.array([text == event.equals for text in told["text"].to_pylist()], bool)
        wanted = _number(event.equals)
        done = alike if wanted is None else alike | (numbers == wanted)
    else:
        done = numbers != 0  # true, too, of a text, which is no number
    return done.astype(float), np.ones(len(done), bool)


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def _newest(told: pa.Table) -> NDArray[np.int64]:
    """Return the places of the newest value of each prediction and source; the rows come the newest first."""
    import pyarrow.compute as pc

    keys = pc.binary_join_element_wise(told["prediction_id"], told["source"], "\0").combine_chunks()
    first = pc.index_in(keys, value_set=keys).to_numpy(zero_copy_only=False)
    return np.flatnonzero(first == np.arange(told.num_rows))


def _micros(moments: pa.ChunkedArray) -> NDArray[np.int64]:
    import pyarrow as pa

    return np.asarray(moments.cast(pa.timestamp("us", "UTC")).cast(pa.int64()).to_numpy(), np.int64)


def _notes(event: Event, *, young: int, late: int, early: int, odd: int) -> tuple[str, ...]:
    parts = [f"{event.metric} counts the {event.words} of a prediction"]
    parts += [f"{counted(young, 'prediction')} younger than that not yet"] if young else []
    parts += [f"{late:,} came later"] if late else []
    parts += [f"{early:,} came before the prediction"] if early else []
    parts += [f"{odd:,} held no number"] if odd else []
    return ("; ".join(parts) + ".",)
