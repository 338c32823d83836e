"""What another version would change: how many decisions, for whom, which most."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pytest

from mlprod_nb.reports import flips
from mlprod_nb.reports.flips import Decisions

NOW = datetime(2013, 4, 1, tzinfo=UTC)


def decisions(before: list[float], after: list[float], **changes: Any) -> Decisions:
    """Return decisions at a threshold of one half."""
    count = len(before)
    made = Decisions(
        ids=[f"id-{row}" for row in range(count)],
        units=[f"unit-{row // 2}" for row in range(count)],
        times=[NOW + timedelta(hours=row) for row in range(count)],
        before=[str(int(score > 0.5)) for score in before],
        after=[str(int(score > 0.5)) for score in after],
        score_before=np.array(before, dtype=float),
        score_after=np.array(after, dtype=float),
        labels=[None] * count,
        inputs={"hour": list(range(count))},
    )
    return replace(made, **changes)


def test_flips_are_counted_by_direction_unit_and_outcome() -> None:
    rows = decisions([0.1, 0.9, 0.4, 0.6], [0.8, 0.7, 0.6, 0.2], labels=["1", "1", "0", None])
    found = flips.result("ab" * 32, "flights/2", rows)
    assert (found.rows, found.flips, found.flip_percent, found.units) == (4, 3, 75.0, 2)
    assert (found.now_right, found.now_wrong) == (1, 1)
    assert [(d.before, d.after, d.rows) for d in found.directions] == [("0", "1", 2), ("1", "0", 1)]
    assert found.mean_change == pytest.approx((0.7 - 0.2 + 0.2 - 0.4) / 4)
    assert found.largest_change == pytest.approx(0.7)
    assert found.headline() == "flights/2 flips 3 of 4 decisions of report abababababab (75 %)."


def test_the_top_cases_are_those_that_move_furthest_and_show_their_row() -> None:
    found = flips.result("ab" * 32, "m/2", decisions([0.4, 0.45, 0.1, 0.2], [0.6, 0.95, 0.2, 0.9]))
    assert [case.prediction_id for case in found.cases] == ["id-3", "id-1", "id-0"]
    first = found.cases[0]
    assert (first.before, first.after, first.inputs, first.unit) == ("0 (0.2)", "1 (0.9)", "hour 3", "unit-1")


def test_the_groups_are_those_with_flips_beyond_their_part_and_small_ones_say_nothing() -> None:
    carrier = ["UA"] * 50 + ["AA"] * 40 + ["ZZ"] * 10
    before, after = [0.1] * 100, [0.9] * 25 + [0.1] * 65 + [0.9] * 10
    inputs: dict[str, list[Any]] = {"carrier": carrier, "tail": [str(row) for row in range(100)], "none": [None] * 100}
    found = flips.result("ab" * 32, "m/2", decisions(before, after, inputs=inputs))
    assert [(group.group, group.rows, group.flips, group.flip_percent) for group in found.groups] == [
        ("carrier = UA", 50, 25, 50.0)
    ]


def test_numbers_are_grouped_by_their_quarters_and_what_is_missing_stands_by_itself() -> None:
    hour: list[float | None] = [*map(float, range(100)), *[None] * 20]
    after = [0.1] * 75 + [0.9] * 25 + [0.9] * 20
    found = flips.result("ab" * 32, "m/2", decisions([0.1] * 120, after, inputs={"hour": hour}))
    assert [(group.group, group.rows, group.flips) for group in found.groups] == [
        ("hour above 74.25", 25, 25),
        ("hour missing", 20, 20),
    ]


def test_a_regression_has_no_flips_and_tells_what_moves_furthest() -> None:
    rows = replace(decisions([1.0] * 20, [1.0] * 18 + [3.0, 6.0]), before=[None] * 20, after=[None] * 20)
    found = flips.result("ab" * 32, "m/2", rows)
    assert found.flips is None
    assert found.headline() == "m/2 moves the 20 values of report abababababab by 0.35 on average."
    assert [(case.before, case.after) for case in found.cases] == [("1", "6"), ("1", "3")]


def test_no_rows_and_no_flips_are_told() -> None:
    nothing = flips.result("ab" * 32, "m/2", decisions([], [], inputs={}))
    assert nothing.headline() == "Report abababababab has no rows, so m/2 would change nothing."
    same = flips.result("ab" * 32, "m/2", decisions([0.1, 0.9], [0.2, 0.8]))
    assert (same.flips, same.groups, same.cases) == (0, (), ())
    assert "nan" not in str(same)
