"""Windows that lack something, or hold what the reference never held: what the look says of them."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from mlprod_nb.monitoring import MonitorInput, Profile, build, run
from tests.monitoring import samples
from tests.monitoring.looks import findings_of, look, row_of, traffic


def test_an_empty_window_says_that_nothing_was_tested(reference: Profile) -> None:
    result = look(reference, traffic(9, 0), labels=None)
    assert result.verdict.status == "warn"
    assert "empty" in result.verdict.sentence
    assert all(not row.tested for row in result.columns)
    assert str(result)


def test_one_row_says_that_nothing_could_be_tested(reference: Profile) -> None:
    result = look(reference, traffic(10, 1))
    assert result.verdict.status == "warn"
    assert "1 prediction" in findings_of(result, "volume")[""]
    assert "too few" in row_of(result, "amount").statement


def test_a_column_that_is_gone_is_an_alarm(reference: Profile) -> None:
    columns = traffic(11)
    scores = samples.score_of(columns)
    del columns["small"]
    result = run(MonitorInput("flights", reference, samples.window(columns, scores, None)))
    assert result.verdict.status == "alarm"
    assert "small: the column is gone" in result.verdict.sentence
    assert row_of(result, "small").statement == "not tested: the column is gone"


def test_a_new_column_is_mentioned_and_not_tested(reference: Profile) -> None:
    result = look(reference, {**traffic(12), "extra": np.zeros(2000)})
    assert "extra" in findings_of(result, "new column")
    assert result.verdict.status == "ok"


def test_a_column_without_any_value_is_an_alarm(reference: Profile) -> None:
    columns = traffic(13)
    scores = samples.score_of(columns)
    columns["small"] = np.full(2000, np.nan)
    result = run(MonitorInput("flights", reference, samples.window(columns, scores, None)))
    assert result.verdict.status == "alarm"
    assert findings_of(result, "missing")["small"] == "every value is missing"


def test_text_where_numbers_were_is_an_alarm(reference: Profile) -> None:
    columns: dict[str, Any] = traffic(14)
    scores = samples.score_of(columns)
    columns["small"] = np.array(["three"] * 2000, dtype=object)
    result = run(MonitorInput("flights", reference, samples.window(columns, scores, None)))
    assert result.verdict.status == "alarm"
    assert "three" in row_of(result, "small").statement


def test_a_single_missing_value_in_a_window_of_one_row_is_no_alarm(reference: Profile) -> None:
    columns = traffic(27, 1)
    columns["gaps"] = np.array([np.nan])
    result = look(reference, columns)
    assert result.verdict.status == "warn"
    assert row_of(result, "gaps").statement == "not tested: every value is missing"


def test_a_profile_from_before_pairs_were_watched_says_that_they_are_not_tested(reference: Profile) -> None:
    plain = json.loads(reference.to_json())
    del plain["pairs"]
    old = Profile.from_json(json.dumps(plain))
    (finding,) = [one for one in look(old, traffic(3, 800)).quality if one.check == "pairs"]
    assert "not tested: the version was registered before" in finding.statement
    assert not [one for one in look(reference, traffic(3, 800)).quality if one.check == "pairs"]


def test_a_constant_column_is_found_and_said_so(reference: Profile) -> None:
    columns = traffic(15)
    columns["skewed"] = np.full(2000, 1.0)
    result = look(reference, columns)
    assert "one value only" in findings_of(result, "constant")["skewed"]
    assert row_of(result, "skewed").drifted


def test_infinite_values_are_a_warning_and_break_nothing(reference: Profile) -> None:
    columns = traffic(16)
    columns["skewed"][:5] = np.inf
    columns["skewed"][5:8] = -np.inf
    result = look(reference, columns)
    assert result.verdict.status == "warn"
    assert "8 infinite" in findings_of(result, "infinite")["skewed"]
    json.loads(result.to_json())


def test_ten_thousand_categories_break_nothing_on_either_side(reference: Profile) -> None:
    random = np.random.default_rng(17)
    names = np.array([f"id{i}" for i in range(10_000)], dtype=object)
    columns = {"g": random.permutation(names)}
    signature = samples.signature(g="string")
    profile = build(columns, signature, scores=np.zeros(10_000), labels=None, task="regression")
    after = {"g": np.array([f"id{i}" for i in range(5000, 15_000)], dtype=object)}
    table = pa.table({"score": np.zeros(10_000), "inputs": samples.struct(after)})
    result = run(MonitorInput("ids", profile, table))
    assert row_of(result, "g").statement.startswith("not tested: ")
    assert "not tested" in findings_of(result, "unseen categories")["g"]
    columns = traffic(17)
    columns["group"] = names[:2000]
    flooded = look(reference, columns)
    assert row_of(flooded, "group").drifted
    assert "100 % in categories" in findings_of(flooded, "unseen categories")["group"]


def test_values_out_of_range_are_a_warning_only_beyond_chance(reference: Profile) -> None:
    columns = traffic(18)
    columns["amount"][:40] = 50.0
    assert "outside the reference's range" in findings_of(look(reference, columns), "range")["amount"]
    assert look(reference, columns).verdict.status == "warn"
    assert look(reference, traffic(18)).verdict.status == "ok"


def test_missing_values_are_a_warning_only_beyond_chance(reference: Profile) -> None:
    for seed in range(20):
        found = look(reference, traffic(seed, 1000)).quality
        assert not [finding for finding in found if finding.check == "missing" and finding.severity == "warn"]
    columns = traffic(0, 1000)
    columns["amount"][:50] = np.nan
    (missing,) = [f for f in look(reference, columns).quality if (f.column, f.check) == ("amount", "missing")]
    assert missing.severity == "warn"


def test_labels_that_are_no_class_are_left_out_and_counted(reference: Profile) -> None:
    columns = traffic(19)
    labels = samples.labels_of(np.random.default_rng(0), samples.score_of(columns)).astype(object)
    labels[:100] = "maybe"
    labels[100:300] = None
    result = look(reference, columns, labels=labels)
    assert result.labelled_share == pytest.approx(0.85)
    assert (
        "100 labels are none of the model's classes False, True, as 'maybe'"
        in findings_of(result, "unusable labels")[""]
    )
    assert result.verdict.status == "warn"
    assert "none of the model's classes" in result.verdict.sentence


def test_a_label_among_a_thousand_that_is_no_class_is_told_and_no_warning(reference: Profile) -> None:
    columns = traffic(19)
    labels = samples.labels_of(np.random.default_rng(0), samples.score_of(columns)).astype(object)
    labels[7] = "maybe"
    result = look(reference, columns, labels=labels)
    assert "1 label is none of the model's classes" in findings_of(result, "unusable labels")[""]
    assert result.verdict.status == "ok"


def test_where_every_label_is_of_a_wrong_type_that_is_what_the_verdict_says(reference: Profile) -> None:
    columns = traffic(19)
    result = look(reference, columns, labels=np.array(["maybe"] * 2000, dtype=object))
    assert result.verdict.status == "warn"
    assert result.verdict.sentence.startswith("2,000 labels are none of the model's classes False, True, as 'maybe'")
    assert not findings_of(result, "labels")


def test_an_empty_window_does_not_say_that_its_columns_are_gone(reference: Profile) -> None:
    result = look(reference, {name: values[:0] for name, values in traffic(19).items()})
    assert result.verdict.status == "warn"
    assert {row.statement for row in result.columns} == {"not tested: the window is empty"}


# -- versions, variants, regression ---------------------------------------------------------------------------------
