from __future__ import annotations

import json
import threading
from typing import Any

from mlprod_nb.lifecycle.panels.live import Now
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


def test_a_pulse_has_one_thread_however_often_it_is_told() -> None:
    beat = Counts()
    pulse = Pulse(beat, every_seconds=60)
    for _ in range(20):
        pulse.seen()
    assert beat.beaten.wait(10)
    assert beat.beats == 1
    assert [thread.name for thread in threading.enumerate()].count("mlprod-panel") == 1
    pulse.stop()


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


def test_what_is_sent_stays_as_small_after_hours_as_after_minutes() -> None:
    sizes = [len(json.dumps(moving(a_watch(seconds)))) for seconds in (200, 20_000)]
    assert max(sizes) < 20_000
    assert len(moving(a_watch(20_000))["times"]) < 120


def test_a_look_before_anything_was_counted_is_shown_as_nothing() -> None:
    shown = moving(Now(a_live().at, "the gateway is not running.", (), None, (), None))
    assert (shown["last"], shown["times"], shown["problem"]) == ([], [], "the gateway is not running.")
    json.dumps(shown, allow_nan=False)
