"""alibi-detect as a second opinion; its absence is tested beside the looks (test_monitoring_look.py)."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import stats

from mlprod_nb.errors import NotFound
from mlprod_nb.monitoring import MonitorInput, run
from mlprod_nb.monitoring.budget import holm
from mlprod_nb.monitoring.counting import count
from mlprod_nb.monitoring.detectors import BUILT_IN, alibi
from mlprod_nb.monitoring.detectors.alibi import door, online
from mlprod_nb.monitoring.profile import build
from mlprod_nb.monitoring.rows import AlibiRow
from tests.monitoring import samples

pytestmark = pytest.mark.skipif(
    not alibi.available(), reason="alibi-detect is not installed: the extra alibi brings it"
)

KINDS = {"x": "number", "y": "number", "g": "category"}
LETTERS = np.array(["a", "b", "c"], dtype=object)


def columns(random: np.random.Generator, rows: int) -> dict[str, Any]:
    return {
        "x": random.normal(size=rows),
        "y": random.exponential(size=rows),
        "g": random.choice(LETTERS, rows, p=[0.6, 0.3, 0.1]),
    }


def by_column(rows: tuple[AlibiRow, ...]) -> dict[str, AlibiRow]:
    return {row.column: row for row in rows}


def test_it_agrees_with_scipy_column_by_column() -> None:
    random = np.random.default_rng(0)
    before, after = columns(random, 600), columns(random, 400)
    for side in (before, after):
        side["b"] = np.array(["true", "false"], dtype=object)[(side["x"] > 1).astype(int)]
    table = [[(side["g"] == c).sum() for c in "abc"] for side in (before, after)]
    flags = [[(side["b"] == c).sum() for c in ("true", "false")] for side in (before, after)]
    expected = {
        ("KSDrift", "x"): stats.ks_2samp(before["x"], after["x"], method="asymp").pvalue,
        ("TabularDrift", "y"): stats.ks_2samp(before["y"], after["y"], method="asymp").pvalue,
        ("CVMDrift", "x"): stats.cramervonmises_2samp(before["x"], after["x"]).pvalue,
        ("ChiSquareDrift", "g"): stats.chi2_contingency(table).pvalue,
        ("TabularDrift", "g"): stats.chi2_contingency(table).pvalue,
        ("FETDrift", "b"): stats.fisher_exact(flags).pvalue,
    }
    options = alibi.Options(tuple({name for name, _ in expected}))
    kinds = {**KINDS, "b": "category"}
    found = {(row.detector, row.column): row.p_value for row in alibi.compare(kinds, before, after, 0.05, options)}
    for key, value in expected.items():
        p_value = found[key]
        assert p_value is not None
        # alibi-detect rounds all but Fisher's to single precision: then the two are the same number there.
        assert abs(p_value - value) <= 1e-9 or p_value == float(np.float32(value)), key


def test_our_own_detectors_agree_with_it_where_both_compute_the_same() -> None:
    random = np.random.default_rng(21)
    before, after = (
        {
            "x": random.integers(0, 30 + more, 2000).astype(float),
            "g": random.choice(LETTERS, 2000, p=[0.6 - more / 50, 0.3 + more / 50, 0.1]),
            "b": np.where(random.random(2000) < 0.02 + more / 100, "true", "false").astype(object),
        }
        for more in (0, 1)
    )
    schema = samples.signature(x="double", g="string", b="string")
    profile = build(before, schema, scores=np.zeros(2000), labels=None, task="regression")
    window = count(profile, after)
    kinds = {"x": "number", "g": "category", "b": "category"}
    pairs = {"KSDrift": ("x", "ks"), "ChiSquareDrift": ("g", "chi_square"), "FETDrift": ("b", "fisher")}
    rows = alibi.compare(kinds, before, after, 0.05, alibi.Options(tuple(pairs)))
    found = {(row.detector, row.column): row.p_value for row in rows}
    for name, (column, own) in pairs.items():
        reference = next(each for each in profile.columns if each.name == column).as_counts()
        ours = BUILT_IN[own].compare(reference, window.columns[column]).p_value
        # Half a unit in the last place of single precision, to which alibi-detect rounds all but Fisher's.
        near = 1e-9 if name == "FETDrift" else 2**-24 + 1e-9
        assert found[name, column] == pytest.approx(ours, rel=near), name


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
        for row in alibi.compare(KINDS, columns(random, 150), columns(random, 150), level, alibi.Options(seed=seed)):
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


# -- conformance: every detector ------------------------------------------------------------------------------------

OFFLINE = [name for name in alibi.KNOWN if not name.endswith("Online")]
NEED_TORCH = ("MMDDrift", "LSDDDrift")
with_torch = pytest.mark.skipif(not door.has_torch(), reason="torch is not installed; no extra asks for it")
HERE = [pytest.param(name, marks=with_torch if name in NEED_TORCH else ()) for name in OFFLINE]
ALL_KINDS = {**KINDS, "b": "category"}


def with_truths(random: np.random.Generator, rows: int, *, rate: float = 0.2, move: float = 0.0) -> dict[str, Any]:
    found = columns(random, rows)
    found["x"], found["y"] = found["x"] + move, found["y"] * (1 + move)
    found["g"] = np.where(random.random(rows) < move / 2, "c", found["g"])
    return {**found, "b": np.where(random.random(rows) < rate + move / 4, "true", "false").astype(object)}


def doubtful(random: np.random.Generator, rows: int, spread: float = 1.0) -> alibi.Doubt:
    """A classifier's probabilities and an ensemble's predictions; in the window their spread is multiplied."""
    sides = []
    for scale in (1.0, spread):
        chance = 1 / (1 + np.exp(-scale * random.normal(size=rows)))
        sides.append((np.column_stack([1 - chance, chance]), scale * random.normal(size=(rows, 5))))
    return alibi.Doubt((sides[0][0], sides[1][0]), (sides[0][1], sides[1][1]))


def run_one(name: str, random: np.random.Generator, move: float = 0.0, seed: int = 0, **kept: Any) -> list[AlibiRow]:
    options = alibi.Options((name,), doubt=doubtful(random, 200, 1 + move), seed=seed, **kept)
    sides = with_truths(random, 250), with_truths(random, 200, move=move)
    return list(alibi.compare(ALL_KINDS, *sides, 0.001, options))


@pytest.mark.parametrize("name", HERE)
def test_each_is_true_to_its_p_value_on_unchanged_data(name: str) -> None:
    random = np.random.default_rng(10)
    runs = 8 if name in ("ClassifierDrift", *NEED_TORCH) else 40
    p_values: dict[str, list[float]] = {}
    for seed in range(runs):
        for row in run_one(name, random, seed=seed):
            assert row.p_value is not None
            assert row.p_value_corrected is not None
            p_values.setdefault(row.column, []).append(row.p_value)
    for values in p_values.values():
        for level in (0.05, 0.2):
            assert sum(value <= level for value in values) <= stats.binom.ppf(1 - 1e-4, runs, level)


@pytest.mark.parametrize("name", HERE)
def test_each_finds_shifted_data_and_gives_the_same_answer_again(name: str) -> None:
    found = run_one(name, np.random.default_rng(11), move=1.5)
    assert all(row.drifted for row in found)
    assert found == run_one(name, np.random.default_rng(11), move=1.5)


@pytest.mark.parametrize("name", ["TabularDrift", "KSDrift", "CVMDrift", "ChiSquareDrift", "FETDrift"])
def test_each_that_is_fitted_is_kept_and_answers_the_same_when_it_is_loaded(name: str, tmp_path: Path) -> None:
    shelf = alibi.Shelf(tmp_path / "version")
    first = run_one(name, np.random.default_rng(12), shelf=shelf)
    kept = sorted((tmp_path / "version" / name).glob("*/config.toml"))
    assert len(kept) == len(first)
    files = {path.name for path in tmp_path.rglob("*") if path.is_file()}
    assert files <= {"config.toml", "x_ref.npy"}  # no pickles
    written = [path.stat().st_mtime_ns for path in kept]
    assert run_one(name, np.random.default_rng(12), shelf=shelf) == first
    assert [path.stat().st_mtime_ns for path in kept] == written
    kept[0].write_text("cut sho")
    assert run_one(name, np.random.default_rng(12), shelf=shelf) == first
    assert kept[0].read_text() != "cut sho"


@pytest.mark.parametrize("name", OFFLINE)
def test_each_says_why_it_has_nothing_to_test(name: str) -> None:
    nothing: dict[str, Any] = {column: [] for column in ALL_KINDS}
    mixed: tuple[dict[str, Any], dict[str, Any]] = ({"x": [1.0]}, {"x": ["one"]})
    for before, after in ((nothing, nothing), ({}, {}), mixed):
        found = alibi.compare(ALL_KINDS, before, after, 0.05, alibi.Options((name,)))
        assert found
        assert all(row.p_value is None and row.statement.startswith("not tested: ") for row in found)


@pytest.mark.parametrize("name", NEED_TORCH)
@with_torch
def test_kernels_find_a_correlation_that_flips_and_leave_torchs_generator_as_it_was(name: str) -> None:
    import torch

    random = np.random.default_rng(19)
    sides = [np.column_stack([u := random.normal(size=300), sign * u + random.normal(size=300)]) for sign in (1, -1)]
    before, after = ({"x": side[:, 0], "y": side[:, 1]} for side in sides)
    torch.manual_seed(7)
    expected = torch.rand(3).tolist()
    torch.manual_seed(7)
    numbers = {"x": "number", "y": "number"}
    (row,) = alibi.compare(numbers, before, after, 0.001, alibi.Options((name,)))
    assert torch.rand(3).tolist() == expected
    assert row.drifted
    assert row.statement == "250 reference and 250 window rows, 10,000 permutations"


@pytest.mark.parametrize("name", NEED_TORCH)
@with_torch
def test_kernels_are_not_silenced_by_missing_values(name: str) -> None:
    random = np.random.default_rng(20)
    before, after = columns(random, 400), columns(random, 400)
    after["x"] = np.where(random.random(400) < 0.1, np.nan, after["x"] + 2.0)
    (row,) = alibi.compare(KINDS, before, after, 0.001, alibi.Options((name,)))
    assert row.drifted


@pytest.mark.parametrize("name", NEED_TORCH)
@pytest.mark.skipif(door.has_torch(), reason="torch is installed")
def test_what_needs_torch_says_so(name: str) -> None:
    (row,) = run_one(name, np.random.default_rng(13))
    assert row.statement == "not tested: torch is not installed"


def test_the_rate_of_missing_values_is_tested_by_fisher() -> None:
    random = np.random.default_rng(14)
    before, after = with_truths(random, 600), with_truths(random, 600)
    after["x"] = np.where(random.random(600) < 0.1, np.nan, after["x"])
    found = by_column(alibi.compare(ALL_KINDS, before, after, 0.001, alibi.Options(("FETDrift",))))
    assert found["x missing"].drifted
    assert not found["b"].drifted
    assert "0.0 % → " in found["x missing"].statement


def test_the_correction_is_over_all_tests_of_the_look() -> None:
    random = np.random.default_rng(15)
    options = alibi.Options(("KSDrift", "FETDrift"))
    rows = alibi.compare(ALL_KINDS, with_truths(random, 300), with_truths(random, 300), 0.05, options)
    expected = holm([row.p_value for row in rows if row.p_value is not None])
    assert [row.p_value_corrected for row in rows] == expected


@pytest.mark.parametrize("name", ["CVMDriftOnline", "FETDriftOnline"])
def test_the_online_ones_fire_soon_after_a_change_and_keep_their_thresholds(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(online, "SIMULATIONS", 1500)
    random = np.random.default_rng(16)
    kinds = {"x": "number"} if name == "CVMDriftOnline" else {"b": "category"}
    before = with_truths(random, 300)
    calm, moved = with_truths(random, 60), with_truths(random, 120, move=2.0)
    stream = {column: np.concatenate([calm[column], moved[column]]) for column in calm}
    options = alibi.Options((name,), shelf=alibi.Shelf(tmp_path))
    first = alibi.compare(kinds, before, stream, 0.05, options)
    row = first[0]
    assert 60 < int(row.statement.split(" ")[2]) <= 120
    assert row.statement.endswith("expected once in 1,000 rows without change")
    assert not row.drifted
    assert {path.name for path in tmp_path.rglob("*.npy")} == {"x_ref.npy", "thresholds.npy"}
    assert alibi.compare(kinds, before, stream, 0.05, options) == first
    assert all(r.statement.startswith("not tested: ") for r in alibi.compare(kinds, before, {}, 0.05, options))


def test_a_typing_error_in_a_name_gets_a_hint() -> None:
    with pytest.raises(NotFound, match="Did you mean 'ChiSquareDrift'"):
        alibi.compare(KINDS, {}, {}, 0.05, alibi.Options(("ChiSqareDrift",)))


def test_numpys_own_generator_is_left_as_it_was() -> None:
    before = np.random.random_sample
    np.random.seed(7)
    expected = before(3).tolist()
    np.random.seed(7)
    run_one("ClassifierDrift", np.random.default_rng(17))
    assert before(3).tolist() == expected


# -- in a look ------------------------------------------------------------------------------------------------------


def test_a_look_asks_the_named_ones_and_knows_how_sure_the_model_was(tmp_path: Path) -> None:
    random = np.random.default_rng(18)
    profile, reference = samples.reference_profile(random, 1500)
    calm = samples.traffic(random, 800)
    names = ("ClassifierUncertaintyDrift", "RegressorUncertaintyDrift", "KSDrift")
    p_values = []
    for columns in (calm, {**calm, "amount": calm["amount"] * 0.1}):
        table = samples.window(columns, samples.score_of(columns), None)
        given = MonitorInput(
            "flights", profile, table, reference=reference, alibi=True, alibi_detectors=names, alibi_folder=tmp_path
        )
        found = {row.detector: row for row in run(given).alibi}
        p_values.append(found["ClassifierUncertaintyDrift"].p_value)
        assert found["RegressorUncertaintyDrift"].statement.startswith("not tested: the log holds one prediction a row")
    assert p_values[0] is not None
    assert p_values[1] is not None
    assert p_values[0] > 0.001
    assert p_values[1] < 1e-6
    assert list(tmp_path.glob("KSDrift/*/config.toml"))


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
