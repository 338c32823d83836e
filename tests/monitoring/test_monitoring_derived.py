"""Derived columns: the length of texts, and of dates the age, the hour and the weekday, from profile to verdict."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from scipy import stats

from mlprod_nb.monitoring import MonitorInput, MonitorResult, Profile, build, counting, derived, run, scoring
from mlprod_nb.monitoring.bins import WindowCounts
from mlprod_nb.monitoring.columns import Coded
from mlprod_nb.monitoring.impact import with_importance
from mlprod_nb.monitoring.stored_counts import decode, encode
from tests.monitoring import samples
from tests.monitoring.counted import differences

COLUMNS = samples.signature(amount="double", note="string", booked="string", group="string")
DAY = 86_400
#: Thirteen weeks before the windows begin.
BEFORE = samples.START - timedelta(weeks=13)
WEEK_ROWS = 7 * 144  # a row every ten minutes, as ``samples.window`` has them


def written(seconds: Any) -> Any:
    """Moments as ISO 8601 texts."""
    return np.array([f"{datetime.fromtimestamp(float(s), UTC):%Y-%m-%dT%H:%M:%SZ}" for s in seconds], dtype=object)


def rows(random: np.random.Generator, moments: Any, *, words: float = 8, age_days: float = 3) -> samples.Columns:
    """Bookings some days before the event, each with a note of some words."""
    count = len(moments)
    notes = ["n" * int(n) + f"{i:06}" for i, n in enumerate(random.poisson(words, count))]
    return {
        "amount": random.normal(size=count),
        "note": np.array(notes, dtype=object),
        "booked": written(moments - random.exponential(age_days * DAY, count)),
        "group": random.choice(np.array(["a", "b"], dtype=object), count),
    }


def score_of(columns: dict[str, Any]) -> Any:
    push = np.array([0.0 if note is None else len(note) / 20 for note in columns["note"]])
    return 1 / (1 + np.exp(-columns["amount"].astype(float) - push))


@pytest.fixture(scope="module")
def profile() -> Profile:
    random = np.random.default_rng(300)
    moments = BEFORE.timestamp() + np.sort(random.random(6000)) * 13 * 7 * DAY
    columns = rows(random, moments)
    found = build(
        columns,
        COLUMNS,
        scores=score_of(columns),
        labels=None,
        task="classification",
        classes=(False, True),
        moments=moments,
    )
    return with_importance(found, columns, score_of)


def window(random: np.random.Generator, count: int = 2 * WEEK_ROWS, **more: Any) -> pa.Table:
    moments = samples.START.timestamp() + np.arange(count) * 600
    columns = rows(random, moments, **more)
    return samples.window(columns, score_of(columns), None)


def look(profile: Profile, table: pa.Table, **more: Any) -> MonitorResult:
    return run(MonitorInput("flights", profile, table, model_version="flights/1", **more))


def row_of(found: MonitorResult, name: str) -> Any:
    return next(row for row in found.columns if row.column == name)


def counted(profile: Profile, table: pa.Table) -> WindowCounts:
    return counting.count_predictions(profile, table, scoring.read(profile, table), "flights/1")


def test_registration_chooses_what_is_derived_by_what_the_texts_are(profile: Profile) -> None:
    names = [column.name for column in profile.derived or ()]
    assert names == ["note (length)", "booked (age)", "booked (hour)", "booked (weekday)"]
    assert Profile.from_json(profile.to_json()) == profile


def test_a_profile_without_texts_has_nothing_derived_and_costs_nothing() -> None:
    found, _ = samples.reference_profile(np.random.default_rng(0), 3000)
    assert found.derived == ()


def test_dates_of_few_days_have_no_weekday_and_dates_alone_no_hour() -> None:
    random = np.random.default_rng(1)
    moments = BEFORE.timestamp() + random.random(2000) * 10 * DAY
    days = np.array([text[:10] for text in written(moments)], dtype=object)
    made = build(
        {"day": days, "at": written(moments)},
        samples.signature(day="string", at="string"),
        scores=random.random(2000),
        labels=None,
        task="regression",
    )
    assert [column.name for column in made.derived or ()] == ["at (hour)"]


@pytest.mark.parametrize(
    "text",
    [
        "2013-02-30",
        "2013-13-01",
        "2013-01-01T24:00",
        "2013-01-01T05:60",
        "2013-1-1",
        "20130101",
        "x",
        "",
        "2013-01-01T",
    ],
)
def test_what_is_no_date_is_missing(text: str) -> None:
    assert np.isnan(derived.read_dates([text]).seconds).all()


@pytest.mark.parametrize(
    "text",
    [
        "2012-02-29",
        "2013-01-01T23:59",
        "1969-12-31 05:00:59.123",
        "2013-01-01T05:00:00Z",
        "2013-01-01T05:00:00+02:00",
        "0001-01-01T00:00:00-05:30",
        "9999-12-31T23:59:59+0100",
    ],
)
def test_dates_are_read_as_python_reads_them(text: str) -> None:
    found, told = derived.read_dates([text]), datetime.fromisoformat(text)
    plain = told.replace(tzinfo=UTC, microsecond=0)
    assert found.seconds[0] == (plain - datetime(1970, 1, 1, tzinfo=UTC)).total_seconds()
    assert found.offset[0] == (told.utcoffset() or timedelta()).total_seconds()
    if len(text) > 10:
        assert found.hour[0] == told.hour


def test_weekdays_are_those_of_the_calendar(profile: Profile) -> None:
    texts = [f"2012-{month:02}-{day:02}" for month in range(1, 13) for day in (1, 15, 28)]
    (weekday,) = [column for column in profile.derived or () if column.how == "weekday"]
    made = derived.derive([weekday], {"booked": np.array([*texts, None, "no"], dtype=object)}, None)
    days = made["booked (weekday)"]
    assert isinstance(days, Coded)
    told = [days.names[code] if code >= 0 else None for code in days.codes]
    assert told == [*(f"{datetime.fromisoformat(text):%A}" for text in texts), None, None]


@pytest.mark.parametrize("seed", range(8))
def test_however_rows_are_divided_what_is_derived_adds_up_to_the_same_bits(profile: Profile, seed: int) -> None:
    random = np.random.default_rng(seed)
    table = window(random, 700)
    columns = {name: values.to_pylist() for name, values in counting.inputs(table).items()}
    for place in np.flatnonzero(random.random(700) < 0.2).tolist():
        columns["booked"][place] = None if place % 2 else "no date"
    table = table.set_column(table.column_names.index("inputs"), "inputs", samples.struct(columns))
    table = table.append_column(counting.ID, pa.array([f"{n:012x}" for n in random.integers(0, 2**48, 700)]))
    cuts = [0, *sorted(random.integers(0, 701, 5).tolist()), 700]
    parts = [decode(encode(counted(profile, table[a:b]))) for a, b in pairwise(cuts)]
    whole = counted(profile, table)
    assert differences(counting.add(profile, parts), whole) == []
    assert whole.columns["booked (age)"].missing == sum(text in (None, "no date") for text in columns["booked"])


def test_a_source_that_one_version_did_not_take_is_missing_in_its_rows(profile: Profile) -> None:
    table = window(np.random.default_rng(2), 300)
    inputs = table["inputs"].combine_chunks()
    names = [name for name in COLUMNS.names if name != "booked"]
    fewer = pa.StructArray.from_arrays([inputs.field(name) for name in names], names=names)
    lacking = table.set_column(table.column_names.index("inputs"), "inputs", fewer)
    both = counting.add(profile, [counted(profile, table), counted(profile, lacking)])
    assert (both.columns["booked (age)"].rows, both.columns["booked (age)"].missing) == (600, 300)
    assert counted(profile, lacking).columns["booked (age)"].problem == counting.GONE
    assert row_of(look(profile, lacking), "booked (age)").statement == f"not tested: {counting.GONE}"


def test_unchanged_texts_and_dates_are_all_well_though_dates_move_on(profile: Profile) -> None:
    found = look(profile, window(np.random.default_rng(3)))
    assert found.verdict.status == "ok"
    tested = [row.column for row in found.columns if row.tested]
    assert {"note (length)", "booked (age)", "booked (hour)", "booked (weekday)"} <= set(tested)
    assert derived.MOVES_ON in row_of(found, "booked").statement


def test_unchanged_texts_and_dates_are_flagged_no_more_often_than_stated(profile: Profile) -> None:
    looks, alpha = 60, MonitorInput("flights", profile, pa.table({})).budget.drift
    flagged = sum(
        any(row.drifted for row in look(profile, window(np.random.default_rng(1000 + n), WEEK_ROWS)).columns)
        for n in range(looks)
    )
    assert flagged <= stats.binom.ppf(0.999, looks, alpha)


def test_longer_notes_are_found_and_matter_as_much_as_their_column(profile: Profile) -> None:
    found = look(profile, window(np.random.default_rng(4), words=11))
    row = row_of(found, "note (length)")
    assert row.drifted
    assert row.impact == pytest.approx(row.effect * _weight(profile, "note"))
    assert "note (length)" in str(found.verdict)
    assert any("note (length)" in figure.svg for figure in found.figures)


def test_older_bookings_are_found_by_their_age(profile: Profile) -> None:
    found = look(profile, window(np.random.default_rng(5), age_days=6))
    assert [row.column for row in found.columns if row.drifted] == ["booked (age)"]
    assert "mean" in row_of(found, "booked (age)").statement


def test_bookings_by_night_are_found_by_their_hour(profile: Profile) -> None:
    random = np.random.default_rng(6)
    moments = samples.START.timestamp() + np.arange(2 * WEEK_ROWS) * 600
    columns = rows(random, moments)
    for place in range(0, len(moments), 3):
        columns["booked"][place] = columns["booked"][place][:11] + "03:00:00Z"
    found = look(profile, samples.window(columns, score_of(columns), None))
    assert row_of(found, "booked (hour)").drifted
    assert not row_of(found, "booked (weekday)").drifted


def test_windows_of_uneven_days_do_not_test_weekdays_and_say_so(profile: Profile) -> None:
    found = look(profile, window(np.random.default_rng(7), 10 * 144))
    assert row_of(found, "booked (weekday)").statement == "not tested: the window holds no whole number of weeks"
    assert row_of(found, "booked (hour)").tested
    assert [cycles for cycles in (0.0, 0.5, 1.0, 1.43, 2.0, 4.43, 52.18) if derived.even(cycles)] == [1.0, 2.0, 52.18]


def test_dates_that_are_none_are_a_finding(profile: Profile) -> None:
    random = np.random.default_rng(8)
    columns = rows(random, samples.START.timestamp() + np.arange(WEEK_ROWS) * 600)
    columns["booked"][::5] = "soon"
    found = look(profile, samples.window(columns, score_of(columns), None))
    (finding,) = [one for one in found.quality if one.check == "dates"]
    assert (finding.column, finding.severity) == ("booked", "warn")
    assert finding.statement == "20 % are no dates as 2013-01-31, in the reference 0 %"
    assert found.verdict.status == "warn"


def test_profiles_from_before_and_references_without_times_say_what_is_not_tested(profile: Profile) -> None:
    plain = json.loads(profile.to_json())
    del plain["derived"]
    for column in (*plain["columns"], *plain["outcomes"]):
        del column["source"], column["how"]
    old = look(Profile.from_json(json.dumps(plain)), window(np.random.default_rng(9)))
    told = {one.column: one.statement for one in old.quality if one.check == "derived"}
    assert set(told) == {"note", "booked"}
    assert "registered before derived columns were kept" in told["note"]
    random = np.random.default_rng(10)
    columns = rows(random, BEFORE.timestamp() + random.random(3000) * 13 * 7 * DAY)
    timeless = build(columns, COLUMNS, scores=score_of(columns), labels=None, task="regression")
    found = look(timeless, window(random))
    (one,) = [one for one in found.quality if one.check == "derived"]
    assert one.column == "booked"
    assert one.statement.startswith("the age of its dates is not tested: the reference's rows have no event times")


def _weight(profile: Profile, name: str) -> float:
    importance = {column.name: column.importance or 0.0 for column in profile.columns}
    return importance[name] / max(importance.values())
