"""What a release does next, as a pure function: every state, without a workspace."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from mlprod_nb.lifecycle.releasing.deciding import Evidence, Finding, span, step
from mlprod_nb.lifecycle.releasing.plan import Plan
from mlprod_nb.lifecycle.releasing.standing import Standing, follow
from mlprod_nb.settings import ReleaseSettings
from mlprod_nb.store.releases import Event, Kind

NOW = datetime(2013, 7, 1, tzinfo=UTC)
START = Standing("idle", -1, NOW, revision=4)
ENOUGH = Evidence(predictions=100)


def plan(**settings: Any) -> Plan:
    return Plan.of(ReleaseSettings(**{"hold": "1h", **settings}), alias="champion", default_metric="accuracy")


def event(kind: Kind, step: int, *, minutes: float = 0, revision: int = 0, detail: str = "d", **facts: Any) -> Event:
    return Event(NOW + timedelta(minutes=minutes), "ann", kind, step, detail, revision, facts)


def finding(judged: Any, what: str = "accuracy") -> Finding:
    return Finding(what, 0.8, 0.7, 0.0, judged, f"{what} is worse")


def stands(at: int, **more: Any) -> Standing:
    return replace(Standing("stands", at, NOW, revision=5, own=(5,)), **more)


def at(minutes: float) -> datetime:
    return NOW + timedelta(minutes=minutes)


def test_the_steps_are_those_of_the_settings() -> None:
    assert [str(part) for part in plan().steps] == ["check", "shadow", "1 %", "10 %", "50 %", "100 %", "promote"]
    assert [str(part) for part in plan(shadow=False, steps=[]).steps] == ["check", "promote"]
    assert Plan.from_dict(plan().to_dict()) == plan()


def test_a_steps_part_of_alpha_is_that_of_the_measured_steps() -> None:
    assert plan(alpha=0.05).step_alpha == pytest.approx(0.01)


def test_the_first_step_begins_at_once_and_the_check_is_followed_by_the_shadow() -> None:
    assert step(plan(), START, Evidence(), NOW).step == 0
    assert step(plan(), stands(0), Evidence(), NOW).step == 1


def test_a_step_is_held_for_predictions_labels_and_time_and_says_which() -> None:
    wanted = plan(min_predictions=50, min_labels=20)
    found = step(wanted, stands(2), Evidence(predictions=7, labels=3), at(15))
    assert (found.move, found.why) == (
        "wait",
        "waits for predictions: 7 of 50; feedback: 3 of 20; time: 45 minutes more",
    )
    soon = step(wanted, stands(2), Evidence(predictions=50, labels=20), at(60) - timedelta(milliseconds=300))
    assert soon.why == "waits for time: 1 second more"
    later = step(wanted, stands(2), Evidence(predictions=50, labels=20), at(60))
    assert (later.move, later.step) == ("begin", 3)


def test_harm_goes_back_whatever_is_missing() -> None:
    found = step(plan(), stands(2), Evidence(predictions=1, findings=(finding("harm"),)), NOW)
    assert (found.move, found.why) == ("revert", "accuracy is worse")


def test_an_invalid_comparison_pauses() -> None:
    found = step(plan(), stands(2), replace(ENOUGH, fault="sample ratio mismatch"), at(90))
    assert (found.move, found.why) == ("pause", "the comparison is invalid: sample ratio mismatch.")


def test_a_step_that_stands_too_long_goes_back_and_one_that_is_paused_does_not_age() -> None:
    wanted, now = plan(longest="2h"), stands(2)
    old = step(wanted, now, Evidence(), at(121))
    assert old.move == "revert"
    assert old.why == "the step has stood for more than 2 hours and still waits for predictions: 0 of 100"
    assert step(wanted, replace(now, rested=timedelta(hours=1)), Evidence(), at(121)).move == "wait"


def test_a_proof_is_asked_of_the_last_split_only() -> None:
    wanted = plan(proof=True, metrics={"accuracy": 0.02})
    assert step(wanted, stands(3), ENOUGH, at(90)).move == "begin"
    held = step(wanted, stands(4), replace(ENOUGH, findings=(finding("open"),)), at(90))
    assert held.why == "waits for proof that accuracy is within 0.02"
    assert step(wanted, stands(4), replace(ENOUGH, findings=(finding("within"),)), at(90)).move == "begin"


def test_somebody_elses_route_pauses_wherever_it_stands() -> None:
    for now in (START, stands(0), stands(3), replace(stands(3), phase="begun")):
        found = step(plan(), now, Evidence(foreign="bob made revision 9."), at(90))
        assert (found.move, found.why) == ("pause", "bob made revision 9.")


def test_what_was_begun_is_ended_before_anything_else_even_where_it_is_paused_or_stopped() -> None:
    for now in (stands(3), stands(3, paused="by ann."), stands(3, stop="ann stopped it.")):
        assert step(plan(), replace(now, phase="begun"), Evidence(), NOW).move == "finish"
        assert step(plan(), replace(now, phase="reverting"), Evidence(), NOW).move == "finish"


def test_what_failed_three_times_goes_back() -> None:
    found = step(plan(), replace(stands(3), phase="begun", tries=3, waits="the disk is full."), Evidence(), NOW)
    assert (found.move, found.why) == ("revert", "it failed 3 times: the disk is full.")


def test_without_a_gateway_a_step_waits_and_says_how_to_start_it() -> None:
    down = Evidence(predictions=100, obstacle="the gateway, which is not running: mlprod up")
    for number in (0, 2):
        assert step(plan(), stands(number), down, at(90)).why == f"waits for {down.obstacle}"


def test_the_promotion_waits_for_people_and_does_not_age_by_it() -> None:
    asked = replace(ENOUGH, approval="approve 3fa9")
    found = step(plan(longest="2h"), stands(5), asked, at(600))
    assert (found.move, found.why) == ("wait", "waits for approval: approve 3fa9")


def test_what_is_over_is_left_alone() -> None:
    assert step(plan(), replace(stands(5), phase="over", ending="promoted"), ENOUGH, NOW).move == "none"


def test_events_say_where_a_release_stands() -> None:
    now = follow(START, [event("begun", 0, detail="why", revision=4), event("stands", 0)])
    assert (now.phase, now.step, now.revision) == ("stands", 0, 4)
    now = follow(now, [event("begun", 1, detail="shadow", revision=4), event("failed", 1, detail="no gateway")])
    assert (now.phase, now.tries, now.reason, now.newest) == ("begun", 1, "shadow", 4)
    now = follow(now, [event("stands", 1, minutes=10, revision=5, gateway="g")])
    assert (now.phase, now.revision, now.own, now.facts) == ("stands", 5, (5,), {"gateway": "g"})
    now = follow(now, [event("paused", 1, minutes=20), event("resumed", 1, minutes=50)])
    assert now.stood(at(60)) == timedelta(minutes=20)
    assert follow(now, [event("paused", 1, minutes=60)]).stood(at(200)) == timedelta(minutes=20)


def test_a_resumption_after_somebody_elses_route_makes_the_step_again() -> None:
    now = follow(stands(3), [event("paused", 3), event("resumed", 3, revision=9, again=True)])
    assert (now.phase, now.revision) == ("idle", 9)
    assert step(plan(), now, Evidence(), NOW).step == 3


@pytest.mark.parametrize("ending", ["promoted", "rolled back", "refused", "stopped"])
def test_an_ending_ends(ending: Kind) -> None:
    assert follow(stands(3), [event(ending, 3)]).ending == ending


@pytest.mark.parametrize(
    ("seconds", "text"), [(0, "0 seconds"), (59, "59 seconds"), (60, "1 minute"), (7200, "2 hours"), (86_400, "1 day")]
)
def test_durations_are_read_easily(seconds: int, text: str) -> None:
    assert span(timedelta(seconds=seconds)) == text
