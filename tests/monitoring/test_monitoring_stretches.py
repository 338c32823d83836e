from __future__ import annotations

from datetime import UTC, datetime

import numpy as np
import pyarrow as pa

from mlprod_nb.monitoring.stretches import divide, divide_alike, ends_of, seconds_of


def test_the_ends_of_a_window_are_the_first_and_the_last_of_its_seconds() -> None:
    random = np.random.default_rng(4)
    moments = random.integers(-3_000_000_000, 3_000_000_000, 500)
    table = pa.table({"event_time": pa.chunked_array([moments[:7], moments[7:]]).cast(pa.timestamp("us", "UTC"))})
    seconds = seconds_of(table)
    assert seconds is not None
    assert ends_of(table) == (seconds.min(), seconds.max())


def test_a_window_without_rows_or_without_moments_has_no_ends() -> None:
    assert ends_of(pa.table({"event_time": pa.array([], pa.timestamp("us", "UTC"))})) is None
    assert ends_of(pa.table({"score": [0.5]})) is None


def test_dividing_rows_leaves_their_seconds_alone() -> None:
    seconds = np.arange(0, 10 * 86_400, 3600)
    before = seconds.copy()
    assert divide(seconds, 5).places.max() == 4
    assert np.array_equal(seconds, before)


def test_the_sizes_of_stretches_are_the_rows_that_lie_in_each() -> None:
    random = np.random.default_rng(6)
    seconds = random.integers(0, 3600, 200_000)
    found = divide(seconds, 12)
    expected = [int(((found.begin + place * found.length) <= seconds).sum()) for place in range(12)]
    assert found.sizes.tolist() == [one - next_one for one, next_one in zip(expected, [*expected[1:], 0], strict=True)]
    assert found.present == list(range(12))


def test_the_last_stretch_ends_with_the_last_day_that_has_rows() -> None:
    day = 86_400
    found = divide(np.array([5, 3 * day, 100 * day + 7]), 12)
    assert found.length == 9 * day
    assert found.ends(10) == found.starts(11)
    assert found.ends(11) == datetime.fromtimestamp(101 * day, UTC)


def test_rows_of_two_sorts_are_divided_as_if_they_were_of_one() -> None:
    early, late = np.arange(86_400, 10 * 86_400, 7200), np.array([5, 40 * 86_400])
    whole = divide(np.concatenate([early, late]), 5)
    parts = divide_alike([early, late], 5)
    assert {(part.begin, part.length) for part in parts} == {(whole.begin, whole.length)}
    assert np.concatenate([part.places for part in parts]).tolist() == whole.places.tolist()
    nobody = divide_alike([early, early[:0]], 5)[1]
    assert nobody.sizes.tolist() == nobody.present == []
