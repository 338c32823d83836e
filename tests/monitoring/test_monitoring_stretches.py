from __future__ import annotations

import numpy as np
import pyarrow as pa

from mlprod_nb.monitoring.stretches import divide, ends_of, seconds_of


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
