from __future__ import annotations

import logging
from typing import Any

import numpy as np
import pytest
from scipy import stats

from mlprod_nb.monitoring import MonitorInput, run
from mlprod_nb.monitoring.detectors import alibi
from mlprod_nb.monitoring.rows import AlibiRow

from . import samples

KINDS = {"x": "number", "y": "number", "g": "category"}


def columns(random: np.random.Generator, rows: int) -> dict[str, Any]:
    return {
        "x": random.normal(size=rows),
        "y": random.exponential(size=rows),
        "g": random.choice(np.array(["a", "b", "c"], dtype=object), rows, p=[0.6, 0.3, 0.1]),
    }


def by_column(rows: tuple[AlibiRow, ...]) -> dict[str, AlibiRow]:
    return {row.column: row for row in rows}


def test_it_agrees_with_scipy_column_by_column() -> None:
    random = np.random.default_rng(0)
    before, after = columns(random, 600), columns(random, 400)
    found = by_column(alibi.compare(KINDS, before, after, 0.05))
    for name in ("x", "y"):
        expected = stats.ks_2samp(before[name].astype("f4"), after[name].astype("f4"), method="asymp").pvalue
        assert found[name].p_value == pytest.approx(expected, rel=1e-5)
    table = [[(side["g"] == c).sum() for c in "abc"] for side in (before, after)]
    assert found["g"].p_value == pytest.approx(stats.chi2_contingency(table).pvalue, rel=1e-5)


def test_missing_values_do_not_turn_drift_into_silence() -> None:
    random = np.random.default_rng(1)
    before, after = columns(random, 600), columns(random, 400)
    after["x"] = after["x"] + 1.0
    after["x"][:40] = np.nan
    after["g"][:40] = None
    found = by_column(alibi.compare(KINDS, before, after, 0.001))
    assert found["x"].drifted
    assert "40 missing ones left out" in found["x"].statement
    assert found["g"].p_value is not None
    assert found[""].drifted


def test_values_that_go_missing_betray_themselves_to_the_classifier() -> None:
    random = np.random.default_rng(2)
    before, after = columns(random, 800), columns(random, 800)
    after["x"] = np.where(random.random(800) < 0.4, np.nan, after["x"])
    assert by_column(alibi.compare(KINDS, before, after, 0.001))[""].drifted


def test_unchanged_data_are_flagged_no_more_often_than_stated() -> None:
    random = np.random.default_rng(3)
    runs, level = 6, 0.2
    p_values: dict[str, list[float]] = {}
    for seed in range(runs):
        for row in alibi.compare(KINDS, columns(random, 150), columns(random, 150), level, seed=seed):
            assert row.p_value is not None
            p_values.setdefault(row.column, []).append(row.p_value)
    for values in p_values.values():
        assert sum(value <= level for value in values) <= stats.binom.ppf(1 - 1e-3, runs, level)


def test_what_cannot_be_tested_says_why() -> None:
    before: dict[str, Any] = {"x": np.ones(100), "y": np.full(100, np.nan), "g": ["a"] * 100}
    after: dict[str, Any] = {"x": np.ones(60), "y": np.full(60, np.nan)}
    found = by_column(alibi.compare(KINDS, before, after, 0.05))
    assert found["x"].statement == "not tested: the column is constant in both"
    assert found["y"].statement == "not tested: 0 values are too few; it takes 20"
    assert found["g"].statement == "not tested: the window lacks the column"
    assert not any(row.drifted for row in found.values())


def test_the_same_seed_gives_the_same_answers_and_leaves_logging_as_it_was() -> None:
    random = np.random.default_rng(4)
    before, after = columns(random, 3000), columns(random, 3000)
    level = logging.getLogger("alibi_detect").level
    first = alibi.compare(KINDS, before, after, 0.05)
    assert alibi.compare(KINDS, before, after, 0.05) == first
    assert "2,000 reference and 2,000 window" in first[0].statement
    assert logging.getLogger("alibi_detect").level == level


def test_a_look_with_alibi_names_its_licence(tmp_path: Any) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    random = np.random.default_rng(5)
    profile, reference = samples.reference_profile(random, 1000)
    path = tmp_path / "reference.parquet"
    pq.write_table(pa.table({name: pa.array(values, from_pandas=True) for name, values in reference.items()}), path)
    columns = samples.traffic(random, 600)
    scores = samples.score_of(columns)
    labels = samples.labels_of(random, scores)
    table = samples.window(columns, scores, labels)
    result = run(MonitorInput("flights", profile, table, reference=path, alibi=True))
    assert {row.column for row in result.alibi} == {"", *reference}
    assert result.verdict.status == "ok"
    assert "Business Source License" in str(result)
    assert "Business Source License" in (alibi.__doc__ or "")
    without = run(MonitorInput("flights", profile, table, alibi=True))
    assert without.alibi[0].statement == "not tested: there is no reference sample"
