"""Lines in the background: a process of its own, found again, stopped, and told apart from one that was killed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LogisticRegression

from mlprod_nb import Workspace, commands, scheduler, settings
from mlprod_nb.clock import utc_now
from mlprod_nb.errors import MlprodError, NotFound, Refused, UsageError
from mlprod_nb.lifecycle.background import TaskResult, TaskStarted
from tests.fake_workspace import FakeWorkspace


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    Workspace.init(str(tmp_path))
    monkeypatch.chdir(tmp_path)
    yield tmp_path
    for row in Workspace.open(tmp_path).background_list().tasks:
        if row.state == "running":
            with suppress(Refused):  # it may end between the two lines
                Workspace.open(tmp_path).background_stop(row.task, yes=True)


def send(line: str, **door: Any) -> TaskStarted:
    found = commands.run(commands.split(line), commands.Door(**door))
    assert isinstance(found, TaskStarted)
    return found


def ended(root: Path, task: int) -> TaskResult:
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        found = Workspace.open(root).background_show(task)
        if found.state != "running":
            return found
        time.sleep(0.05)
    raise AssertionError("it does not end")


def asleep(root: Path) -> tuple[int, int]:
    """Start a task whose process waits, and return its number and the process's."""
    folder = root / ".mlprod" / "background" / "1"
    folder.mkdir(parents=True)
    task = {"words": ["verify"], "command": "mlprod verify", "started_at": "2026-01-01T00:00:00Z"}
    (folder / "task.json").write_text(json.dumps(task))
    code = (
        "import sys, time, pathlib\nfrom mlprod_nb import commands, task\n"
        "commands.run = lambda words, door: (door.progress.step('checking'), time.sleep(600))\n"
        "sys.exit(task.main(pathlib.Path(sys.argv[1])))"
    )
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen([sys.executable, "-c", code, str(folder)], stdout=log, stderr=log)
    deadline = time.monotonic() + 60
    while Workspace.open(root).status().tasks == () or "checking" not in (folder / "log").read_text():
        assert time.monotonic() < deadline, (folder / "log").read_text()
        if Workspace.open(root).background_show(1).state == "running":
            time.sleep(0.05)
    import threading

    threading.Thread(target=process.wait, daemon=True).start()
    return 1, process.pid


def test_old_tasks_go_when_another_is_started_and_never_one_that_runs(root: Path) -> None:
    asleep(root)
    for number in range(2, 31):
        folder = root / ".mlprod" / "background" / str(number)
        folder.mkdir()
        day = "2026-01-01" if number < 25 else f"{utc_now():%Y-%m-%d}"
        task = {"words": ["verify"], "command": "mlprod verify", "started_at": f"{day}T00:00:00Z"}
        (folder / "task.json").write_text(json.dumps(task))
    begun = send("verify --background")
    left = {row.task for row in Workspace.open(root).background_list().tasks}
    assert begun.task == 31
    assert left == {1, *range(11, 32)}


def test_a_line_is_run_by_another_process_and_its_result_is_kept(root: Path) -> None:
    begun = send("verify --background")
    assert begun.command == "mlprod verify"
    found = ended(root, begun.task)
    assert found.state == "done"
    assert found.result == Workspace.open(root).verify().to_dict()
    assert str(Workspace.open(root).verify().headline()) in found.output
    assert Workspace.open(root).status().tasks == ()


def test_a_line_that_fails_says_so_where_status_shows_it(root: Path) -> None:
    task = send("monitor nowhere --background").task
    found = ended(root, task)
    assert found.state == "failed"
    assert "there is no endpoint 'nowhere'" in str(found.verdict)
    assert found.exit_code == 1
    (row,) = Workspace.open(root).status().tasks
    assert (row.task, row.state) == (task, "failed")


def test_status_finds_a_task_again_and_it_can_be_stopped(root: Path) -> None:
    task, _ = asleep(root)
    (row,) = Workspace.open(root).status().tasks
    assert (row.task, row.state, row.said) == (task, "running", "checking")
    with pytest.raises(Refused, match="Say --yes"):
        Workspace.open(root).background_stop(task)
    stopped = Workspace.open(root).background_stop(task, yes=True)
    assert stopped.state == "stopped"
    with pytest.raises(Refused, match="does not run: stopped"):
        Workspace.open(root).background_stop(task, yes=True)


def test_a_killed_process_is_told_as_killed(root: Path) -> None:
    task, pid = asleep(root)
    os.kill(pid, signal.SIGKILL)
    assert ended(root, task).state == "killed"


def test_tasks_are_listed_newest_first_and_the_noun_alone_lists(root: Path) -> None:
    assert str(Workspace.open(root).background_list()) == "Nothing was sent to the background yet."
    for _ in range(2):
        ended(root, send("verify --background").task)
    listed: Any = commands.run(["background"], commands.Door())
    assert [row.task for row in listed.tasks] == [2, 1]
    with pytest.raises(NotFound, match="There is: 1, 2"):
        Workspace.open(root).background_show(3)


def test_texts_of_the_notebook_are_written_out_and_objects_refused(root: Path) -> None:
    names = {"when": "2013-04-01", "days": np.int64(7), "X": [1]}
    begun = send("monitor nowhere --since $when --until=$days --background", names=names)
    assert begun.command == "mlprod monitor nowhere --since 2013-04-01 --until=7"
    ended(root, begun.task)
    with pytest.raises(UsageError, match=r"\$X is an object of this notebook, which another process has not"):
        send("register flights --model $X --data $X --background", names=names)


def test_a_cells_body_goes_with_the_line(root: Path) -> None:
    begun = send("retrain nowhere --background", body="first\nsecond\n")
    assert begun.command == "mlprod retrain nowhere --reason 'first\nsecond'"
    ended(root, begun.task)


def test_a_verb_that_answers_at_once_takes_no_background(root: Path) -> None:
    with pytest.raises(UsageError, match="status answers at once, so it takes no --background"):
        send("status --background")
    with pytest.raises(NotFound, match="Did you mean '--background'"):
        send("verify --backgruond")


def test_the_long_verbs_say_so_in_their_help_and_in_completion() -> None:
    from mlprod_nb.commands import sending

    for name in sending.LONG & set(commands.verbs()):
        page = commands.run([*name.split(), "--help"], commands.Door(facade=FakeWorkspace))
        assert "--background" in str(page)
        assert "--background" in [s.text for s in commands.complete(name.split(), "--back")]
    assert "--background" not in str(commands.run(["status", "--help"], commands.Door()))


def test_two_at_once_have_numbers_of_their_own(root: Path) -> None:
    tasks = [send("verify --background").task for _ in range(3)]
    assert len(set(tasks)) == 3
    assert all(ended(root, task).state == "done" for task in tasks)


def test_errors_of_the_line_itself_come_at_once(root: Path) -> None:
    with pytest.raises(MlprodError, match="Did you mean 'verify'"):
        send("verfiy --background")
    assert Workspace.open(root).background_list().tasks == ()


def test_a_task_that_a_job_began_may_go_on_when_the_jobs_run_has_ended(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    workspace = Workspace.open(root)
    job = workspace.schedule_add("0 6 * * 1", "status").job
    with workspace.context.store.write() as connection:
        run = scheduler.claim_now(connection, job, utc_now()).id
    monkeypatch.setenv(settings.JOB, settings.job_mark(run, root))
    rows = pd.DataFrame({"x": [0.0, 1.0] * 20})
    joblib.dump(LogisticRegression().fit(rows, [0, 1] * 20), root / "model.joblib")
    rows.to_csv(root / "rows.csv", index=False)
    started = send("register small --model model.joblib --data rows.csv --background")
    with workspace.context.store.write() as connection:
        scheduler.finish(connection, run, 0, now=utc_now())
    found = ended(root, started.task)
    assert found.state == "done", found.output
