"""A/B tests of rewards and interactions: read as other metrics are, and without false alarms."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import numpy as np
import pyarrow as pa
import pytest

from mlprod_nb.abtest import Design, baseline, calibration, events, expression, intervals, parse
from mlprod_nb.abtest.outcome import Outcome
from mlprod_nb.abtest.power import Aim, plan
from mlprod_nb.abtest.scan import open_scan
from mlprod_nb.errors import NotFound, Refused, UsageError
from mlprod_nb.serving.protocols.feedback import LATEST
from tests.abtest.fed_back import Said, beside, result, reward, told
from tests.abtest.readings import HALF, NAMES, arms, bound, design
from tests.abtest.tables import START, labelled

BINARY = Outcome("classification", ("0", "1"))
LATER = START + timedelta(days=365)
BOOKED = "metrics: {booked: {interaction: booked, within: 1h}}\nprimary: booked"
SAVED = "metrics: {saved: {reward: minutes, within: 1h}}\nprimary: saved"


def booked(count: int, control: float, treatment: float, seed: int = 0) -> tuple[pa.Table, pa.Table]:
    """Return predictions, of which so many of each variant have an interaction ten minutes later."""
    rng = np.random.default_rng(seed)
    variant = arms(count)
    chance = np.where(np.array(variant) == "champion", control, treatment)
    happened = np.flatnonzero(rng.random(count) < chance)
    return labelled(variant), told([Said(int(at), at + 10.0) for at in happened])


def test_more_interactions_ship_a_treatment_by_the_exact_process_without_any_label() -> None:
    rows, feedback = booked(8_000, 0.10, 0.16)
    found = result(rows, feedback, design(BOOKED))
    lift = found.metrics[0]
    per_variant = [
        sum(int(text[1:]) % 2 == side for text in feedback["prediction_id"].to_pylist()) / 4_000 for side in (0, 1)
    ]
    assert (lift.control, lift.treatment) == pytest.approx(per_variant)
    assert lift.read_by == "exact e-process, valid at every look"
    assert found.decision == "ship", found.verdict.sentence
    assert all(check.ok for check in found.health)
    assert "missing feedback" not in [check.check for check in found.health]
    assert "labels" not in [check.check for check in found.health]


def test_labels_that_cannot_be_used_spoil_no_test_that_needs_none() -> None:
    rows, feedback = booked(1_000, 0.1, 0.1)
    odd = rows.set_column(rows.column_names.index("label"), "label", pa.array(["?"] * 1_000))
    assert result(odd, feedback, design(BOOKED)).decision == "keep going"
    assert result(odd, feedback, design(f"{BOOKED}\nguardrails: [accuracy]")).decision == "invalid"


def test_a_reward_per_interaction_is_a_ratio_of_sums() -> None:
    rows = labelled(arms(400))
    said = [Said(at, at + 1.0) for at in range(0, 400, 3)]
    said += [reward(at, at + 2.0, float(at % 7)) for at in range(0, 400, 3)]
    body = (
        "metrics:\n  booked: {interaction: booked, within: 1h}\n"
        "  per_booking: {reward: minutes, within: 2h, denominator: booked}\nprimary: per_booking"
    )
    lift = result(rows, told(said), design(body)).metrics[0]
    mine = [[at % 7 for at in range(0, 400, 3) if at % 2 == side] for side in (0, 1)]
    assert (lift.control, lift.treatment) == pytest.approx([np.mean(side) for side in mine])
    assert lift.rows_control == 200
    assert lift.difference_lower is not None


def test_an_expression_may_weigh_a_reward_and_waits_until_its_time_is_over() -> None:
    body = (
        "metrics:\n  saved: {reward: minutes, within: 1h}\n"
        "  worth: {value: 'coalesce(saved, 99) - 0.5 * latency_ms', better: higher}\nprimary: worth"
    )
    wanted = design(body)
    until = START + timedelta(minutes=61)
    table = beside(labelled(["champion"] * 4), told([reward(0, 1, 5.0)]), wanted, until)
    with open_scan(table, BINARY) as scan:
        sums = scan.sums({"worth": wanted.metric("worth")})["worth"]["champion"]
    assert (sums.rows, sums.total) == (2, 4.0)


def test_rows_that_a_model_failed_on_count_only_where_an_expression_names_them() -> None:
    body = (
        "metrics:\n  booked: {interaction: booked, within: 1h}\n"
        "  of_all: {value: case when failed then 0 else booked end}\nprimary: of_all\nguardrails: [booked]"
    )
    wanted = design(body)
    rows = labelled(["champion"] * 4, failed=pa.array([False, False, True, True]))
    table = beside(rows, told([Said(0, 1)]), wanted, LATER)
    with open_scan(table, BINARY) as scan:
        found = scan.sums({name: wanted.metric(name) for name in ("booked", "of_all")})
    assert {name: (part["champion"].rows, part["champion"].total) for name, part in found.items()} == {
        "booked": (2, 1.0),
        "of_all": (4, 1.0),
    }


def test_units_segments_covariates_and_plans_go_on_working() -> None:
    rows, feedback = booked(4_000, 0.2, 0.3)
    noise = np.random.default_rng(1).normal(size=4_000)
    units = [f"N{i // 4}-{i % 2}" for i in range(4_000)]
    rows = rows.set_column(rows.column_names.index("unit"), "unit", pa.array(units))
    rows = rows.append_column("covariate hour", pa.array(noise))
    rows = rows.append_column("segment hour", pa.array((noise > 0).astype(int)))
    found = result(rows, feedback, design(f"{BOOKED}\ncovariates: [hour]\nsegments: [hour]"))
    assert found.metrics[0].units_control == 1_000
    assert found.decision == "ship"
    assert len(found.segments) == 2
    planned = result(rows, feedback, design(f"{BOOKED}\nlooks: 4\nexpected_rows: 4000"))
    assert planned.decision == "ship"
    once = result(rows, feedback, design(f"{BOOKED}\nmethod: fixed\nexpected_rows: 4000\ninterval: bootstrap"))
    assert once.decision == "ship"


def test_a_planned_look_is_made_of_predictions_whose_time_is_over() -> None:
    rows, feedback = booked(1_000, 0.2, 0.2)
    wanted = design(f"{BOOKED}\nlooks: 2\nexpected_rows: 1000")
    early = result(rows, feedback, wanted, START + timedelta(minutes=60 + 400))
    assert early.verdict.sentence == "keep going: the first look is at 500 predictions with booked; 401 are there."
    later = result(rows, feedback, wanted, START + timedelta(minutes=60 + 600))
    assert "look 1 of 2" in later.verdict.sentence


def test_before_any_time_is_over_the_result_says_what_it_waits_for() -> None:
    rows, feedback = booked(100, 0.2, 0.2)
    found = result(rows, feedback, design(BOOKED), START + timedelta(minutes=10))
    assert found.verdict.sentence == (
        "keep going: no traffic that is old enough has come in, so booked cannot be computed."
    )


def test_a_cap_of_rewards_that_are_mostly_none_cuts_nothing() -> None:
    rows = labelled(arms(2_000))
    feedback = told([reward(at, at + 1.0, 5.0 + at % 3) for at in range(0, 2_000, 200)])
    found = result(rows, feedback, design(f"{SAVED}\ncap: 0.9"))
    assert found.metrics[0].control == pytest.approx(np.mean([5.0 + at % 3 for at in range(0, 2_000, 200)]) / 100)
    assert any(note.startswith("the 0.9 quantile of the first 1,000 values of saved is 0") for note in found.notes)


def test_large_rewards_are_cut_down_by_a_cap() -> None:
    rows = labelled(arms(2_000))
    feedback = told([reward(at, at + 1.0, 1e6 if at % 500 == 0 else 1.0 + at % 5) for at in range(2_000)])
    found = result(rows, feedback, design(f"{SAVED}\ncap: 0.99"))
    assert found.metrics[0].control is not None
    assert found.metrics[0].control < 6


def test_a_plan_counts_the_days_until_the_last_prediction_counts() -> None:
    rows, feedback = booked(4 * 1_440, 0.2, 0.2)
    wanted = design("metrics: {booked: {interaction: booked, within: 2d}}\nprimary: booked")
    until = START + timedelta(days=4)
    table = beside(rows, feedback, wanted, until)
    today = baseline(table, wanted.metric("booked"), BINARY, days_late=2.0)
    assert today.rows_per_day == pytest.approx(1_440, rel=0.01)
    found = plan(today, Aim(0.05))
    assert found.days == pytest.approx(found.rows / 1_440 + 2, rel=0.01)
    assert today.rows_within(5) == pytest.approx(3 * 1_440, rel=0.01)
    with pytest.raises(Refused, match="no traffic that is old enough for booked yet"):
        baseline(beside(rows, feedback, wanted, START), wanted.metric("booked"), BINARY)


def test_a_design_of_rewards_and_interactions_reads_as_it_was_written() -> None:
    body = (
        "metrics:\n  clicked: {interaction: banner, equals: clicked, within: 90m, tolerance: 0.01}\n"
        "  saved: {reward: minutes}\n  ratio: {value: saved, denominator: clicked}\n"
        "  sure: {value: score > 0.9, needs_labels: false}\nprimary: ratio\nguardrails: [sure]"
    )
    written = design(body)
    assert Design.from_dict(written.to_dict()) == written
    assert [(each.metric, each.kind, each.name, each.equals, each.within) for each in written.events()] == [
        ("clicked", "interaction", "banner", "clicked", timedelta(minutes=90)),
        ("saved", "reward", "minutes", "", timedelta(days=1)),
    ]
    assert replace(written, primary="sure", guardrails=()).events() == ()


def test_a_truth_value_is_written_as_the_gateway_writes_it() -> None:
    (found,) = design("metrics: {seen: {interaction: banner, equals: true}}\nprimary: seen").events()
    assert found.equals == "True"


@pytest.mark.parametrize(
    ("metric", "error", "message"),
    [
        ("{interaction: a, reward: b}", UsageError, "metric 'mine' has interaction and reward; it is made of one"),
        ("{interaction: a, value: score}", UsageError, "metric 'mine' has value and interaction"),
        ("{interaction: }", UsageError, "metric 'mine' has no value"),
        ("{interacton: a}", NotFound, "Did you mean 'interaction'"),
        ("{interaction: {banner: clicked}}", UsageError, "interaction is {'banner': 'clicked'}; it is a text"),
        ("{interaction: a, equals: [b, c]}", UsageError, "equals is ['b', 'c']; it is a text"),
        ("{reward: a, equals: 1}", UsageError, "metric 'mine': equals is for an interaction"),
        ("{value: score, within: 1d}", UsageError, "metric 'mine': within is for an interaction or a reward"),
        ("{reward: a, within: 7}", UsageError, "metric 'mine': within: '7' is not a duration"),
        ("{reward: a, within: 0s}", UsageError, "within is '0s'; it is more than 0, and at most the 90 days"),
        ("{reward: a, within: 91d}", UsageError, "within is '91d'"),
        ("{reward: a, better: up}", UsageError, "better is 'up'"),
        ("{value: bookd}", NotFound, "Did you mean 'booked'"),
        ("{value: score, denominator: bookd}", NotFound, "Did you mean 'booked'"),
    ],
)
def test_a_metric_that_cannot_be_is_refused_by_name(metric: str, error: type[Exception], message: str) -> None:
    with pytest.raises(error) as refused:
        design(f"metrics: {{booked: {{interaction: booked}}, mine: {metric}}}\nprimary: mine")
    assert message in str(refused.value)


def test_a_reward_is_not_called_as_a_column_is() -> None:
    with pytest.raises(UsageError, match="metric 'score' is called as a column of every prediction is"):
        design("metrics: {score: {reward: a}}\nprimary: score")
    assert set(expression.COLUMNS) >= {"score"}


def test_what_comes_of_a_shadow_is_refused() -> None:
    with pytest.raises(UsageError, match="'booked' cannot be read in pairs: a shadow's answer reaches nobody"):
        parse(
            f"{BOOKED}\ntreatment: dark",
            endpoint="flights",
            variants=["champion"],
            shadows=["dark"],
            task="classification",
            started_at=START,
        )


def test_no_time_is_longer_than_the_gateway_takes_feedback() -> None:
    assert events.LONGEST_WITHIN == LATEST


@pytest.mark.parametrize("body", [BOOKED, SAVED])
def test_variants_that_do_not_differ_are_rarely_called_different(body: str) -> None:
    """Each test is read six times as it grows; an eighth of the rewards are ten times as large as the rest."""
    runs, rng, wanted = 60, np.random.default_rng(7), design(body)
    called = sum(ever_called(rng, wanted, count=900, looks=6) for _ in range(runs))
    assert called / runs <= bound(wanted.alpha, runs)


def ever_called(rng: np.random.Generator, wanted: Design, *, count: int, looks: int) -> bool:
    """Return whether some look calls a difference where there is none, of predictions that come a minute apart."""
    (event,) = wanted.events()
    rows = labelled([NAMES[int(side)] for side in rng.random(count) < 0.5])
    happened = np.flatnonzero(rng.random(count) < 0.1)
    size = rng.exponential(10, len(happened)) * np.where(rng.random(len(happened)) < 1 / 8, 10, 1)
    minutes = happened + rng.uniform(0, 90, len(happened))
    said = [
        Said(int(at), float(when), event.name, float(number), "yes", event.kind)
        for at, when, number in zip(happened, minutes, size, strict=True)
    ]
    for look in range(1, looks + 1):
        now = count * look / looks
        table = beside(
            rows.slice(0, int(now)),
            told([each for each in said if each.minutes <= now]),
            wanted,
            START + timedelta(minutes=now),
        )
        with open_scan(table, BINARY) as scan:
            sums = scan.sums({wanted.primary: wanted.metric(wanted.primary)})[wanted.primary]
        read = {name: part.arm() for name, part in sums.items()}
        if intervals.rejects(wanted, read, alpha=wanted.alpha, share=0.5):
            return True
    return False


def test_a_test_of_interactions_is_calibrated_on_its_own_units() -> None:
    rows, feedback = booked(2_000, 0.1, 0.1)
    wanted = design(BOOKED)
    found = calibration.run(beside(rows, feedback, wanted, LATER), wanted, BINARY, HALF, runs=200)
    assert (found.units, found.looks) == (2_000, 20)
    assert found.rate <= bound(0.05, 200)
