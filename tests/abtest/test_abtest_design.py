"""Designs as users write them, and how large a test must be."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from mlprod_nb.abtest import Aim, Baseline, Design, Guardrail, Outcome, baseline, merge, parse, plan
from mlprod_nb.abtest.power import chance
from mlprod_nb.errors import MlprodError, NotFound, Refused, UsageError
from tests.abtest.tables import START, labelled, right_or_wrong

BINARY = Outcome("classification", ("0", "1"))


def read(text: str, variants: tuple[str, ...] = ("champion", "challenger")) -> Design:
    return parse(text, endpoint="flights", variants=variants, task="classification", started_at=START)


def accuracy(share: float) -> Baseline:
    """Return the baseline of an accuracy of independent predictions."""
    return Baseline("accuracy", share, share * (1 - share))


def test_an_empty_body_takes_every_default() -> None:
    design = read("")
    assert (design.control, design.treatment, design.primary) == ("champion", "challenger", "accuracy")
    assert (design.method, design.alpha, design.guardrails, design.started_at) == ("always-valid", 0.05, (), START)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("allocation: tompson", "no allocation 'tompson'. Did you mean 'thompson'"),
        ("allocation: thompson\nfloor: 0.6", "floor is 0.6; it is above 0 and at most 0.5"),
        ("allocation: thompson\nfloor: 0", "floor is 0; it is above 0"),
        ("allocation: thompson\nmethod: fixed\nexpected_rows: 900", "so it is read at any time; method is 'fixed'"),
    ],
)
def test_a_bandit_that_cannot_be_is_refused(body: str, message: str) -> None:
    with pytest.raises(MlprodError) as caught:
        read(body)
    assert message in str(caught.value)


def test_a_bandit_comes_back_from_the_store_and_says_how_it_is_read() -> None:
    design = read("allocation: thompson\nfloor: 0.2")
    assert Design.from_dict(design.to_dict()) == design
    assert "shares by Thompson sampling, 20 % at least, read by period" in design.describe()


def test_regression_is_judged_by_its_own_metric() -> None:
    design = parse("", endpoint="fares", variants=["a", "b"], task="regression", started_at=START)
    assert (design.primary, design.control, design.treatment) == ("absolute_error", "a", "b")


def test_a_yaml_body_says_it_all() -> None:
    design = read(
        "hypothesis: boosting sees the weather\n"
        "variants: [challenger, champion]\n"
        "primary: brier\n"
        "guardrails:\n  latency_ms: 2.5\n  positive_rate:\n"
        "minimal_effect: 0.002\nmethod: planned\nlooks: 4\nexpected_rows: 20000\nalpha: 0.01\n"
    )
    assert (design.control, design.treatment) == ("challenger", "champion")
    assert design.guardrails == (Guardrail("latency_ms", 2.5), Guardrail("positive_rate", 0.05))
    assert (design.method, design.looks, design.expected_rows) == ("planned", 4, 20_000)
    assert (design.hypothesis, design.minimal_effect, design.alpha) == ("boosting sees the weather", 0.002, 0.01)


@pytest.mark.parametrize(
    "text",
    [
        'primary = "brier"\nguardrails = ["latency_ms"]',
        'primary = "brier"\n[guardrails]\nlatency_ms = 5',
        '{"primary": "brier", "guardrails": ["latency_ms"]}',
        "primary: brier\nguardrails: latency_ms",
        "primary: brier\nguardrails: [{latency_ms: 5.0}]",
    ],
)
def test_toml_json_and_short_forms_say_the_same(text: str) -> None:
    assert read(text) == read("primary: brier\nguardrails: [latency_ms]")


def test_a_design_comes_back_from_the_store_as_it_was() -> None:
    import json

    design = read("guardrails: [latency_ms]\nminimal_effect: 0.01")
    assert Design.from_dict(json.loads(json.dumps(design.to_dict()))) == design


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("primry: brier", "no key of an A/B design 'primry'. Did you mean 'primary'?"),
        ("primary: birer", "no metric 'birer'. Did you mean 'brier'?"),
        ("primary: positive_rate", "'positive_rate' has no better direction"),
        ("guardrails: [latency]", "no metric 'latency'. Did you mean 'latency_ms'?"),
        ("guardrails: 3", "guardrails is a list of metrics"),
        ("guardrails: [accuracy]", "'accuracy' is the primary metric and a guardrail too"),
        ("guardrails: {latency_ms: -1}", "tolerance is -1; it is 0 or more"),
        ("alpha: 5", "alpha is 5; it lies between 0 and 1"),
        ("power: high", "power is 'high'; it is a number"),
        ("looks: 2.5", "looks is 2.5; it is a whole number"),
        ("looks: true", "looks is True; it is a number"),
        ("minimal_effect: -0.1", "minimal_effect is -0.1; it is 0 or more"),
        ("minimal_effect: .nan", "minimal_effect is nan"),
        ("expected_rows: .inf", "expected_rows is inf; it is a whole number"),
        ("method: sequential", "no method 'sequential'"),
        ("method: fixed", "method 'fixed' needs expected_rows"),
        ("treatment: chalenger", "no variant with traffic 'chalenger'. Did you mean 'challenger'?"),
        ("variants: [champion]", "variants is a list of two"),
        ("variants: [champion, champion]", "control and treatment are both 'champion'"),
        ("primary: [brier]", "primary is ['brier']; it is a text"),
        ("just words", "neither YAML nor TOML"),
        ("a: [1", "neither YAML nor TOML: line 1"),
    ],
)
def test_a_wrong_design_is_one_clear_line(text: str, message: str) -> None:
    with pytest.raises(UsageError) as caught:
        read(text)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_split_with_one_or_three_variants_says_what_to_do() -> None:
    with pytest.raises(UsageError, match="the split has one variant"):
        read("", variants=("champion",))
    with pytest.raises(UsageError, match="Name the treatment"):
        read("", variants=("champion", "a", "b"))
    assert read("treatment: b", variants=("champion", "a", "b")).treatment == "b"


def test_a_fixed_plan_agrees_with_statsmodels() -> None:
    from statsmodels.stats.power import NormalIndPower

    found = plan(accuracy(0.8), Aim(effect=0.02, method="fixed"))
    theirs = NormalIndPower().solve_power(0.02 / (0.8 * 0.2) ** 0.5, alpha=0.05, power=0.8)
    assert found.units == pytest.approx(2 * theirs, rel=1e-3)
    uneven = plan(accuracy(0.8), Aim(effect=0.02, method="fixed", treatment_share=0.1))
    theirs = NormalIndPower().solve_power(0.02 / (0.8 * 0.2) ** 0.5, alpha=0.05, power=0.8, ratio=9)
    assert uneven.units == pytest.approx(10 * theirs, rel=1e-3)


def test_looking_whenever_you_like_costs_more_than_planned_looks() -> None:
    units = {
        method: plan(accuracy(0.8), Aim(effect=0.02, method=method)).units
        for method in ("fixed", "planned", "always-valid")
    }
    assert units["fixed"] < units["planned"] < 1.05 * units["fixed"]
    assert 1.5 * units["fixed"] < units["always-valid"] < 2 * units["fixed"]


def test_an_always_valid_plan_reaches_its_power() -> None:
    import numpy as np

    from mlprod_nb.abtest import sequential
    from mlprod_nb.abtest.estimate import Difference, Sample

    found = plan(Baseline("absolute_error", 0.0, 1.0), Aim(effect=0.1))
    half, rng, runs = found.units // 2, np.random.default_rng(3), 2_000
    hits = 0
    for mean in 0.1 + rng.normal(0, (2 / half) ** 0.5, runs):
        pair = Difference(Sample(half, half, 0.0, 1.0, 1.0), Sample(half, half, mean, 1.0, 1.0))
        hits += sequential.sequence(pair, alpha=0.05, tightest_at=found.units).excludes_zero
    assert hits / runs == pytest.approx(0.8, abs=3 * (0.16 / runs) ** 0.5)


def test_days_come_from_the_traffic_in_the_log() -> None:
    rows = 2_880
    table = right_or_wrong(["champion"] * rows, [i % 5 > 0 for i in range(rows)], [f"N{i // 2}" for i in range(rows)])
    today = baseline(table, "accuracy", BINARY)
    assert (today.mean, today.rows_per_unit) == pytest.approx((0.8, 2.0))
    assert today.rows_per_day == pytest.approx(1440, rel=1e-3)
    found = plan(today, Aim(effect=0.05))
    assert found.rows == 2 * found.units
    assert found.days == pytest.approx(found.rows / 1440, rel=1e-3)
    assert "about 45 h at today's traffic" in str(found)


def test_a_plan_without_traffic_gives_no_days() -> None:
    found = plan(accuracy(0.8), Aim(effect=0.02))
    assert found.days is None
    assert "days" not in found.headline()


@pytest.mark.parametrize(
    ("aim", "error", "message"),
    [
        (Aim(effect=0.0), UsageError, "effect is 0; it is more than 0"),
        (Aim(effect=float("nan")), UsageError, "effect is nan"),
        (Aim(effect=0.1, power=1.0), UsageError, "power is 1; it lies between 0 and 1"),
        (Aim(effect=0.1, method="planed"), NotFound, "Did you mean 'planned'"),  # type: ignore[arg-type]
    ],
)
def test_an_impossible_aim_is_refused(aim: Aim, error: type[MlprodError], message: str) -> None:
    with pytest.raises(error, match=message):
        plan(accuracy(0.5), aim)


def test_a_plan_needs_feedback_and_variance() -> None:
    with pytest.raises(Refused, match="there is no feedback for accuracy yet"):
        baseline(labelled(["champion"] * 3, prediction=["1"] * 3), "accuracy", BINARY)
    with pytest.raises(Refused, match="accuracy does not vary"):
        plan(accuracy(1.0), Aim(effect=0.1))


def test_the_chance_to_find_an_effect_agrees_with_the_plan() -> None:
    today = accuracy(0.8)
    for method in ("fixed", "planned", "always-valid"):
        aim = Aim(effect=0.02, method=method)
        assert chance(today, aim, plan(today, aim).rows) == pytest.approx(0.8, abs=0.001)
        assert chance(today, aim, plan(today, aim).rows / 4) < 0.4
    assert chance(today, Aim(effect=0.02), 0) == 0.0


def test_an_area_under_a_curve_has_a_baseline_of_its_own() -> None:
    rng = np.random.default_rng(5)
    truth = rng.random(4_000) < 0.4
    score = np.clip(0.5 + 0.1 * (truth - 0.5) + rng.normal(0, 0.1, 4_000), 0, 1)
    table = labelled(
        ["champion"] * 4_000, prediction=["1"] * 4_000, score=list(score), label=["1" if one else "0" for one in truth]
    )
    today = baseline(table, "auc", BINARY)
    assert today.mean == pytest.approx(roc_auc_score(truth, score))
    # Hanley and McNeil 1982, who take both classes as exponential, which these are not quite.
    area, ones, zeros = today.mean, int(truth.sum()), int((~truth).sum())
    q1, q2 = area / (2 - area), 2 * area**2 / (1 + area)
    known = (area * (1 - area) + (ones - 1) * (q1 - area**2) + (zeros - 1) * (q2 - area**2)) / (ones * zeros)
    assert today.unit_variance / 4_000 == pytest.approx(known, rel=0.15)


def test_options_are_keys_of_the_design() -> None:
    text = merge("hypothesis: sure", {"primary": "brier", "guardrails": "accuracy, log_loss", "minimal_effect": 0.0})
    design = read(text)
    assert (design.hypothesis, design.primary) == ("sure", "brier")
    assert [guardrail.metric for guardrail in design.guardrails] == ["accuracy", "log_loss"]
    assert merge("primary: brier", {"primary": ""}) == "primary: brier"
    with pytest.raises(UsageError, match="minimal_effect is in the design and in --minimal-effect too"):
        merge("minimal_effect: 1", {"minimal_effect": 0.1})
