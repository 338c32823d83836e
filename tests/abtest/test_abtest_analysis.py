"""From labelled predictions to a verdict: gain, harm, nothing, and data that cannot answer."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from mlprod_nb.abtest import ABTestResult, analyse, metrics, parse, plots
from mlprod_nb.abtest.scan import open_scan
from mlprod_nb.errors import InvalidInput, UsageError
from mlprod_nb.results import percent

from .tables import START, labelled, right_or_wrong

HALF = {"champion": 0.5, "challenger": 0.5}
NAMES = ("champion", "challenger")


def result(
    table: pa.Table, body: str = "", shares: dict[str, float] = HALF, classes: tuple[Any, ...] = (0, 1)
) -> ABTestResult:
    task = "classification" if classes else "regression"
    design = parse(body, endpoint="flights", variants=NAMES, task=task, started_at=START)  # type: ignore[arg-type]
    return analyse(table, design, shares=shares, task=task, classes=classes)  # type: ignore[arg-type]


def arms(count: int) -> list[str]:
    return [NAMES[i % 2] for i in range(count)]


def rights(count: int, champion: float, challenger: float, seed: int = 0) -> list[bool]:
    chance = np.where(np.arange(count) % 2 == 0, champion, challenger)
    return list(np.random.default_rng(seed).random(count) < chance)


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
    assert "more days at this traffic" in going.verdict.sentence


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


def test_a_mismatched_split_is_invalid_whatever_the_lift() -> None:
    table = right_or_wrong(arms(6_000), rights(6_000, 0.7, 0.9))
    found = result(table, shares={"champion": 0.6, "challenger": 0.4})
    assert (found.decision, found.exit_code) == ("invalid", 1)
    assert "sample ratio mismatch: champion has 50.0 % of the units instead of 60.0 %" in found.verdict.sentence
    assert not found.sample_ratio.ok


def test_the_split_is_counted_in_units_not_in_rows() -> None:
    variant = ["champion"] * 3_000 + ["challenger"] * 1_000
    unit = [f"a{i % 500}" for i in range(3_000)] + [f"b{i % 500}" for i in range(1_000)]
    found = result(right_or_wrong(variant, rights(4_000, 0.7, 0.7), unit))
    assert found.sample_ratio.observed == {"champion": 500, "challenger": 500}
    assert found.sample_ratio.p_value == 1.0
    assert found.decision != "invalid"


def test_units_that_met_both_variants_are_counted_and_too_many_are_invalid() -> None:
    unit = [f"u{i // 2 if i < 20 else i}" for i in range(2_000)]
    few = result(right_or_wrong(arms(2_000), rights(2_000, 0.7, 0.7), unit))
    assert few.sample_ratio.units_in_two_variants == 10
    assert few.decision == "keep going"
    assert any("10 units met more than one variant" in note for note in few.notes)
    unit = [f"u{i // 2 if i < 200 else i}" for i in range(2_000)]
    many = result(right_or_wrong(arms(2_000), rights(2_000, 0.7, 0.7), unit))
    assert (many.decision, many.exit_code) == ("invalid", 1)
    assert "100 of 2,000 units met more than one variant" in many.verdict.sentence


def test_a_variant_answered_by_two_versions_is_invalid() -> None:
    table = right_or_wrong(arms(2_000), rights(2_000, 0.7, 0.7))
    version = [3 if i % 2 == 0 else 4 + (i > 1_000) for i in range(2_000)]
    table = table.set_column(table.column_names.index("version"), "version", pa.array(version, pa.int32()))
    found = result(table)
    assert found.decision == "invalid"
    assert "variant 'challenger' was answered by flights/4 and flights/5" in found.verdict.sentence


def test_feedback_that_favours_a_variant_is_invalid() -> None:
    right = rights(6_000, 0.7, 0.8)
    missing = np.random.default_rng(6).random(6_000) < np.where(np.arange(6_000) % 2 == 1, 0.4, 0.1)
    label = [None if gone else "1" if r else "0" for gone, r in zip(missing, right, strict=True)]
    found = result(labelled(arms(6_000), prediction=["1"] * 6_000, label=label))
    assert (found.decision, found.verdict.status, found.exit_code) == ("invalid", "alarm", 1)
    assert "the variants differ in how much feedback came in: champion has feedback on" in found.verdict.sentence
    assert found.verdict.action == ""
    assert found.labelled_share == pytest.approx({"champion": 0.9, "challenger": 0.6}, abs=0.03)


@pytest.mark.parametrize(
    ("table", "decision", "words"),
    [
        (labelled([]), "keep going", "no feedback has come in"),
        (labelled(arms(200), prediction=["1"] * 200), "keep going", "no feedback has come in"),
        (right_or_wrong(arms(2), [True, False]), "keep going", "has 1 unit with a value of accuracy; 30 are needed"),
        (
            right_or_wrong(arms(200), rights(200, 0.5, 0.5), [NAMES[i % 2] for i in range(200)]),
            "keep going",
            "has 1 unit with a value of accuracy",
        ),
        (right_or_wrong(arms(200), [True] * 200), "keep going", "accuracy is the same for every unit"),
        (
            right_or_wrong(arms(200), [i % 2 == 1 for i in range(200)], [f"N{i // 4 * 2 + i % 2}" for i in range(200)]),
            "keep going",
            "accuracy is 0 for every unit of 'champion' and 1 for every unit of 'challenger', so there is no variance",
        ),
        (right_or_wrong(["champion"] * 9, [True] * 9), "keep going", "variant 'challenger' has no feedback yet"),
        (right_or_wrong(["champion"] * 99, [True] * 99), "invalid", "challenger has 0.0 % of the units"),
        (
            labelled(arms(200), prediction=["1"] * 200, label=["late"] * 200),
            "invalid",
            "100 labels of champion cannot be used, as 'late'",
        ),
    ],
    ids=[
        "empty",
        "no feedback",
        "two rows",
        "one unit",
        "no variance",
        "no variance within",
        "little",
        "no traffic",
        "labels",
    ],
)
def test_data_that_cannot_answer_are_a_clear_statement(table: pa.Table, decision: str, words: str) -> None:
    found = result(table)
    assert found.decision == decision
    assert words in found.verdict.sentence
    assert found.exit_code == (1 if decision == "invalid" else 0)
    assert found.metrics[0].difference_lower is None
    assert str(found)
    assert found._repr_html_()
    assert found.to_json()
    assert plots.sequence_svg(found) == ""
    assert plots.intervals_svg(found) == ""


def test_regression_feedback_that_is_no_number_is_a_clear_statement() -> None:
    found = result(labelled(arms(200), label=["soon"] * 200), classes=())
    assert found.decision == "invalid"
    assert "as 'soon'" in found.verdict.sentence


def test_a_variant_outside_the_split_is_invalid() -> None:
    found = result(right_or_wrong(arms(200), rights(200, 0.7, 0.7)), shares={"champion": 1.0, "challenger": 0.0})
    assert found.decision == "invalid"
    assert "the split gives variant 'challenger' no traffic" in found.verdict.sentence


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


def test_a_missing_column_and_an_unfit_metric_are_errors_of_the_caller() -> None:
    table = right_or_wrong(arms(100), [True] * 100)
    with pytest.raises(InvalidInput, match=r"no column 'variant'\. The nearest is 'variants'"):
        result(table.rename_columns(["variants" if n == "variant" else n for n in table.column_names]))
    with pytest.raises(UsageError, match="'brier' needs two classes; this endpoint has 3"):
        result(table, "primary: brier", classes=("a", "b", "c"))


@pytest.mark.parametrize("seed", range(24))
def test_no_data_whatever_end_in_anything_but_a_result(seed: int) -> None:
    """Labels of any kind, missing and absurd numbers, empty names, units without a pattern."""
    rng = np.random.default_rng(seed)
    count = int(rng.integers(0, 400))
    numbers = [None, float("nan"), float("inf"), -1e308, 1e308, 1e200, 0.0, 0.5, 1.0, 5e-324]
    words = [None, "", "0", "1", "1.0", "True", "late", "'; DROP TABLE predictions; --", "\u0000", "❄"]

    def draw(values: list[Any]) -> list[Any]:
        return [values[i] for i in rng.integers(0, len(values), count)]

    table = labelled(
        draw([*NAMES, *NAMES, *NAMES, "shadow"]),
        unit=draw([None, "", "a", *map(str, range(200))]),
        prediction=draw(words),
        score=draw(numbers),
        label=draw(words),
        label_number=draw(numbers),
        latency_ms=pa.array(draw([None, float("nan"), 0.0, 1.0, 1e30]), pa.float32()),
    )
    task_classes = [(0, 1), (False, True), ("late", "❄"), ()][seed % 4]
    primary = "absolute_error" if not task_classes else ("accuracy", "brier")[seed % 2]
    method = ("method: planned\nlooks: 3\nexpected_rows: 60", "method: fixed\nexpected_rows: 50", "")[seed % 3]
    found = result(table, f"primary: {primary}\nguardrails: [latency_ms]\n{method}", classes=task_classes)
    assert found.exit_code in (0, 1)
    assert str(found)
    assert found.to_json()
    assert found._repr_html_()
    assert plots.sequence_svg(found) is not None
    assert plots.intervals_svg(found) is not None


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
