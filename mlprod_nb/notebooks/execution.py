"""Execute one notebook in a process of its own, within a wall-clock limit.

Three processes: the caller, a runner (``python -m mlprod_nb.notebooks``) that holds papermill, and the kernel, which on
Linux imports beside the runner and waits to hear where to connect; both may have been started early. The caller keeps
the time. At the deadline it kills the kernel and whatever that started; the runner then saves what it has and ends, or
is killed, too. The runner watches the caller through its standard input, so a caller that is killed leaves nothing.
What a notebook starts carries a mark in its environment, by which a process that left its parent is found.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from pathlib import Path
from tempfile import gettempdir
from typing import Any, Literal

from mlprod_nb import scratch
from mlprod_nb.errors import ExecutionFailed, UsageError
from mlprod_nb.notebooks import files, kernels
from mlprod_nb.notebooks.early import EarlyRunner
from mlprod_nb.notebooks.files import Notebook
from mlprod_nb.notebooks.nursery import Forked, Nursery
from mlprod_nb.notebooks.parameters import check, declared
from mlprod_nb.progress import SILENCE, Progress
from mlprod_nb.settings import EXECUTION

Reason = Literal["error", "timeout", "output", "memory", "died", "start", "scratch"]

MARK = EXECUTION
#: Characters of an executed notebook, beyond which it is stopped.
LARGEST_NOTEBOOK = 32 * 2**20

#: The file in which the runner keeps the index of the cell that is reached.
CELL = "cell"

#: The file in which the runner tells how it ended; the room that it holds on the disk from the beginning.
OUTCOME = "outcome.json"
OUTCOME_BYTES = 4096

_GRACE_SECONDS = 5.0
_LOOK_SECONDS = 0.5
_MARKER_TAG = "papermill-error-cell-tag"
_HINTS: dict[Reason, str] = {
    "error": "Open it in JupyterLab and run it up to that cell.",
    "timeout": "Raise [{table}] timeout_seconds in mlprod.toml, or let it do less.",
    "output": "Print less: a loop that never ends mostly ends here.",
    "memory": "Raise [{table}] memory_mib in mlprod.toml, or let it do less.",
    "died": "A kernel that dies was mostly out of memory, or a library crashed; narrow the window and run it again.",
    "start": "Check that ipykernel is installed where mlprod is.",
    "scratch": "Make room there, or name another folder by TMPDIR.",
}


@dataclass(frozen=True)
class Surroundings:
    """What a notebook runs in.

    Attributes:
        kernel: A Jupyter kernel's name; empty: this very interpreter, whatever kernels are installed.
        memory_mib: Memory that the kernel, and each process it starts, may take, MiB; 0: no limit. On Linux only.
        mark: What the execution is known by, in what it starts and registers; a new one where empty.
        nursery: Forks runner and kernel, or has started them early, where they are this interpreter's; ``None``: they
            are started.
        interpreter: Another environment's Python that runs the kernel; it has ipykernel.
        variables: Variables of the environment of all that the notebook starts.
        until: Index of the last cell to be run; ``None``: all are.
        table: The table of mlprod.toml that sets the limits, for the advice where one is reached.
        progress: Is told which of the cells is reached.
    """

    kernel: str = ""
    memory_mib: int = 0
    mark: str = ""
    nursery: Nursery | EarlyRunner | None = None
    interpreter: str = ""
    variables: Mapping[str, str] = field(default_factory=dict)
    until: int | None = None
    table: str = "reports"
    progress: Progress = SILENCE


@dataclass(frozen=True)
class Execution:
    """One run-through of a notebook that reached its end.

    Attributes:
        notebook: The executed notebook.
        source_sha256: SHA-256 of the notebook as it was before.
        parameters: The parameters it was given.
        seconds: Wall-clock time from start to end.
    """

    notebook: Path
    source_sha256: str
    parameters: dict[str, Any]
    seconds: float


class NotebookFailed(ExecutionFailed):
    """A notebook did not reach its end.

    Args:
        reason: ``"error"``: a cell raised; ``"timeout"``: the limit was reached; ``"output"``: it printed too much;
            ``"memory"``: it needed more memory than it may have; ``"died"``: the kernel ended by itself; ``"start"``:
            no kernel could be started; ``"scratch"``: the disk of the temporary folder was full.
        notebook: The notebook as far as it came.
        cell_index: Index of the failing cell in it, or ``None`` where no cell is at fault.
        error_name: The exception's class, or empty.
        error_message: The exception's message, or empty.
        seconds: Wall-clock time until it failed.
        table: The table of mlprod.toml that sets the limits.
    """

    def __init__(
        self,
        reason: Reason,
        notebook: Path,
        *,
        cell_index: int | None = None,
        error_name: str = "",
        error_message: str = "",
        seconds: float = 0.0,
        table: str = "reports",
    ) -> None:
        self.reason: Reason = reason
        self.notebook = notebook
        self.cell_index = cell_index
        self.error_name = error_name
        self.error_message = error_message
        self.seconds = seconds
        where = f"cell {cell_index + 1} of {notebook.name}" if cell_index is not None else notebook.name
        what = {
            "error": f"failed: {error_name}: {_first_line(error_message)}".rstrip(": "),
            "timeout": f"was stopped: {error_message}",
            "output": f"was stopped: {error_message}",
            "memory": f"ran out of memory: {error_name}: {_first_line(error_message)}".rstrip(": "),
            "died": "ended because its kernel died",
            "start": f"could not start: {_first_line(error_message)}",
            "scratch": f"could not be kept: {error_message}",
        }[reason]
        super().__init__(f"{where} {what.rstrip('.')}.", hint=_HINTS[reason].format(table=table))


def execute(
    source: Path,
    output: Path,
    parameters: Mapping[str, Any],
    *,
    timeout_seconds: float,
    cwd: Path,
    within: Surroundings = Surroundings(),
) -> Execution:
    """Execute a notebook in a fresh kernel.

    Args:
        source: The notebook; it is not changed.
        output: Where the executed notebook goes, also when it fails.
        parameters: Values for the notebook's parameters cell.
        timeout_seconds: Wall-clock limit for the whole run, the kernel's start included.
        cwd: The directory in which the notebook runs.
        within: What it runs in.

    Raises:
        NotFound: The notebook, a parameter or the kernel does not exist.
        UsageError: A parameter has the wrong type or is missing.
        Refused: A parameter looks like a secret.
        NotebookFailed: It did not reach its end; ``output`` holds what there is.
    """
    if timeout_seconds <= 0:
        raise UsageError(f"the limit is {timeout_seconds} s; it must be above 0.")
    notebook = files.read(source)
    if within.until is not None:
        notebook["cells"] = notebook["cells"][: within.until + 1]
    check(parameters, declared(notebook))
    if within.kernel:
        kernels.find(within.kernel)
    digest = files.sha256(source)
    start = time.monotonic()
    executed, outcome = _run_through(notebook, _spec(source, parameters, cwd, within), timeout_seconds, within)
    seconds = time.monotonic() - start
    _tidy(executed, source.name, output.name)
    reason = outcome.reason
    if reason is None:
        files.write(executed, output)
        return Execution(output, digest, dict(parameters), seconds)
    outcome = replace(outcome, cell=_failing_cell(executed, outcome))
    _mark(executed, outcome)
    files.write(executed, output)
    raise NotebookFailed(
        reason,
        output,
        cell_index=outcome.cell,
        error_name=outcome.error,
        error_message=outcome.message,
        seconds=seconds,
        table=within.table,
    )


def _run_through(
    notebook: Notebook, spec: dict[str, Any], timeout_seconds: float, within: Surroundings
) -> tuple[Notebook, _Outcome]:
    """Run a notebook through in a temporary folder; return it as far as it came, and how it ended."""
    executed = notebook
    try:
        with scratch.temporary_folder("execution") as work:
            (work / OUTCOME).write_bytes(b" " * OUTCOME_BYTES)
            (work / "runner.log").touch()
            (work / "source.ipynb").write_text(json.dumps(notebook), encoding="utf-8")
            (work / "spec.json").write_text(json.dumps(spec), encoding="utf-8")
            timed_out = _run(work, spec["mark"], timeout_seconds, within, len(notebook["cells"]))
            outcome = _outcome(work, timeout_seconds if timed_out else None)
            if (work / "executed.ipynb").is_file():
                executed = files.read(work / "executed.ipynb")
    except OSError as error:
        if error.errno not in scratch.FULL:
            raise
        outcome = _Outcome("scratch", message=str(error.strerror))
    if outcome.reason == "scratch":
        outcome = replace(outcome, message=f"the temporary folder {gettempdir()}: {outcome.message}")
    return executed, outcome


def _spec(source: Path, parameters: Mapping[str, Any], cwd: Path, within: Surroundings) -> dict[str, Any]:
    """Return what the runner is told."""
    return {
        "source": str(source.resolve()),
        "parameters": dict(parameters),
        "cwd": str(cwd.resolve()),
        "kernel": within.kernel,
        "interpreter": within.interpreter,
        "variables": dict(within.variables),
        "memory_mib": within.memory_mib,
        "mark": within.mark or _mark_of(within.nursery),
    }


def _mark_of(nursery: Nursery | EarlyRunner | None) -> str:
    """Return a new mark, or the one that a runner was started with."""
    return nursery.mark if isinstance(nursery, EarlyRunner) else uuid.uuid4().hex


@dataclass(frozen=True)
class _Outcome:
    """What the runner told, or what follows from its silence; no reason: the notebook reached its end."""

    reason: Reason | None
    cell: int | None = None
    error: str = ""
    message: str = ""


def _run(work: Path, mark: str, timeout_seconds: float, within: Surroundings, cells: int) -> bool:
    """Run the runner to its end; return whether the limit was reached. No process is left."""
    nursery = None if within.kernel or within.interpreter else within.nursery
    runner = (nursery.start(work, mark) if nursery else None) or _started(work)
    try:
        if _ended(runner, timeout_seconds, partial(_tell, work, within.progress, cells)):
            return False
        _end(_started_by(runner.pid, mark))
        with suppress(subprocess.TimeoutExpired):
            runner.wait(_GRACE_SECONDS)
        return True
    finally:
        _end_all(runner, mark)


def _ended(runner: subprocess.Popen[bytes] | Forked, seconds: float, look: Callable[[], None]) -> bool:
    """Wait until the runner has ended, looking now and then; return ``False`` where the seconds are over before."""
    deadline = time.monotonic() + seconds
    while (left := deadline - time.monotonic()) > 0:
        with suppress(subprocess.TimeoutExpired):
            runner.wait(min(left, _LOOK_SECONDS))
            return True
        look()
    return False


def _tell(work: Path, progress: Progress, cells: int) -> None:
    """Tell which cell is reached, where the runner has come to one."""
    with suppress(OSError, ValueError):
        progress.at(min(int((work / CELL).read_text(encoding="ascii")) + 1, cells), cells)


def _started(work: Path) -> subprocess.Popen[bytes]:
    with (work / "runner.log").open("wb") as log:
        return subprocess.Popen(  # noqa: S603 (our own interpreter and module)
            [sys.executable, "-m", "mlprod_nb.notebooks", str(work)],
            stdin=subprocess.PIPE,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )


def _started_by(pid: int, mark: str) -> list[Any]:
    """Return the processes below a process, and those that carry the mark wherever they are."""
    import psutil

    found: dict[int, Any] = {}
    with suppress(psutil.Error):
        found = {child.pid: child for child in psutil.Process(pid).children(recursive=True)}
    for process in psutil.process_iter():
        with suppress(psutil.Error, OSError):
            if process.environ().get(MARK) == mark:
                found[process.pid] = process
    found.pop(pid, None)
    return list(found.values())


def _end(processes: list[Any]) -> None:
    import psutil

    for process in processes:
        with suppress(psutil.Error):
            process.kill()
    psutil.wait_procs(processes, timeout=_GRACE_SECONDS)


def _end_all(runner: subprocess.Popen[bytes] | Forked, mark: str) -> None:
    started = _started_by(runner.pid, mark)
    if runner.poll() is None:
        runner.kill()
    runner.wait()
    if runner.stdin is not None:
        runner.stdin.close()
    # What is killed may just have started another: look until nothing is found.
    for _ in range(20):
        if not started:
            return
        _end(started)
        started = _started_by(runner.pid, mark)


def _outcome(work: Path, limit: float | None) -> _Outcome:
    text = (work / OUTCOME).read_text(encoding="ascii").strip()
    told = _Outcome(**json.loads(text)) if text else None
    if limit is not None:
        return _Outcome("timeout", told.cell if told else None, message=f"it reached the limit of {limit:g} s")
    if told is not None:
        return told
    if (work / "executed.ipynb").is_file():
        return _Outcome("died")
    log = (work / "runner.log").read_text(encoding="utf-8", errors="replace").strip().splitlines()
    return _Outcome("start", message=log[-1] if log else "the process that runs notebooks ended at once")


def _tidy(notebook: Notebook, source: str, output: str) -> None:
    """Take out what papermill adds and evidence should not hold: the environment, machine paths, its error banners."""
    notebook["cells"] = [c for c in notebook["cells"] if _MARKER_TAG not in c.get("metadata", {}).get("tags", ())]
    papermill = notebook["metadata"].get("papermill", {})
    papermill.pop("environment_variables", None)
    if papermill:
        papermill |= {"input_path": source, "output_path": output}


def _failing_cell(notebook: Notebook, outcome: _Outcome) -> int | None:
    """Return the cell that the runner named, or where the runner was killed the one that was running."""
    if outcome.cell is not None or outcome.reason not in ("timeout", "died"):
        return outcome.cell
    running = (
        index
        for index, cell in enumerate(notebook["cells"])
        if cell.get("metadata", {}).get("papermill", {}).get("status") == "running"
    )
    return next(running, None)


def _mark(notebook: Notebook, outcome: _Outcome) -> None:
    """Write into the notebook why it failed and where; papermill calls cells completed that never ran."""
    notebook["metadata"]["mlprod"] = {"failure": asdict(outcome)}
    for index, cell in enumerate(notebook["cells"]):
        status = cell["metadata"].setdefault("papermill", {})
        if index == outcome.cell:
            status["status"] = "failed"
        elif not status.get("start_time"):
            status["status"] = "pending"


def _first_line(text: str) -> str:
    return text.strip().splitlines()[0] if text.strip() else ""
