from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from scipy import stats

from mlprod_nb.errors import InvalidInput
from mlprod_nb.monitoring.bins import ColumnCounts
from mlprod_nb.monitoring.counting import count
from mlprod_nb.monitoring.detectors.ks import KolmogorovSmirnov
from mlprod_nb.monitoring.impact import weights, with_importance
from mlprod_nb.monitoring.profile import Profile, build
from mlprod_nb.registry.bundles import canonical_json
from tests.monitoring import samples


def profile_of(columns: Mapping[str, Any], **types: Any) -> Profile:
    rows = len(next(iter(columns.values())))
    return build(columns, samples.signature(**types), scores=np.zeros(rows), labels=None, task="regression")


def same(a: ColumnCounts, b: ColumnCounts) -> bool:
    exact = ("missing", "rows", "below", "above", "infinite", "unseen", "new", "minimum", "maximum", "problem")
    close = np.allclose([a.total, a.squares], [b.total, b.squares])
    return bool((a.counts == b.counts).all() and close and all(getattr(a, n) == getattr(b, n) for n in exact))


def test_a_profile_survives_json_byte_for_byte() -> None:
    profile, _ = samples.reference_profile(np.random.default_rng(0), 3000)
    again = Profile.from_json(profile.to_json())
    assert again == profile
    assert again.to_json() == profile.to_json()


def test_equal_data_in_another_order_give_equal_bytes() -> None:
    random = np.random.default_rng(1)
    columns = samples.traffic(random, 2000)
    scores = samples.score_of(columns)
    order = random.permutation(2000)
    shuffled = {name: values[order] for name, values in columns.items()}
    first = build(columns, samples.TRAFFIC, scores=scores, labels=scores, task="regression")
    second = build(shuffled, samples.TRAFFIC, scores=scores[order], labels=scores[order], task="regression")
    assert first.columns[0].counts == second.columns[0].counts
    assert [c.edges for c in first.columns] == [c.edges for c in second.columns]
    assert [c.categories for c in first.columns] == [c.categories for c in second.columns]


@pytest.mark.parametrize("text", [b"{}", b"[]", b'{"format": 99}', b"not json"])
def test_what_is_no_profile_is_refused(text: bytes) -> None:
    with pytest.raises(ValueError, match=r".+"):
        Profile.from_json(text)


def test_a_million_rows_make_at_most_a_thousand_bins() -> None:
    column = profile_of({"x": np.random.default_rng(2).normal(size=300_000)}, x="double").columns[0]
    assert len(column.edges) <= 1000
    assert len(column.counts) == len(column.edges) + 1
    assert sum(column.counts) == 300_000
    assert max(column.counts) <= 400


def test_few_values_are_counted_exactly() -> None:
    column = profile_of({"x": np.array([3, 1, 1, 2, 2, 2])}, x="long").columns[0]
    assert [c for c in column.counts if c] == [2, 3, 1]
    assert (column.minimum, column.maximum, column.mean, column.distinct) == (1, 3, 11 / 6, 3)


def test_known_values_are_profiled_exactly() -> None:
    columns = {"x": [1.0, None, float("nan"), 3.0, float("inf")], "g": ["b", "a", "b", None, "b"]}
    number, category = profile_of(columns, x="double", g="string").columns
    assert (number.rows, number.missing, number.infinite) == (5, 2, 1)
    assert number.mean == 2.0
    assert number.sd == pytest.approx(2**0.5)
    assert (category.categories, category.counts, category.missing) == (("b", "a"), (3, 1, 0), 1)


@pytest.mark.parametrize("rows", [500, 5000, 50_000])
def test_the_binned_ks_statistic_is_never_above_the_exact_one_and_hardly_below(rows: int) -> None:
    random = np.random.default_rng(rows)
    for shift in (0.0, 0.1, 0.5):
        before, after = random.normal(size=20_000), random.normal(shift, 1.1, size=rows)
        profile = profile_of({"x": before}, x="double")
        counts = count(profile, {"x": after}).columns["x"]
        binned = KolmogorovSmirnov().compare(profile.columns[0].as_counts(), counts).statistic
        exact = stats.ks_2samp(before.astype("f4"), after.astype("f4"), method="asymp").statistic
        assert binned is not None
        assert binned <= exact + 1e-12
        assert exact - binned <= (3e-4 if rows >= 50_000 else 1.1e-3)


def test_the_ks_statistic_of_few_values_is_exact_even_for_values_between_them() -> None:
    random = np.random.default_rng(3)
    before, after = random.integers(0, 10, 2000), random.integers(0, 20, 1500) / 2
    profile = profile_of({"x": before}, x="double")
    counts = count(profile, {"x": after}).columns["x"]
    binned = KolmogorovSmirnov().compare(profile.columns[0].as_counts(), counts).statistic
    assert binned == pytest.approx(stats.ks_2samp(before, after, method="asymp").statistic, abs=1e-12)


def test_a_value_that_was_float32_in_training_falls_into_its_own_bin() -> None:
    before = np.repeat(np.array([0.1, 0.2, 0.3], dtype=np.float32), 100)
    profile = profile_of({"x": before}, x="double")
    counts = count(profile, {"x": [0.1, 0.2, 0.3]}).columns["x"]
    assert (counts.counts * 100 == np.array(profile.columns[0].counts)).all()
    assert (counts.below, counts.above) == (0, 0)


def test_the_window_of_a_month_is_the_sum_of_its_days() -> None:
    random = np.random.default_rng(4)
    profile, _ = samples.reference_profile(random, 3000)
    whole = samples.traffic(random, 900)
    whole["tail"][:20] = "new"
    whole["amount"][:3] = np.inf
    parts = [{name: values[i : i + 300] for name, values in whole.items()} for i in (0, 300, 600)]
    total = count(profile, whole)
    added = count(profile, parts[0]) + count(profile, parts[1]) + count(profile, parts[2])
    assert added.rows == total.rows
    assert all(same(added.columns[name], total.columns[name]) for name in samples.TRAFFIC.names)


def test_lists_arrays_and_arrow_count_alike() -> None:
    random = np.random.default_rng(5)
    profile, _ = samples.reference_profile(random, 1000)
    columns = samples.traffic(random, 500)
    as_lists = {name: [None if v != v else v for v in values.tolist()] for name, values in columns.items()}
    as_arrow = {name: pa.array(values, from_pandas=True) for name, values in columns.items()}
    as_chunks = {name: pa.chunked_array([values[:200], values[200:]]) for name, values in as_arrow.items()}
    expected = count(profile, columns)
    for form in (as_lists, as_arrow, as_chunks):
        found = count(profile, form)
        assert all(same(found.columns[name], expected.columns[name]) for name in samples.TRAFFIC.names)


def test_ten_thousand_categories_are_kept_as_a_thousand_and_the_rest() -> None:
    names = [f"id{i}" for i in range(10_000)]
    column = profile_of({"g": [*names, "id7"]}, g="string").columns[0]
    assert len(column.categories) == 1000
    assert column.categories[0] == "id7"
    assert (column.counts[0], column.counts[-1], column.distinct) == (2, 9000, 10_000)
    assert len(json.dumps(column.categories)) < 20_000


def test_a_reference_that_lacks_a_column_is_refused_by_name() -> None:
    with pytest.raises(InvalidInput, match="no column 'y'") as caught:
        profile_of({"x": [1.0]}, x="double", y="double")
    assert caught.value.column == "y"


def test_text_among_numbers_is_refused_by_name_and_value() -> None:
    with pytest.raises(InvalidInput, match=r"'x' .*'seven'"):
        profile_of({"x": [1.0, "seven"]}, x="double")


def test_columns_of_unequal_length_are_refused() -> None:
    with pytest.raises(InvalidInput, match="'y' has 2 values for 1 rows"):
        profile_of({"x": [1.0], "y": [1.0, 2.0]}, x="double", y="double")


def test_a_window_column_of_the_wrong_kind_is_said_so_and_raises_nothing() -> None:
    profile = profile_of({"x": [1.0, 2.0]}, x="double")
    counts = count(profile, {"x": ["one", "two"]}).columns["x"]
    assert "'one'" in counts.problem


def test_importance_is_larger_for_the_column_that_the_model_leans_on() -> None:
    profile, columns = samples.reference_profile(np.random.default_rng(6), 1000)
    weight = weights(with_importance(profile, columns, samples.score_of))
    assert weight["amount"] == 1.0
    assert 0 < weight["group"] < 1
    assert weight["skewed"] == 0.0
    assert weights(profile) == {}


def test_classes_and_columns_as_pandas_and_numpy_give_them_are_taken() -> None:
    import pandas as pd

    frame = pd.DataFrame(
        {
            "a": pd.array([1, 2, None] * 50, dtype="Int64"),
            "b": pd.Categorical(["x", "y", None] * 50),
            "c": pd.array([True, None, False] * 50, dtype="boolean"),
        }
    )
    profile = build(
        {str(name): frame[name] for name in frame},
        samples.signature(a="long", b="string", c="boolean"),
        scores=pd.Series(np.linspace(0, 1, 150)),
        labels=np.array([0, 1, 1] * 50),
        task="classification",
        classes=tuple(np.array([0, 1])),
    )
    assert Profile.from_json(profile.to_json()) == profile
    assert [column.missing for column in profile.columns] == [50, 50, 50]
    assert profile.columns[2].categories == ("false", "true")
    assert {estimate.rows for estimate in profile.performance} == {150}


def test_the_bytes_of_a_profile_are_those_of_all_its_fields() -> None:
    profile, _ = samples.reference_profile(np.random.default_rng(0), 2000)
    assert profile.pairs
    assert profile.score_map is not None
    assert profile.to_json() == canonical_json(asdict(profile))


@pytest.mark.parametrize("size", [1e150, 1e160, 1e300, 1e307])
def test_numbers_whose_squares_overflow_are_profiled_and_counted(size: float) -> None:
    values = np.random.default_rng(5).uniform(-1, 1, 2000)
    profiles = [
        build(
            {"x": values * by},
            samples.signature(x="double"),
            scores=np.linspace(0, 1, 2000),
            labels=None,
            task="classification",
            classes=(0, 1),
        )
        for by in (1.0, size)
    ]
    plain, large = (profile.columns[0] for profile in profiles)
    assert large.mean == pytest.approx((plain.mean or 0.0) * size)
    assert large.sd == pytest.approx((plain.sd or 0.0) * size)
    assert Profile.from_json(profiles[1].to_json()) == profiles[1]
    counted = count(profiles[1], {"x": values * size})
    assert counted.columns["x"].rows == 2000
