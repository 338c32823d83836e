"""A result's text is no wider than the terminal, and for a pipe as it is."""

from __future__ import annotations

import os
import subprocess
import sys
import termios
from dataclasses import dataclass
from pathlib import Path

import pytest

from mlprod_nb.results import Result, Section, Verdict

LONG = "accuracy fell from 0.775 to 0.722, and the label moved from a quarter of the rows to a third of them"
HEAD = ("alert", "endpoint", "state", "raised_at", "sentence", "next")
ROW = (1, "flights", "open", "2026-11-28T06:37:01Z", LONG, "%mlprod alerts acknowledge 1 --reason 'rain'")


@dataclass(frozen=True)
class Alerts(Result):
    verdict: Verdict
    rows: tuple[tuple[object, ...], ...]

    def sections(self) -> tuple[Section, ...]:
        return (
            Section("", (), (("what happened", LONG), ("page", "reports/flights"))),
            Section("alerts", HEAD, self.rows),
        )


FOUND = Alerts(Verdict("alarm", LONG + ".", "%mlprod retrain flights"), (ROW, (2, "fares", "", *ROW[3:])))


@pytest.mark.parametrize("width", [60, 72, 80, 100, 140, 200])
def test_no_line_is_wider_than_the_terminal(width: int) -> None:
    lines = FOUND.fitted(width).split("\n")
    assert max(map(len, lines)) <= width
    assert " ".join(" ".join(lines).split()).count("%mlprod alerts acknowledge 1 --reason 'rain'") == 2


def test_where_nobody_looks_on_the_text_does_not_depend_on_a_terminal() -> None:
    assert FOUND.fitted() == str(FOUND)
    assert FOUND.headline() in str(FOUND).split("\n")


def test_a_table_that_would_be_too_narrow_is_shown_row_by_row() -> None:
    shown = FOUND.fitted(60)
    assert "alert      1\nendpoint   flights\nstate      open\n" in shown
    assert "\n\nalert      2\nendpoint   fares\nraised at  2026" in shown, "what says nothing is left out"
    assert "sentence   accuracy fell from 0.775 to 0.722, and the label\n           moved" in shown


def test_words_stay_whole_however_narrow_the_terminal_is() -> None:
    words = FOUND.fitted(10).split()
    assert "2026-11-28T06:37:01Z" in words
    assert "reports/flights" in words


def test_a_shell_s_text_is_as_wide_as_its_terminal(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "mlprod_nb.cli"]
    subprocess.run([*command, "init"], cwd=tmp_path, check=True, capture_output=True)
    ours, theirs = os.openpty()
    termios.tcsetwinsize(theirs, (24, 20))
    environment = {name: value for name, value in os.environ.items() if name != "COLUMNS"}
    subprocess.run([*command, "status"], cwd=tmp_path, stdout=theirs, check=False, timeout=60, env=environment)
    os.close(theirs)
    seen = os.read(ours, 10_000).decode()
    os.close(ours)
    piped = subprocess.run([*command, "status"], cwd=tmp_path, capture_output=True, text=True, check=False).stdout
    assert seen.split() == piped.split()
    assert seen.splitlines()[:2] == ["✓ OK: nothing is", "deployed yet."]
    assert piped.splitlines()[0] == "✓ OK: nothing is deployed yet."
