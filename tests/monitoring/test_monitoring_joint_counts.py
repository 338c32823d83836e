from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from scipy import stats

from mlprod_nb.monitoring import MonitorInput, MonitorResult, Profile, build, joint_counts, run, stored_counts
from mlprod_nb.monitoring import levels as levels_of_rows
from mlprod_nb.monitoring.bins import WindowCounts
from mlprod_nb.monitoring.counting import add, count
from mlprod_nb.monitoring.levels import LEVELS, levels_of
from mlprod_nb.monitoring.pooling import Pool
from mlprod_nb.registry.bundles import Column, Signature
from tests.monitoring import samples

TYPES = samples.signature(x="double", y="double", gaps="double", group="string")


def draw(random: np.random.Generator, rows: int, rho: float = 0.5) -> dict[str, Any]:
    x, other = random.normal(size=(2, rows))
    y = rho * x + np.sqrt(1 - rho**2) * other
    return {
        "x": x,
        "y": np.exp(y),
        "gaps": np.where(random.random(rows) < 0.1, np.nan, random.exponential(size=rows)),
        "group": np.where(y + random.normal(size=rows) > 0.3, "b", "a").astype(object),
    }


def profiled(columns: dict[str, Any]) -> Profile:
    rows = len(columns["x"])
    return build(columns, TYPES, scores=np.zeros(rows), labels=None, task="regression")


@pytest.fixture(scope="module")
def reference() -> Profile:
    return profiled(draw(np.random.default_rng(1), 10_000))


def look(profile: Profile, columns: dict[str, Any], **more: Any) -> MonitorResult:
    table = pa.table({"score": np.zeros(len(next(iter(columns.values())))), "inputs": samples.struct(columns)})
    return run(MonitorInput("pairs", profile, table, **more))


def compared(profile: Profile, columns: dict[str, Any]) -> dict[tuple[str, str], joint_counts.Compared]:
    counted = count(profile, columns).pairs
    assert counted is not None
    found = joint_counts.compare(profile.columns, profile.pairs, counted)
    return {(pair.first, pair.second): one for pair, one in zip(profile.pairs, found, strict=True)}


def test_the_correlation_is_spearmans_where_the_reference_is_the_window() -> None:
    columns = draw(np.random.default_rng(2), 5000)
    found = compared(profiled(columns), columns)["x", "y"]
    expected = stats.spearmanr(columns["x"], columns["y"]).statistic
    assert found.before == pytest.approx(expected, abs=2e-3)
    assert found.after == pytest.approx(found.before, abs=1e-12)
    assert found.p_value == 1.0


def test_missing_values_are_left_out_pair_by_pair(reference: Profile) -> None:
    columns = draw(np.random.default_rng(3), 2000)
    counted = count(reference, columns).pairs
    assert counted is not None
    rows = {(pair.first, pair.second): sums[0] for pair, sums in zip(reference.pairs, counted.sum(axis=0), strict=True)}
    assert rows["x", "y"] == 2000
    assert rows["x", "gaps"] == 2000 - np.isnan(columns["gaps"]).sum()


def test_the_error_of_the_correlation_is_that_of_repeated_samples() -> None:
    random = np.random.default_rng(4)
    found = [compared(profiled(draw(random, 600)), draw(random, 400)) for _ in range(150)]
    lower, upper = stats.chi2.interval(1 - 1e-4, 150)
    for pair in (("x", "y"), ("y", "group"), ("x", "gaps")):
        deviates = stats.norm.isf(np.array([one[pair].p_value for one in found], dtype=float) / 2)
        assert lower < (deviates**2).sum() < upper


def test_a_correlation_that_flips_is_found_though_every_column_stays_as_it_was(reference: Profile) -> None:
    result = look(reference, {**draw(np.random.default_rng(5), 1000, -0.5)})
    assert not any(row.drifted for row in result.columns if row.column != "group")
    first = result.pairs[0]
    assert (first.first, first.second, first.drifted) == ("x", "y", True)
    assert result.verdict.status == "warn"
    assert "x and y (+0.5" in result.verdict.sentence
    assert "✗ drifted" in result._repr_markdown_()


def test_a_small_change_of_a_correlation_on_many_rows_is_no_drift() -> None:
    random = np.random.default_rng(6)
    profile = profiled(draw(random, 60_000))
    moved = compared(profile, draw(random, 20_000, 0.45))["x", "y"]
    assert moved.p_value is not None
    assert moved.p_value < 1e-6
    assert not any(row.drifted for row in look(profile, draw(random, 20_000, 0.45)).pairs)


def test_however_rows_are_divided_the_sums_are_the_same_and_survive_storing(reference: Profile) -> None:
    columns = draw(np.random.default_rng(7), 3000)
    cuts = [0, 10, 900, 901, 3000]
    parts = [count(reference, {name: values[a:b] for name, values in columns.items()}) for a, b in pairwise(cuts)]
    kept = add(reference, [stored_counts.decode(stored_counts.encode(part)) for part in parts]).pairs
    whole = count(reference, columns).pairs
    assert whole is not None
    assert kept is not None
    assert np.array_equal(kept.sum(axis=0), whole.sum(axis=0))  # few rows are all taken, whatever their levels
    assert count(Profile.from_json(reference.to_json()), columns).pairs is not None
    assert Profile.from_json(reference.to_json()) == reference


def test_a_large_window_is_read_in_part_whatever_holds_it(reference: Profile) -> None:
    columns = draw(np.random.default_rng(8), 50_000)
    counted = count(reference, columns).pairs
    arrow = count(reference, {name: pa.array(values, from_pandas=True) for name, values in columns.items()}).pairs
    assert counted is not None
    assert arrow is not None
    assert np.array_equal(counted, arrow)
    assert counted.sum(axis=0)[0, 0] == 50_000 / 4
    assert not counted[0].any()


def ids(random: np.random.Generator, rows: int) -> Any:
    return pa.chunked_array([pa.array([f"019ab-{end:012x}" for end in random.integers(0, 1 << 48, rows).tolist()])])


@pytest.mark.parametrize("seed", range(6))
def test_of_many_rows_the_same_are_taken_however_they_are_divided_and_merged(
    reference: Profile, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(levels_of_rows, "MAX_ROWS", 100)
    random = np.random.default_rng(seed)
    rows = int(random.choice([90, 350, 3000, 9000]))
    columns, levels = draw(random, rows), levels_of(ids(random, rows))

    def counted(which: Any, of_rows: int = 0) -> WindowCounts:
        some = {name: values[which] for name, values in columns.items()}
        return count(reference, some, levels=levels[which], of_rows=of_rows)

    whole = counted(np.arange(rows))
    for _ in range(4):
        parts = np.array_split(random.permutation(rows), int(random.integers(2, 12)))
        files = []
        for part in parts:  # each in blocks whose file is known to have so many rows, and some that know nothing of it
            least = int(random.choice([0, len(part)]))
            files.append(add(reference, [counted(block, least) for block in np.array_split(part, 3)]))
        pairs = add(reference, files).pairs
        assert pairs is not None
        assert whole.pairs is not None
        assert np.array_equal(pairs, whole.pairs)


def test_a_level_holds_three_quarters_of_the_rows_that_those_below_leave() -> None:
    found = levels_of(ids(np.random.default_rng(14), 100_000))
    sizes = np.bincount(found)
    assert len(sizes) == LEVELS
    assert stats.chisquare(sizes, 100_000 * np.array([3 / 4, 3 / 16, 3 / 64, 1 / 64])).pvalue > 1e-4


def test_the_level_of_a_row_is_its_own_wherever_its_id_lies() -> None:
    texts = ["", "f", "0", "40", "x00", "é", "ab-10", None, "p7", "00"]
    alone = [levels_of(pa.chunked_array([pa.array([text], pa.string())]))[0] for text in texts]
    together = pa.chunked_array([pa.array(["00", *texts, "1"], pa.string())[1:-1]])
    assert levels_of(together).tolist() == alone
    assert [alone[place] for place in (3, 4, 9, 6)] == [3, 3, 3, 2]
    assert levels_of(pa.chunked_array([], pa.string())).size == 0


def test_columns_that_are_gone_unreadable_or_constant_are_not_tested(reference: Profile) -> None:
    columns = draw(np.random.default_rng(9), 1000)
    columns["x"] = np.array(["a"] * 1000, dtype=object)
    del columns["gaps"]
    columns["group"] = np.array(["a"] * 1000, dtype=object)
    assert all(one.p_value is None for one in compared(reference, columns).values())
    assert look(reference, columns).pairs == ()


def test_few_rows_and_columns_of_almost_one_value_are_not_tested(reference: Profile) -> None:
    assert all(one.p_value is None for one in compared(reference, draw(np.random.default_rng(10), 90)).values())
    columns = draw(np.random.default_rng(11), 1000)
    columns["gaps"] = np.where(np.arange(1000) < 990, 0.0, columns["x"])
    assert {name for pair in profiled(columns).pairs for name in (pair.first, pair.second)} == {"x", "y", "group"}


def test_of_many_columns_the_most_correlated_pairs_are_watched() -> None:
    random = np.random.default_rng(12)
    values = random.normal(size=(40, 500))
    values[39] = values[0] + random.normal(size=500)
    columns: dict[str, Any] = {f"c{i}": row for i, row in enumerate(values)}
    types = Signature(tuple(Column(name, "double", True) for name in columns))
    profile = build(columns, types, scores=np.zeros(500), labels=None, task="regression")
    assert len(profile.pairs) == joint_counts.MAX_PAIRS
    assert ("c0", "c39") in {(pair.first, pair.second) for pair in profile.pairs}


def test_a_reference_without_pairs_tests_none(reference: Profile) -> None:
    import dataclasses

    old = dataclasses.replace(reference, pairs=())
    assert count(old, draw(np.random.default_rng(13), 500)).pairs is None
    assert look(old, draw(np.random.default_rng(13), 500)).pairs == ()
    assert Pool(1, count(old, {})).counts.pairs is None


@pytest.mark.parametrize("missing", [(0.0, 0.0, 0.0), (0.0, 0.2, 0.0), (0.1, 0.9, 1.0)])
def test_sums_of_products_are_those_of_the_rows_in_which_both_columns_have_a_value(missing: tuple[float, ...]) -> None:
    random = np.random.default_rng(11)
    known = random.random((3, 500)) >= np.array(missing)[:, np.newaxis]
    number = np.where(known, random.integers(-256, 257, (3, 500)), 0)
    found = joint_counts.multiply(known, number.astype(np.float64))
    for one, other in np.ndindex(3, 3):
        both = known[one] & known[other]
        expected = [int((number[one][both] ** i * number[other][both] ** j).sum()) for i, j in joint_counts.POWERS]
        assert found[one, other].tolist() == expected
