"""What came in and what did not: rows against earlier windows, the newest event, refused requests."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from scipy import stats

from mlprod_nb.monitoring import arrivals
from mlprod_nb.monitoring.monitor import MonitorInput, run
from mlprod_nb.monitoring.rows import Finding
from tests.monitoring import samples

NOON = datetime(2013, 6, 1, 12, tzinfo=UTC)


def volume(rows: int, *earlier: int) -> list[Finding]:
    return list(arrivals.volume(rows, earlier))


def events(seconds: Any) -> pa.Table:
    """Events so many seconds before noon."""
    moments = np.datetime64(NOON.replace(tzinfo=None), "us") - (np.asarray(seconds) * 1e6).astype("timedelta64[us]")
    return pa.table({"event_time": pa.array(moments, pa.timestamp("us", "UTC"))})


def freshness(seconds: Any, until: datetime | None = NOON, now: datetime | None = None) -> list[Finding]:
    return list(arrivals.freshness(events(seconds), until, now))


@pytest.mark.parametrize("dispersion", [1.0, 25.0])
def test_ordinary_traffic_seldom_has_a_volume_worth_a_word(dispersion: float) -> None:
    """Counts of Poisson traffic, and of traffic whose rate itself varies: at most 1 in 1,000 looks."""
    random = np.random.default_rng(31)
    mean, looks = 400.0, 2000
    rates = mean if dispersion == 1 else random.gamma(mean / (dispersion - 1), dispersion - 1, (looks, 13))
    windows = random.poisson(rates, (looks, 13))
    found = sum(bool(volume(int(row[0]), *row[1:].tolist())) for row in windows)
    assert found <= stats.binom.ppf(1 - 1e-4, looks, 1e-3)


def test_half_the_usual_rows_and_three_times_as_many_are_found() -> None:
    usual = [1010, 980, 1003, 995, 1021, 988, 1000, 990]
    assert [finding.check for finding in volume(500, *usual)] == ["volume"]
    (many,) = volume(3000, *usual)
    assert many.statement == "3,000 predictions, where the 8 windows before it had about 999"
    assert volume(1300, *usual) == []


def test_windows_from_before_the_endpoint_are_no_windows_and_two_are_too_few() -> None:
    assert volume(10, 1000, 1000, 0, 0, 0, 0) == []
    assert volume(0, 1000, 1000, 1000) == []
    assert volume(10) == []


def test_events_in_any_order_say_the_same_of_freshness() -> None:
    seconds = np.random.default_rng(32).uniform(7200, 86_400, 300)
    (found,) = freshness(np.sort(seconds)[::-1])  # the oldest first, as the log has them
    assert freshness(seconds) == [found]


def test_events_that_ceased_are_found_and_nights_are_not() -> None:
    steady = np.arange(0, 86_400, 60.0)
    assert freshness(steady) == []
    (found,) = freshness(steady + 7200)
    assert found.severity == "warn"
    assert found.statement == "the newest event is of 2013-06-01 10:00 UTC, 2 hours before the window's end"
    with_night = np.concatenate([steady, steady + 86_400 + 28_800])
    assert freshness(with_night + 7200) == []


def test_a_log_that_was_filled_afterwards_is_only_mentioned() -> None:
    (found,) = freshness(np.arange(0, 86_400, 60.0), None, NOON + timedelta(days=4000))
    assert found.severity == "info"
    assert "4,000 days before now" in found.statement


@pytest.mark.parametrize("seconds", [[], [10.0], [5.0] * 30, np.arange(19.0) + 1e6])
def test_few_events_or_one_moment_say_nothing_of_freshness_or_say_it_plainly(seconds: Any) -> None:
    assert all(finding.check == "freshness" for finding in freshness(seconds))
    assert freshness(seconds, None, None) == []


def test_refused_requests_are_told_by_reason_and_many_are_worth_a_look() -> None:
    reasons = {"invalid-input": 90, "too-large": 7, "malformed-request": 2, "too-many-requests": 1}
    (found,) = arrivals.refused(reasons, 900)
    assert found.severity == "warn"
    assert found.value == pytest.approx(0.1)
    assert found.statement == (
        "100 requests were refused beside 900 predictions: invalid-input 90, too-large 7, malformed-request 2"
        " and others"
    )
    (one,) = arrivals.refused({"too-large": 1}, 900)
    assert (one.severity, one.statement) == ("info", "1 request was refused beside 900 predictions: too-large 1")
    assert list(arrivals.refused({}, 900)) == []


@pytest.mark.parametrize("rows", [0, 1, 300])
def test_a_look_has_these_findings_whatever_the_window_holds(rows: int) -> None:
    random = np.random.default_rng(32)
    profile, _ = samples.reference_profile(random, 1000)
    columns = samples.traffic(random, rows)
    scores = samples.score_of(columns)
    window = samples.window(columns, scores, None)
    later = samples.START + timedelta(days=90)
    given = MonitorInput("flights", profile, window, until=later, refused=[(0.0, "too-large", 40)], now=later)
    checks = {finding.check for finding in run(given).quality}
    assert "refused requests" in checks
    assert ("freshness" in checks) == (rows == 300)
