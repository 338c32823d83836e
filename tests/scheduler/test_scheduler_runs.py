"""Runs as processes: exit codes, time-outs, logs; and the scheduler as a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa
from sqlalchemy.engine import Connection

from mlprod_nb import scheduler
from mlprod_nb.errors import Unavailable
from mlprod_nb.scheduler import JobSpec, Runner, holders
from mlprod_nb.scheduler.failures import LOST, STOPPED, TIMED_OUT
from mlprod_nb.settings import Layout
from mlprod_nb.store import Store, alerts
from mlprod_nb.store.tables import job_runs

NOON = datetime(2025, 5, 5, 12, 0, 30, tzinfo=UTC)
#: Stands in for the shell door: takes the command line's words as a Python program of one line.
PYTHON = (sys.executable, "-c", "import sys; exec(sys.argv[1])")


@pytest.fixture
def runner(tmp_path: Path) -> Iterator[Runner]:
    (tmp_path / "mlprod.toml").write_text("")
    Layout(tmp_path).state.mkdir()
    store = Store(Store.sqlite_url(Layout(tmp_path).database))
    store.migrate()
    yield Runner(store, tmp_path, PYTHON, lambda: NOON)
    store.close()


def due(runner: Runner, program: str, timeout_seconds: float = 60.0) -> scheduler.DueSlot:
    spec = JobSpec("0 6 * * *", f"'{program}'", timeout_seconds=timeout_seconds)
    with runner.store.write() as connection:
        job = scheduler.add(connection, spec, now=NOON - timedelta(days=9)).job
        return scheduler.claim_now(connection, job, NOON)


def ending(runner: Runner) -> str:
    with runner.store.read() as connection:
        return scheduler.list_jobs(connection, now=NOON).jobs[-1].last


def until(condition: Callable[[], bool], seconds: float = 120.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.02)


def alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state not in "ZX"


@pytest.mark.parametrize(("exit_code", "words"), [(0, "ok"), (1, "verdict: no"), (3, "failed, exit code 3")])
def test_a_run_leaves_its_exit_code_and_its_output(runner: Runner, exit_code: int, words: str) -> None:
    slot = due(runner, f'import os; print("seen in", os.getcwd()); raise SystemExit({exit_code})')
    assert runner.execute(slot) == exit_code
    assert ending(runner) == words
    assert (runner.root / slot.log_path).read_text() == f"seen in {runner.root}\n"


TOLD = "there is no model flight. Did you mean flights?"


def test_a_run_that_failed_is_told_with_what_failed(runner: Runner) -> None:
    program = f'print("mlprod: a warning"); print("mlprod: {TOLD}"); print("after it"); raise SystemExit(3)'
    slot = due(runner, program)
    runner.execute(slot)
    with runner.store.read() as connection:
        (job,) = scheduler.list_jobs(connection, now=NOON, root=runner.root).jobs
        (alert,) = alerts.list_alerts(connection, only_open=True)
    assert (job.last, job.failure) == ("failed, exit code 3", TOLD)
    assert alert.said.sentence.endswith(f": failed, exit code 3: “{TOLD}”; it wrote {slot.log_path}.")


def test_what_a_run_says_failed_is_cut_where_it_is_long_and_found_at_the_end_of_much_output(runner: Runner) -> None:
    program = 'print("line " * 100_000); print("mlprod: " + "x" * 9_000); raise SystemExit(3)'
    runner.execute(due(runner, program))
    with runner.store.read() as connection:
        (job,) = scheduler.list_jobs(connection, now=NOON, root=runner.root).jobs
    assert job.failure == "x" * 499 + "…"


@pytest.mark.parametrize("exit_code", [0, 1])
def test_a_run_that_did_not_fail_tells_of_no_failure(runner: Runner, exit_code: int) -> None:
    runner.execute(due(runner, f'print("mlprod: {TOLD}"); raise SystemExit({exit_code})'))
    with runner.store.read() as connection:
        (job,) = scheduler.list_jobs(connection, now=NOON, root=runner.root).jobs
    assert job.failure == ""


def test_a_run_that_takes_too_long_is_ended_with_all_its_processes(runner: Runner) -> None:
    program = (
        "import subprocess, sys, time; "
        'child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"]); '
        "print(child.pid, flush=True); time.sleep(600)"
    )
    for seconds in (3.0, 12.0, 48.0):  # on a busy machine the first may end before its child begins
        slot = due(runner, program, timeout_seconds=seconds)
        assert runner.execute(slot) == TIMED_OUT
        assert ending(runner) == "timed out"
        child = (runner.root / slot.log_path).read_text()
        if child:
            break
    until(lambda: not alive(int(child)))


def test_a_run_that_ignores_the_polite_signal_is_ended_too(runner: Runner) -> None:
    program = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(600)"
    began = time.monotonic()
    assert runner.execute(due(runner, program, timeout_seconds=1.0)) == TIMED_OUT
    assert time.monotonic() - began < 20


def test_a_run_is_ended_when_the_scheduler_stops(runner: Runner) -> None:
    stop = threading.Event()
    stop.set()
    assert runner.execute(due(runner, "import time; time.sleep(600)"), stop) == STOPPED
    assert ending(runner) == "stopped"


def test_nobody_can_answer_a_run(runner: Runner) -> None:
    assert runner.execute(due(runner, "import sys; raise SystemExit(len(sys.stdin.read()))")) == 0


def test_files_of_the_workspace_do_not_stand_in_for_modules(runner: Runner) -> None:
    from mlprod_nb.scheduler.runs import COMMAND

    (runner.root / "click.py").write_text("raise SystemExit(42)")
    assert subprocess.run([*COMMAND[:2], "-c", "import click"], cwd=runner.root, timeout=60).returncode == 0


def test_the_loop_runs_what_is_due_and_ends_when_told(runner: Runner) -> None:
    with runner.store.write() as connection:
        spec = JobSpec("0 * * * *", "'raise SystemExit(0)'")
        for _ in range(6):
            scheduler.add(connection, spec, now=NOON - timedelta(hours=2))
    stop = threading.Event()
    thread = threading.Thread(target=scheduler.loop, args=(runner,), kwargs={"stop": stop, "poll_seconds": 0.05})
    thread.start()
    try:
        until(lambda: _endings(runner) == ["ok"] * 6)
    finally:
        stop.set()
        thread.join(20)
    assert not thread.is_alive()


def test_a_database_that_is_away_does_not_end_the_loop(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    away = Runner(Store(Store.sqlite_url(tmp_path / "no" / "such.db")), tmp_path, PYTHON, lambda: NOON)
    stop = threading.Event()
    thread = threading.Thread(target=scheduler.loop, args=(away,), kwargs={"stop": stop, "poll_seconds": 0.01})
    thread.start()
    try:
        until(lambda: len(caplog.records) >= 3)
        assert thread.is_alive()
    finally:
        stop.set()
        thread.join(20)
    assert all("did not answer" in record.message for record in caplog.records)


def test_the_scheduler_is_a_process_that_starts_once_and_ends_when_told(runner: Runner) -> None:
    root = runner.root
    assert scheduler.running(root) is None
    pid = scheduler.start(root)
    try:
        assert alive(pid)
        assert scheduler.running(root) == pid
        assert scheduler.start(root) == pid
        other = [sys.executable, "-m", "mlprod_nb.scheduler", "--root", str(root)]
        assert subprocess.run(other, timeout=60).returncode == 0
        assert scheduler.running(root) == pid
    finally:
        assert scheduler.stop(root)
    until(lambda: not alive(pid))
    assert scheduler.running(root) is None
    assert not scheduler.stop(root)


def test_a_scheduler_that_was_killed_leaves_nothing_that_blocks(runner: Runner) -> None:
    pid = scheduler.start(runner.root)
    os.kill(pid, 9)
    until(lambda: scheduler.running(runner.root) is None)
    again = scheduler.start(runner.root)
    try:
        assert again != pid
    finally:
        scheduler.stop(runner.root)


def test_a_directory_that_is_no_workspace_is_one_clear_line(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "mlprod_nb.scheduler", "--root", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 2
    assert "mlprod.toml is not there" in done.stderr
    assert "Traceback" not in done.stderr


def _endings(runner: Runner) -> list[str]:
    with runner.store.read() as connection:
        return [row.last for row in scheduler.list_jobs(connection, now=NOON).jobs]


def test_a_run_that_another_scheduler_gave_up_is_ended(runner: Runner) -> None:
    slot = due(runner, "import time; print(1, flush=True); time.sleep(600)")

    def give_up() -> None:
        until(lambda: (runner.root / slot.log_path).exists() and bool((runner.root / slot.log_path).read_text()))
        with runner.store.write() as connection:
            scheduler.finish(connection, slot.id, LOST, now=NOON)

    thread = threading.Thread(target=give_up)
    thread.start()
    assert runner.execute(slot) == LOST
    thread.join(30)
    assert ending(runner) == "lost"


def test_a_run_ends_itself_when_the_state_database_is_away_for_long(
    runner: Runner, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(holders, "BEAT_SECONDS", 0.05)
    monkeypatch.setattr(holders, "LEASE_SECONDS", 1.0)
    slot = due(runner, "import time; print(1, flush=True); time.sleep(600)")
    away = Runner(_Away(runner.store.url), runner.root, PYTHON, lambda: NOON)
    with pytest.raises(Unavailable):
        away.execute(slot)
    assert away.store.seen > 2  # type: ignore[attr-defined]


class _Away(Store):
    """A state database that answers once and is away then."""

    seen = 0

    @contextmanager
    def write(self) -> Iterator[Connection]:
        self.seen += 1
        if self.seen > 1:
            raise Unavailable("the state database does not answer.")
        with super().write() as connection:
            yield connection


def test_a_killed_schedulers_run_is_ended_by_the_next_one_and_tried_again(runner: Runner) -> None:
    """The whole of it with real processes: kill -9, an orphan, a new scheduler, a second attempt, an alert."""
    program = (
        'import os, time; again = os.path.exists("once"); open("once", "w").close(); '
        "print(os.getpid(), flush=True); time.sleep(0 if again else 600)"
    )
    with runner.store.write() as connection:
        now = datetime.now(UTC)
        slot = now - timedelta(minutes=1)  # the next one is an hour later: none comes while this is looked at
        spec = JobSpec(f"{slot.minute} * * * *", f"'{program}'", retries=1, retry_seconds=0.1)
        job = scheduler.add(connection, spec, now=now - timedelta(minutes=2)).job
    first = _scheduler(runner)
    logs = runner.root / ".mlprod" / "run" / "jobs"
    until(lambda: logs.is_dir() and any(path.read_text() for path in logs.iterdir()))
    (orphan,) = (int(path.read_text()) for path in logs.iterdir())
    first.kill()
    first.wait(30)
    assert alive(orphan)
    second = _scheduler(runner)
    try:
        until(lambda: not alive(orphan))
        until(lambda: _endings(runner) == ["ok (attempt 2 of 2)"])
    finally:
        second.terminate()
        second.wait(30)
    with runner.store.read() as connection:
        codes = [code for code in connection.scalars(sa.select(job_runs.c.exit_code).order_by(job_runs.c.id)) if code]
    assert codes == [LOST]
    assert job == 1


def test_of_a_scheduler_that_dies_before_it_has_recorded_a_run_nothing_runs(runner: Runner) -> None:
    """Nobody could find it, so nobody could end it."""
    with runner.store.write() as connection:
        now = datetime.now(UTC)
        slot = now - timedelta(minutes=1)
        program = 'open("began", "w").close(); import time; time.sleep(600)'
        scheduler.add(connection, JobSpec(f"{slot.minute} * * * *", f"'{program}'"), now=now - timedelta(minutes=2))
    dies = (
        "import os, signal; from mlprod_nb.scheduler import claims; "
        "claims.started = lambda connection, run, process: "
        "(print(process.partition('/')[0], flush=True), os.kill(os.getpid(), signal.SIGKILL)); "
    )
    first = _scheduler(runner, dies, stdout=subprocess.PIPE)
    told, _ = first.communicate(timeout=120)
    until(lambda: not alive(int(told)))
    assert not (runner.root / "began").exists()


def _scheduler(runner: Runner, first: str = "", stdout: int | None = None) -> subprocess.Popen[bytes]:
    """Start a process that schedules with the stand-in for the shell door, after some statements."""
    program = first + (
        "import sys, threading, signal; from pathlib import Path; "
        "from mlprod_nb.scheduler import Runner, loop; from mlprod_nb.store import Store; "
        "stop = threading.Event(); signal.signal(signal.SIGTERM, lambda *_: stop.set()); "
        "prefix = (sys.executable, '-c', 'import sys; exec(sys.argv[1])'); "
        "loop(Runner(Store(sys.argv[1]), Path(sys.argv[2]), prefix), stop=stop, poll_seconds=0.05)"
    )
    return subprocess.Popen([sys.executable, "-c", program, runner.store.url, str(runner.root)], stdout=stdout)


def test_what_is_to_be_told_is_sent_once_by_a_process_of_its_own(runner: Runner) -> None:
    prefix = (sys.executable, "-c", "import sys; open('sent', 'a').write(' '.join(sys.argv[1:]) + '\\n'); sys.exit(3)")
    sender = Runner(runner.store, runner.root, prefix, lambda: NOON)
    with runner.store.write() as connection:
        scheduler.add(connection, JobSpec("0 * * * *", "status"), now=NOON - timedelta(hours=1))
    stop = threading.Event()
    thread = threading.Thread(target=scheduler.loop, args=(sender,), kwargs={"stop": stop, "poll_seconds": 0.05})
    thread.start()
    sent = runner.root / "sent"
    try:
        until(lambda: sent.exists() and "alerts send" in sent.read_text())
    finally:
        stop.set()
        thread.join(20)
    assert sent.read_text().splitlines() == ["status", "alerts send"]
