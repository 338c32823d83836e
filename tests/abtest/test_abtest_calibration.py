"""A/A calibration: the analysis on divisions by chance."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest
from scipy.stats import binomtest

from mlprod_nb.abtest import Outcome, parse
from mlprod_nb.abtest.calibration import AAResult, run
from mlprod_nb.abtest.estimate import Arm, UnitSums
from mlprod_nb.errors import Refused
from tests.abtest.tables import START, labelled, right_or_wrong

NAMES = ("champion", "challenger")
HALF = dict.fromkeys(NAMES, 0.5)
BINARY = Outcome("classification", ("0", "1"))


def calibrate(table: pa.Table, body: str = "", runs: int = 100, alpha: float = 0.05) -> AAResult:
    design = parse(
        f"{body}\nalpha: {alpha}", endpoint="flights", variants=NAMES, task="classification", started_at=START
    )
    return run(table, design, BINARY, HALF, runs=runs)


def rows(count: int, each: int = 1, better: float = 0.0) -> pa.Table:
    rng = np.random.default_rng(4)
    variant = [NAMES[i // each % 2] for i in range(count)]
    luck = np.repeat(rng.normal(0, 0.15 * (each > 1), count // each), each)
    right = rng.random(count) < 0.8 + luck + better * np.array([name == "challenger" for name in variant])
    return right_or_wrong(variant, list(right), [f"N{i // each}" for i in range(count)])


@pytest.mark.parametrize(
    ("body", "looks"),
    [("", 20), ("method: fixed\nexpected_rows: 2000", 1), ("looks: 4\nexpected_rows: 2000", 4)],
)
@pytest.mark.parametrize("each", [1, 4])
def test_the_rate_keeps_to_alpha_even_where_the_variants_differ(body: str, looks: int, each: int) -> None:
    found = calibrate(rows(2_000, each, better=0.1), body)
    assert (found.looks, found.units, found.rows) == (looks, 2_000 // each, 2_000)
    assert found.rate_lower <= 0.05
    assert found.verdict.status == "ok"
    assert f"of 100 divisions by chance, read at {looks} look" in found.verdict.sentence


def test_the_same_rows_and_seed_give_the_same_rate_in_any_order() -> None:
    table = rows(1_000, 2)
    shuffled = table.take(pa.array(np.random.default_rng(1).permutation(1_000)))
    assert calibrate(table, alpha=0.4).to_dict() == calibrate(shuffled, alpha=0.4).to_dict()


def test_a_rate_has_its_exact_interval() -> None:
    found = calibrate(rows(2_000), "method: fixed\nexpected_rows: 2000", alpha=0.2)
    exact = binomtest(found.false_alarms, found.runs).proportion_ci(method="exact")
    assert (found.rate_lower, found.rate_upper) == pytest.approx((exact.low, exact.high))
    assert 0.1 < found.rate < 0.3


def test_an_analysis_that_takes_rows_for_units_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    def by_row(sums: UnitSums) -> Arm:
        sample = sums.sample()
        return Arm(replace(sample, units=sample.rows, unit_variance=sample.row_variance))

    monkeypatch.setattr(UnitSums, "arm", by_row)
    right = np.repeat(np.random.default_rng(4).random(500) < 0.8, 8)
    table = right_or_wrong([NAMES[i // 8 % 2] for i in range(4_000)], list(right), [f"N{i // 8}" for i in range(4_000)])
    found = calibrate(table)
    assert found.exit_code == 1
    assert found.verdict.sentence.startswith("the analysis cries wolf here: of 100 divisions")


@pytest.mark.parametrize(
    ("table", "body", "words"),
    [
        (rows(40), "", "40 units have a value of accuracy; 60 are needed"),
        (labelled([]), "", "0 units have a value of accuracy"),
        (rows(400), "primary: auc", "auc is no mean"),
        (rows(400), "method: fixed\nexpected_rows: 9000", "the first look is at 9,000 predictions; 400 are there"),
    ],
)
def test_what_cannot_be_divided_is_refused(table: pa.Table, body: str, words: str) -> None:
    with pytest.raises(Refused, match=words):
        calibrate(table, body)
    with pytest.raises(Refused, match="divisions are asked"):
        calibrate(rows(400), runs=20_000)


class Listener:
    """Hears how far a calibration is, and may interrupt it."""

    def __init__(self, until: int = 1_000) -> None:
        self.until = until
        self.heard: list[str | tuple[int, int]] = []

    def step(self, name: str) -> None:
        self.heard.append(name)

    def at(self, done: int, total: int) -> None:
        self.heard.append((done, total))
        if done == self.until:
            raise KeyboardInterrupt


def test_a_calibration_says_how_far_it_is_and_can_be_interrupted() -> None:
    design = parse("", endpoint="flights", variants=NAMES, task="classification", started_at=START)
    whole, cut = Listener(), Listener(until=3)
    run(rows(400), design, BINARY, HALF, runs=10, progress=whole)
    assert whole.heard == ["dividing 400 units by chance", *((done, 10) for done in range(1, 11))]
    with pytest.raises(KeyboardInterrupt):
        run(rows(400), design, BINARY, HALF, runs=10, progress=cut)
    assert cut.heard == whole.heard[:4]
