"""What a scan returns about requests that two variants answered."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import numpy as np
from numpy.typing import NDArray

#: What a shadow's prediction id ends with in a table that :func:`mlprod_nb.abtest.pairs.prepare` made.
SHADOW_MARK = "/shadow"


@dataclass(frozen=True)
class PairedRows:
    """One metric on the requests that both variants answered.

    Attributes:
        units: A whole number per request that names its unit.
        times: Event times, in microseconds.
        control: The control's values.
        treatment: The treatment's values.
        others: Further columns that a statistic needs, as the truth.
    """

    units: NDArray[np.int64]
    times: NDArray[np.int64]
    control: NDArray[np.float64]
    treatment: NDArray[np.float64]
    others: tuple[NDArray[np.float64], ...] = ()

    def until(self, edge: int) -> PairedRows:
        """Return the requests up to an event time, that time included."""
        now = self.times <= edge
        others = tuple(values[now] for values in self.others)
        return PairedRows(self.units[now], self.times[now], self.control[now], self.treatment[now], others)

    def moment(self, edge: int) -> datetime:
        """Return an event time."""
        return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=edge)
