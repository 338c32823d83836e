"""Segments in which the model is worse than the champion, and how often one is named where none is."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray
from pandas.api.types import is_numeric_dtype
from scipy import stats

from mlprod_nb.gates import GateOutcome, HeldOut, NotTested
from mlprod_nb.gates.rows import Predicted
from mlprod_nb.gates.segments import SegmentGate, worse_by_chance
from mlprod_nb.monitoring.columns import to_codes
from mlprod_nb.monitoring.performance import Labelled
from tests.gates.predicted import binary


def judged(sides: list[Predicted], frame: pd.DataFrame, gate: SegmentGate | None = None) -> GateOutcome:
    columns: dict[str, Any] = {
        str(name): frame[name].to_numpy(np.float64) if is_numeric_dtype(frame[name]) else to_codes(frame[name])
        for name in frame.columns
    }
    stand_in: Any = SimpleNamespace(
        predicted=replace(sides[0], columns=columns),
        predicted_by_champion=sides[1],
        champion=SimpleNamespace(subject="flights/1"),
        held_out=HeldOut(frame, [], ""),
    )
    return (gate or SegmentGate()).check(stand_in)


def rows(random: np.random.Generator, count: int = 1000) -> pd.DataFrame:
    carriers = np.array(["AA", "UA", "DL"], dtype=object)
    return pd.DataFrame({"carrier": random.choice(carriers, count), "hour": random.integers(0, 24, count)})


def right(random: np.random.Generator, chance: NDArray[Any]) -> Predicted:
    labels = random.random(len(chance)) < 0.5
    return binary(labels, np.where(labels == (random.random(len(chance)) < chance), 0.9, 0.1))


def test_the_segment_in_which_it_fell_behind_is_named() -> None:
    random = np.random.default_rng(1)
    frame = rows(random)
    there = (frame["carrier"] == "UA").to_numpy()
    labels = random.random(1000) < 0.5
    hits = [random.random(1000) < np.where(there, share, 0.8) for share in (0.5, 0.8)]
    sides = [binary(labels, np.where(labels == hit, 0.9, 0.1)) for hit in hits]
    found = judged(sides, frame)
    assert found.status == "alarm"
    assert "of flights/1 where carrier = 'UA' (" in found.sentence
    assert judged(sides, frame, SegmentGate(margin=0.5)).status == "ok"
    assert judged(sides[::-1], frame).status == "ok"
    named = judged(sides, frame[["hour", "carrier"]], SegmentGate(named=("carrier in ('UA') and hour >= 0",)))
    assert named.status == "alarm"


def test_a_regression_is_compared_by_its_errors() -> None:
    random = np.random.default_rng(2)
    frame = rows(random)
    labels, noise = random.normal(size=1000), random.normal(size=1000)
    worse = noise * np.where(frame["hour"] > 19, 2.0, 1.0)
    sides = [Predicted("regression", (), Labelled(labels, labels + e, labels + e), {}) for e in (worse, noise)]
    found = judged(sides, frame)
    assert (found.status, "error" in found.sentence, "where hour > " in found.sentence) == ("alarm", True, True)


def test_equal_models_are_called_worse_somewhere_as_seldom_as_it_says() -> None:
    random, runs = np.random.default_rng(3), 200
    wrong = 0
    for _ in range(runs):
        frame = rows(random, 600)
        labels = random.random(600) < 0.5
        sides = [binary(labels, np.where(labels == (random.random(600) < 0.8), 0.9, 0.1)) for _ in range(2)]
        wrong += judged(sides, frame).status == "alarm"
    assert wrong <= stats.binom.ppf(0.999, runs, 0.05)


def test_chances_are_the_exact_binomial_s_and_student_s() -> None:
    gaps = np.repeat([1.0, -1.0, 0.0], [9, 3, 50])
    assert worse_by_chance("classification", gaps) == pytest.approx(
        stats.binomtest(9, 12, alternative="greater").pvalue
    )
    errors = np.random.default_rng(4).normal(0.2, 1, 80)
    expected = stats.ttest_1samp(errors, 0, alternative="greater").pvalue
    assert worse_by_chance("regression", errors) == pytest.approx(float(expected))
    assert worse_by_chance("classification", np.zeros(60)) == 1.0
    assert worse_by_chance("regression", np.zeros(60)) == 1.0


def test_too_few_rows_are_not_judged() -> None:
    frame = rows(np.random.default_rng(5), 60)
    same = right(np.random.default_rng(6), np.full(60, 0.7))
    with pytest.raises(NotTested, match="no segment of the held-out rows has 50 of them"):
        judged([same, same], frame[["carrier"]])
