"""From labelled predictions to a verdict: gain, harm, nothing, and data that cannot answer."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from mlprod_nb.abtest import metrics, plots
from mlprod_nb.abtest.scan import open_scan
from mlprod_nb.results import percent
from tests.abtest.readings import arms, result, rights
from tests.abtest.tables import labelled, right_or_wrong


def test_a_better_treatment_is_to_be_shipped() -> None:
    found = result(right_or_wrong(arms(6_000), rights(6_000, 0.7, 0.8)))
    assert (found.decision, found.exit_code, found.verdict.status) == ("ship", 0, "ok")
    assert found.verdict.action == "%mlprod promote flights/4"
    assert found.verdict.sentence.startswith("ship challenger: accuracy is 0.799 against 0.705")
    lift = found.metrics[0]
    assert lift.significant
    assert lift.difference_lower is not None
    assert 0 < lift.difference_lower < 0.1
    assert (lift.rows_control, lift.units_treatment, found.rows) == (3_000, 3_000, 6_000)


def test_a_worse_treatment_is_to_be_rolled_back() -> None:
    found = result(right_or_wrong(arms(6_000), rights(6_000, 0.8, 0.7)))
    assert (found.decision, found.exit_code) == ("roll back", 1)
    assert found.verdict.action == "%mlprod route flights champion=100"


def test_a_lower_brier_score_is_better() -> None:
    count = 4_000
    truth = np.random.default_rng(1).random(count) < 0.5
    sharp = np.arange(count) % 2 == 1
    score = np.where(truth, 0.6, 0.4) + np.where(sharp, np.where(truth, 0.3, -0.3), 0.0)
    score = score + np.random.default_rng(2).normal(0, 0.02, count)
    table = labelled(
        arms(count), prediction=["1"] * count, score=list(score), label=["1" if is_one else "0" for is_one in truth]
    )
    found = result(table, "primary: brier")
    assert found.decision == "ship"
    assert found.metrics[0].difference is not None
    assert found.metrics[0].difference < 0


def test_no_difference_goes_on_and_is_no_failure() -> None:
    found = result(right_or_wrong(arms(1_000), rights(1_000, 0.7, 0.7)))
    assert (found.decision, found.exit_code, found.verdict.status) == ("keep going", 0, "ok")


def test_a_difference_too_small_to_matter_ends_the_test() -> None:
    found = result(right_or_wrong(arms(4_000), rights(4_000, 0.7, 0.7)), "minimal_effect: 0.1")
    assert (found.decision, found.exit_code) == ("stop", 0)
    going = result(right_or_wrong(arms(4_000), rights(4_000, 0.7, 0.7)), "minimal_effect: 0.01")
    assert going.decision == "keep going"
    assert "more at this traffic would tell 0.01" in going.verdict.sentence
    assert "to come down to 0.01 takes about" in going.power_left


def test_a_hurt_guardrail_beats_a_gain() -> None:
    slow = np.random.default_rng(3).gamma(2, 1, 6_000) + np.where(np.arange(6_000) % 2 == 1, 20.0, 0.0)
    table = right_or_wrong(arms(6_000), rights(6_000, 0.7, 0.8))
    table = table.set_column(table.column_names.index("latency_ms"), "latency_ms", pa.array(slow, pa.float32()))
    found = result(table, "guardrails: [latency_ms]")
    assert (found.decision, found.exit_code) == ("roll back", 1)
    assert "latency_ms is 2" in found.verdict.sentence
    assert result(table, "guardrails: {latency_ms: 30}").decision == "ship"


def test_a_prediction_rate_may_move_neither_way() -> None:
    table = right_or_wrong(arms(6_000), rights(6_000, 0.7, 0.7))
    fewer = ["1" if right else "0" for right in rights(6_000, 0.8, 0.5, seed=4)]
    table = table.set_column(table.column_names.index("prediction"), "prediction", pa.array(fewer))
    found = result(table, "primary: brier\nguardrails: [positive_rate]")
    assert found.decision == "roll back"
    assert "positive_rate moved from 0.7953 to 0.4977" in found.verdict.sentence


def test_regression_compares_absolute_errors() -> None:
    rng = np.random.default_rng(5)
    value = rng.normal(0, 1, 4_000)
    score = value + rng.normal(0, np.where(np.arange(4_000) % 2 == 1, 0.5, 1.0))
    table = labelled(arms(4_000), score=list(score), label=[str(v) for v in value], label_number=list(value))
    assert result(table, classes=()).decision == "ship"


def test_repeated_predictions_count_once() -> None:
    table = right_or_wrong(arms(1_000), rights(1_000, 0.7, 0.7))
    once, twice = result(table), result(pa.concat_tables([table, table.slice(0, 400)]))
    assert twice.metrics == once.metrics
    assert twice.path == once.path
    assert any("400 rows repeat a prediction id" in note for note in twice.notes)


def test_shadow_rows_are_left_out() -> None:
    table = right_or_wrong(arms(1_000), rights(1_000, 0.7, 0.7))
    shadow = pa.array([i >= 900 for i in range(1_000)])
    found = result(table.set_column(table.column_names.index("shadow"), "shadow", shadow))
    assert found.rows == 900


def test_row_order_changes_nothing_but_rounding() -> None:
    table = right_or_wrong(arms(3_000), rights(3_000, 0.7, 0.75), [f"N{i % 600}" for i in range(3_000)])
    order = pa.array(np.random.default_rng(8).permutation(3_000))
    one, other = result(table), result(table.take(order))
    assert other.verdict == one.verdict
    assert [point.time for point in other.path] == [point.time for point in one.path]
    assert [p.lower for p in other.path] == pytest.approx([p.lower for p in one.path], rel=1e-9)


def test_chunks_and_dictionaries_of_the_table_change_nothing() -> None:
    table = right_or_wrong(arms(3_000), rights(3_000, 0.7, 0.75), [f"N{i % 600}" for i in range(3_000)])
    coded = [
        column.dictionary_encode() if pa.types.is_string(column.type) and name != "prediction_id" else column
        for name, column in zip(table.column_names, table.columns, strict=True)
    ]
    whole = result(table)
    assert result(pa.concat_tables([table.slice(at, 7) for at in range(0, 3_000, 7)])) == whole
    assert result(pa.table(coded, names=table.column_names)) == whole


@pytest.mark.parametrize("named", [True, False])
def test_the_scan_agrees_with_sums_in_numpy(named: bool) -> None:
    rng, count = np.random.default_rng(4), 2_000
    units = rng.integers(0, 300, count) if named else np.arange(count)
    variants, score = rng.integers(0, 2, count), rng.normal(50, 3, count)
    table = labelled(
        [("champion", "challenger")[code] for code in variants],
        unit=[f"N{unit}" for unit in units] if named else None,
        score=list(score),
    )
    metric = metrics.Expression("said", "score", "higher", needs_labels=False)
    with open_scan(table, metrics.Outcome("regression")) as scan:
        found = scan.sums({"said": metric})["said"]
    for code, name in enumerate(("champion", "challenger")):
        mine = variants == code
        rows = np.bincount(units[mine], minlength=count)
        totals = np.bincount(units[mine], score[mine], minlength=count)[rows > 0]
        spread = np.cov(totals, rows[rows > 0])
        sums = found[name]
        assert (sums.units, sums.rows) == (len(totals), int(mine.sum()))
        assert sums.total == pytest.approx(score[mine].sum(), rel=1e-12)
        assert sums.variance_total == pytest.approx(spread[0, 0], rel=1e-9)
        assert sums.covariance == pytest.approx(spread[0, 1], rel=1e-9, abs=1e-9)


def test_a_fixed_test_is_read_once_however_much_comes_later() -> None:
    right = rights(6_000, 0.7, 0.8)
    body = "method: fixed\nexpected_rows: 2000"
    early = result(right_or_wrong(arms(1_500), right[:1_500]), body)
    assert (early.decision, early.metrics[0].difference_lower) == ("keep going", None)
    assert "the first look is at 2,000 predictions with accuracy; 1,500 are there" in early.verdict.sentence
    at, later = (result(right_or_wrong(arms(n), right[:n]), body) for n in (2_000, 6_000))
    assert at.decision == "ship"
    assert later.metrics == at.metrics


def test_planned_looks_are_the_same_whenever_one_asks() -> None:
    right = rights(4_000, 0.7, 0.7, seed=9)
    body = "method: planned\nlooks: 4\nexpected_rows: 4000\nguardrails: [latency_ms]"
    seen = {n: result(right_or_wrong(arms(n), right[:n]), body) for n in (900, 1_000, 1_700, 4_000)}
    assert "the first look is at 1,000 predictions" in seen[900].verdict.sentence
    assert "look 1 of 4 found no difference" in seen[1_000].verdict.sentence
    assert seen[1_700].metrics == seen[1_000].metrics
    assert "the last look found no difference" in seen[4_000].verdict.sentence
    assert seen[4_000].path[0].time == seen[1_000].path[0].time
    assert len(seen[4_000].path) == 4


def test_a_planned_test_ends_at_the_look_that_crossed() -> None:
    right = rights(4_000, 0.5, 0.8)
    found = result(right_or_wrong(arms(4_000), right), "method: planned\nlooks: 4\nexpected_rows: 4000")
    assert found.decision == "ship"
    assert found.metrics[0].rows_control + found.metrics[0].rows_treatment < 4_000


def test_the_result_renders_itself_and_gives_its_metrics_as_rows() -> None:
    found = result(right_or_wrong(arms(6_000), rights(6_000, 0.7, 0.8)), "guardrails: [latency_ms]")
    frame = found.to_frame()
    assert list(frame["metric"]) == ["accuracy", "latency_ms"]
    assert list(frame["confidence"]) == [0.95, 0.95]
    assert "0.7" in str(found)
    assert "PATH" not in str(found)
    assert len(found.to_dict()["path"]) == 20
    assert max(len(line) for line in str(found).splitlines()) < 175


def test_pictures_are_small_text_that_says_what_it_shows() -> None:
    from xml.etree import ElementTree as ET

    found = result(right_or_wrong(arms(6_000), rights(6_000, 0.7, 0.8)), "guardrails: [brier]")
    for picture in (plots.sequence_svg(found), plots.intervals_svg(found)):
        root = ET.fromstring(picture)
        assert len(picture.encode()) < 10_000
        assert "currentColor" in picture
        texts = [element.text or "" for element in root.iter()]
        assert any("accuracy" in text for text in texts)
        assert root.find("{http://www.w3.org/2000/svg}title") is not None
        assert root.find("{http://www.w3.org/2000/svg}desc") is not None
        assert "http" not in picture.replace("http://www.w3.org/2000/svg", "")
    assert "better" in plots.intervals_svg(found)


def test_each_metric_says_by_which_method_it_was_read() -> None:
    right = rights(6_000, 0.7, 0.75)
    table = right_or_wrong(arms(6_000), right)
    latency = pa.array(np.random.default_rng(2).gamma(2, 3, 6_000), pa.float32())
    table = table.set_column(table.column_names.index("latency_ms"), "latency_ms", latency)
    body = "guardrails: [latency_ms, latency_p95_ms]"
    found = result(table, body)
    assert [lift.read_by for lift in found.metrics] == [
        "exact e-process, valid at every look",
        "confidence sequence, valid at every look",
        "confidence sequence, valid at every look",
    ]
    known = [lift.p_value for lift in found.metrics]
    assert [lift.p_adjusted for lift in found.metrics] >= known
    once = result(table, f"{body}\nmethod: fixed\nexpected_rows: 6000")
    assert once.metrics[0].read_by == "score interval, read once"
    assert once.metrics[1].read_by == "Welch's t interval, read once"
    planned = result(table, f"{body}\nlooks: 3\nexpected_rows: 6000")
    assert planned.metrics[0].read_by.startswith("alpha spending, look")


def test_a_plan_that_cannot_succeed_any_more_stops_for_futility() -> None:
    body = "looks: 5\nexpected_rows: 10000\nminimal_effect: 0.03"
    found = result(right_or_wrong(arms(8_000), rights(8_000, 0.75, 0.75, seed=4)), body)
    assert found.decision == "stop"
    assert "stop for futility: were the 0.03 in accuracy there" in found.verdict.sentence


@pytest.mark.parametrize("body", ["", "method: fixed\nexpected_rows: 200", "looks: 2\nexpected_rows: 200"])
def test_all_wrong_against_all_right_is_a_clear_difference(body: str) -> None:
    found = result(right_or_wrong(arms(200), [i % 2 == 1 for i in range(200)]), body)
    assert found.decision == "ship", found.verdict.sentence
    lift = found.metrics[0]
    assert (lift.control, lift.treatment) == (0.0, 1.0)
    assert lift.difference_lower is not None
    assert lift.difference_lower > 0.75
    assert lift.chance_to_win == pytest.approx(1.0, abs=1e-6)


def test_the_chance_to_win_is_shown_and_decides_nothing() -> None:
    found = result(right_or_wrong(arms(400), rights(400, 0.7, 0.75, seed=3)), "guardrails: [positive_rate]")
    lift, guard = found.metrics
    assert lift.chance_to_win is not None
    assert 0.5 < lift.chance_to_win < 1
    assert guard.chance_to_win is None
    assert percent(lift.chance_to_win) in str(found)
    assert found.decision == "keep going"
