"""Equal stretches of a window's time: what is shown over time is shown by these."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from mlprod_nb.columns import arrow_values

if TYPE_CHECKING:
    import pyarrow as pa

_DAY = 86_400
Seconds = NDArray[np.int64]


@dataclass(frozen=True)
class Stretches:
    """Rows by stretch.

    Attributes:
        begin: The first stretch's beginning, seconds since 1970.
        length: How long each is, seconds.
        places: The index of each row's stretch, shape ``(rows,)``.
    """

    begin: int
    length: int
    places: NDArray[np.int64]

    @property
    def present(self) -> list[int]:
        """The stretches that have rows, in order of time."""
        return [int(place) for place in np.unique(self.places)]

    def starts(self, place: int) -> datetime:
        """Return when a stretch begins."""
        return datetime.fromtimestamp(self.begin + place * self.length, UTC)

    def ends(self, place: int) -> datetime:
        """Return when a stretch ends."""
        return self.starts(place + 1)


def seconds_of(table: pa.Table, name: str = "event_time") -> Seconds | None:
    """Return a column of moments as seconds since 1970, or ``None`` where the table has no such column."""
    if name not in table.column_names:
        return None
    import pyarrow as pa

    moments = table.column(name).cast(pa.timestamp("us", "UTC")).cast(pa.int64()).combine_chunks()
    seconds: Seconds = arrow_values(moments) // 1_000_000
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
    begin, span = int(seconds.min()), int(np.ptp(seconds)) + 1
    unit = 1
    if span > 2 * _DAY:
        unit, span, begin = _DAY, span + begin % _DAY, begin - begin % _DAY
    length = max(-(-span // (unit * most)) * unit, 1)
    places = seconds - begin
    places //= length
    return Stretches(begin, length, places)
