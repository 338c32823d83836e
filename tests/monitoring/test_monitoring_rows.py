from __future__ import annotations

import doctest
import importlib
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from scipy import stats

from mlprod_nb.errors import NotFound
from mlprod_nb.monitoring import MonitorInput, Profile, joint, run
from mlprod_nb.monitoring.detectors import mmd
from mlprod_nb.monitoring.detectors.rows import Encoding, JointComparison, RowDetector, read
from mlprod_nb.monitoring.joint import BUILT_IN
from tests.monitoring import samples

EVERY = pytest.mark.parametrize("detector", list(BUILT_IN.values()), ids=list(BUILT_IN))
KINDS = {c.name: "number" if c.type in ("double", "long") else "category" for c in samples.TRAFFIC.columns}
PAIR = {"x": "number", "y": "number", "z": "number"}


def pairs(random: np.random.Generator, rows: int, correlation: float = 0.8) -> samples.Columns:
    """Three normal columns, two of which belong together."""
    x, y, z = random.normal(size=(3, rows))
    return {"x": x, "y": correlation * x + (1 - correlation**2) ** 0.5 * y, "z": z}


# -- conformance: every detector ------------------------------------------------------------------------------------


@cache
def null_p_values(reference_rows: int, rows: int, runs: int) -> dict[str, list[float]]:
    random = np.random.default_rng([reference_rows, rows])
    found: dict[str, list[float]] = {name: [] for name in BUILT_IN}
    for seed in range(runs):
        sides = read(KINDS, samples.traffic(random, reference_rows), samples.traffic(random, rows), seed=seed)
        for name, detector in BUILT_IN.items():
            if name == "domain_classifier" and seed % 12:  # it fits four classifiers: a sample of the runs
                continue
            comparison = detector.compare(sides, seed)
            assert comparison.p_value is not None
            found[name].append(comparison.p_value)
    return found


@EVERY
@pytest.mark.parametrize(("reference_rows", "rows", "runs"), [(150, 60, 120), (400, 250, 120)])
def test_unchanged_data_are_flagged_no_more_often_than_stated(
    detector: RowDetector, reference_rows: int, rows: int, runs: int
) -> None:
    values = null_p_values(reference_rows, rows, runs)[detector.name]
    for level in (0.05, 0.2, 0.5):
        assert sum(value <= level for value in values) <= stats.binom.ppf(1 - 1e-4, len(values), level)


@pytest.mark.exhaustive
@EVERY
@pytest.mark.parametrize("sizes", [(150, 60), (400, 400), (2000, 300)])
def test_thousands_of_unchanged_windows_are_flagged_no_more_often_than_stated(
    detector: RowDetector, sizes: tuple[int, int]
) -> None:
    random = np.random.default_rng(sizes)
    runs = 400 if detector.name == "domain_classifier" else 3000
    values = []
    for seed in range(runs):
        sides = read(KINDS, samples.traffic(random, sizes[0]), samples.traffic(random, sizes[1]), seed=seed)
        values.append(detector.compare(sides, seed).p_value or 1.0)
    for level in (0.001, 0.01, 0.05, 0.2, 0.5):
        assert sum(value <= level for value in values) <= stats.binom.ppf(1 - 1e-4, runs, level), level


@EVERY
def test_a_correlation_that_flips_with_unchanged_marginals_is_found(detector: RowDetector) -> None:
    random = np.random.default_rng(1)
    before, after = pairs(random, 2000), pairs(random, 1000, correlation=-0.8)
    found = detector.compare(read(PAIR, before, after), 0)
    assert found.p_value is not None
    assert found.p_value < 1e-6
    assert found.effect is not None
    assert found.effect >= detector.floor


@EVERY
def test_the_same_seed_gives_the_same_answer_and_another_seed_agrees_about_it(detector: RowDetector) -> None:
    random = np.random.default_rng(2)
    before, after = samples.traffic(random, 500), samples.traffic(random, 300)
    after["amount"] = after["amount"] + 1
    first, again, other = (detector.compare(read(KINDS, before, after, seed=seed), seed) for seed in (0, 0, 1))
    assert first == again
    assert first.p_value is not None
    assert other.p_value is not None
    assert first.p_value < 0.01 or detector.name == "pca"
    assert abs(np.log10(first.p_value) - np.log10(other.p_value)) < 12


@EVERY
def test_a_reference_read_back_from_parquet_gives_the_same_answer(detector: RowDetector, tmp_path: Path) -> None:
    random = np.random.default_rng(3)
    before, after = samples.traffic(random, 300), samples.traffic(random, 200)
    table = pa.table({name: pa.array(values, from_pandas=True) for name, values in before.items()})
    pq.write_table(table, tmp_path / "reference.parquet")
    stored = pq.read_table(tmp_path / "reference.parquet")
    kept = {name: stored.column(name) for name in stored.column_names}
    assert detector.compare(read(KINDS, before, after), 0) == detector.compare(read(KINDS, kept, after), 0)


@EVERY
def test_missing_values_never_silence_a_detector(detector: RowDetector) -> None:
    random = np.random.default_rng(4)
    before, after = pairs(random, 2000), pairs(random, 1000, correlation=-0.8)
    for side in (before, after):
        side["y"] = np.where(random.random(len(side["y"])) < 0.1, np.nan, side["y"])
    found = detector.compare(read(PAIR, before, after), 0)
    assert found.p_value is not None
    assert found.p_value < 1e-5


@EVERY
def test_values_that_go_missing_are_themselves_found(detector: RowDetector) -> None:
    random = np.random.default_rng(5)
    before, after = pairs(random, 1000), pairs(random, 1000)
    before["z"] = np.where(random.random(1000) < 0.02, np.nan, before["z"])
    after["z"] = np.where(random.random(1000) < 0.4, np.nan, after["z"])
    found = detector.compare(read(PAIR, before, after), 0)
    assert found.p_value is not None
    assert found.p_value < 1e-3


NONE: dict[str, Any] = {"x": np.array([]), "g": np.array([], dtype=object)}
SOME: dict[str, Any] = {"x": np.arange(80.0), "g": np.array(["a", "b"] * 40, dtype=object)}
AWKWARD: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "empty window": (SOME, NONE),
    "empty reference": (NONE, SOME),
    "both empty": (NONE, NONE),
    "one row": (SOME, {"x": np.array([1.0]), "g": ["a"]}),
    "all missing": (SOME, {"x": np.full(80, np.nan), "g": [None] * 80}),
    "constant": ({"x": np.ones(80), "g": ["a"] * 80}, {"x": np.ones(80), "g": ["a"] * 80}),
    "constant elsewhere": ({"x": np.ones(80), "g": ["a"] * 80}, {"x": np.zeros(80), "g": ["b"] * 80}),
    "infinite": (SOME, {"x": np.full(80, np.inf), "g": SOME["g"]}),
    "mixed types": (SOME, {"x": np.array([1.0, "one"] * 40, dtype=object), "g": SOME["g"]}),
    "all categories new": (SOME, {"x": SOME["x"], "g": [f"new {row}" for row in range(80)]}),
    "a column gone": (SOME, {"g": SOME["g"]}),
    "no column left": (SOME, {}),
    "another unit": (SOME, {"x": SOME["x"] * 1e300, "g": SOME["g"]}),
}


@EVERY
@pytest.mark.parametrize("sides", list(AWKWARD.values()), ids=list(AWKWARD))
def test_awkward_data_give_a_reason_or_a_probability(
    detector: RowDetector, sides: tuple[dict[str, Any], dict[str, Any]]
) -> None:
    found = detector.compare(read({"x": "number", "g": "category"}, *sides), 0)
    assert (found.p_value is None) == bool(found.reason)
    assert found.p_value is None or 0 <= found.p_value <= 1
    assert found.effect is None or 0 <= found.effect <= 1


@EVERY
def test_ten_thousand_categories_and_fifty_columns_are_tested(detector: RowDetector) -> None:
    random = np.random.default_rng(6)
    kinds = {"many": "category"} | {f"x{place}": "number" for place in range(50)}
    sides = [
        {"many": random.integers(0, 10_000, rows).astype(str).astype(object)}
        | {f"x{place}": random.normal(size=rows) for place in range(50)}
        for rows in (120, 100)
    ]
    found = detector.compare(read(kinds, *sides), 0)
    assert found.p_value is not None
    assert found.p_value > 1e-3


# -- each by itself -------------------------------------------------------------------------------------------------


def test_the_classifier_names_the_columns_that_betray_the_difference() -> None:
    random = np.random.default_rng(7)
    before, after = samples.traffic(random, 1500), samples.traffic(random, 1500)
    after["amount"] = after["amount"] + 0.8
    found = BUILT_IN["domain_classifier"].compare(read(KINDS, before, after), 0)
    assert found.columns[0] == "amount"
    assert found.statistic == pytest.approx(stats.norm.cdf(0.8 / 2**0.5), abs=0.05)
    assert found.effect is not None
    assert 0 < found.effect < 2 * stats.norm.cdf(0.4) - 1


def test_a_much_smaller_window_is_not_taken_for_a_changed_one() -> None:
    random = np.random.default_rng(8)
    p_values = [
        BUILT_IN["domain_classifier"].compare(read(PAIR, pairs(random, 2000), pairs(random, 60)), seed).p_value or 1.0
        for seed in range(4)
    ]
    assert sum(value <= 0.05 for value in p_values) <= stats.binom.ppf(1 - 1e-4, 4, 0.05)


def test_the_discrepancy_of_one_block_is_that_of_its_definition() -> None:
    random = np.random.default_rng(9)
    points, n, width = random.normal(size=(30, 2)), 12, 1.3
    value, _ = mmd._block(points, n, width, random)
    kernel = np.exp(-((points[:, None] - points[None]) ** 2).sum(axis=2) / (2 * width**2))
    first, second = kernel[:n, :n], kernel[n:, n:]
    expected = (first.sum() - n) / (n * (n - 1)) + (second.sum() - 18) / (18 * 17) - 2 * kernel[:n, n:].mean()
    assert value == pytest.approx(expected, abs=1e-6)  # the kernel is of single precision, as alibi-detect's is


def test_an_encoding_places_numbers_by_rank_and_marks_what_is_missing() -> None:
    columns = {"x": np.array([1.0, 2.0, np.nan, 4.0]), "g": np.array(["a"] * 4, dtype=object)}
    sides = read({"x": "number", "g": "category"}, columns, columns)
    points = Encoding.of(sides, columns)(columns)
    assert points[:, 0] == pytest.approx([-(12**0.5) / 3, 0, 0, 12**0.5 / 3], abs=1e-12)
    assert points[:, 1].tolist() == [0, 0, 1, 0]
    assert points.shape == (4, 2)  # four rows of "a" are too few to stand alone


def test_a_million_rows_are_sampled() -> None:
    random = np.random.default_rng(10)
    big = {"x": pa.array(random.normal(size=1_000_000)), "g": pa.array(["a"]).take(np.zeros(1_000_000, dtype=int))}
    sides = read({"x": "number", "g": "category"}, big, big)
    assert sides.rows == (2000, 2000)


@pytest.mark.parametrize("name", ["domain_classifier", "mmd", "pca"])
def test_the_examples_in_the_docstrings_hold(name: str) -> None:
    found = doctest.testmod(importlib.import_module(f"mlprod_nb.monitoring.detectors.{name}"))
    assert found.attempted > 1
    assert found.failed == 0


# -- all of them, in a look -----------------------------------------------------------------------------------------


def test_they_are_chosen_by_name_and_a_typing_error_gets_a_hint() -> None:
    assert [detector.name for detector in joint.choose(("pca", "mmd"))] == ["pca", "mmd"]
    assert [detector.name for detector in joint.choose()][:3] == list(BUILT_IN)
    with pytest.raises(NotFound, match="Did you mean 'domain_classifier'"):
        joint.choose(("domain_clasifier",))


def test_the_correction_over_all_of_them_is_holms() -> None:
    class Fixed:
        floor = 0.1

        def __init__(self, name: str, p_value: float, effect: float) -> None:
            self.name = name
            self.found = JointComparison(1.0, effect, p_value, ("x",), "said")

        def compare(self, _samples: Any, _seed: int) -> JointComparison:
            return self.found

    fixed = (Fixed("a", 0.01, 0.5), Fixed("b", 0.02, 0.5), Fixed("c", 0.0001, 0.05))
    rows = joint.compare({"x": "number"}, {"x": np.arange(9.0)}, {"x": np.arange(9.0)}, 0.03, detectors=fixed)
    assert [row.p_value_corrected for row in rows] == pytest.approx([0.02, 0.02, 0.0003])
    assert [row.drifted for row in rows] == [True, True, False]  # the third is significant, and a speck
    assert [row.columns for row in rows] == [("x",), ("x",), ()]


@cache
def look_input() -> tuple[Profile, samples.Columns, samples.Columns]:
    random = np.random.default_rng(11)
    profile, reference = samples.reference_profile(random, 2000)
    return profile, reference, samples.traffic(random, 1200)


def test_a_look_that_tests_all_columns_together_ends_in_the_one_verdict() -> None:
    profile, reference, columns = look_input()
    scores = samples.score_of(columns)
    calm = run(MonitorInput("flights", profile, samples.window(columns, scores, None), reference=reference, joint=True))
    assert calm.verdict.status == "ok"
    assert [row.detector for row in calm.joint] == list(BUILT_IN)
    assert "all columns together" in str(calm).lower()
    # The amount now goes with the group: no column moves by itself.
    order = np.argsort(columns["amount"])
    tied = {**columns, "group": columns["group"].copy()}
    tied["group"][order] = np.sort(columns["group"])
    table = samples.window(tied, scores, None)
    moved = run(MonitorInput("flights", profile, table, reference=reference, joint=True))
    assert not any(row.drifted for row in moved.columns)
    assert next(row for row in moved.joint if row.detector == "domain_classifier").drifted
    assert moved.verdict.status == "warn"
    assert "together" in moved.verdict.sentence
    assert "amount" in moved.verdict.sentence


def test_a_look_does_not_touch_rows_unless_asked_and_says_why_where_it_cannot() -> None:
    profile, _, columns = look_input()
    table = samples.window(columns, samples.score_of(columns), None)
    assert run(MonitorInput("flights", profile, table)).joint == ()
    without = run(MonitorInput("flights", profile, table, joint=True))
    assert {row.statement for row in without.joint} == {"not tested: there is no reference sample"}
    assert "not tested" in str(without)
    empty = run(MonitorInput("flights", profile, table.slice(0, 0), joint=True))
    assert empty.joint == ()
