"""Equal stretches of a window's time: what is shown over time is shown by these."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from mlprod_nb.columns import arrow_values

if TYPE_CHECKING:
    import pyarrow as pa

_DAY = 86_400
# Whole-window arrays of a million rows take 8 MB each, so nothing is made of more rows than these at once.
_BLOCK_ROWS = 65_536
Seconds = NDArray[np.int64]


@dataclass(frozen=True)
class Stretches:
    """Rows by stretch.

    Attributes:
        begin: The first stretch's beginning, seconds since 1970.
        length: How long each is, seconds; the last one may be shorter.
        end: The last stretch's end, seconds since 1970.
        places: The index of each row's stretch, shape ``(rows,)``.
    """

    begin: int
    length: int
    end: int
    places: NDArray[np.int16]

    @property
    def sizes(self) -> NDArray[np.int64]:
        """The rows of each stretch, until the last one that has some."""
        length = int(self.places.max()) + 1 if len(self.places) else 0
        found = np.zeros(length, dtype=np.int64)
        for first in range(0, len(self.places), _BLOCK_ROWS):
            found += np.bincount(self.places[first : first + _BLOCK_ROWS], minlength=length)
        return found

    @property
    def present(self) -> list[int]:
        """The stretches that have rows, in order of time."""
        return [int(place) for place in np.flatnonzero(self.sizes)]

    def starts(self, place: int) -> datetime:
        """Return when a stretch begins."""
        return datetime.fromtimestamp(self.begin + place * self.length, UTC)

    def ends(self, place: int) -> datetime:
        """Return when a stretch ends."""
        return datetime.fromtimestamp(min(self.begin + (place + 1) * self.length, self.end), UTC)


def seconds_of(table: pa.Table, name: str = "event_time") -> Seconds | None:
    """Return a column of moments as seconds since 1970, or ``None`` where the table has no such column."""
    if name not in table.column_names:
        return None
    import pyarrow as pa

    moments = table.column(name).cast(pa.timestamp("us", "UTC")).cast(pa.int64())
    seconds, first = np.empty(len(moments), dtype=np.int64), 0
    for chunk in moments.chunks:
        np.floor_divide(arrow_values(chunk), 1_000_000, out=seconds[first : first + len(chunk)])
        first += len(chunk)
    return seconds


def ends_of(table: pa.Table, name: str = "event_time") -> tuple[int, int] | None:
    """Return the first and the last of :func:`seconds_of` without making all of them, or ``None`` without any."""
    if name not in table.column_names:
        return None
    import pyarrow as pa
    import pyarrow.compute as pc

    # As whole numbers: a moment made a Python object imports pandas.
    ends = pc.min_max(table.column(name).cast(pa.timestamp("us", "UTC")).cast(pa.int64())).as_py()
    return None if ends["min"] is None else (ends["min"] // 1_000_000, ends["max"] // 1_000_000)


def divide(seconds: Seconds, most: int) -> Stretches:
    """Divide rows by time into stretches of equal length, whole days of UTC where the rows span more than two.

    Args:
        seconds: Each row's moment; at least one row.
        most: How many stretches at most.
    """
    return divide_alike([seconds], most)[0]


def divide_alike(some: Sequence[Seconds], most: int) -> list[Stretches]:
    """Divide rows of several sorts into the same stretches, as :func:`divide` does those of one.

    Args:
        some: The moments of each sort's rows; at least one row in all.
        most: How many stretches at most.
    """
    known = [seconds for seconds in some if len(seconds)]
    begin = min(int(seconds.min()) for seconds in known)
    span = max(int(seconds.max()) for seconds in known) - begin + 1
    unit = 1
    if span > 2 * _DAY:
        unit, span, begin = _DAY, span + begin % _DAY, begin - begin % _DAY
    length = max(-(-span // (unit * most)) * unit, 1)
    end = begin + -(-span // unit) * unit
    return [Stretches(begin, length, end, _places(seconds, begin, length)) for seconds in some]


def _places(seconds: Seconds, begin: int, length: int) -> NDArray[np.int16]:
    found = np.empty(len(seconds), dtype=np.int16)
    for first in range(0, len(seconds), _BLOCK_ROWS):
        found[first : first + _BLOCK_ROWS] = (seconds[first : first + _BLOCK_ROWS] - begin) // length
    return found
