"""How the model stands, in whole looks: what a verdict says of it, and what bad input does."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from scipy import stats

from mlprod_nb.monitoring import MonitorInput, MonitorResult, Profile, build, run
from mlprod_nb.monitoring.detectors import DEFAULT
from mlprod_nb.monitoring.examination import Request
from tests.monitoring import samples

Sample = dict[str, Any]
#: A label that has not come; of any type, since numpy's own stubs know no ``None``.
UNKNOWN: Any = None


@pytest.fixture(scope="module")
def reference() -> tuple[Profile, Sample]:
    random = np.random.default_rng(200)
    profile, columns = samples.reference_profile(random, 8000)
    scores = samples.score_of(columns)
    known = {"__score__": scores, "__prediction__": scores >= 0.5, "__label__": samples.labels_of(random, scores)}
    return profile, {name: pa.array(values[:5000], from_pandas=True) for name, values in {**columns, **known}.items()}


def look(reference: tuple[Profile, Sample], table: pa.Table, **wishes: Any) -> MonitorResult:
    profile, sample = reference
    request = Request(**{"thorough": True, **wishes})
    return run(MonitorInput("flights", profile, table, sample, model_version="flights/1", request=request))


def window(seed: int, rows: int = 3000, **changes: Any) -> tuple[samples.Columns, Any, Any]:
    random = np.random.default_rng(seed)
    columns = {**samples.traffic(random, rows), **changes}
    scores = samples.score_of(columns)
    return columns, scores, samples.labels_of(random, scores)


def test_an_unchanged_model_holds_in_every_respect(reference: Any) -> None:
    found = look(reference, samples.window(*window(1)), fairness=("group",), segments=("flag", "small > 4"))
    assert found.verdict.status == "ok"
    standing = found.standing
    assert standing.estimation is not None
    assert standing.estimation.believed == "yes"
    assert standing.estimation.mean_absolute_error is not None
    assert standing.estimation.mean_absolute_error < 0.03
    assert standing.reliability is not None
    assert not any(row.fell for row in standing.segments)
    assert {row.segment for row in standing.segments if not row.found} >= {"small > 4", "not (small > 4)"}
    assert {row.column for row in standing.fairness} == {"group"}
    assert len(found.standing_figures) == 2
    assert "figures" not in " ".join(json.loads(found.to_json()))
    titles = {section.title.split(" (")[0] for section in found.sections()}
    assert titles >= {"labels", "estimated performance", "trials of the estimate", "calibration", "fairness"}


def test_a_year_of_thorough_looks_at_an_unchanged_model_keeps_to_the_budget(reference: Any) -> None:
    looks, alpha, flagged = 40, 0.2, 0
    profile, sample = reference
    for seed in range(looks):
        columns, scores, labels = window(1000 + seed, 600)
        known = np.where(np.random.default_rng(seed).random(600) < 0.7, labels.astype(object), UNKNOWN)
        given = MonitorInput(
            "flights", profile, samples.window(columns, scores, known), sample, model_version="flights/1",
            request=Request(thorough=True), yearly_alpha=alpha, looks_per_year=1, detectors=DEFAULT,
        )  # fmt: skip
        found = run(given)
        flagged += found.verdict.status != "ok" or any(row.check == "labels" for row in found.quality)
    assert flagged <= stats.binom.ppf(0.999, looks, alpha)


def test_a_segment_in_which_the_model_fell_is_a_warning_in_words(reference: Any) -> None:
    columns, scores, labels = window(2, 6000)
    hit = (columns["group"] == "b") & (np.random.default_rng(2).random(6000) < 0.5)
    found = look(reference, samples.window(columns, scores, np.where(hit, scores < 0.5, labels)))
    assert found.verdict.status in ("warn", "alarm")
    fallen = next(row for row in found.standing.segments if row.fell)
    assert fallen.segment == "group = 'b'"
    assert f"accuracy {fallen.value:.2f} where group = 'b'" in fallen.statement
    if found.verdict.status == "warn":
        assert fallen.statement in found.verdict.sentence


def test_without_labels_a_shift_to_hard_rows_is_estimated_and_said_to_be_untried(reference: Any) -> None:
    hard = np.random.default_rng(3).normal(-0.1, 0.15, 3000)
    columns, scores, _ = window(3, amount=hard)
    found = look(reference, samples.window(columns, scores, None))
    assert found.verdict.status == "alarm"
    assert found.standing.estimation is not None
    assert found.standing.estimation.believed == "untried"
    assert found.standing.estimation.of == "all 3,000 predictions" or "without a label" in found.standing.estimation.of
    accuracy = found.standing.estimation.rows[0]
    assert accuracy.worse
    assert "accuracy is estimated at" in found.verdict.sentence
    assert "concept drift" in found.standing.estimation.statement


def test_an_estimate_that_labels_have_refuted_is_not_believed_and_warns_of_nothing(reference: Any) -> None:
    columns, scores, labels = window(4, 6000)
    flipped = np.where(np.random.default_rng(4).random(6000) < 0.3, ~labels, labels).astype(object)
    flipped[5000:] = None
    found = look(reference, samples.window(columns, scores, flipped))
    assert found.standing.estimation is not None
    assert found.standing.estimation.believed == "no"
    assert found.standing.estimation.warning == ""
    assert found.standing.labels is not None
    assert "not counted as wrong" in found.standing.labels.statement


def test_labels_that_come_selectively_are_a_finding(reference: Any) -> None:
    columns, scores, labels = window(5)
    picked = np.random.default_rng(5).random(3000) < scores
    found = look(reference, samples.window(columns, scores, np.where(picked, labels.astype(object), UNKNOWN)))
    assert any("labels come selectively" in row.statement for row in found.quality)


def test_a_profile_made_before_is_read_and_the_sample_serves_in_its_place(reference: Any) -> None:
    profile, sample = reference
    old = json.loads(profile.to_json())
    del old["score_map"]
    read = Profile.from_json(json.dumps(old))
    assert read.score_map is None
    assert Profile.from_json(profile.to_json()) == profile
    table = samples.window(*window(6)[:2], None)
    assert look((read, sample), table).standing.estimation is not None
    without = run(MonitorInput("flights", read, table, request=Request(thorough=True)))
    assert without.standing.notes["estimate"] == "not estimated: the reference has too few labels"


def test_a_misspelt_segment_and_an_absent_group_are_statements(reference: Any) -> None:
    table = samples.window(*window(7))
    found = look(reference, table, segments=("grup = 'a'", "amount > 0"), fairness=("colour", "grop"))
    assert any("'grup', which is no input column. Did you mean 'group'?" in row.statement for row in found.quality)
    assert any(row.segment == "amount > 0" for row in found.standing.segments)
    told = {row.statement for row in found.quality if row.check == "fairness"}
    assert told == {
        "not compared: fairness is asked by 'colour', which is no input column",
        "not compared: fairness is asked by 'grop', which is no input column. Did you mean 'group'?",
    }
    assert found.verdict.status == "warn"
    assert "'grup', which is no input column" in found.verdict.sentence


@pytest.mark.parametrize("rows", [0, 1, 30])
def test_hardly_any_rows_raise_nothing(reference: Any, rows: int) -> None:
    found = look(reference, samples.window(*window(8, rows)), fairness=("group",), segments=("group",))
    assert found.standing.notes
    assert str(found)
    json.loads(found.to_json())


def test_unreadable_and_infinite_columns_raise_nothing(reference: Any) -> None:
    columns, scores, labels = window(9)
    columns["small"] = np.array(["three"] * 3000, dtype=object)
    columns["skewed"][:50] = np.inf
    columns["gaps"] = np.full(3000, np.nan)
    found = look(reference, samples.window(columns, scores, labels), segments=("skewed > 1",))
    assert found.standing.segments
    assert "small" in found.verdict.sentence


def test_the_effect_on_the_score_is_told_or_said_to_be_unmeasured(reference: Any) -> None:
    columns, _, labels = window(10)
    columns["amount"] = columns["amount"] + 0.5
    table = samples.window(columns, samples.score_of(columns), labels)
    assert "cannot be called" in look(reference, table).standing.notes["effect on the score"]

    def score(given: dict[str, list[Any]]) -> Any:
        return samples.score_of({"amount": np.array(given["amount"]), "group": np.array(given["group"], dtype=object)})

    found = look(reference, table, score_function=score).standing.shifts
    assert found is not None
    assert found.rows[0].column == "amount"
    assert found.rows[0].explains == pytest.approx(1.0, abs=0.2)


def test_earlier_windows_are_trials_of_the_estimate(reference: Any) -> None:
    table = samples.window(*window(11)[:2], None)
    earlier = samples.window(*window(12, 4000))
    found = look(reference, table, earlier=earlier).standing.estimation
    assert found is not None
    assert found.believed == "yes"
    assert len(found.trials) >= 9
    assert found.rows[0].rows == 3000


def test_a_regressors_errors_are_estimated_only_where_performance_is_asked_for() -> None:
    random = np.random.default_rng(13)
    x = random.normal(size=4000)
    labels = 2 * x + random.normal(size=4000) * np.where(x > 0, 3, 1)
    profile = build({"x": x}, samples.signature(x="double"), scores=2 * x, labels=labels, task="regression")
    sample = {"x": x, "__score__": 2 * x, "__prediction__": 2 * x, "__label__": labels}
    after = np.abs(random.normal(size=2000))
    table = samples.window({"x": after}, 2 * after, None, regression=True)
    given = MonitorInput("cost", profile, table, sample, request=Request(thorough=True))
    found = run(given).standing.estimation
    assert found is not None
    assert [row.metric for row in found.rows] == ["mae", "rmse"]
    assert found.rows[0].worse
    assert found.rows[0].value == pytest.approx(3 * (2 / np.pi) ** 0.5, rel=0.1)
    assert "only fitted where" in run(replace(given, request=Request())).standing.notes["estimate"]
