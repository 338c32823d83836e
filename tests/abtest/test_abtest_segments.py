"""Segments: where a treatment is better and where it is worse, corrected for how many were tried."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from mlprod_nb.abtest import ABTestResult, Design, analyse, eprocess, fixed, parse, segmenting
from mlprod_nb.abtest.estimate import Difference
from mlprod_nb.abtest.metrics import AbsoluteError, Outcome
from mlprod_nb.abtest.results import SegmentLift
from mlprod_nb.abtest.rows import with_inputs
from mlprod_nb.abtest.scan import open_scan
from mlprod_nb.errors import MlprodError, NotFound, UsageError
from tests.abtest.readings import HALF, NAMES, design, result
from tests.abtest.tables import START, labelled, right_or_wrong

COUNT = 6_000
KINDS = {"carrier": "string", "hour": "long", "distance": "double", "score in": "double"}


def flights(aa: float = 0.85, others: float = 0.7, *, count: int = COUNT, seed: int = 0) -> pa.Table:
    """Return predictions of which the champion has 70 % right, the challenger ``aa`` of carrier AA and ``others``."""
    rng = np.random.default_rng(seed)
    carrier = rng.choice(["AA", "UA", "DL"], count, p=[0.5, 0.3, 0.2])
    chance = np.where(np.arange(count) % 2 == 0, 0.7, np.where(carrier == "AA", aa, others))
    table = right_or_wrong([NAMES[i % 2] for i in range(count)], list(rng.random(count) < chance))
    table = table.append_column("segment carrier", pa.array(carrier))
    return table.append_column("segment hour", pa.array(rng.integers(0, 24, count)))


def of(found: ABTestResult, by: str, segment: str) -> SegmentLift:
    (lift,) = [lift for lift in found.segments if (lift.by, lift.segment) == (by, segment)]
    return lift


def test_a_segment_that_gains_is_told_from_those_that_do_not() -> None:
    found = result(flights(), "segments: [carrier]")
    assert [(lift.segment, lift.reading) for lift in found.segments] == [
        ("AA", "better"),
        ("UA", "no certain difference"),
        ("DL", "no certain difference"),
    ]
    assert sum(lift.rows for lift in found.segments) == COUNT
    assert (
        "3 segments were tried: the chance that any is called different without being so is at most 0.05 at every"
        in (" ".join(found.notes))
    )
    (section,) = [section for section in found.sections() if section.title.startswith("segments")]
    assert section.title == "segments (3 were tried; corrected for all of them)"
    assert "segments by carrier" in found.design


def test_the_levels_and_the_intervals_are_those_of_holm_s_procedure() -> None:
    table = flights()
    found = result(table, "segments: [carrier]")
    assert of(found, "carrier", "AA").confidence == pytest.approx(1 - 0.05 / 3)
    assert of(found, "carrier", "UA").confidence == pytest.approx(1 - 0.05 / 2)
    mine = table.filter(pa.compute.equal(table["segment carrier"], "UA"))
    counts = []
    for name in NAMES:
        rows = mine.filter(pa.compute.equal(mine["variant"], name))
        counts += [sum(one == "1" for one in rows["label"].to_pylist()), rows.num_rows]
    first = table["segment carrier"].to_pylist()[: segmenting.FIRST_ROWS]
    tuned = round(20_000 * first.count("UA") / len(first))
    exact = eprocess.sequence(eprocess.Counts.of(*counts), eprocess.Tuning(0.05 / 2, 0.5, tuned))
    lift = of(found, "carrier", "UA")
    assert (lift.difference_lower, lift.difference_upper) == (exact.lower, exact.upper)
    assert (lift.units_control, lift.units_treatment) == (counts[1], counts[3])


def test_a_treatment_that_is_to_be_shipped_but_is_worse_somewhere_says_where() -> None:
    found = result(flights(aa=0.99, others=0.58), "segments: [carrier in ('AA')]")
    assert (found.decision, found.verdict.status, found.exit_code) == ("ship", "warn", 0)
    assert found.verdict.sentence.endswith("; but it is worse where carrier in ('AA') is false.")


@pytest.mark.parametrize(
    ("more", "when"),
    [
        ("method: fixed\nexpected_rows: 5000", "at the one look"),
        ("method: planned\nlooks: 5\nexpected_rows: 5000", "over all planned looks"),
    ],
)
def test_segments_are_read_as_the_test_is(more: str, when: str) -> None:
    found = result(flights(), f"{more}\nsegments: [carrier, hour]")
    assert of(found, "carrier", "AA").reading == "better"
    assert when in " ".join(found.notes)
    primary = found.metrics[0]
    read = primary.rows_control + primary.rows_treatment
    for by in ("carrier", "hour"):
        assert sum(lift.rows for lift in found.segments if lift.by == by) == read < COUNT


def test_a_plan_reads_its_segments_at_its_looks_only() -> None:
    found = result(flights(count=900), "method: fixed\nexpected_rows: 5000\nsegments: [carrier]")
    assert found.segments == ()
    assert "The segments are read when the test is: at its first look." in found.notes
    early = result(flights(count=900), "segments: [carrier]")
    assert "Segments are made by the first 1,000 predictions; 900 are there." in early.notes


def test_whole_units_are_compared_within_a_segment() -> None:
    rng = np.random.default_rng(3)
    unit = np.arange(COUNT) // 6
    bad = rng.normal(0, 2, COUNT // 6)[unit]
    table = labelled(
        [NAMES[i % 2] for i in unit], unit=[f"u{i}" for i in unit], score=[0.0] * COUNT,
        label=["x"] * COUNT, label_number=list(10 + bad + rng.normal(0, 1, COUNT)),
    ).append_column("segment wing", pa.array([i % 3 == 0 for i in range(COUNT)]))  # fmt: skip
    body = "method: fixed\nexpected_rows: 6000\nsegments: [wing]"
    found = analyse(table, design(body, task="regression"), shares=HALF, task="regression", classes=())
    lift = of(found, "wing", "true")
    with open_scan(table, Outcome("regression")) as scan:
        part = scan.within('"segment wing"').sums({"e": AbsoluteError()})["e"]
    wanted = fixed.welch(Difference(*(part[name].sample() for name in NAMES)), alpha=0.05 / 2)
    assert (lift.units_control, lift.units_treatment) == (500, 500)
    assert lift.difference_lower == pytest.approx(wanted.interval.lower, rel=1e-9)


@pytest.mark.parametrize("primary", ["auc", "brier", "latency_p95_ms", "brier\ncovariates: [age]"])
def test_every_kind_of_metric_has_segments(primary: str) -> None:
    rng = np.random.default_rng(4)
    truth = rng.random(COUNT) < 0.4
    sharp = np.where(np.arange(COUNT) % 2 == 1, 2.0, 0.3)
    score = 1 / (1 + np.exp(-rng.normal(np.where(truth, 1, -1) * sharp, 1.0)))
    table = labelled(
        [NAMES[i % 2] for i in range(COUNT)], prediction=["1"] * COUNT, score=list(score),
        label=["1" if one else "0" for one in truth],
    )  # fmt: skip
    slow = pa.array(rng.gamma(2, 3, COUNT) * np.where(np.arange(COUNT) % 2 == 1, 0.5, 1), pa.float32())
    table = table.set_column(table.column_names.index("latency_ms"), "latency_ms", slow)
    table = table.append_column("segment wing", pa.array(rng.random(COUNT) < 0.5))
    table = table.append_column("covariate age", pa.array(rng.normal(0, 1, COUNT)))
    found = result(table, f"primary: {primary}\nsegments: [wing]")
    assert {lift.reading for lift in found.segments} == {"better"}
    assert all(lift.difference_lower is not None for lift in found.segments)


def test_a_shadow_s_pairs_have_segments_too() -> None:
    count = 4_000
    rng = np.random.default_rng(5)
    carrier = rng.choice(["AA", "UA"], count)
    right = {"champion": rng.random(count) < 0.8}
    right["challenger"] = right["champion"] | ((carrier == "AA") & (rng.random(count) < 0.3))
    parts = []
    for name in NAMES:
        part = right_or_wrong([name] * count, list(right[name])).append_column("segment carrier", pa.array(carrier))
        shadow = pa.array([name == "challenger"] * count)
        parts.append(part.set_column(part.column_names.index("shadow"), "shadow", shadow))
    paired = parse(
        "segments: [carrier]", endpoint="flights", variants=["champion"], shadows=["challenger"],
        task="classification", started_at=START,
    )  # fmt: skip
    table = pa.concat_tables(parts)
    found = analyse(table, paired, shares={"champion": 1.0}, task="classification", classes=(0, 1))
    assert of(found, "carrier", "AA").reading == "better"
    assert of(found, "carrier", "AA").rows == (carrier == "AA").sum()
    assert of(found, "carrier", "UA").difference == 0.0
    assert of(found, "carrier", "UA").reading == "no certain difference"
    assert "in no segment" not in " ".join(found.notes)


def test_a_segment_whom_the_variant_fills_cannot_be_compared() -> None:
    table = flights()
    challenger = np.array(table["variant"].to_pylist()) == "challenger"
    late = np.random.default_rng(6).random(COUNT) < np.where(challenger, 0.6, 0.4)
    found = result(table.append_column("segment retried", pa.array(late)), "segments: [retried]")
    lift = of(found, "retried", "true")
    assert (lift.difference_lower, lift.significant) == (None, False)
    assert lift.reading.startswith("cannot be compared: challenger has 6")
    assert lift.reading.endswith("instead of 50.0 %, so the variant changes who is in it")


def test_several_treatments_share_alpha_over_their_segments() -> None:
    thirds = dict.fromkeys(("champion", "a", "b"), 1 / 3)
    table = flights(count=9_000)
    variant = pa.array([tuple(thirds)[i % 3] for i in range(9_000)])
    table = table.set_column(table.column_names.index("variant"), "variant", variant)
    found = result(table, "variants: [champion, a, b]\nsegments: [carrier]", thirds)
    assert all(1 - lift.confidence <= 0.05 / 2 + 1e-12 for lift in found.segments)
    assert "is at most 0.025 at every look" in " ".join(found.notes)


def divided(values: list[Any]) -> list[tuple[str, float]]:
    segments = segmenting.divide("x", "x", pa.chunked_array([pa.array(values)]))
    return [(segment.words, round(segment.part, 3)) for segment in segments]


def test_columns_are_divided_by_their_first_values() -> None:
    assert divided(["b"] * 3 + ["a"] * 6 + [None]) == [("a", 0.6), ("b", 0.3), ("missing", 0.1)]
    assert divided([True, False, False, False]) == [("false", 0.75), ("true", 0.25)]
    assert divided([1, 1, 2, 3]) == [("1", 0.5), ("2", 0.25), ("3", 0.25)]
    numbers = [float(i) for i in range(1, 101)]
    quarters = [("up to 25", 0.25), ("above 25, up to 50", 0.25), ("above 50, up to 75", 0.25), ("above 75", 0.25)]
    assert divided(numbers) == quarters
    assert divided([*numbers, float("nan"), None])[-1] == ("missing", 0.02)
    spiked = [0.0] * 80 + [float(i) for i in range(1, 21)]
    assert divided(spiked) == [("up to 0", 0.8), ("above 0", 0.2)]
    rare = ["a"] * 60 + ["b"] * 38 + ["c", "d"]
    assert divided(rare) == [("a", 0.6), ("b", 0.38), ("other values", 0.02)]
    assert [words for words, _ in divided([f"v{i % 20}" for i in range(200)])][-1] == "other values"
    assert len(divided([f"v{i % 20}" for i in range(200)])) == segmenting.MOST_VALUES
    assert len(divided([f"v{i}" for i in range(200)])) == 1


def test_each_prediction_is_in_one_segment_of_a_column_whatever_its_value() -> None:
    rng = np.random.default_rng(7)
    pool: list[Any] = [None, float("nan"), float("inf"), -0.0, 1e300, *rng.normal(0, 1, 60)]
    numbers = [pool[i] for i in rng.integers(0, len(pool), COUNT)]
    words = [[None, "", "a", "it's", "b", '"'][i] for i in rng.integers(0, 6, COUNT)]
    table = flights().append_column("segment x", pa.array(numbers, pa.float64()))
    table = table.append_column("segment w", pa.array(words))
    found = result(table, "segments: [x, w, x > 0 or w is null]")
    for by in ("x", "w", "x > 0 or w is null"):
        assert sum(lift.rows for lift in found.segments if lift.by == by) == COUNT, by


def test_a_value_that_comes_later_is_in_no_segment_and_said() -> None:
    table = flights()
    carrier = table["segment carrier"].to_pylist()[:-10] + ["new"] * 10
    table = table.set_column(table.column_names.index("segment carrier"), "segment carrier", pa.array(carrier))
    found = result(table, "segments: [carrier, hour > 99]")
    assert "10 predictions are in no segment by carrier: their value was not among the first ones." in found.notes
    assert "hour > 99 is the same for the first 1,000 predictions, so it makes no segments." in found.notes


def test_results_do_not_depend_on_the_order_of_rows_or_their_chunks() -> None:
    table = flights()
    shuffled = table.take(pa.array(np.random.default_rng(8).permutation(COUNT)))
    chunked = pa.concat_tables([shuffled.slice(0, 7), shuffled.slice(7, 3_000), shuffled.slice(3_007)])
    found = [result(rows, "segments: [carrier, hour]").segments for rows in (table, shuffled, chunked)]
    assert found[0] == found[1] == found[2]


@pytest.mark.parametrize(
    ("text", "error", "message"),
    [
        ("score > 0.5", UsageError, "made of score, which depends on the variant"),
        ("prediction", UsageError, "made of prediction, which depends on the variant"),
        ("label", UsageError, "made of label, which depends"),
        ("latency_ms > 3 and hour < 12", UsageError, "made of latency_ms"),
        ("variant", UsageError, "made of variant"),
        ("carier", NotFound, "Did you mean 'carrier'"),
        ("huor < 12", NotFound, "Did you mean 'hour'"),
        ("hour <", UsageError, "segment 'hour <': "),
        ("hour; drop table scored", UsageError, "cannot be in an expression"),
        ("getenv('HOME')", NotFound, "function for segment"),
    ],
)
def test_what_no_segment_can_be_made_of_is_named(text: str, error: type[MlprodError], message: str) -> None:
    with pytest.raises(error) as caught:
        segmenting.inputs([text], KINDS)
    assert message in str(caught.value)


def test_only_the_inputs_that_segments_name_are_read() -> None:
    assert segmenting.inputs(["carrier", "hour < 12 and distance > 500", "score in"], KINDS) == [
        "carrier", "distance", "hour", "score in",
    ]  # fmt: skip
    inputs = pa.StructArray.from_arrays([pa.array(["AA"] * 4), pa.array([1, 2, 3, 4])], ["carrier", "hour"])
    table = labelled(["champion"] * 4).append_column("inputs", inputs)
    found = with_inputs(table, ["hour"], ["carrier", "hour"])
    assert [name for name in found.column_names if " " in name] == ["covariate hour", "segment carrier", "segment hour"]
    with pytest.raises(NotFound, match="input to take as a segment 'carier'"):
        with_inputs(table, [], ["carier"])


@pytest.mark.parametrize(
    ("given", "read"),
    [
        ("segments: [carrier, hour < 12]", ("carrier", "hour < 12")),
        ("segments: carrier, carrier in ('AA', 'UA'), hour < 12", ("carrier", "carrier in ('AA', 'UA')", "hour < 12")),
        ("segments: \"carrier = 'a,b'\"", ("carrier = 'a,b'",)),
    ],
)
def test_segments_are_a_list_or_a_text(given: str, read: tuple[str, ...]) -> None:
    written = design(given)
    assert written.segments == read
    assert Design.from_dict(json.loads(json.dumps(written.to_dict()))) == written


def test_old_designs_have_no_segments() -> None:
    old = design("").to_dict()
    del old["segments"]
    assert Design.from_dict(old) == design("")


@pytest.mark.parametrize("given", ["segments: 3", "segments: [1]", "segments: [carrier, carrier]", "segments: ','"])
def test_segments_that_are_none_are_refused(given: str) -> None:
    with pytest.raises(UsageError, match="segment"):
        design(given)
