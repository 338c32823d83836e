from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from scipy import stats

from mlprod_nb.monitoring import reaction_series, reactions
from mlprod_nb.monitoring.reaction_sections import sections
from mlprod_nb.monitoring.reaction_series import Side
from mlprod_nb.monitoring.reactions import Reactions
from mlprod_nb.monitoring.standing import Standing

DAY = 86_400
MINUTE = 60
_MOMENT = pa.timestamp("us", "UTC")
Event = dict[str, Any]
Moments = Sequence[float] | NDArray[np.float64]


def moments(seconds: Moments) -> pa.Array:
    return pa.array([int(each * 1_000_000) for each in seconds], pa.int64()).cast(_MOMENT)


def side(seconds: Moments, events: Sequence[Event], *, variants: Sequence[str] | None = None) -> Side:
    """Return predictions at some moments, received as they happened, and events about them by their place."""
    names = variants or ["champion"] * len(seconds)
    predictions = pa.table(
        {
            "event_time": moments(seconds),
            "received_at": moments(seconds),
            "variant": pa.array(names, pa.string()).dictionary_encode(),
        }
    )
    each = [{"kind": "interaction", "name": "clicked", "text": "1", "number": 1.0, "source": "", **e} for e in events]
    about = [seconds[event["of"]] for event in each]
    heard = [at + event.get("after", MINUTE) for at, event in zip(about, each, strict=True)]
    columns = {name: pa.array([e[name] for e in each], pa.string()) for name in ("kind", "name", "text", "source")}
    table = pa.table(
        {
            "prediction_id": pa.array([str(event["of"]) for event in each], pa.string()),
            **columns,
            "number": pa.array([event["number"] for event in each], pa.float64()),
            "received_at": moments(heard),
            "event_time": moments(about),
            "variant": pa.array([names[event["of"]] for event in each], pa.string()),
            "predicted_at": moments(about),
        }
    )
    found = reaction_series.side_of(predictions, table)
    assert found is not None
    return found


def looked(now: Side, before: Side | None = None, alpha: float = 0.05) -> Reactions:
    found = reactions.compare(now, before, alpha)
    assert found is not None
    return found


def days(
    random: np.random.Generator, first: int, many: int, rate: float, *, wild: float = 0.0, rows: int = 200
) -> Side:
    """Some days of predictions, of which a share is clicked that differs from day to day."""
    seconds = [float((first + day) * DAY + 3600 + 100 * row) for day in range(many) for row in range(rows)]
    shares = rate * random.gamma(1 / wild, wild, many) if wild else np.full(many, rate)
    clicked = [row for row in range(many * rows) if random.random() < shares[row // rows]]
    return side(seconds, [{"of": row} for row in clicked])


def test_a_share_is_of_all_predictions_and_an_interaction_of_two_sources_counts_once() -> None:
    events: list[Event] = [{"of": 0, "source": "app"}, {"of": 0, "source": "site"}, {"of": 3}]
    (row,) = looked(side(np.arange(10) * 3600.0, events)).rows
    assert (row.title, row.value, row.rows) == ("clicked", 2 / 9, 9)  # the last one may still be clicked
    assert [stretch.complete for stretch in row.stretches][-1] is False
    assert row.p_value is None


def test_rewards_of_two_sources_are_added_and_a_mean_is_of_all_predictions() -> None:
    reward: Event = {"kind": "reward", "name": "saved"}
    events: list[Event] = [
        {"of": 0, "number": 3.0, "source": "app", **reward},
        {"of": 0, "number": 2.0, "source": "site", **reward},
        {"of": 1, "number": -1.0, **reward},
        {"of": 2, "number": None, "text": "much", **reward},
    ]
    found = looked(side(np.arange(11) * 3600.0, events))
    (row,) = found.rows
    values = np.array([5.0, -1.0, *np.zeros(8)])
    half = 1.959963984540054 * values.std(ddof=1) / np.sqrt(10)
    assert (row.value, row.rows) == (0.4, 10)
    np.testing.assert_allclose([row.lower, row.upper], [0.4 - half, 0.4 + half])
    assert found.statement.endswith("1 reward not counted, for want of a number")


def test_an_event_that_comes_late_leaves_its_stretches_open() -> None:
    week = [float(day * DAY + 60 * row) for day in range(7) for row in range(100)]
    late = [{"of": row, "after": 2 * DAY} for row in range(0, 500, 2)]
    (row,) = looked(side(week, late)).rows
    assert row.wait_s == 3 * DAY
    assert [stretch.complete for stretch in row.stretches] == [True] * 4 + [False] * 3
    assert (row.value, row.rows) == (0.5, 400)
    table = sections(looked(side(week, late)))[2]
    assert [line[2].endswith("not complete") for line in table.rows] == [False] * 4 + [True] * 3


def test_one_event_in_a_hundred_that_is_late_counts_and_keeps_nothing_open() -> None:
    quick, slow = [{"of": row} for row in range(300)], [{"of": row, "after": 40 * DAY} for row in range(300, 302)]
    (row,) = looked(side(np.arange(2000) * 3600.0, [*quick, *slow])).rows
    assert row.wait_s == MINUTE
    assert round(row.value * row.rows) == 302


def test_what_users_do_less_is_told_with_both_shares() -> None:
    random = np.random.default_rng(0)
    found = looked(days(random, 42, 7, 0.10, wild=0.01), days(random, 0, 42, 0.20, wild=0.01), 1e-5)
    (row,) = found.rows
    assert row.less
    (told,) = Standing(reactions=found).warnings()
    assert told.startswith("clicked fell from 2")
    assert told.endswith("% of the predictions")
    assert sections(found)[0].rows[0][:2] == ("clicked", "✗ less")


def test_an_interaction_that_comes_no_more_is_told_and_one_that_comes_more_is_not() -> None:
    random = np.random.default_rng(1)
    silent, before = days(random, 42, 7, 0.0), days(random, 0, 42, 0.2, wild=0.05)
    assert looked(silent, before, 1e-5).rows[0].less
    more = looked(days(random, 42, 7, 0.4, wild=0.05), before, 1e-5)
    assert not more.rows[0].less
    assert Standing(reactions=more).warnings() == []


def test_a_reward_that_falls_is_told() -> None:
    random = np.random.default_rng(2)

    def saved(first: int, many: int, mean: float) -> Side:
        rows = 60 * many
        seconds = [float((first + row // 60) * DAY + 60 * (row % 60)) for row in range(rows)]
        minutes = random.normal(mean, 2, rows)
        return side(seconds, [{"of": n, "kind": "reward", "name": "saved", "number": m} for n, m in enumerate(minutes)])

    fell = looked(saved(42, 8, 3.0), saved(0, 42, 5.0), 1e-5)
    assert fell.rows[0].less
    assert Standing(reactions=fell).warnings()[0].startswith("saved (reward) fell from 4.95 to 2.91 ")
    assert not looked(saved(42, 8, 4.8), saved(0, 42, 5.0), 1e-5).rows[0].less


def test_users_who_do_as_before_are_said_to_do_less_no_more_often_than_stated() -> None:
    """Rates that differ from day to day, or rare events on few predictions a day: at a chance of 5 %."""
    random = np.random.default_rng(3)
    runs = 150
    for rate, wild, rows in ((0.2, 0.1, 100), (0.02, 0.0, 40), (0.05, 0.5, 60)):
        flagged = sum(
            looked(
                days(random, 24, 12, rate, wild=wild, rows=rows), days(random, 0, 24, rate, wild=wild, rows=rows), 0.05
            )
            .rows[0]
            .less
            for _ in range(runs)
        )
        assert flagged <= stats.binom.ppf(1 - 1e-3, runs, 0.05)


def test_values_are_series_of_their_own_where_they_are_few() -> None:
    rated = [{"of": n, "name": "rated", "text": "up" if n % 3 else "down"} for n in range(60)]
    watched = [{"of": n, "name": "watched", "text": str(n)} for n in range(50)]
    found = looked(side(np.arange(100) * 3600.0, [*rated, *watched]))
    assert [row.title for row in found.rows] == ["rated", "rated = up", "rated = down", "watched"]


def test_of_thousands_of_names_the_most_frequent_are_shown_and_the_rest_counted() -> None:
    events = [{"of": n % 100, "name": f"name {n}" if n % 2 else "clicked"} for n in range(4000)]
    found = looked(side(np.arange(200) * 3600.0, events))
    assert found.rows[0].title == "clicked"
    assert len(found.rows) == 8
    assert found.others == 1993
    assert sections(found)[0].title == "interactions and rewards (beside 1,993 rarer names)"


def test_a_name_that_is_html_or_very_long_is_shown_as_text() -> None:
    events = [{"of": 0, "name": "<script>alert(1)</script>"}, {"of": 1, "name": "x" * 4000}, {"of": 1, "name": "a\nb"}]
    found = looked(side(np.arange(9) * 3600.0, events))
    titles = [row.title for row in found.rows]
    assert titles == ["<script>alert(1)</script>", "a\\nb", "x" * 39 + "…"]


def test_what_variants_did_is_shown_side_by_side() -> None:
    variants = ["champion" if row % 4 else "challenger" for row in range(100)]
    events = [{"of": row} for row in range(0, 100, 8)]
    (row,) = looked(side(np.arange(100) * 60.0, events, variants=variants)).rows
    assert [(one.variant, one.value > 0.4) for one in row.variants] == [("challenger", True), ("champion", False)]
    assert sum(one.rows for one in row.variants) == row.rows


def test_where_nothing_is_known_of_users_there_is_nothing_to_show() -> None:
    assert reactions.compare(side(np.arange(9) * 60.0, []), None, 0.05) is None
    assert reactions.compare(side([], []), side(np.arange(9) * 60.0, [{"of": 1}]), 0.05) is None
    assert [table.rows for table in sections(None)] == [()] * 3
    assert not Standing().judged


def test_one_prediction_has_a_share_and_no_comparison() -> None:
    (row,) = looked(side([0.0], [{"of": 0}]), side([-60.0], []), 0.05).rows
    assert (row.value, row.rows, row.p_value) == (1.0, 1, None)
    reward = {"of": 0, "kind": "reward", "number": 2.0}
    (row,) = looked(side([0.0], [reward])).rows
    assert row.value == 2.0
    assert sections(looked(side([0.0], [reward])))[0].rows[0][4] is None


def test_a_time_before_that_is_much_longer_than_the_window_is_not_divided_without_end() -> None:
    before = side([-1e9, *np.arange(-3000.0, 0.0, 10.0)], [{"of": 5}])
    (row,) = looked(side(np.arange(100) * 10.0, [{"of": 1}]), before, 0.05).rows
    assert row.stretches[0].since > datetime(1969, 12, 31, tzinfo=UTC)
