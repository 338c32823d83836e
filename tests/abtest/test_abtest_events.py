"""Rewards and interactions as columns of predictions: values by hand, and against plain Python."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

import numpy as np
import pytest

from mlprod_nb.abtest import events
from mlprod_nb.abtest.events import Event, EventKind
from mlprod_nb.abtest.outcome import Outcome
from tests.abtest.fed_back import Said, reward, told
from tests.abtest.tables import START, labelled

BINARY = Outcome("classification", ("0", "1"))
LATER = START + timedelta(days=365)
BOOKED = "metrics: {booked: {interaction: booked, within: 1h}}\nprimary: booked"
SAVED = "metrics: {saved: {reward: minutes, within: 1h}}\nprimary: saved"


def event(kind: EventKind = "interaction", name: str = "booked", equals: str = "", within: str = "1h") -> Event:
    hours = timedelta(hours=float(within.removesuffix("h")))
    return Event("mine", kind, name, equals, hours)


def values(said: Sequence[Said], wanted: Event, count: int = 4, until: datetime = LATER) -> list[Any]:
    """Return the event's value of each prediction; they come a minute apart from ``START`` on."""
    rows = labelled(["champion"] * count)
    column: list[Any] = events.beside(rows, told(said), wanted, until=until).rows["event mine"].to_pylist()
    return column


def test_an_interaction_counts_from_its_prediction_on_until_its_time_is_over() -> None:
    said = [Said(0, 60), Said(1, 61.1), Said(2, 0), Said(3, 3)]
    # p1 is asked at minute 1 and told of at 61.1: too late. p2 is asked at minute 2 and told of two minutes before.
    assert values(said, event()) == [True, False, False, True]


def test_clocks_that_differ_by_less_than_a_minute_agree() -> None:
    assert values([Said(2, 1.01)], event())[2] is True
    assert values([Said(2, 0.99)], event())[2] is False


def test_a_prediction_that_nothing_came_of_counts_as_none() -> None:
    assert values([], event()) == [False] * 4
    assert values([], event("reward", "minutes")) == [0.0] * 4


def test_a_prediction_whose_time_is_not_over_does_not_count_yet_whatever_came() -> None:
    said = [Said(number, number + 1) for number in range(4)]
    until = START + timedelta(minutes=61)
    assert values(said, event(), until=until) == [True, True, None, None]


def test_of_one_source_the_latest_value_within_the_time_counts() -> None:
    said = [reward(0, 1, 5.0), reward(0, 2, 3.0), reward(1, 2, 7.0), reward(1, 90, 9.0)]
    assert values(said, event("reward", "minutes")) == [3.0, 7.0, 0.0, 0.0]


def test_what_several_sources_tell_is_added_up() -> None:
    said = [reward(0, 1, 5.0, "shop"), reward(0, 2, 3.0, "app"), reward(0, 3, 4.0, "app"), reward(1, 2, -2.0)]
    assert values(said, event("reward", "minutes")) == [9.0, -2.0, 0.0, 0.0]


def test_an_interaction_that_several_sources_tell_counts_once_and_can_be_taken_back() -> None:
    no = {"text": "False", "number": 0.0}
    said = [Said(0, 1, source="app"), Said(0, 1, source="shop"), Said(1, 2), Said(1, 3, **no), Said(2, 3, **no)]  # type: ignore[arg-type]
    assert values(said, event()) == [True, False, False, False]
    one_says_so = [Said(0, 1, source="app"), Said(0, 2, source="shop", text="False", number=0.0)]
    assert values(one_says_so, event())[0] is True


def test_an_interaction_may_be_asked_for_by_its_value() -> None:
    said = [Said(0, 1, text="clicked"), Said(1, 2, text="shown"), Said(2, 3, text="1.0", number=1.0), Said(3, 4)]
    assert values(said, event(equals="clicked")) == [True, False, False, False]
    assert values(said, event(equals="1")) == [False, False, True, False]


def test_what_is_about_another_prediction_of_another_name_or_kind_does_not_count() -> None:
    said = [Said(9, 1), Said(0, 1, name="cancelled"), Said(1, 2, kind="reward", number=1.0)]
    assert values(said, event()) == [False] * 4


def test_a_reward_that_is_no_number_does_not_hide_one_that_is() -> None:
    said = [reward(0, 1, 5.0), reward(0, 2, None), reward(1, 2, 1e200)]
    rows = labelled(["champion"] * 2)
    found = events.beside(rows, told(said), event("reward", "minutes"), until=LATER)
    assert found.rows["event mine"].to_pylist() == [5.0, 0.0]
    assert found.notes == ("mine counts the reward 'minutes' within 1h of a prediction; 2 held no number.",)


def test_the_notes_say_what_counts_and_what_does_not() -> None:
    said = [Said(0, 70), Said(1, 1.5), Said(3, -9)]
    until = START + timedelta(minutes=62)
    found = events.beside(labelled(["champion"] * 4), told(said), event(equals="yes"), until=until)
    assert found.notes == (
        "mine counts the interaction 'booked' = 'yes' within 1h of a prediction; 1 prediction younger than that not "
        "yet; 1 came later; 1 came before the prediction.",
    )


@pytest.mark.parametrize("seed", range(20))
def test_the_columns_agree_with_a_plain_computation(seed: int) -> None:
    rng = np.random.default_rng(seed)
    count = int(rng.integers(1, 30))
    said = [
        Said(
            about=int(rng.integers(0, count + 2)),
            minutes=float(np.round(rng.uniform(-30, 120), 2)),
            name=str(rng.choice(["booked", "minutes"])),
            number=None if rng.random() < 0.2 else float(rng.integers(0, 4)),
            text=str(rng.choice(["yes", "no"])),
            kind=str(rng.choice(["interaction", "reward"])),
            source=str(rng.choice(["", "app"])),
        )
        for _ in range(int(rng.integers(0, 150)))
    ]
    until = START + timedelta(minutes=float(np.round(rng.uniform(0, 120), 2)))
    for wanted in (event(), event("reward", "minutes"), event(equals="yes"), event(equals="2")):
        assert values(said, wanted, count, until) == [plainly(number, said, wanted, until) for number in range(count)]


def plainly(number: int, said: Sequence[Said], wanted: Event, until: datetime) -> bool | float | None:
    """Return one prediction's value, one piece of feedback after the other."""
    asked = START + timedelta(minutes=number)
    if asked + wanted.within > until:
        return None
    latest: dict[str, Said] = {}
    for each in said:
        after = START + timedelta(minutes=each.minutes) - asked
        about = (each.about, each.kind, each.name) == (number, wanted.kind, wanted.name)
        usable = wanted.kind == "interaction" or each.number is not None
        if about and usable and timedelta(minutes=-1) <= after <= wanted.within:
            latest[each.source] = each
    if wanted.kind == "reward":
        return float(sum(each.number or 0.0 for each in latest.values()))
    if wanted.equals:
        return any(each.text == wanted.equals or f"{each.number:g}" == wanted.equals for each in latest.values()
                   if each.text == wanted.equals or each.number is not None)  # fmt: skip
    return any(each.number != 0 for each in latest.values())
