"""What users do: false alarms of years in which they do as before, and whether a fall is found.

Of each prediction users do two things, one often and one seldom, and a tenth of them bring a reward. How many do so
differs from day to day by chance, by a fifth of the mean (one standard deviation), and the hour by which an event has
come differs, too. Each weekly look compares a week with the six before it, as ``monitor --performance`` does: what is
known by the week's end of the three series, at the part of the look's budget that is theirs.

Hardly any year has an alarm, since a fifth must be missing, too. The p-values by themselves are therefore held to their
levels: at most a share of α of the looks may have a corrected p-value of α or less, for any α.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from mlprod_nb.monitoring import reaction_series, reactions
from mlprod_nb.monitoring.budget import Budget
from mlprod_nb.monitoring.examination import SERVICE

DAY, WEEK, YEAR = 86_400, 7 * 86_400, 52
EARLIER_WEEKS = 6
#: The share of predictions with each thing that users do.
SHARES = {"opened": 0.3, "bought": 0.03, "saved": 0.1}
REWARD = "saved"
HABIT = 0.2
LEVELS = (0.05, 0.2)
#: What may be left of what users do often.
LEFT = (0.75, 0.5, 0.25)
_DELAY_SECONDS = 3600.0
_MOMENT = pa.timestamp("us", "UTC")
Seconds = NDArray[np.float64]


@dataclass(frozen=True)
class Look:
    """What one look said.

    Attributes:
        least: The least corrected p-value.
        fell: What users were said to do less.
    """

    least: float
    fell: tuple[str, ...]


@dataclass(frozen=True)
class _Log:
    """Some weeks of predictions and of what users did with them, in the order of time."""

    seconds: Seconds
    about: NDArray[np.intp]
    names: NDArray[np.object_]
    numbers: Seconds
    heard: Seconds

    def side(self, since: float, until: float, *, known: float) -> reaction_series.Side:
        """Return the predictions of a time, and what was known of them at a moment."""
        first, last = np.searchsorted(self.seconds, (since, until))
        chosen = (self.about >= first) & (self.about < last) & (self.heard < known)
        about = self.seconds[self.about[chosen]]
        rows, names = int(last - first), self.names[chosen]
        predictions = pa.table(
            {
                "event_time": _moments(self.seconds[first:last]),
                "received_at": _moments(self.seconds[first:last]),
                "variant": _same("champion", rows),
            }
        )
        events = pa.table(
            {
                "prediction_id": pa.array([str(place) for place in self.about[chosen].tolist()], pa.string()),
                "kind": pa.array(np.where(names == REWARD, "reward", "interaction"), pa.string()),
                "name": pa.array(names, pa.string()),
                "text": _same("1", len(names)),
                "source": _same("", len(names)),
                "number": self.numbers[chosen],
                "received_at": _moments(self.heard[chosen]),
                "event_time": _moments(about),
                "variant": _same("champion", len(names)),
                "predicted_at": _moments(about),
            }
        )
        side = reaction_series.side_of(predictions, events)
        assert side is not None
        return side


def unchanged_year(random: np.random.Generator, rows: int, budget: Budget) -> str:
    """Return the first alarm of a year in which users did as before, by looks of about so many predictions."""
    log = _draw(random, rows, EARLIER_WEEKS + YEAR)
    alarms = (
        f"look {number}: {', '.join(look.fell)}" for number, look in enumerate(_looks(log, budget), 1) if look.fell
    )
    return next(alarms, "")


def one_look(random: np.random.Generator, rows: int, budget: Budget, *, left: float = 1.0) -> Look:
    """Return what a look says of a week in which a part alone is left of what users did often."""
    (look,) = _looks(_draw(random, rows, EARLIER_WEEKS + 1, left=left), budget)
    return look


def _looks(log: _Log, budget: Budget) -> Iterator[Look]:
    weeks = math.ceil(log.seconds[-1] / WEEK)
    for week in range(EARLIER_WEEKS, weeks):
        begin, end = week * WEEK, (week + 1) * WEEK
        before = log.side(begin - EARLIER_WEEKS * WEEK, begin, known=end)
        found = reactions.compare(log.side(begin, end, known=end), before, budget.performance * SERVICE / 3)
        assert found is not None
        least = min(row.p_value_corrected for row in found.rows if row.p_value_corrected is not None)
        yield Look(least, tuple(row.name for row in found.rows if row.less))


def _draw(random: np.random.Generator, rows: int, weeks: int, *, left: float = 1.0) -> _Log:
    """Draw predictions and events; in the last week a part alone is left of what users do often."""
    seconds: Seconds = np.sort(random.random(rows * weeks) * float(weeks * WEEK))
    days = (seconds // DAY).astype(np.int64)
    parts: list[tuple[NDArray[np.intp], NDArray[np.object_], Seconds, Seconds]] = []
    for name, share in SHARES.items():
        habits = share * random.gamma(1 / HABIT**2, HABIT**2, 7 * weeks)
        if name == "opened":
            habits[-7:] *= left
        about = np.flatnonzero(random.random(len(seconds)) < habits[days])
        numbers = random.gamma(2, 5, len(about)) if name == REWARD else np.ones(len(about))
        heard = seconds[about] + random.exponential(_DELAY_SECONDS, len(about))
        parts.append((about, np.full(len(about), name, dtype=object), numbers, heard))
    return _Log(
        seconds,
        about=np.concatenate([about for about, _, _, _ in parts]),
        names=np.concatenate([names for _, names, _, _ in parts]),
        numbers=np.concatenate([numbers for _, _, numbers, _ in parts]),
        heard=np.concatenate([heard for _, _, _, heard in parts]),
    )


def _moments(seconds: Seconds) -> pa.Array:
    return pa.array((seconds * 1e6).astype(np.int64)).cast(_MOMENT)


def _same(text: str, rows: int) -> pa.Array:
    return pa.array([text] * rows, pa.string()).dictionary_encode()
