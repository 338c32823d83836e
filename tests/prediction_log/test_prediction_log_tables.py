from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from mlprod_nb.prediction_log.tables import ordered

START = datetime(2013, 4, 1, tzinfo=UTC)
BY_TIME = (("event_time", "ascending"), ("prediction_id", "ascending"))


def table(moments: list[Any], ids: list[str]) -> pa.Table:
    at = [None if moment is None else START + timedelta(seconds=moment) for moment in moments]
    rows = len(ids)
    return pa.table(
        {
            "event_time": pa.array(at, pa.timestamp("us", "UTC")),
            "prediction_id": pa.array(ids, pa.string()),
            "log_segment": ["a"] * rows,
            "log_offset": list(range(rows)),
            "log_row": [0] * rows,
        }
    )


@pytest.mark.parametrize("ties", [0, 1, 30, 400])
@pytest.mark.parametrize("swapped", [0, 1, 50])
def test_rows_come_in_order_whether_they_were_in_order_or_not(ties: int, swapped: int) -> None:
    random = np.random.default_rng([ties, swapped])
    moments = np.arange(500)
    moments[random.permutation(499)[:ties] + 1] -= 1
    rows = sorted(zip(np.sort(moments).tolist(), [f"{n:08x}" for n in random.integers(0, 1 << 32, 500)], strict=True))
    mixed = list(rows)
    for place in random.integers(0, 499, swapped).tolist():
        mixed[place], mixed[place + 1] = mixed[place + 1], mixed[place]
    whole = table([moment for moment, _ in mixed], [name for _, name in mixed])
    parts = pa.concat_tables([whole[:123], whole[123:123], whole[123:]])
    found = ordered(parts, *BY_TIME)
    assert found["prediction_id"].to_pylist() == [name for _, name in rows]
    again = ordered(found, *BY_TIME)
    assert again.equals(found)
    assert (again is found) == (ties <= 25)  # a twentieth of the rows


def test_the_same_id_at_one_moment_keeps_the_order_of_places() -> None:
    twice = table([0, *range(40)], ["b"] * 41)
    backwards = twice.take(pa.array([1, 0, *range(2, 41)]))
    assert ordered(backwards, *BY_TIME)["log_offset"].to_pylist() == list(range(41))


def test_rows_without_a_moment_come_last() -> None:
    assert ordered(table([None, 2, 1], ["a", "b", "c"]), *BY_TIME)["prediction_id"].to_pylist() == ["c", "b", "a"]
    assert ordered(table([], []), *BY_TIME).num_rows == 0
