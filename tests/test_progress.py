from __future__ import annotations

import importlib
import io
import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from mlprod_nb import commands
from mlprod_nb.commands import showing
from mlprod_nb.errors import Refused
from mlprod_nb.lifecycle.context import Caller
from mlprod_nb.progress import SILENCE, uninterrupted, whole_imports
from mlprod_nb.results import Result
from tests.clocks import Steady
from tests.fake_workspace import FakeWorkspace


def interrupt() -> None:
    os.kill(os.getpid(), signal.SIGINT)


@pytest.fixture(autouse=True)
def interrupts_raise() -> Iterator[None]:
    """As in a terminal, also where a shell started the tests in the background and had them ignore interrupts."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def held(events: list[str], *, second_breaks: bool = False) -> None:
    with uninterrupted(second_breaks=second_breaks) as asked:
        assert not asked()
        interrupt()
        assert asked()
        events.append("first")
        interrupt()
        events.append("second")


def test_interrupts_wait_for_the_end_of_the_block() -> None:
    events: list[str] = []
    with pytest.raises(KeyboardInterrupt, match="finished first"):
        held(events)
    assert events == ["first", "second"]
    with pytest.raises(KeyboardInterrupt):
        interrupt()


def test_a_second_interrupt_goes_through_where_it_is_allowed() -> None:
    events: list[str] = []
    with pytest.raises(KeyboardInterrupt):
        held(events, second_breaks=True)
    assert events == ["first"]


def refused() -> None:
    with uninterrupted():
        interrupt()
        raise Refused("no.")


def test_an_error_in_the_block_is_the_error_that_is_raised() -> None:
    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(Refused):
        refused()
    assert signal.getsignal(signal.SIGINT) is before


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A package that is interrupted while it is imported, when one of its modules is there already."""
    name = f"interrupted_{tmp_path.name}".replace("-", "_")
    (tmp_path / name).mkdir()
    (tmp_path / name / "first.py").write_text("", encoding="utf-8")
    interrupted = (
        f"import {name}.first, os, signal\nos.kill(os.getpid(), signal.SIGINT)\nsum(range(100_000))\nwhole = True\n"
    )
    (tmp_path / name / "__init__.py").write_text(interrupted, encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    return name


def imported(package: str, then: Callable[[], None]) -> None:
    with whole_imports():
        importlib.import_module(package)
        then()


def go_on() -> None:
    """Go on for as long as it takes until somebody interrupts."""
    threading.Event().wait(60)
    raise AssertionError("nobody interrupted")


def refuse() -> None:
    raise Refused("no.")


def interrupted_within(events: list[str]) -> None:
    with whole_imports():
        interrupt()
        events.append("after it")


def test_an_interrupt_waits_for_the_import_under_way_and_comes_after_it(package: str) -> None:
    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        imported(package, then=go_on)
    assert signal.getsignal(signal.SIGINT) is before
    assert importlib.import_module(package).whole
    assert importlib.import_module(package).first


def test_an_interrupt_that_still_waits_at_the_end_is_raised_there(package: str) -> None:
    with pytest.raises(KeyboardInterrupt), whole_imports():
        assert importlib.import_module(package).whole


def test_an_error_after_an_import_that_was_to_be_interrupted_is_the_error_that_is_raised(package: str) -> None:
    with pytest.raises(Refused):
        imported(package, then=refuse)


def test_an_interrupt_outside_of_any_import_comes_at_once() -> None:
    events: list[str] = []
    with pytest.raises(KeyboardInterrupt):
        interrupted_within(events)
    assert events == []


def test_parts_that_must_not_be_half_done_hold_interrupts_within_whole_imports_too() -> None:
    events: list[str] = []
    with pytest.raises(KeyboardInterrupt, match="finished first"), whole_imports():
        held(events)
    assert events == ["first", "second"]


def test_in_another_thread_nothing_is_done() -> None:
    seen = []

    def work() -> None:
        with uninterrupted() as asked, whole_imports():
            seen.append(asked())

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [False]


def shown() -> tuple[showing.InPlace, list[tuple[str, bool]], Steady]:
    bundles: list[tuple[str, bool]] = []
    steady = Steady()

    def publish(bundle: dict[str, Any], update: bool) -> None:
        bundles.append((bundle["text/plain"], update))

    return showing.InPlace(showing.CellOutput(publish), steady), bundles, steady


def test_a_notebook_is_left_the_output_it_was_given_first() -> None:
    place, bundles, _ = shown()
    place.step("reading")
    place.step("writing")
    place.end("done")
    assert bundles == [("", False), ("… reading", True), ("✓ reading\n… writing", True), ("", True)]


def test_a_wait_that_counts_keeps_one_line() -> None:
    place, bundles, _ = shown()
    place.step("running the gates")
    for rows in range(0, 100, 10):
        place.step(f"waits for predictions: {rows} of 1,000; time: 9 minutes more")
    place.step("promoting")
    assert bundles[-2][0] == "✓ running the gates\n… waits for predictions: 90 of 1,000; time: 9 minutes more"
    waited = "✓ waits for predictions: 90 of 1,000; time: 9 minutes more"
    assert bundles[-1][0] == f"✓ running the gates\n{waited}\n… promoting"


def test_where_it_failed_or_was_interrupted_stays() -> None:
    place, bundles, _ = shown()
    place.step("reading")
    place.at(3, 12)
    place.end("interrupted")
    assert bundles[-1] == ("✗ interrupted while reading (3 of 12)", True)


def test_parts_are_shown_at_most_ten_times_a_second() -> None:
    place, bundles, steady = shown()
    place.step("reading")
    for part in range(1, 1001):
        steady.seconds += 0.001
        place.at(part, 1000)
    assert 9 <= len(bundles) - 2 <= 10


def test_a_verb_without_steps_shows_nothing() -> None:
    place, bundles, _ = shown()
    place.end("done")
    assert bundles == []


def test_steps_with_markup_in_them_are_text() -> None:
    pages: list[str] = []
    output = showing.CellOutput(lambda bundle, update: pages.append(bundle["text/html"]))
    output.show(showing.Steps().begin("<script>"))
    output.close(showing.Steps().begin("<script>"), "failed")
    assert all("<script>" not in page for page in pages)


def test_a_terminal_keeps_one_line_and_takes_it_away() -> None:
    stream = io.StringIO()
    place = showing.InPlace(showing.TerminalLine(stream), Steady())
    place.step("reading")
    place.step("counting")
    place.end("done")
    assert stream.getvalue() == "\r\x1b[Kreading …\r\x1b[Kcounting …\r\x1b[K"
    line = showing.TerminalLine(stream)
    line.show(showing.Steps((), "counting", 6, 12))
    assert stream.getvalue().endswith("counting (6 of 12) [############............]")


def test_a_log_says_nothing_twice_in_a_row() -> None:
    stream = io.StringIO()
    lines = showing.Lines(stream)
    for name in ("waits", "waits", "goes on", "waits"):
        lines.step(name)
    assert stream.getvalue() == "· waits\n· goes on\n· waits\n"


def test_a_log_has_one_line_a_step() -> None:
    stream = io.StringIO()
    lines = showing.Lines(stream)
    lines.step("reading")
    lines.at(1, 2)
    lines.end("done")
    assert stream.getvalue() == "· reading\n"


class Working(FakeWorkspace):
    """A façade whose verbs report a step."""

    def __getattr__(self, name: str) -> Any:
        verb = super().__getattr__(name)

        def work(*arguments: Any, **options: Any) -> Result:
            type(self).callers[-1].progress.step("working")
            result: Result = verb(*arguments, **options)
            return result

        return work


class Broken(Working):
    raises = Refused("no.")


class Interrupted(Working):
    raises = KeyboardInterrupt()


@pytest.mark.parametrize(
    ("facade", "last"),
    [(Working, ""), (Broken, "✗ failed while working"), (Interrupted, "✗ interrupted while working")],
)
def test_a_door_is_told_how_the_verb_ended(facade: type[FakeWorkspace], last: str) -> None:
    place, bundles, _ = shown()
    door = commands.Door(facade=facade, progress=place)
    with suppress(Refused, KeyboardInterrupt):
        commands.run(["deploy", "flights/1"], door)
    assert bundles[-1] == (last, True)


def test_without_a_door_nobody_listens() -> None:
    assert Caller.current().progress is SILENCE
    SILENCE.step("x")
    SILENCE.at(1, 2)
