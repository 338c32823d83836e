"""A worker's silence that the machine is to blame for is told from its own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from mlprod_nb.serving.supervision.starvation import Starvation
from tests.serving.workshop import until

PID = 7


class Proc:
    """What a system tells of one process."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def tell(self, task: int, *, waited_seconds: float, state: str = "S") -> None:
        folder = self.folder / str(PID) / "task" / str(task)
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "schedstat").write_text(f"5000 {int(waited_seconds * 1e9)} 12\n")
        (folder / "stat").write_text(f"{task} (a ) D (b) {state} 1 {PID} {PID} 0 -1\n")


@pytest.fixture
def proc(tmp_path: Path) -> Proc:
    proc = Proc(tmp_path)
    proc.tell(7, waited_seconds=3.0)
    proc.tell(8, waited_seconds=1.0)
    return proc


def test_a_thread_that_waits_for_a_processor_is_kept_waiting_for_as_long(proc: Proc) -> None:
    starvation = Starvation(PID, proc.folder)
    assert starvation.since(0.1) == 0  # what was before is not known
    proc.tell(8, waited_seconds=1.06)
    assert starvation.since(0.1) == pytest.approx(0.06)
    assert starvation.since(0.1) == 0
    proc.tell(7, waited_seconds=9.0)
    assert starvation.since(0.1) == 0.1


def test_a_thread_that_waits_for_a_disk_is_kept_waiting_all_the_time(proc: Proc) -> None:
    starvation = Starvation(PID, proc.folder)
    proc.tell(8, waited_seconds=1.0, state="D")
    assert starvation.since(0.1) == 0.1


@pytest.mark.parametrize("state", ["R", "S", "T"])
def test_a_process_that_runs_sleeps_or_is_stopped_is_not_kept_waiting(proc: Proc, state: str) -> None:
    starvation = Starvation(PID, proc.folder)
    proc.tell(7, waited_seconds=3.0, state=state)
    assert [starvation.since(0.1), starvation.since(0.1)] == [0, 0]


def test_a_system_that_does_not_tell_keeps_nobody_waiting(tmp_path: Path) -> None:
    assert Starvation(PID, tmp_path).since(0.1) == 0


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells")
def test_linux_tells_of_a_real_process_that_it_waited_for_a_processor() -> None:
    one = min(os.sched_getaffinity(0))
    command = [sys.executable, "-c", f"import os; os.sched_setaffinity(0, [{one}])\nwhile True: pass"]
    rivals = [subprocess.Popen(command) for _ in range(3)]
    try:
        starvation = Starvation(rivals[0].pid)
        until(lambda: starvation.since(10.0) > 0.01)
        rivals[0].send_signal(signal.SIGSTOP)
        until(lambda: starvation.since(10.0) == 0)
    finally:
        for rival in rivals:
            rival.kill()
            rival.wait()
