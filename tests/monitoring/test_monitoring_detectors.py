from __future__ import annotations

import doctest
import importlib
import inspect
from functools import cache
from typing import Any

import numpy as np
import pytest
from scipy import stats
from scipy.stats import entropy

from mlprod_nb.errors import NotFound
from mlprod_nb.monitoring import detectors
from mlprod_nb.monitoring.bins import ColumnCounts, WindowCounts
from mlprod_nb.monitoring.budget import Budget, holm
from mlprod_nb.monitoring.counting import count
from mlprod_nb.monitoring.detectors import BUILT_IN, Comparison, Detector, ranks
from mlprod_nb.monitoring.detectors.chi_square import ChiSquare
from mlprod_nb.monitoring.detectors.ks import KolmogorovSmirnov
from mlprod_nb.monitoring.detectors.location import Location
from mlprod_nb.monitoring.detectors.missing import MissingRate
from mlprod_nb.monitoring.detectors.psi import StabilityIndex
from mlprod_nb.monitoring.detectors.scale import Scale
from mlprod_nb.monitoring.profile import Profile, build
from tests.monitoring import samples
from tests.monitoring.counted import counts

EVERY = pytest.mark.parametrize("detector", list(BUILT_IN.values()), ids=list(BUILT_IN))


def profiled(random: np.random.Generator, rows: int) -> Profile:
    columns = samples.traffic(random, rows)
    return build(columns, samples.TRAFFIC, scores=np.zeros(rows), labels=None, task="regression")


def compare_all(detector: Detector, profile: Profile, columns: samples.Columns) -> dict[str, Comparison]:
    return compare_counted(detector, profile, count(profile, columns))


def compare_counted(detector: Detector, profile: Profile, window: WindowCounts) -> dict[str, Comparison]:
    return {
        column.name: detector.compare(column.as_counts(), window.columns[column.name])
        for column in profile.columns
        if column.kind in detector.kinds
    }


# -- conformance: every detector ------------------------------------------------------------------------------------


@cache
def null_p_values(reference_rows: int, rows: int, runs: int) -> dict[tuple[str, str], list[float]]:
    """The p-value of every detector on every column, for ``runs`` pairs of samples of the same traffic."""
    random = np.random.default_rng([reference_rows, rows])
    found: dict[tuple[str, str], list[float]] = {}
    for _ in range(runs):
        profile = profiled(random, reference_rows)
        window = count(profile, samples.traffic(random, rows))
        for detector in BUILT_IN.values():
            for name, comparison in compare_counted(detector, profile, window).items():
                if comparison.p_value is not None:
                    found.setdefault((detector.name, name), []).append(comparison.p_value)
    return found


@EVERY
@pytest.mark.parametrize(("reference_rows", "rows", "runs"), [(2000, 60, 40), (1000, 1000, 40), (3000, 600, 40)])
def test_unchanged_data_are_flagged_no_more_often_than_stated(
    detector: Detector, reference_rows: int, rows: int, runs: int
) -> None:
    found = null_p_values(reference_rows, rows, runs)
    mine = {column: values for (name, column), values in found.items() if name == detector.name}
    assert mine
    for column, values in mine.items():
        for level in (0.05, 0.2):
            most = stats.binom.ppf(1 - 1e-4, len(values), level)
            assert sum(value <= level for value in values) <= most, (column, level)


MOVED: tuple[str, Any] = ("amount", lambda c: {**c, "amount": c["amount"] + 0.5})
SWAPPED: tuple[str, Any] = ("group", lambda c: {**c, "group": np.where(c["amount"] > 1, "c", c["group"])})
#: What detectors of one thing only find; every other one finds values that moved, or swapped categories.
SPECIAL: dict[str, tuple[str, Any]] = {
    "scale": ("amount", lambda c: {**c, "amount": c["amount"] * 1.5}),
    "missing": ("gaps", lambda c: {**c, "gaps": np.where(c["amount"] > 1.5, np.nan, c["gaps"])}),
}


def shift_for(detector: Detector) -> tuple[str, Any]:
    return SPECIAL.get(detector.name, MOVED if "number" in detector.kinds else SWAPPED)


@EVERY
def test_shifted_data_are_found(detector: Detector) -> None:
    random = np.random.default_rng(11)
    name, shift = shift_for(detector)
    found = compare_all(detector, profiled(random, 5000), shift(samples.traffic(random, 1500)))[name]
    assert found.p_value is not None
    assert found.p_value < 1e-6
    assert found.effect is not None
    assert found.effect > detector.floor


@EVERY
def test_the_order_of_rows_does_not_matter(detector: Detector) -> None:
    random = np.random.default_rng(12)
    profile, columns = profiled(random, 1000), samples.traffic(random, 500)
    order = random.permutation(500)
    assert compare_all(detector, profile, columns) == compare_all(
        detector, profile, {name: values[order] for name, values in columns.items()}
    )


@EVERY
def test_a_stored_reference_gives_the_same_answers(detector: Detector) -> None:
    random = np.random.default_rng(13)
    profile, columns = profiled(random, 1000), samples.traffic(random, 500)
    stored = Profile.from_json(profile.to_json())
    assert compare_all(detector, profile, columns) == compare_all(detector, stored, columns)


@EVERY
def test_missing_values_never_silence_a_detector(detector: Detector) -> None:
    random = np.random.default_rng(14)
    name, shift = shift_for(detector)
    profile, columns = profiled(random, 5000), shift(samples.traffic(random, 1500))
    lost = random.random(1500) < 0.1
    kept = columns[name].astype(object)
    kept[lost] = None
    columns[name] = kept
    found = compare_all(detector, profile, columns)[name]
    assert found.p_value is not None
    assert found.p_value < 1e-5


NOTHING = ColumnCounts(np.zeros(4, dtype=np.int64), 0, 0)
AWKWARD = {
    "empty window": (counts(100, 50, 30, 0), NOTHING),
    "empty reference": (NOTHING, counts(100, 50, 30, 0)),
    "both empty": (NOTHING, NOTHING),
    "one row": (counts(100, 50, 30, 0), counts(1, 0, 0, 0)),
    "all missing": (counts(100, 50, 30, 0), counts(0, 0, 0, 0, missing=50)),
    "constant": (counts(100, 0, 0, 0), counts(50, 0, 0, 0)),
    "constant elsewhere": (counts(100, 0, 0, 0), counts(0, 50, 0, 0)),
    "all unseen": (counts(100, 50, 30, 0), counts(0, 0, 0, 80)),
    "cut list": (counts(5, 2, 1, 300), counts(1, 1, 0, 90)),
}


@EVERY
@pytest.mark.parametrize("pair", list(AWKWARD.values()), ids=list(AWKWARD))
@pytest.mark.parametrize("ordered", [True, False])
def test_awkward_data_give_a_reason_or_a_probability(
    detector: Detector, pair: tuple[ColumnCounts, ColumnCounts], ordered: bool
) -> None:
    import dataclasses

    if ordered == (detector.kinds == frozenset({"category"})):
        return
    before, after = (dataclasses.replace(side, ordered=ordered) for side in pair)
    found = detector.compare(before, after)
    assert (found.p_value is None) == bool(found.reason)
    assert found.p_value is None or 0 <= found.p_value <= 1


def test_too_few_are_told_in_the_right_number() -> None:
    reasons = {found: KolmogorovSmirnov().compare(counts(100, 50), counts(found, 0)).reason for found in (0, 1, 19)}
    assert reasons == {
        0: "0 values are too few; it takes 20",
        1: "1 value is too few; it takes 20",
        19: "19 values are too few; it takes 20",
    }
    assert MissingRate().compare(counts(100), counts(1)).reason == "1 row is too few; it takes 20"


# -- each against known values and other implementations ------------------------------------------------------------


def test_ks_agrees_with_scipy_where_nothing_is_lost_in_bins() -> None:
    random = np.random.default_rng(15)
    for n, m in [(40, 35), (400, 300), (5000, 1000)]:
        before, after = random.integers(0, 30, n), random.integers(0, 33, m)
        found = KolmogorovSmirnov().compare(
            counts(*np.bincount(before, minlength=33)), counts(*np.bincount(after, minlength=33))
        )
        method = "exact" if n * m <= 250_000 else "asymp"
        expected = stats.ks_2samp(before, after, method=method)
        assert found.statistic == pytest.approx(expected.statistic, abs=1e-12)
        assert found.p_value == pytest.approx(expected.pvalue, rel=1e-9)


def test_ks_of_samples_that_hardly_differ_has_a_chance_of_one_and_no_warning_of_scipys() -> None:
    for rows in (40, 400):
        for apart in (1, 2, 3):
            before, after = [rows // 2, rows // 2], [rows // 2 - apart, rows // 2 + apart]
            found = KolmogorovSmirnov().compare(counts(*before), counts(*after))
            assert 0.97 < (found.p_value or 0) <= 1


def test_chi_square_agrees_with_scipy_on_a_table_of_large_cells() -> None:
    table = np.array([[500, 300, 200], [260, 120, 130]])
    found = ChiSquare().compare(counts(*table[0], 0), counts(*table[1], 0))
    expected = stats.chi2_contingency(table, correction=False)
    assert found.statistic == pytest.approx(expected.statistic, rel=1e-12)
    assert found.p_value == pytest.approx(expected.pvalue, rel=1e-9)
    assert found.effect == pytest.approx(0.5 * np.abs(table[0] / 1000 - table[1] / 510).sum(), rel=1e-12)


def test_chi_square_pools_rare_categories_until_each_group_expects_ten_rows() -> None:
    found = ChiSquare().compare(counts(500, 400, 60, 30, 10, 0), counts(50, 40, 6, 3, 0, 1))
    expected = stats.chi2_contingency(np.array([[500, 400, 100], [50, 40, 10]]), correction=False)
    assert found.statistic == pytest.approx(expected.statistic, abs=1e-12)


def test_a_new_common_category_stands_alone_and_new_rare_ones_do_not() -> None:
    before = counts(600, 400, 0)
    common = ColumnCounts(np.array([600, 400, 60]), 0, 1060, unseen=60, new=(("x", 60),))
    scarce = ColumnCounts(np.array([600, 400, 8]), 0, 1008, unseen=8, new=tuple((f"x{i}", 1) for i in range(8)))
    alone = stats.chi2_contingency(np.array([[600, 400, 0], [600, 400, 60]]), correction=False)
    joined = stats.chi2_contingency(np.array([[600, 400], [600, 408]]), correction=False)
    assert ChiSquare().compare(before, common).statistic == pytest.approx(alone.statistic, rel=1e-9)
    assert ChiSquare().compare(before, scarce).statistic == pytest.approx(joined.statistic, rel=1e-9)


def test_the_missing_rate_has_the_exact_hypergeometric_tail() -> None:
    found = MissingRate().compare(counts(9990, missing=10), counts(990, missing=10))
    expected = 2 * stats.hypergeom(11_000, 20, 1000).sf(9)
    assert found.p_value == pytest.approx(expected, rel=1e-9)
    assert found.effect == pytest.approx(0.009, rel=1e-12)
    fisher = stats.fisher_exact([[10, 990], [10, 9990]]).pvalue
    assert found.p_value >= fisher * (1 - 1e-9)


def test_a_million_rows_do_not_slow_the_missing_rate_or_break_it() -> None:
    same = MissingRate().compare(counts(950_000, missing=50_000), counts(950_000, missing=50_000))
    assert same.p_value == 1.0
    moved = MissingRate().compare(counts(990_000, missing=10_000), counts(950_000, missing=50_000))
    assert moved.p_value is not None
    assert moved.p_value < 1e-12


def test_scale_agrees_with_mood_where_there_are_no_ties() -> None:
    random = np.random.default_rng(16)
    before, after = random.normal(size=300), random.normal(scale=1.3, size=300)
    every = np.sort(np.concatenate([before, after]))
    found = Scale().compare(counts(*np.isin(every, before)), counts(*np.isin(every, after)))
    expected = stats.mood(after, before)
    assert found.statistic == pytest.approx(expected.statistic, rel=1e-9)
    assert found.p_value == pytest.approx(expected.pvalue, rel=1e-9)


def test_location_agrees_with_the_rank_sum_test_with_and_without_ties() -> None:
    random = np.random.default_rng(17)
    for after in (random.normal(0.2, size=300), random.normal(size=300).round()):
        before = random.normal(size=300) if len(np.unique(after)) == 300 else random.normal(size=300).round()
        cells = np.unique(np.concatenate([before, after]))
        binned = [np.bincount(np.searchsorted(cells, side), minlength=len(cells)) for side in (before, after)]
        found = Location().compare(counts(*binned[0]), counts(*binned[1]))
        expected = stats.mannwhitneyu(after, before, method="asymptotic", use_continuity=False)
        assert found.p_value == pytest.approx(expected.pvalue, rel=1e-9)


def test_a_column_of_two_values_has_the_exact_hypergeometric_tail() -> None:
    found = Location().compare(counts(9950, 50), counts(984, 16))
    assert found.p_value == pytest.approx(2 * stats.hypergeom(11_000, 66, 1000).sf(15), rel=1e-9)
    assert Scale().compare(counts(9950, 50), counts(984, 16)).p_value == found.p_value


def test_a_rare_large_value_has_the_longer_tail_of_its_law() -> None:
    random = np.random.default_rng(18)
    cells = np.array([10_840, 40, 30, 20, 20, 20, 10, 10, 10])
    drawn = random.multivariate_hypergeometric(cells, 1000, size=200_000)
    scores = ranks.midranks(cells) ** 2
    sums = drawn @ scores
    most = drawn[np.argsort(sums)[-20]]
    found = ranks.moments(cells, most, scores)
    assert found is not None
    assert found.skewness == pytest.approx(stats.skew(sums), abs=0.02)
    lower, upper = stats.beta.interval(1 - 1e-6, 20, 200_000 - 20)
    assert lower < found.p_value / 2 < upper
    assert stats.norm.sf(found.deviate) < found.p_value / 2


def test_the_stability_index_of_a_known_table() -> None:
    before, after = np.array([500, 300, 200]), np.array([150, 150, 200])
    found = StabilityIndex().compare(counts(*before, 0), counts(*after, 0))
    p, q = (before + 0.5) / 1001.5, (after + 0.5) / 501.5  # half a row in each group, so that an empty one is finite
    expected = entropy(q, p) + entropy(p, q)
    assert found.statistic == pytest.approx(expected, rel=1e-9)
    assert found.p_value == pytest.approx(stats.chi2(2).sf(expected / (1 / 1000 + 1 / 500)), rel=1e-9)


@EVERY
def test_a_detector_is_one_short_file_whose_examples_hold(detector: Detector) -> None:
    module = importlib.import_module(type(detector).__module__)
    assert len(inspect.getsource(module).splitlines()) < 100
    found = doctest.testmod(module)
    assert found.attempted > 1
    assert found.failed == 0


def test_detectors_are_chosen_by_name_and_a_typing_error_gets_a_hint() -> None:
    assert [d.name for d in detectors.choose(("psi", "ks"))] == ["psi", "ks"]
    assert {d.name for d in detectors.choose()} >= set(detectors.DEFAULT)
    everyone = f"There is: {', '.join(sorted(BUILT_IN))}."
    for wrong, told in (
        ("chisquare", f"there is no detector 'chisquare'. Did you mean 'chi_square'? {everyone}"),
        ("typo", f"there is no detector 'typo'. {everyone}"),
        ("KSDrift", "there is no detector of mlprod 'KSDrift'. It is alibi-detect's: --alibi-with KSDrift"),
    ):
        with pytest.raises(NotFound) as caught:
            detectors.choose((wrong,))
        assert str(caught.value) == told


def test_another_packages_detector_is_found_and_cannot_replace_a_built_in_one(
    tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "own_detector.py").write_text(
        "from mlprod_nb.monitoring.detectors.ks import KolmogorovSmirnov\nclass Own(KolmogorovSmirnov):\n    pass\n"
    )
    info = tmp_path / "own-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: own\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[mlprod_nb.detectors]\nown = own_detector:Own\nks = own_detector:Own\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    found = detectors.known()
    assert type(found["own"]).__name__ == "Own"
    assert found["ks"] is BUILT_IN["ks"]


# -- budget ---------------------------------------------------------------------------------------------------------


def test_holm_of_known_p_values() -> None:
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([]) == []
    assert holm([0.9, 0.8]) == [1.0, 1.0]


def test_the_looks_of_a_year_share_its_budget() -> None:
    budget = Budget(0.05, 52)
    assert budget.per_look * 52 == pytest.approx(0.05)
    assert budget.drift + budget.performance + budget.joint == pytest.approx(budget.per_look)
