"""Moments and durations, as users write them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

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


def test_what_is_no_moment_is_refused_with_examples() -> None:
    with pytest.raises(UsageError, match="2013-04-01"):
        parse_moment("last tuesdey", now=NOW)


@pytest.mark.parametrize("text", ["3d", "3 days", "72 hours", "2d24h", "2013-07-04T12:00"])
def test_a_deadline_is_a_moment_or_a_duration_from_now_on(text: str) -> None:
    assert parse_deadline(text, now=NOW) == NOW + timedelta(days=3)


def test_what_is_no_deadline_is_refused() -> None:
    with pytest.raises(UsageError, match="not a moment"):
        parse_deadline("some days", now=NOW)


def test_a_moment_is_written_in_utc() -> None:
    assert iso(datetime(2013, 4, 1, 6, tzinfo=UTC)) == "2013-04-01T06:00:00Z"
