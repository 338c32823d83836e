"""Tasks in the background: a verb's line, run by a process of its own that survives the notebook's kernel.

A task is a folder, ``.mlprod/background/NUMBER``: ``task.json`` (what was asked), ``lock`` (held by the process as long
as it lives), ``log`` (what it wrote) and, at its end, ``result.json``. So whether a task runs is what the system
knows, and one that was killed is told from one that ended. The newest are kept, and those of the last two weeks.
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, ClassVar, Literal

import psutil

from mlprod_nb import settings
from mlprod_nb.clock import iso, parse_moment
from mlprod_nb.errors import NotFound, Refused, Unavailable
from mlprod_nb.lifecycle.context import Context
from mlprod_nb.results import Result, Verdict, counted, shown_path
from mlprod_nb.settings import Layout

State = Literal["running", "done", "no", "failed", "stopped", "killed"]
_LINES = 20
_POLL_SECONDS, _START_SECONDS, _GRACE_SECONDS = 0.05, 60.0, 10.0
_INTERRUPTED = 130
#: So many tasks that have ended are kept; beyond, those that began longer ago than that go when another one is started.
_KEPT, _KEPT_AGE = 20, timedelta(days=14)


@dataclass(frozen=True)
class TaskRow:
    """One task.

    Attributes:
        task: Its number.
        command: The line that it runs.
        state: running; done; no, where its verdict is no; failed; stopped by somebody; killed, where it ended without
            a word.
        started_at: When it was started.
        said: What it said last.
    """

    task: int
    command: str
    state: State
    started_at: datetime
    said: str


@dataclass(frozen=True)
class TaskStarted(Result):
    """A task runs in the background.

    Attributes:
        task: Its number.
        command: The line that it runs.
        log: What it writes, relative to the workspace.
        next: The line that shows how far it is.
    """

    task: int
    command: str
    log: str
    next: str

    def headline(self) -> str:
        """Say so."""
        return f"Task {self.task} runs in the background: {self.command}"


@dataclass(frozen=True)
class TasksResult(Result):
    """The tasks, newest first.

    Attributes:
        tasks: One row a task.
    """

    tasks: tuple[TaskRow, ...]

    def headline(self) -> str:
        """Say how many run."""
        running = sum(row.state == "running" for row in self.tasks)
        told = f"{running} of {counted(len(self.tasks), 'task')} {'runs' if running == 1 else 'run'}."
        return told if self.tasks else "Nothing was sent to the background yet."


@dataclass(frozen=True)
class TaskResult(Result):
    """One task.

    Attributes:
        verdict: How it stands.
        task: Its number.
        command: The line that it runs.
        state: running, done, no, failed, stopped or killed.
        result: The result's fields, as ``to_dict`` gives them; empty before its end.
        output: What it wrote last.
        log: The file with all of it, relative to the workspace.
    """

    verdict: Verdict
    task: int
    command: str
    state: State
    result: dict[str, Any]
    output: str
    log: str
    _hidden: ClassVar[tuple[str, ...]] = ("task", "command", "result")


def start(context: Context, words: Sequence[str], command: str) -> TaskStarted:
    """Start a process of its own that runs a line, and return at once."""
    context.change()
    _tidy(context)
    number, folder = _folder(context.layout)
    facts = {"words": list(words), "command": command, "started_at": iso(context.clock())}
    _write(folder / "task.json", facts)
    with (folder / "log").open("ab") as log:
        process = subprocess.Popen(  # noqa: S603 (our own module, arguments as a list)
            [sys.executable, "-P", "-m", "mlprod_nb.task", str(folder)],
            cwd=context.root,
            env={**settings.outliving(), "MLPROD_WORKSPACE": str(context.root)},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    # Whoever started it takes note of its end, so that it does not stay in the process table.
    threading.Thread(target=process.wait, name=f"mlprod-task-{number}", daemon=True).start()
    deadline = time.monotonic() + _START_SECONDS
    while not _lives(folder) and process.poll() is None:
        if time.monotonic() > deadline:
            process.kill()
            raise Unavailable(f"task {number} did not start.", hint=f"See {shown_path(folder / 'log')}")
        time.sleep(_POLL_SECONDS)
    log_name = (folder / "log").relative_to(context.root).as_posix()
    return TaskStarted(number, command, log_name, f"%mlprod background show {number}")


def tasks(context: Context) -> tuple[TaskRow, ...]:
    """Return the tasks, newest first."""
    return tuple(_row(number, folder) for number, folder in reversed(_folders(context.layout)))


def list_tasks(context: Context) -> TasksResult:
    """List the tasks."""
    return TasksResult(tasks(context))


def show(context: Context, task: int) -> TaskResult:
    """Show how a task stands, and what came of it."""
    folder = _find(context.layout, task)
    row = _row(task, folder)
    grade = {"failed": "alarm", "killed": "alarm", "no": "alarm", "stopped": "warn"}.get(row.state, "ok")
    sentence = f"task {task}, {row.command}: {row.state}{f'; {row.said}' if row.said else ''}"
    log = folder / "log"
    return TaskResult(
        Verdict(grade, sentence),  # type: ignore[arg-type]
        task,
        row.command,
        row.state,
        _read(folder / "result.json").get("result") or {},
        "\n".join(_tail(log)),
        log.relative_to(context.root).as_posix(),
    )


def stop(context: Context, task: int, *, yes: bool) -> TaskResult:
    """Interrupt a task as Ctrl-C would, so that it leaves nothing half done; end it where it does not.

    Raises:
        Refused: It does not run.
    """
    folder = _find(context.layout, task)
    row = _row(task, folder)
    if row.state != "running":
        raise Refused(f"task {task} does not run: {row.state}.")
    context.confirm(f"Stop task {task}, {row.command}?", yes=yes)
    pid = _read(folder / "pid.json").get("pid")
    (folder / "stopped").touch()
    for number, seconds in ((signal.SIGINT, _GRACE_SECONDS), (signal.SIGKILL, _GRACE_SECONDS)):
        # The lock says that the process which wrote its number is the one that lives.
        if pid and _lives(folder):
            with suppress(psutil.NoSuchProcess):
                psutil.Process(pid).send_signal(number)
        deadline = time.monotonic() + seconds
        while _lives(folder) and time.monotonic() < deadline:
            time.sleep(_POLL_SECONDS)
    return show(context, task)


@contextmanager
def running(folder: Path) -> Iterator[dict[str, Any]]:
    """Hold a task's lock as long as it runs, and give what was asked."""
    with (folder / "lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        _write(folder / "pid.json", {"pid": os.getpid()})
        yield _read(folder / "task.json")


def end(folder: Path, exit_code: int, said: str, result: dict[str, Any]) -> None:
    """Write down how a task ended."""
    _write(folder / "result.json", {"exit_code": exit_code, "said": said, "result": result})


def _folder(layout: Layout) -> tuple[int, Path]:
    """Make a task's folder; of two that are started at once, each gets a number of its own."""
    layout.background.mkdir(parents=True, exist_ok=True)
    number = max((number for number, _ in _folders(layout)), default=0) + 1
    while True:
        folder = layout.background / str(number)
        try:
            folder.mkdir()
        except FileExistsError:
            number += 1
        else:
            return number, folder


def _folders(layout: Layout) -> list[tuple[int, Path]]:
    if not layout.background.is_dir():
        return []
    return sorted((int(path.name), path) for path in layout.background.iterdir() if path.name.isdigit())


def _tidy(context: Context) -> None:
    """Remove what is left of old tasks; the number of one that is gone is not given again while a later one is left."""
    for number, folder in _folders(context.layout)[:-_KEPT]:
        row = _row(number, folder)
        if row.state != "running" and context.clock() - row.started_at > _KEPT_AGE:
            shutil.rmtree(folder, ignore_errors=True)


def _find(layout: Layout, task: int) -> Path:
    known = dict(_folders(layout))
    if task not in known:
        raise NotFound("task", str(task), map(str, known), hint="" if known else "Nothing was sent there yet.")
    return known[task]


def _row(number: int, folder: Path) -> TaskRow:
    facts, ending = _read(folder / "task.json"), _read(folder / "result.json")
    # Asked in this order: a task that ends in between has written its result.
    lives = not ending and _lives(folder)
    ending = ending or _read(folder / "result.json")
    state, said = _state(folder, lives=lives, ending=ending)
    started = parse_moment(facts.get("started_at", "1970-01-01"), now=datetime.now().astimezone())
    return TaskRow(number, facts.get("command", ""), state, started, said)


def _state(folder: Path, *, lives: bool, ending: dict[str, Any]) -> tuple[State, str]:
    if lives:
        return "running", next(reversed(_tail(folder / "log")), "").removeprefix("· ")
    stopped = (folder / "stopped").exists()
    if not ending:
        return ("stopped", "") if stopped else ("killed", "its process ended without a word; see the log")
    code = ending["exit_code"]
    states: dict[int, State] = {0: "done", 1: "no", _INTERRUPTED: "stopped"}
    return states.get(code, "failed"), ending["said"]


def _lives(folder: Path) -> bool:
    path = folder / "lock"
    if not path.exists():
        return False
    with path.open() as file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        return False


def _tail(path: Path) -> list[str]:
    with suppress(OSError):
        return path.read_text(encoding="utf-8", errors="replace").splitlines()[-_LINES:]
    return []


def _read(path: Path) -> dict[str, Any]:
    with suppress(OSError, ValueError):
        found = json.loads(path.read_text(encoding="utf-8"))
        return found if isinstance(found, dict) else {}
    return {}


def _write(path: Path, facts: dict[str, Any]) -> None:
    temporary = path.with_suffix(".writing")
    temporary.write_text(json.dumps(facts), encoding="utf-8")
    temporary.replace(path)
