"""Slots in time zones: each moment once, also where the clocks change."""

from __future__ import annotations

import itertools
import re
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from mlprod_nb.errors import NotFound, UsageError
from mlprod_nb.scheduler import cron

BERLIN, NEW_YORK = "Europe/Berlin", "America/New_York"
#: Days on which the clocks change in 2025.
CHANGES = {
    BERLIN: (datetime(2025, 3, 30, tzinfo=UTC), datetime(2025, 10, 26, tzinfo=UTC)),
    NEW_YORK: (datetime(2025, 3, 9, tzinfo=UTC), datetime(2025, 11, 2, tzinfo=UTC)),
}


def between(expression: str, timezone: str, start: datetime, end: datetime) -> list[datetime]:
    found = []
    for moment in cron.slots(expression, timezone, start):
        if moment > end:
            break
        found.append(moment)
    return found


@pytest.mark.parametrize("timezone", [BERLIN, NEW_YORK])
@pytest.mark.parametrize("expression", ["30 2 * * *", "30 1 * * *", "0 3 * * *", "0,30 2 * * *", "15 */2 * * *"])
def test_slots_grow_and_come_once_through_a_year(timezone: str, expression: str) -> None:
    found = between(expression, timezone, datetime(2025, 1, 1, tzinfo=UTC), datetime(2025, 12, 31, tzinfo=UTC))
    assert found == sorted(set(found))


@pytest.mark.parametrize("timezone", [BERLIN, NEW_YORK])
@pytest.mark.parametrize("expression", ["30 2 * * *", "30 1 * * *", "0 3 * * *", "15 0 * * *"])
def test_a_daily_job_runs_once_on_every_day_also_when_the_clocks_change(timezone: str, expression: str) -> None:
    zone = ZoneInfo(timezone)
    found = between(expression, timezone, datetime(2025, 1, 1, 12, tzinfo=UTC), datetime(2025, 12, 31, 12, tzinfo=UTC))
    days = [moment.astimezone(zone).date() for moment in found]
    assert len(days) == 364
    assert len(set(days)) == 364


@pytest.mark.parametrize("timezone", [BERLIN, NEW_YORK])
@pytest.mark.parametrize("expression", ["30 2 * * *", "30 1 * * *", "*/20 * * * *", "0,30 2 * * *", "5 * * * *"])
def test_asking_again_from_any_minute_gives_the_same_slots(timezone: str, expression: str) -> None:
    """A scheduler asks anew after each slot and after each restart, in the repeated hour too."""
    for day in CHANGES[timezone]:
        start, end = day - timedelta(hours=6), day + timedelta(hours=30)
        found = between(expression, timezone, start, end)
        at = start
        while at < end:
            expected = next((moment for moment in found if moment > at), None)
            answer = cron.next_slot(expression, timezone, at)
            assert answer is not None
            assert answer > at
            if expected is not None:
                assert answer == expected, at
            at += timedelta(minutes=7)


@pytest.mark.parametrize("timezone", [BERLIN, NEW_YORK])
def test_a_job_every_twenty_minutes_follows_real_time(timezone: str) -> None:
    for day in CHANGES[timezone]:
        found = between("*/20 * * * *", timezone, day, day + timedelta(days=1))
        steps = {later - earlier for earlier, later in itertools.pairwise(found)}
        assert steps == {timedelta(minutes=20)}


def test_a_time_that_does_not_exist_runs_when_the_clock_has_jumped() -> None:
    found = cron.next_slot("30 2 * * *", BERLIN, datetime(2025, 3, 29, 12, tzinfo=UTC))
    assert found == datetime(2025, 3, 30, 1, 0, tzinfo=UTC)


def test_a_time_that_comes_twice_runs_the_first_time() -> None:
    first = cron.next_slot("30 2 * * *", BERLIN, datetime(2025, 10, 25, 12, tzinfo=UTC))
    assert first == datetime(2025, 10, 26, 0, 30, tzinfo=UTC)
    assert cron.next_slot("30 2 * * *", BERLIN, first) == datetime(2025, 10, 27, 1, 30, tzinfo=UTC)


def test_the_newest_slot_is_the_last_one_not_after_now() -> None:
    start = datetime(2025, 5, 5, 6, 0, tzinfo=UTC)
    assert cron.newest_slot("0 * * * *", "UTC", start, start + timedelta(hours=3)) == start + timedelta(hours=3)
    assert cron.newest_slot("0 * * * *", "UTC", start, start + timedelta(minutes=59)) is None


@pytest.mark.parametrize(
    ("expression", "message"),
    [
        ("0 6 * *", "has 4 cron fields; it needs 5"),
        ("6", "has 1 cron field; it needs 5"),
        ("* * * * * *", "has 6 cron fields"),
        ("61 * * * *", "is not a cron expression: Bad minute"),
        ("0 6 * * MUN", "is not a cron expression: Bad day-of-week"),
        ("0 25 * * munday", "Bad hour. Write minute, hour"),
        ("0 0 31 2 *", "is not a cron expression: Bad day-of-month"),
    ],
)
def test_a_wrong_expression_is_one_clear_line(expression: str, message: str) -> None:
    with pytest.raises(UsageError) as caught:
        cron.check(expression, "UTC")
    assert message in str(caught.value)
    assert "as in: 0 6 * * 1" in str(caught.value)


def test_a_name_of_cron_s_own_is_answered_with_its_five_fields() -> None:
    with pytest.raises(UsageError, match=r"'@Weekly' is not five cron fields\. Write: 0 0 \* \* 0$"):
        cron.check("@Weekly", "UTC")


@pytest.mark.parametrize(
    ("expression", "meant"), [("0 6 * * monday", "0 6 * * MON"), ("0 6 1 Febuary WED", "0 6 1 FEB WED")]
)
def test_days_and_months_by_their_long_names_are_answered_with_the_short_ones(expression: str, meant: str) -> None:
    with pytest.raises(UsageError, match=re.escape(f"Did you mean {meant!r}?")):
        cron.check(expression, "UTC")


@pytest.mark.parametrize("name", ["Europe/Berln", "", "../etc/passwd", "Europe"])
def test_an_unknown_time_zone_names_the_nearest(name: str) -> None:
    with pytest.raises(NotFound, match="time zone"):
        cron.check("0 6 * * *", name)
    with pytest.raises(NotFound, match="Did you mean 'Europe/Berlin'"):
        cron.zone("Europe/Berln")
