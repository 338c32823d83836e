"""Gates on held-out rows, and how often the one beside the champion is wrong."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from mlprod_nb.errors import InvalidInput
from mlprod_nb.gates import GateOutcome, HeldOut, Inspection, NotTested, Surroundings
from mlprod_nb.gates.rows import Predicted
from mlprod_nb.gates.scores import CalibrationGate, ChampionGate, HeldOutGate, ScoreGate
from mlprod_nb.registry.bundles import Bundle
from tests.gates.predicted import binary
from tests.registry import samples


def inspect(bundle: Bundle, surroundings: Surroundings, **changes: Any) -> Inspection:
    return Inspection(bundle, "flights/2", replace(surroundings, **changes))


def judged(candidate: Predicted, champion: Predicted, gate: ChampionGate) -> GateOutcome:
    """Judge predictions that no model made."""
    stand_in = SimpleNamespace(
        predicted=candidate, predicted_by_champion=champion, champion=SimpleNamespace(subject="flights/1")
    )
    return gate.check(stand_in)  # type: ignore[arg-type]


def told_right(random: np.random.Generator, rows: int, right: float) -> Any:
    """Return labels and a model that is right on a share of the rows."""
    labels = random.random(rows) < 0.5
    hits = random.random(rows) < right
    return labels, np.where(labels == hits, 0.9, 0.1)


@pytest.mark.parametrize(("metric", "rows"), [("accuracy", 400), ("brier", 400)])
@pytest.mark.parametrize("worse", [True, False])
def test_the_gate_beside_the_champion_is_wrong_as_seldom_as_it_says(metric: str, rows: int, worse: bool) -> None:
    """A candidate that is worse by the margin passes, and an equal one is refused, with 2.5 % each."""
    random, runs, margin = np.random.default_rng(11), 1500, 0.05
    # Right or wrong by 0.9 and 0.1 costs 0.01 or 0.81 of Brier's score: 0.8 times a difference of accuracy.
    gap = (margin if metric == "accuracy" else margin / 0.8) * worse
    gate = ChampionGate(metric=metric, margin=margin)
    wrong = 0
    for _ in range(runs):
        labels = random.random(rows) < 0.5
        shared = random.random(rows) < 0.6
        hits = [shared | (random.random(rows) < (share - 0.6) / 0.4) for share in (0.8 - gap, 0.8)]
        sides = [binary(labels, np.where(labels == hit, 0.9, 0.1)) for hit in hits]
        wrong += judged(sides[0], sides[1], gate).status == ("ok" if worse else "alarm")
    assert wrong <= stats.binom.ppf(0.999, runs, 0.025)


def test_a_better_candidate_passes_and_a_worse_one_is_refused(onnx_bundle: Bundle, surroundings: Surroundings) -> None:
    passed = ChampionGate().check(inspect(onnx_bundle, surroundings))
    assert passed.status == "ok"
    assert passed.sentence.startswith("Brier ")
    assert "of flights/1 on the same rows: better by " in passed.sentence
    champion = surroundings.champion
    assert isinstance(champion, Inspection)
    turned = replace(surroundings, champion=Inspection(onnx_bundle, "flights/2"))
    refused = ChampionGate().check(Inspection(champion.bundle, "flights/1", turned))
    assert (refused.status, "the margin is" in refused.sentence) == ("alarm", True)


def test_what_the_rows_cannot_tell_is_a_warning_with_how_many_would() -> None:
    labels = np.arange(60) % 2
    scores, other = (np.where(labels == (np.arange(60) % 20 != wrong), 0.9, 0.1) for wrong in (3, 7))
    found = judged(binary(labels, scores), binary(labels, other), ChampionGate(metric="accuracy"))
    assert found.status == "warn"
    assert "these 60 rows cannot tell whether that is within the margin of 0.01; about " in found.sentence


def test_the_same_answers_pass() -> None:
    labels, scores = told_right(np.random.default_rng(1), 100, 0.7)
    same = binary(labels, scores)
    assert judged(same, same, ChampionGate()).status == "ok"


def test_units_widen_the_interval_where_rows_belong_together(onnx_bundle: Bundle, surroundings: Surroundings) -> None:
    held_out = surroundings.held_out
    assert isinstance(held_out, HeldOut)
    units = HeldOut(held_out.frame.assign(plane=np.arange(2000) // 10), held_out.outcomes, "made up")
    found = ChampionGate(unit="plane").check(inspect(onnx_bundle, surroundings, held_out=units))
    assert found.status == "ok"
    with pytest.raises(NotTested, match="no column 'tail' to group by"):
        ChampionGate(unit="tail").check(inspect(onnx_bundle, surroundings))


def test_a_champion_that_does_not_take_the_rows_is_no_counterpart(
    python_bundle: Bundle, onnx_bundle: Bundle, surroundings: Surroundings
) -> None:
    frame, late = samples.flights(100)
    held_out = HeldOut(frame[["hour"]], late.tolist(), "made up")
    around = replace(surroundings, held_out=held_out, champion=Inspection(onnx_bundle, "flights/1"))
    with pytest.raises(NotTested, match=r"flights/1 does not take these rows: .* column 'distance' is missing"):
        ChampionGate().check(Inspection(python_bundle, "flights/2", around))


@pytest.mark.parametrize(
    ("limits", "status", "words"),
    [
        ({"accuracy": 0.5}, "ok", "is within its floor of 0.5"),
        ({"accuracy": 0.99}, "alarm", "is beyond its floor of 0.99"),
        ({"brier": 0.01}, "alarm", "is beyond its ceiling of 0.01"),
        ({"accuracy": 0.5, "brier": 0.01}, "alarm", "is within its floor of 0.5; brier"),
        ({"gini": 0.5}, "alarm", "There is no gini on these rows; there is accuracy"),
    ],
)
def test_the_score_is_held_to_its_limits(
    limits: dict[str, float], status: str, words: str, onnx_bundle: Bundle, surroundings: Surroundings
) -> None:
    found = ScoreGate(limits).check(inspect(onnx_bundle, surroundings))
    assert (found.status, words in found.sentence) == (status, True), found.sentence


def test_a_score_whose_interval_reaches_beyond_the_limit_is_a_warning(
    onnx_bundle: Bundle, surroundings: Surroundings
) -> None:
    with pytest.raises(NotTested, match="no limits are set; on held-out rows it has accuracy") as told:
        ScoreGate().check(inspect(onnx_bundle, surroundings))
    value = float(str(told.value).split("accuracy ")[1].split(" ")[0])
    found = ScoreGate({"accuracy": value - 0.005}).check(inspect(onnx_bundle, surroundings))
    assert (found.status, "is not surely within" in found.sentence) == ("warn", True)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda frame: frame.drop(columns="hour"), "do not fit: column 'hour' is missing"),
        (lambda frame: frame.assign(hour="noon"), "do not fit: column 'hour' holds a value"),
        (lambda frame: frame.assign(hour=frame["hour"].where(frame["hour"] > 3)), "miss values of 'hour'"),
    ],
)
def test_rows_that_do_not_fit_are_named(
    change: Any, words: str, onnx_bundle: Bundle, surroundings: Surroundings
) -> None:
    frame, late = samples.flights(100, seed=1)
    with pytest.raises(InvalidInput, match=words):
        ScoreGate().check(inspect(onnx_bundle, surroundings, held_out=HeldOut(change(frame), late.tolist(), "")))


def test_an_outcome_that_is_no_class_is_named(onnx_bundle: Bundle, surroundings: Surroundings) -> None:
    frame, late = samples.flights(100, seed=1)
    strange = HeldOut(frame, [*late.tolist()[1:], "maybe"], "")
    with pytest.raises(InvalidInput, match="hold the outcome 'maybe', none of the classes"):
        ScoreGate().check(inspect(onnx_bundle, surroundings, held_out=strange))


def test_reference_rows_among_the_held_out_ones_are_found(onnx_bundle: Bundle, surroundings: Surroundings) -> None:
    trained, late = samples.flights()
    found = HeldOutGate().check(
        inspect(onnx_bundle, surroundings, held_out=HeldOut(trained, late.tolist(), "of training"))
    )
    assert (found.status, found.value) == ("warn", 1.0)
    assert found.sentence.startswith("100.0 % of the reference rows are among the held-out ones, 0.0 % repeat")


def test_rows_that_repeat_by_themselves_are_no_leak(tmp_path: Any) -> None:
    random = np.random.default_rng(2)
    frame = pd.DataFrame({"hour": random.integers(0, 24, 800)})
    late = random.random(800) < 0.3
    from sklearn.linear_model import LogisticRegression

    from mlprod_nb.registry import conversion

    prepared = conversion.prepare(LogisticRegression().fit(frame, late), frame, late)
    bundle = conversion.build_bundle(prepared, folder=tmp_path / "bundle", profile=b"{}")
    fresh = HeldOut(pd.DataFrame({"hour": random.integers(0, 24, 800)}), late.tolist(), "fresh")
    found = HeldOutGate().check(Inspection(bundle, "flights/1", Surroundings(fresh)))
    assert found.status == "ok"
    assert found.sentence.startswith("100.0 % of the reference rows are among the held-out ones, 100.0 % repeat")


def test_a_model_that_is_too_sure_of_itself_is_not_calibrated() -> None:
    random = np.random.default_rng(3)
    truth = random.uniform(0.2, 0.8, 2000)
    labels = random.random(2000) < truth
    sure = np.clip((truth - 0.5) * 1.6 + 0.5, 0.001, 0.999)
    for scores, status in ((truth, "ok"), (sure, "alarm")):
        stand_in: Any = SimpleNamespace(predicted=binary(labels, scores))
        assert CalibrationGate().check(stand_in).status == status
