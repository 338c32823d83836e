"""Health before lift: what makes a test invalid, and how rarely a healthy one is called so."""

from __future__ import annotations

from datetime import timedelta

import numpy as np
import pyarrow as pa
import pytest

from mlprod_nb.abtest import ABTestResult, analyse, balance, parse
from mlprod_nb.abtest.balance import Balance, compare
from tests.abtest.tables import START, labelled, right_or_wrong

NAMES = ("champion", "challenger")
COUNT = 4_000


def asked(
    seed: int,
    count: int = COUNT,
    shift: float = 0.0,
    carrier: float = 0.0,
    rows: int = 2,
    *,
    share: float = 0.5,
    season: float = 0.0,
) -> pa.Table:
    """Return requests of units that were divided by chance; the challenger's, or everyone's, may differ."""
    rng = np.random.default_rng(seed)
    treated = np.repeat(rng.random(count // rows) < share, rows)
    of_unit = np.repeat(rng.normal(0, 1, count // rows), rows)
    distance = np.exp(of_unit + rng.normal(0, 0.5, count) + shift * treated + season)
    hour = rng.integers(5, 23, count)
    names = np.where(rng.random(count) < 0.3 + carrier * treated, "UA", "AA")
    unit = np.repeat([f"N{i}" for i in range(count // rows)], rows)
    inputs = pa.StructArray.from_arrays(
        [pa.array(distance, mask=rng.random(count) < 0.02), pa.array(hour), pa.array(names)],
        ["distance", "hour", "carrier"],
    )
    return pa.table(
        {
            "variant": [NAMES[int(one)] for one in treated],
            "unit": unit,
            "prediction_id": [f"p{i}" for i in range(count)],
            "inputs": inputs,
        }
    )


def look(rows: pa.Table) -> Balance:
    return compare(rows, *NAMES)


def test_inputs_that_were_divided_by_chance_are_alike() -> None:
    found = look(asked(1))
    assert (found.units, found.columns, found.differ) == (2_000, 3, False)
    assert found.sentence().startswith("3 columns of 2,000 units;")


@pytest.mark.parametrize(("change", "column"), [({"shift": 0.5}, "distance"), ({"carrier": 0.2}, "carrier")])
def test_inputs_that_differ_are_named(change: dict[str, float], column: str) -> None:
    found = look(asked(1, **change))  # type: ignore[arg-type]
    assert found.differ
    assert found.farthest == column
    assert f"the variants got different inputs: {column} differs most, by" in found.sentence()


def test_inputs_are_called_different_by_chance_as_rarely_as_said() -> None:
    runs, looks = 200, 5
    alarms = 0
    for seed in range(runs):
        rows = asked(seed, 1_500)
        alarms += any(look(rows.slice(0, 300 * (k + 1))).differ for k in range(looks))
    # Binomial: more than 2 of 200 at a true chance of 0.001 happen about once in a thousand times.
    assert alarms <= 2


def in_periods(*parts: pa.Table) -> pa.Table:
    numbered = [part.append_column("period", pa.array([at] * part.num_rows)) for at, part in enumerate(parts)]
    return pa.concat_tables(numbered)


def test_inputs_that_change_with_time_are_alike_within_each_split() -> None:
    rows = in_periods(asked(1), asked(2, share=0.9, season=1.0))
    assert look(rows).differ
    within = balance.compare_within(rows, (0, 1), *NAMES)
    assert (within.units, within.columns, within.differ) == (4_000, 3, False)


def test_inputs_that_differ_under_a_later_split_alone_are_found() -> None:
    rows = in_periods(asked(1), asked(2, share=0.9, shift=0.5))
    found = balance.compare_within(rows, (0, 1), *NAMES)
    assert (found.farthest, found.differ) == ("distance", True)
    assert not balance.compare_within(rows, (0,), *NAMES).differ


def test_a_period_with_few_units_is_left_out_and_none_is_said() -> None:
    rows = in_periods(asked(1), asked(2).slice(0, 20))
    assert balance.compare_within(rows, (0, 1), *NAMES) == look(asked(1))
    few = in_periods(asked(1).slice(0, 30), asked(2).slice(0, 20))
    assert balance.compare_within(few, (0, 1), *NAMES).sentence().startswith("not judged:")


def test_over_periods_inputs_are_called_different_by_chance_as_rarely_as_said() -> None:
    alarms = 0
    for seed in range(200):
        rows = in_periods(asked(seed, 600), asked(seed + 1_000, 600, share=0.8), asked(seed + 2_000, 600, share=0.2))
        looks = (rows.slice(0, end) for end in (600, 900, 1_200, 1_800))
        alarms += any(balance.compare_within(part, (0, 1, 2), *NAMES).differ for part in looks)
    assert alarms <= 2  # as above


def test_the_statistic_is_hotellings() -> None:
    from scipy.stats import f

    rng = np.random.default_rng(3)
    means, treated = rng.normal(0, 1, (300, 4)), rng.random(300) < 0.5
    parts = means[~treated], means[treated]
    pooled = sum((len(p) - 1) * np.cov(p, rowvar=False) for p in parts) / 298
    gap = parts[1].mean(axis=0) - parts[0].mean(axis=0)
    effective = len(parts[0]) * len(parts[1]) / 300
    hotelling = effective * gap @ np.linalg.solve(pooled, gap)
    below = f.sf(hotelling * 295 / (298 * 4), 4, 295)
    assert balance.chance_below(means, treated) == pytest.approx(below, rel=1e-9)


def alike(count: int) -> pa.Table:
    one = pa.StructArray.from_arrays([pa.array([1.0] * count)], ["distance"])
    return asked(1, count).drop_columns(["inputs"]).append_column("inputs", one)


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        (asked(1).slice(0, 0), "not judged: no request has come"),
        (asked(1).slice(0, 60), "units in one variant;"),
        (alike(400), "not judged: no input varies"),
    ],
)
def test_inputs_that_cannot_be_compared_are_said(rows: pa.Table, words: str) -> None:
    found = look(rows)
    assert not found.differ
    assert words in found.sentence()


def result(table: pa.Table, inputs: pa.Table | None = None) -> ABTestResult:
    design = parse("", endpoint="flights", variants=NAMES, task="classification", started_at=START)
    half = dict.fromkeys(NAMES, 0.5)
    return analyse(table, design, shares=half, task="classification", classes=(0, 1), inputs=inputs)


def rows(count: int = 1_000) -> pa.Table:
    right = np.random.default_rng(1).random(count) < 0.8
    return right_or_wrong([NAMES[i % 2] for i in range(count)], list(right))


def test_every_check_says_what_it_found() -> None:
    found = result(rows(), asked(1))
    assert [check.check for check in found.health] == [
        "sample ratio",
        "units in one variant",
        "one version each",
        "labels",
        "inputs alike",
        "missing feedback",
        "clocks",
        "repeats",
    ]
    assert all(check.ok and check.found for check in found.health)
    assert "inputs alike" in str(found)


def test_different_inputs_make_a_test_invalid() -> None:
    found = result(rows(), asked(1, shift=0.5))
    assert (found.decision, found.exit_code) == ("invalid", 1)
    assert "invalid: the variants got different inputs: distance differs most" in found.verdict.sentence


@pytest.mark.parametrize(("late", "decision"), [(5, "keep going"), (100, "invalid")])
def test_events_from_the_future_are_a_wrong_clock(late: int, decision: str) -> None:
    table = rows()
    times = table["event_time"].to_pylist()
    received = [time - timedelta(hours=1) if at < late else time for at, time in enumerate(times)]
    found = result(table.append_column("received_at", pa.array(received, pa.timestamp("us", "UTC"))))
    assert found.decision == decision
    (clocks,) = [check for check in found.health if check.check == "clocks"]
    assert clocks.found == f"{late} of 1,000 predictions happened after they were received"


def test_a_little_less_feedback_is_no_fault() -> None:
    count = 40_000
    label = ["1" if i % 3 else None for i in range(count)]
    assert (
        result(labelled([NAMES[i % 2] for i in range(count)], prediction=["1"] * count, label=label)).decision
        != "invalid"
    )
