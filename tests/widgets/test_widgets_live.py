from __future__ import annotations

import gc
import itertools
import json
import threading
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

from mlprod_nb.lifecycle.panels.counters import MOST_SAMPLES
from mlprod_nb.lifecycle.panels.live import Now, Watch
from mlprod_nb.lifecycle.panels.under_way import ReleaseNow, StepNow
from mlprod_nb.results import Result
from mlprod_nb.widgets.live import LivePanel, moving
from mlprod_nb.widgets.pulse import Pulse
from tests.browser.jupyterlab import wait_until
from tests.browser.samples import HOSTILE, a_live, a_watch


def never(line: str) -> Result:
    raise AssertionError(line)


class Counts:
    """A beat that counts, and lets a test wait for it."""

    def __init__(self) -> None:
        self.beats = 0
        self.beaten = threading.Event()

    def __call__(self) -> None:
        self.beats += 1
        self.beaten.set()


def test_a_pulse_beats_while_it_is_watched_and_no_longer() -> None:
    beat, now = Counts(), [0.0]
    pulse = Pulse(beat, every_seconds=0.001, patience_seconds=60, monotonic=lambda: now[0])
    assert not pulse.beats
    pulse.seen()
    assert beat.beaten.wait(10)
    now[0] = 61.0
    wait_until(lambda: not pulse.beats, seconds=10, what="the thread's end")
    pulse.seen()
    beats = beat.beats
    wait_until(lambda: beat.beats > beats, seconds=10, what="another beat")
    pulse.stop()
    wait_until(lambda: not pulse.beats, seconds=10, what="the thread's end")


def started_since(before: list[threading.Thread]) -> list[threading.Thread]:
    """Return the panels' threads that were not there before: those of earlier tests may still be ending."""
    return [each for each in threading.enumerate() if each not in before and each.name == "mlprod-panel"]


def test_a_pulse_has_one_thread_however_often_it_is_told() -> None:
    beat, before = Counts(), threading.enumerate()
    pulse = Pulse(beat, every_seconds=60)
    for _ in range(20):
        pulse.seen()
    assert beat.beaten.wait(60)
    assert beat.beats == 1
    assert len(started_since(before)) == 1
    pulse.stop()


def test_no_two_beats_are_at_once_when_a_pause_is_shorter_than_a_beat() -> None:
    go_on, inside, most, there = threading.Event(), [0], [0], threading.enumerate()

    def beat() -> None:
        inside[0] += 1
        most[0] = max(most[0], inside[0])
        go_on.wait(60)
        inside[0] -= 1

    pulse = Pulse(beat, every_seconds=0.001)
    pulse.seen()
    wait_until(lambda: inside[0], seconds=10, what="the first beat")
    pulse.stop()
    pulse.seen()
    threads = started_since(there)
    assert len(threads) == 2, "the first waits in its beat, the second for the first"
    wait_until(lambda: threads[1].is_alive(), seconds=10, what="the second thread")
    go_on.set()
    wait_until(lambda: not threads[0].is_alive(), seconds=10, what="the first thread's end")
    pulse.stop()
    threads[1].join(10)
    assert most == [1]


def test_a_panel_looks_once_a_second_at_most_however_often_it_is_paused() -> None:
    begun: list[float] = []

    def look() -> Now:
        begun.append(panel.pulse._begun)  # as the pulse noted it: the thread may have stood still since
        return a_watch(20)

    panel = LivePanel(a_live(), never, lambda _: look)
    while len(begun) < 3:
        panel._handle_custom_msg({"watching": True}, [])
        panel._handle_custom_msg({"watching": False}, [])
        panel._handle_custom_msg({"watching": True}, [])
        wait_until(partial(lambda count: len(begun) > count, len(begun)), seconds=10, what="a look")
    panel.close()
    assert all(after - before >= 1 for before, after in itertools.pairwise(begun))


def test_a_watch_holds_no_more_after_hours_than_after_minutes() -> None:
    watch, objects = a_slow_watch(), []
    for looks in (200, 1_500):
        for _ in range(looks):
            now = watch.look()
        gc.collect()
        objects.append(len(gc.get_objects()))
        assert len(watch.samples.kept) < MOST_SAMPLES
        assert len(json.dumps(moving(now))) < 20_000
    assert now.stretches[-1].at - now.stretches[0].at > timedelta(hours=2)
    assert objects[1] - objects[0] < 1_000, "less than one object a look stayed"


def a_slow_watch() -> Watch:
    """Return a watch whose clock goes on by five seconds a look, and whose gateway answers fifty requests in it."""
    now = [datetime(2013, 4, 1, tzinfo=UTC)]
    looks = itertools.count()

    def metrics() -> str:
        now[0] += timedelta(seconds=5)
        return METRICS.format(count=50 * next(looks))

    return Watch(lambda: now[0], "flights", metrics, lambda: a_live().recent, dict)


METRICS = """\
# TYPE mlprod_requests_total counter
mlprod_requests_total{{endpoint="flights",route="invoke",status="200"}} {count}
# TYPE mlprod_prediction_seconds histogram
mlprod_prediction_seconds_bucket{{endpoint="flights",variant="champion",le="0.01"}} {count}
mlprod_prediction_seconds_bucket{{endpoint="flights",variant="champion",le="+Inf"}} {count}
mlprod_prediction_seconds_count{{endpoint="flights",variant="champion"}} {count}
mlprod_prediction_seconds_sum{{endpoint="flights",variant="champion"}} 1
"""


def test_a_panel_that_is_watched_moves_and_ends_with_its_close() -> None:
    looked: list[str] = []

    def watch(endpoint: str) -> Any:
        looked.append(endpoint)
        return lambda: a_watch(20)

    panel = LivePanel(a_live(), never, watch)
    panel._handle_custom_msg({"watching": True}, [])
    wait_until(lambda: panel.live, seconds=10, what="a look")
    assert looked == ["flights"]
    assert panel.live["names"] == ["champion", HOSTILE]
    panel._handle_custom_msg({"watching": False}, [])
    wait_until(lambda: not panel.pulse.beats, seconds=10, what="the thread's end")
    panel._handle_custom_msg({"watching": True}, [])
    panel.close()
    wait_until(lambda: not panel.pulse.beats, seconds=10, what="the thread's end")


def test_a_release_can_be_paused_from_the_panel_and_nothing_else_be_said_to_it() -> None:
    sent: list[str] = []

    def told(line: str) -> Result:
        sent.append(line)
        return a_live()

    panel = LivePanel(a_live(), told)
    for line in ("pause flights --reason 'the fair'", "stop fares", "advance flights", "pause flights --wait"):
        panel._handle_custom_msg({"line": f"%mlprod release {line}"}, [])
    assert [line for line in sent if "release" in line] == ["%mlprod release pause flights --reason 'the fair'"]
    step = StepNow("shadow", "stands", a_live().at, "every gate passes")
    release = ReleaseNow("ok", "Release 4 stands at shadow.", "under way", (step,))
    shown = moving(replace(a_watch(20), release=release), "flights")["release"]
    assert [action["line"] for action in shown["actions"]] == [
        "%mlprod release pause flights",
        "%mlprod release stop flights",
    ]
    json.dumps(shown, allow_nan=False)


def test_what_is_sent_stays_as_small_after_hours_as_after_minutes() -> None:
    sizes = [len(json.dumps(moving(a_watch(seconds)))) for seconds in (200, 20_000)]
    assert max(sizes) < 20_000
    assert len(moving(a_watch(20_000))["times"]) < 120


def test_a_look_before_anything_was_counted_is_shown_as_nothing() -> None:
    shown = moving(Now(a_live().at, "the gateway is not running.", (), None, (), None))
    assert (shown["last"], shown["times"], shown["problem"]) == ([], [], "the gateway is not running.")
    json.dumps(shown, allow_nan=False)
