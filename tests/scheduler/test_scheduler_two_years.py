"""Two years in ten time zones: every slot once, held against a calculator that knows nothing of ours.

The other calculator looks at every minute of the two years: it turns all of them into local times at once with pandas,
and asks of each whether the expression's sets hold it. What comes of a time that does not exist, or exists twice, it
takes from the rule of Debian's cron (cron(8)): of jobs at fixed times, those that were jumped over run at the first
moment after the jump, and none is repeated; jobs with a star for minute or hour follow the clock.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
import pytest

from mlprod_nb import scheduler
from mlprod_nb.scheduler import JobSpec, cron
from mlprod_nb.store import Store

Ints = np.ndarray[tuple[int], np.dtype[np.int8]]
START, END = datetime(2017, 1, 1, tzinfo=UTC), datetime(2019, 1, 1, tzinfo=UTC)
#: Among them: clocks that change at midnight, by half an hour, by two hours, twice a year for Ramadan, and never.
ZONES = (
    "UTC",
    "Europe/Berlin",
    "America/New_York",
    "America/Sao_Paulo",
    "Australia/Lord_Howe",
    "Antarctica/Troll",
    "Africa/Casablanca",
    "Asia/Tehran",
    "Pacific/Chatham",
    "Asia/Kathmandu",
)


@dataclass(frozen=True)
class Fields:
    """An expression as sets; ``None`` is a star."""

    text: str
    minutes: tuple[int, ...] | None
    hours: tuple[int, ...] | None
    days: tuple[int, ...] | None = None
    weekdays: tuple[int, ...] | None = None


EXPRESSIONS = (
    Fields("30 2 * * *", (30,), (2,)),
    Fields("0 0 * * *", (0,), (0,)),
    Fields("15 1,3 * * *", (15,), (1, 3)),
    Fields("0 6 * * 1", (0,), (6,), weekdays=(1,)),
    Fields("45 23 1 * *", (45,), (23,), days=(1,)),
    Fields("0 12 13 * 5", (0,), (12,), days=(13,), weekdays=(5,)),
    Fields("20 * * * *", (20,), None),
    Fields("*/30 * * * *", (0, 30), None),
)


class Wall:
    """What the clocks on a zone's walls show in each minute of the two years."""

    def __init__(self, zone: str) -> None:
        self.utc = pd.date_range(START - timedelta(days=2), END, freq="min", tz="UTC")
        shown = self.utc.tz_convert(zone).tz_localize(None)
        self.minutes = shown.to_numpy().astype("datetime64[m]").astype(np.int64)
        self.read = Read.of(shown)
        #: The latest time that was shown before.
        self.latest = np.maximum.accumulate(np.concatenate([[-1], self.minutes[:-1]]))
        self.jumps = np.flatnonzero(np.diff(self.minutes) > 1)

    def slots(self, fields: Fields) -> list[datetime]:
        """Return the moments at which a job is due, by looking at every minute."""
        matches = self.read.match(fields)
        if fields.hours is not None:
            # A fixed time runs the first time that the wall shows it ...
            matches &= self.minutes > self.latest
            # ... and one that the wall jumps over runs at the first moment after the jump, once.
            for place in self.jumps:
                skipped = np.arange(self.minutes[place] + 1, self.minutes[place + 1])
                skipped = skipped[skipped > self.latest[place + 1]]
                matches[place + 1] |= Read.of(pd.DatetimeIndex(skipped.astype("datetime64[m]"))).match(fields).any()
        return [moment for moment in self.utc[matches].to_pydatetime() if START < moment <= END]


@dataclass(frozen=True)
class Read:
    """Local times, taken apart."""

    minute: Ints
    hour: Ints
    day: Ints
    weekday: Ints

    @classmethod
    def of(cls, at: pd.DatetimeIndex) -> Read:
        return cls(*(np.asarray(part, np.int8) for part in (at.minute, at.hour, at.day, (at.day_of_week + 1) % 7)))

    def match(self, fields: Fields) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
        found: np.ndarray[tuple[int], np.dtype[np.bool_]] = np.ones(len(self.minute), np.bool_)
        if fields.minutes is not None:
            found &= np.isin(self.minute, fields.minutes)
        if fields.hours is not None:
            found &= np.isin(self.hour, fields.hours)
        either = np.zeros(len(self.minute), np.bool_)
        if fields.days is None and fields.weekdays is None:
            return found
        # Where both are given, either is enough (crontab(5)).
        for part, allowed in ((self.day, fields.days), (self.weekday, fields.weekdays)):
            either |= np.isin(part, () if allowed is None else allowed)
        found &= either
        return found


@pytest.mark.parametrize("zone", ZONES)
def test_slots_of_two_years_are_those_of_the_other_calculator(zone: str) -> None:
    wall = Wall(zone)
    for fields in EXPRESSIONS:
        ours = []
        for moment in cron.slots(fields.text, zone, START):
            if moment > END:
                break
            ours.append(moment)
        assert ours == wall.slots(fields), fields.text


def claimed(store: Store, moments: Iterable[datetime]) -> list[tuple[int, datetime]]:
    """Let two schedulers look around each moment; return what they ran between them.

    One's clock steps back and forth, or it is late by hours; the other comes after.
    """
    rng = np.random.default_rng(7)
    ran = []
    for moment in moments:
        for offset in (-rng.integers(1, 90), rng.integers(0, 10_800), rng.integers(0, 60)):
            now = moment + timedelta(seconds=int(offset))
            with store.write() as connection:
                for due in scheduler.claim_due(connection, now):
                    scheduler.finish(connection, due.id, 0, now=now)
                    ran.append((due.job, due.slot))
    return ran


def around_changes(zone: str, slots: Iterable[datetime]) -> list[datetime]:
    """Return the slots within two days of a change of the zone's clocks."""
    reach, local = timedelta(days=2), ZoneInfo(zone)
    return [slot for slot in slots if (slot - reach).astimezone(local).dst() != (slot + reach).astimezone(local).dst()]


@pytest.mark.parametrize(
    "near", [pytest.param(True, id="near the changes"), pytest.param(False, id="all", marks=pytest.mark.exhaustive)]
)
def test_two_schedulers_run_each_slot_of_two_years_once_whatever_their_clocks_do(tmp_path: Path, near: bool) -> None:
    fields = EXPRESSIONS[0]
    for zone in ZONES:
        expected = Wall(zone).slots(fields)
        looked_at = around_changes(zone, expected) if near else expected
        store = Store(Store.sqlite_url(tmp_path / f"{zone.replace('/', '-')}.db"))
        store.migrate()
        with store.write() as connection:
            job = scheduler.add(connection, JobSpec(fields.text, "status", zone), now=START).job
        ran = claimed(store, looked_at)
        store.close()
        assert len(ran) == len(set(ran))
        assert {(job, slot) for slot in looked_at} <= set(ran)
        assert {slot for _, slot in ran} <= set(expected)
