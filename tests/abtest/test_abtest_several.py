"""More than two variants: Holm's procedure over the treatments, whatever the method."""

from __future__ import annotations

import math

import numpy as np
import pyarrow as pa
import pytest

from mlprod_nb.abtest import ABTestResult, Design, analyse, multiplicity, parse, plots
from mlprod_nb.errors import UsageError
from tests.abtest.tables import START, right_or_wrong

NAMES = ("champion", "b", "c")
SHARES = dict.fromkeys(NAMES, 1 / 3)
FIXED = "\nmethod: fixed\nexpected_rows: 1600"


def read(body: str = "treatments: [b, c]") -> Design:
    return parse(body, endpoint="flights", variants=NAMES, task="classification", started_at=START)


def result(table: pa.Table, body: str = "treatments: [b, c]") -> ABTestResult:
    return analyse(table, read(body), shares=SHARES, task="classification", classes=(0, 1))


def answers(count: int, chances: tuple[float, float, float], seed: int = 0) -> pa.Table:
    rng = np.random.default_rng(seed)
    right = rng.random(count) < np.array(chances)[np.arange(count) % 3]
    return right_or_wrong([NAMES[i % 3] for i in range(count)], list(right))


def test_several_treatments_may_be_named_with_or_without_the_control() -> None:
    assert read() == read("variants: [champion, b, c]")
    assert read("treatments: [c]") == read("treatment: c")
    assert read("control: b\ntreatments: [champion, c]") == read("variants: [b, champion, c]")


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("treatments: b", "treatments is a list of variants"),
        ("treatments: []", "treatments is a list of variants"),
        ("treatments: [b, b]", "a treatment is named twice"),
        ("treatments: [b, d]", "no variant with traffic 'd'"),
        ("treatment: b\ntreatments: [b, c]", "treatments is a list of variants"),
        ("", "Name the treatment, or several"),
    ],
)
def test_wrong_treatments_are_one_clear_line(body: str, message: str) -> None:
    with pytest.raises(UsageError) as caught:
        read(body)
    assert message in str(caught.value)


def test_holm_gives_the_last_treatment_all_of_alpha() -> None:
    body = f"treatments: [b, c]{FIXED}"
    found = result(answers(2_400, (0.7, 0.7, 0.85)), body)
    assert (found.decision, found.metrics[0].arm, found.metrics[0].confidence) == ("ship", "c", 0.975)
    alone = result(answers(2_400, (0.7, 0.7, 0.85)), f"treatment: b{FIXED}").metrics[0]
    (b,) = (arm for arm in found.arms if arm.treatment == "b")
    assert (b.difference_lower, b.difference_upper) == (alone.difference_lower, alone.difference_upper)
    assert {result(answers(2_400, (0.7, 0.7, 0.7)), body).metrics[0].confidence} == {0.975}


@pytest.mark.parametrize("seed", range(8))
def test_a_treatment_falls_exactly_where_its_p_value_after_holm_does(seed: int) -> None:
    table = answers(2_400, (0.7, 0.745, 0.755), seed)
    found = {arm.treatment: arm.decision == "ship" for arm in result(table, f"treatments: [b, c]{FIXED}").arms}
    alone = [result(table, f"treatment: {name}{FIXED}").metrics[0] for name in ("b", "c")]
    p_values = [lift.p_value for lift in alone if lift.p_value is not None]
    assert found == {name: p <= 0.05 for name, p in zip("bc", multiplicity.holm(p_values), strict=True)}


def test_the_picture_says_which_treatment_it_shows() -> None:
    found = result(answers(2_400, (0.7, 0.7, 0.85)), f"treatments: [b, c]{FIXED}")
    assert "accuracy: c minus control" in plots.sequence_svg(found)


def test_a_variant_without_traffic_is_told() -> None:
    found = result(
        right_or_wrong(["champion", "b"] * 100, [True, False, True, True] * 50), f"treatments: [b, c]{FIXED}"
    )
    assert found.decision == "invalid"
    assert "c has 0.0 % of the units" in found.verdict.sentence


def test_three_treatments_that_are_no_better_are_called_at_most_as_often_as_alpha_says() -> None:
    from mlprod_nb.abtest import eprocess

    rng, runs, looks, per = np.random.default_rng(3), 400, 20, 200
    hits = np.cumsum(rng.binomial(per, 0.1, (4, runs, looks)), axis=2).astype(float)
    units = np.broadcast_to(np.arange(1, looks + 1) * float(per), (runs, looks))
    tuning = eprocess.Tuning(0.05 / 3, 0.5, 4_000)
    wrong = np.zeros(runs, bool)
    for arm in (1, 2, 3):
        counts = eprocess.Counts(hits[0].ravel(), units.ravel(), hits[arm].ravel(), units.ravel())
        wrong |= (eprocess.log_evidence(counts, tuning) >= tuning.needed).reshape(runs, looks).any(axis=1)
    assert wrong.mean() <= 0.05 + 2 * math.sqrt(0.05 * 0.95 / runs)
