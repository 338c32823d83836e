"""A split that was changed midway: compared within each period, or by the split that the test began with."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pytest

from mlprod_nb.abtest import ABTestResult, analyse, parse, periods, srm
from mlprod_nb.abtest.estimate import Arm, Sample
from tests.abtest.tables import START, right_or_wrong

NAMES = ("champion", "challenger")
Splits = Sequence[dict[str, float]]


def shares(treated: float) -> dict[str, float]:
    return {"champion": 1 - treated, "challenger": treated}


def changed(
    rates: Sequence[float], treated: Sequence[float], *, gain: float = 0.0, count: int = 4_000, units: bool = False
) -> pa.Table:
    """Return a period for each base rate and the treatment's share in it; unit names repeat from period to period."""
    rng = np.random.default_rng(0)
    variant, right, unit = [], [], []
    for number, (rate, share) in enumerate(zip(rates, treated, strict=True)):
        draw = np.linspace(0, 1, count) if units else rng.random(count)
        mine = draw < share
        variant += [NAMES[int(one)] for one in mine]
        right += list(rng.random(count) < rate + gain * mine)
        unit += [f"u{i}" if units else f"u{number}-{i}" for i in range(count)]
    table = right_or_wrong(variant, right, unit)
    return table.append_column("period", pa.array(np.arange(len(rates)).repeat(count), pa.int32()))


def result(table: pa.Table, splits: Splits | dict[str, float], body: str = "") -> ABTestResult:
    design = parse(body, endpoint="flights", variants=NAMES, task="classification", started_at=START)
    return analyse(table, design, shares=splits, task="classification", classes=(0, 1))


RATES, TREATED = (0.5, 0.8), (0.5, 0.9)
SPLITS = [shares(one) for one in TREATED]


def test_in_one_pot_a_changed_split_makes_a_difference_that_is_not_there() -> None:
    table = changed(RATES, TREATED)
    overall = sum(TREATED) / 2
    pooled = result(table.drop_columns(["period"]), shares(overall))
    assert pooled.decision == "ship"  # Simpson's paradox: the later, better days are the challenger's
    apart = result(table, SPLITS)
    assert apart.decision == "keep going"
    lift = apart.metrics[0]
    assert lift.difference is not None
    assert abs(lift.difference) < 0.02


def test_each_period_is_shown_and_their_mean_is_what_counts() -> None:
    found = result(changed(RATES, TREATED, gain=0.08), SPLITS)
    assert found.decision == "ship"
    assert found.rows == 8_000
    assert [line.split for line in found.periods] == [
        "champion 50.0 %, challenger 50.0 %",
        "champion 10.0 %, challenger 90.0 %",
    ]
    weights = [a * b / (a + b) for a, b in ((line.units_control, line.units_treatment) for line in found.periods)]
    differences = [line.difference or 0.0 for line in found.periods]
    lift = found.metrics[0]
    assert lift.difference == pytest.approx(np.average(differences, weights=weights), rel=1e-12)
    assert lift.read_by == "confidence sequence, valid at every look"
    (note,) = [note for note in found.notes if note.startswith("The split was changed: champion 50.0 %")]
    assert "compared within each of the 2 periods" in note
    assert len(found.path) == 20
    assert "periods" in [section.title for section in found.sections()]


def test_the_variance_is_that_of_the_weighted_mean() -> None:
    arms = [
        {"c": Arm(Sample(100, 100, 0.2, 0.16, 0.16)), "t": Arm(Sample(300, 300, 0.3, 0.21, 0.21))},
        {"c": Arm(Sample(50, 80, 0.6, 0.24, 0.4)), "t": Arm(Sample(40, 60, 0.5, 0.25, 0.5))},
        {"c": Arm(Sample(29, 29, 0.0, 0.0, 0.0)), "t": Arm(Sample(900, 900, 1.0, 0.0, 0.0))},  # too few units
    ]
    found = periods.combine(arms, ("c", "t"))
    weights = np.array([100 * 300 / 400, 50 * 40 / 90])
    weights = weights / weights.sum()
    control = found["c"].sample
    assert control.mean == pytest.approx(weights @ [0.2, 0.6])
    assert control.unit_variance / control.units == pytest.approx(weights**2 @ [0.16 / 100, 0.4 / 50])
    assert control.row_variance / control.rows == pytest.approx(weights**2 @ [0.16 / 100, 0.24 / 80])
    assert (control.units, control.rows, found["t"].sample.units) == (150, 180, 340)
    assert periods.combine([arms[2]], ("c", "t")) == arms[2]


@pytest.mark.parametrize(
    "body", ["method: fixed\nexpected_rows: 7000", "method: planned\nlooks: 4\nexpected_rows: 8000"]
)
def test_plans_are_read_over_both_periods(body: str) -> None:
    assert result(changed(RATES, TREATED, gain=0.12), SPLITS, body).decision == "ship"
    found = result(changed(RATES, TREATED), SPLITS, body)
    assert found.decision == "keep going"
    assert not found.metrics[0].significant


def test_a_bandit_is_read_in_one_way_from_its_first_period_on() -> None:
    first = result(changed((0.6,), (0.5,)).drop_columns(["period"]), shares(0.5), "allocation: thompson")
    later = result(changed(RATES, TREATED), SPLITS, "allocation: thompson")
    assert first.metrics[0].read_by == later.metrics[0].read_by == "confidence sequence, valid at every look"


def test_units_that_a_change_moved_leave_the_first_split_alone() -> None:
    table = changed(RATES, TREATED, units=True)
    found = result(table, SPLITS)
    assert found.decision == "keep going"
    assert found.rows == 4_000
    assert found.periods == ()
    moved = (
        "4,000 predictions came after the split was changed; they do not count: 1,600 units met both variants since."
    )
    assert moved in found.notes
    assert found.metrics[0].read_by == "exact e-process, valid at every look"


def test_time_without_traffic_for_one_variant_does_not_count() -> None:
    table = changed((0.7, 0.9, 0.6), (0.5, 0.0, 0.2), gain=0.1)
    found = result(table, [shares(0.5), shares(0.0), shares(0.2)])
    assert found.rows == 8_000
    assert len(found.periods) == 2
    assert "4,000 predictions came while one variant had no traffic; they do not count." in found.notes
    alone = result(changed((0.7, 0.9), (0.5, 0.0)), [shares(0.5), shares(0.0)])
    assert (alone.rows, alone.periods) == (4_000, ())


def test_the_sample_ratio_is_judged_by_period() -> None:
    found = result(changed(RATES, TREATED), SPLITS)
    assert found.sample_ratio.ok
    assert found.sample_ratio.expected["challenger"] == pytest.approx(0.7)
    wrong = result(changed(RATES, (0.5, 0.9)), [shares(0.5), shares(0.8)])
    assert wrong.decision == "invalid"
    assert "sample ratio mismatch" in wrong.verdict.sentence
    # In one pot these two would look like 50 %.
    crossed = [(shares(0.5), {"champion": 600, "challenger": 400}), (shares(0.5), {"champion": 400, "challenger": 600})]
    assert not srm.check_periods(crossed, units_in_two_variants=0).ok


def test_labels_that_are_late_for_all_are_no_fault_of_one_variant() -> None:
    table = changed((0.7, 0.7), TREATED)
    label = [one if i < 4_000 or i % 2 else None for i, one in enumerate(table["label"].to_pylist())]
    table = table.set_column(table.column_names.index("label"), "label", pa.array(label))
    found = result(table, SPLITS)
    assert all(check.ok for check in found.health), found.health


def test_segments_are_compared_within_each_period_too() -> None:
    table = changed(RATES, TREATED).append_column("segment wing", pa.array([i % 2 == 0 for i in range(8_000)]))
    found = result(table, SPLITS, "segments: [wing]")
    assert {lift.reading for lift in found.segments} == {"no certain difference"}
    assert all(abs(lift.difference or 0.0) < 0.03 for lift in found.segments)


@pytest.mark.parametrize(
    "more", ["primary: brier\ncovariates: [age]", "primary: auc", "cap: 0.99\nprimary: latency_ms"]
)
def test_every_kind_of_metric_is_compared_by_period(more: str) -> None:
    rng = np.random.default_rng(2)
    table = changed(RATES, TREATED)
    score = rng.random(8_000) * np.arange(8_000).clip(2_000) / 8_000
    table = table.set_column(table.column_names.index("score"), "score", pa.array(score))
    slow = pa.array(rng.gamma(2, 1 + np.arange(8_000) / 4_000), pa.float32())
    table = table.set_column(table.column_names.index("latency_ms"), "latency_ms", slow)
    table = table.append_column("covariate age", pa.array(rng.normal(0, 1, 8_000)))
    found = result(table, SPLITS, more)
    assert found.decision == "keep going", found.verdict.sentence
    assert found.metrics[0].difference_lower is not None
