"""Locks: one process at a time, another waits or is told, and a killed one holds nothing."""

from __future__ import annotations

import subprocess
import sys
import threading
from pathlib import Path

import pytest

from mlprod_nb import locks

HOLDING = """
import sys
from pathlib import Path
from mlprod_nb import locks
with locks.held(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture(params=["file", "folder"])
def path(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """What is locked: a file in a folder that nobody made yet, or a folder."""
    return tmp_path / "run" / "one.lock" if request.param == "file" else tmp_path


def test_a_lock_that_is_held_is_not_had_by_another_and_is_free_afterwards(path: Path) -> None:
    with locks.held(path), locks.tried(path) as mine:
        assert not mine
    with locks.tried(path) as mine:
        assert mine


def test_whoever_waits_has_it_when_the_other_is_done(path: Path) -> None:
    order: list[str] = []
    begun = threading.Event()

    def wait() -> None:
        begun.set()
        with locks.held(path):
            order.append("second")

    with locks.held(path):
        other = threading.Thread(target=wait)
        other.start()
        assert begun.wait(10)
        order.append("first")
    other.join(10)
    assert order == ["first", "second"]


def test_a_killed_process_holds_nothing(path: Path) -> None:
    command = [sys.executable, "-c", HOLDING, str(path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        with locks.tried(path) as mine:
            assert not mine
        process.kill()
    with locks.tried(path, seconds=10) as mine:
        assert mine


def test_a_lock_s_file_is_for_its_owner_alone(tmp_path: Path) -> None:
    with locks.held(tmp_path / "one.lock"):
        assert (tmp_path / "one.lock").stat().st_mode & 0o077 == 0
