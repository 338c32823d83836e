from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from mlprod_nb.monitoring import MonitorInput, MonitorResult, Profile, build, run
from mlprod_nb.monitoring.bins import WindowCounts
from mlprod_nb.monitoring.counting import count
from mlprod_nb.monitoring.pooling import Pool, describe, pools
from tests.monitoring import samples

TYPES = samples.signature(x="double", y="double")


def draw(random: np.random.Generator, rows: int, shift: float = 0.0) -> dict[str, Any]:
    return {"x": random.normal(shift, size=rows), "y": random.exponential(size=rows)}


@pytest.fixture(scope="module")
def reference() -> Profile:
    columns = draw(np.random.default_rng(1), 10_000)
    return build(columns, TYPES, scores=np.zeros(10_000), labels=None, task="regression")


def look(profile: Profile, columns: dict[str, Any], earlier: tuple[WindowCounts, ...] = ()) -> MonitorResult:
    table = pa.table({"score": np.zeros(len(columns["x"])), "inputs": samples.struct(columns)})
    return run(MonitorInput("pooled", profile, table, earlier=earlier))


def test_windows_are_pooled_where_there_are_enough_before_them(reference: Profile) -> None:
    random = np.random.default_rng(2)
    windows = [count(reference, draw(random, rows)) for rows in range(100, 113)]
    sizes = {n: [pool.looks for pool in pools(reference, windows[0], windows[1 : n + 1])] for n in (0, 2, 3, 11, 12)}
    assert sizes == {0: [1], 2: [1], 3: [1, 4], 11: [1, 4], 12: [1, 4, 13]}
    last = pools(reference, windows[0], windows[1:])[-1]
    assert last.counts.rows == sum(range(100, 113))
    assert last.counts.columns["x"].counts.sum() == last.counts.rows


def test_an_empty_window_among_them_leaves_the_longer_pool_out(reference: Profile) -> None:
    random = np.random.default_rng(3)
    some, none = count(reference, draw(random, 100)), count(reference, draw(random, 0))
    assert [pool.looks for pool in pools(reference, some, [some, none, some])] == [1]
    assert [pool.looks for pool in pools(reference, none, [some, some, some])] == [1]


def test_the_windows_used_are_told_in_words(reference: Profile) -> None:
    window = count(reference, draw(np.random.default_rng(4), 1000))
    assert describe([Pool(1, window)]) == "window of 1 look (1,000 rows)"
    assert describe(pools(reference, window, [window] * 3)) == "windows of 1 and 4 looks (1,000 and 4,000 rows)"


def creep(reference: Profile, seed: int, *, pooled: bool) -> tuple[int, str]:
    """Return in which week a creep of 0.02 standard deviations a week is found, and how it is told."""
    random = np.random.default_rng(seed)
    earlier: tuple[WindowCounts, ...] = tuple(count(reference, draw(random, 1000)) for _ in range(12))
    for week in range(1, 30):
        columns = draw(random, 1000, 0.02 * week)
        row = next(row for row in look(reference, columns, earlier if pooled else ()).columns if row.column == "x")
        if row.drifted:
            return week, row.statement
        earlier = (count(reference, columns), *earlier)[:12]
    return 30, ""


def test_a_slow_creep_is_found_by_pooled_windows_before_single_ones(reference: Profile) -> None:
    pooled, alone = creep(reference, 9, pooled=True), creep(reference, 9, pooled=False)
    assert pooled[0] <= 10
    assert pooled[0] < alone[0]
    assert pooled[1].startswith("over the last 4 looks mean ")
    assert alone[1].startswith("mean ")


def test_what_is_over_is_not_reported(reference: Profile) -> None:
    random = np.random.default_rng(6)
    before = tuple(count(reference, draw(random, 5000, 0.5)) for _ in range(3))
    assert not any(row.drifted for row in look(reference, draw(random, 5000), before).columns)
    after = look(reference, draw(random, 5000, 0.5), before)
    assert {row.column for row in after.columns if row.drifted} == {"x"}


def test_a_column_that_could_not_be_counted_before_is_tested_in_this_look_alone(reference: Profile) -> None:
    random = np.random.default_rng(7)
    texts = {**draw(random, 500), "x": np.array(["a"] * 500, dtype=object)}
    result = look(reference, draw(random, 1000, 1.0), tuple(count(reference, texts) for _ in range(3)))
    assert {(row.column, row.looks) for row in result.columns if row.drifted} == {("x", 1)}
