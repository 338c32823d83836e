"""Moments and durations, as users write them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from zoneinfo import ZoneInfo

import pytest

from mlprod_nb.clock import iso, parse_deadline, parse_duration, parse_moment
from mlprod_nb.errors import UsageError

NOW = datetime(2013, 7, 1, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("90s", timedelta(seconds=90)),
        ("15m", timedelta(minutes=15)),
        ("1d12h", timedelta(hours=36)),
        ("4w", timedelta(28)),
    ],
)
def test_durations_are_read_as_users_write_them(text: str, expected: timedelta) -> None:
    assert parse_duration(text) == expected


@pytest.mark.parametrize("text", ["", "7", "d", "7 d", "7d!", "-7d", "seven days"])
def test_what_is_no_duration_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(UsageError, match="is not a duration"):
        parse_duration(text)


def test_a_moment_is_a_date_a_time_or_an_age() -> None:
    assert parse_moment("2013-04-01", now=NOW) == datetime(2013, 4, 1, tzinfo=UTC)
    assert parse_moment("2013-04-01T06:00+02:00", now=NOW) == datetime(2013, 4, 1, 4, tzinfo=UTC)
    assert parse_moment("7d", now=NOW) == datetime(2013, 6, 24, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    "text", ["next tuesday", "2 months ago", "gestern", "lasttuesdya", "tuesdya 25:00", "x" * 9999]
)
def test_what_is_no_moment_is_refused_with_examples(text: str) -> None:
    with pytest.raises(UsageError, match="2013-04-01"):
        parse_moment(text, now=NOW)


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("last tuesdya", "last tuesday"),
        ("lst tuesday 14:30", "last tuesday 14:30"),
        ("Yestreday", "yesterday"),
        ("wed at 9:00", "wednesday at 9:00"),
        ("2 huors ago", "2 hours ago"),
        ("3 days agoo", "3 days ago"),
    ],
)
def test_a_moment_with_a_slip_of_the_pen_is_answered_with_the_one_that_was_meant(text: str, meant: str) -> None:
    with pytest.raises(UsageError) as refused:
        parse_moment(text, now=NOW)
    assert str(refused.value) == f"{text!r} is not a moment. Did you mean {meant!r}?"


@pytest.mark.parametrize("text", ["3d", "3 days", "72 hours", "2d24h", "2013-07-04T12:00"])
def test_a_deadline_is_a_moment_or_a_duration_from_now_on(text: str) -> None:
    assert parse_deadline(text, now=NOW) == NOW + timedelta(days=3)


def test_a_deadline_with_a_slip_of_the_pen_is_answered_with_the_one_that_was_meant() -> None:
    with pytest.raises(UsageError, match=r"Did you mean '3 days'\?"):
        parse_deadline("3 dyas", now=NOW)


def test_what_is_no_deadline_is_refused() -> None:
    with pytest.raises(UsageError, match="not a moment"):
        parse_deadline("some days", now=NOW)


def test_a_moment_is_written_in_utc() -> None:
    assert iso(datetime(2013, 4, 1, 6, tzinfo=UTC)) == "2013-04-01T06:00:00Z"


# NOW is a Monday, at noon.
@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("last tuesday", datetime(2013, 6, 25, tzinfo=UTC)),
        ("Tuesday", datetime(2013, 6, 25, tzinfo=UTC)),
        ("last monday", datetime(2013, 6, 24, tzinfo=UTC)),
        ("sunday 14:30", datetime(2013, 6, 30, 14, 30, tzinfo=UTC)),
        ("yesterday at 9:05", datetime(2013, 6, 30, 9, 5, tzinfo=UTC)),
        ("today", datetime(2013, 7, 1, tzinfo=UTC)),
        ("7d", datetime(2013, 6, 24, 12, tzinfo=UTC)),
        ("90 minutes ago", datetime(2013, 7, 1, 10, 30, tzinfo=UTC)),
        ("1 day ago", datetime(2013, 6, 30, 12, tzinfo=UTC)),
        ("2013-04-01", datetime(2013, 4, 1, tzinfo=UTC)),
    ],
)
def test_the_past_is_read_in_words_too(text: str, expected: datetime) -> None:
    assert parse_moment(text, now=NOW) == expected


@pytest.mark.parametrize(
    "text", ["last tuesdey", "next tuesday", "tuesday 24:00", "tuesday 9", "last", "tomorrow", "long ago", "ago"]
)
def test_what_is_no_moment_of_the_past_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="not a moment"):
        parse_moment(text, now=NOW)


@pytest.mark.parametrize("day", range(7))
def test_a_weekday_is_the_nearest_before_today_whichever_day_today_is(day: int) -> None:
    now = NOW + timedelta(days=day)
    found = parse_moment("wednesday", now=now)
    assert found.weekday() == 2
    assert timedelta(0) < now.replace(hour=0) - found <= timedelta(days=7)


def test_the_words_mean_utc_whatever_the_offset_of_now() -> None:
    late = datetime(2013, 7, 1, 23, tzinfo=timezone(timedelta(hours=-5)))  # Tuesday 4:00 in UTC
    assert parse_moment("monday", now=late) == datetime(2013, 7, 1, tzinfo=UTC)


# In New York the clocks went forward on 10 March 2013 and back on 3 November.
@pytest.mark.parametrize("now", [datetime(2013, 3, 11, 12, tzinfo=UTC), datetime(2013, 11, 4, 12, tzinfo=UTC)])
def test_a_day_has_24_hours_where_clocks_change(now: datetime) -> None:
    local = now.astimezone(ZoneInfo("America/New_York"))
    assert parse_moment("monday", now=local) == now.replace(hour=0) - timedelta(days=7)
    assert parse_moment("today", now=local) - parse_moment("yesterday", now=local) == timedelta(hours=24)


@pytest.mark.parametrize("text", ["9999999999d", "9" * 400 + "d", "1001w" * 60])
def test_a_duration_that_no_calendar_holds_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="longer than 1,000 years"):
        parse_duration(text)


def test_a_moment_that_utc_cannot_write_is_refused() -> None:
    with pytest.raises(UsageError, match="beyond the years"):
        parse_moment("9999-12-31T23:00-05:00", now=NOW)


def test_a_deadline_that_is_none_is_answered_by_what_a_deadline_is() -> None:
    with pytest.raises(UsageError, match=r"'tomorow' is not a moment to come.*a duration \(3d\)"):
        parse_deadline("tomorow", now=NOW)
