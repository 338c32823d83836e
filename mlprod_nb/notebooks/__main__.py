"""The runner: ``python -m mlprod_nb.notebooks FOLDER`` executes ``FOLDER/source.ipynb`` by papermill.

It reads ``spec.json``, writes ``executed.ipynb`` as it goes and ``outcome.json`` at the end, and ends with all that it
started as soon as its standard input closes. Without a folder it imports what it will need, and hears of the folder by
a line of its standard input.
"""

from __future__ import annotations

import gc
import json
import logging
import os
import re
import resource
import select
import sys
import threading
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlprod_nb import scratch
from mlprod_nb.notebooks import kernels
from mlprod_nb.notebooks.execution import CELL, LARGEST_NOTEBOOK, MARK, OUTCOME, OUTCOME_BYTES
from mlprod_nb.settings import EXECUTION_FOLDER

if TYPE_CHECKING:
    from mlprod_nb.notebooks.nursery import WaitingKernel
    from mlprod_nb.notebooks.ready import ReadyKernel

_REAP_SECONDS = 5.0
#: How often the runner looks whether its kernel has ended.
_LOOK_SECONDS = 0.01
#: Bytes above its limit that a kernel may take to say that it is out of memory.
_LAST_WORDS = 64 * 2**20
#: As Python, numpy, Arrow, DuckDB and torch call it.
_OUT_OF_MEMORY = re.compile(r"(MemoryError|OutOfMemory\w*)$")


class _Progress:
    """Which cell is being executed; told by nbclient's hooks, and to the caller by a file."""

    def __init__(self, folder: Path) -> None:
        self._file = folder / CELL
        self.cell: int | None = None
        self.latest: int | None = None

    def started(self, *, cell_index: int, **_: Any) -> None:
        self.cell = self.latest = cell_index
        with suppress(OSError):
            self._file.write_text(str(cell_index), encoding="ascii")

    def ended(self, **_: Any) -> None:
        self.cell = None


class _Output:
    """papermill's output file: always a whole notebook, whenever the runner is killed, and of bounded size.

    Attributes:
        full: What the system said when the newest state had no room on the disk; an older one is there then.
    """

    def __init__(self, path: Path, progress: _Progress) -> None:
        self.full = ""
        self._path = path
        self._progress = progress

    def write(self, text: str, _path: str) -> None:
        temporary = self._path.with_suffix(".writing")
        try:
            temporary.write_text(text, encoding="utf-8")
            self.full = ""
        except OSError as error:
            if error.errno not in scratch.FULL:
                raise
            self.full = str(error.strerror)
            temporary.unlink()
        else:
            temporary.replace(self._path)
        if len(text) > LARGEST_NOTEBOOK:
            self.too_large()

    def too_large(self) -> None:
        """End here: what is still queued would be read and saved again for minutes."""
        _kill_below()
        size = f"it made more than {LARGEST_NOTEBOOK // 2**20} MiB of output"
        _tell(self._path.parent, _outcome("output", self._progress.latest, "", size))
        os._exit(1)

    def pretty_path(self, _path: str) -> str:
        return self._path.name


def main(folder: Path, waiting: WaitingKernel | ReadyKernel | None = None) -> None:
    """Execute the notebook in a folder, in a new kernel or in one that waits, and write how it went."""
    threading.Thread(target=_end_with_caller, daemon=True).start()
    spec = json.loads((folder / "spec.json").read_text(encoding="utf-8"))
    os.environ |= {**spec["variables"], MARK: spec["mark"], EXECUTION_FOLDER: str(folder)}
    if waiting is None and not spec["kernel"] and not spec["interpreter"]:
        waiting = _ready_kernel()
    _tell(folder, _execute(folder, spec, waiting))


def wait() -> None:
    """Import, with a kernel that does so beside, until the line comes that names the folder; then execute."""
    threading.Thread(target=_end_with_caller, daemon=True).start()
    kernel = _ready_kernel()
    gc.disable()
    _import()
    gc.enable()
    with open(0, "rb", buffering=0, closefd=False) as told:
        folder = Path(os.fsdecode(told.readline().rstrip(b"\n")))
    if folder.name:
        write_log(folder)
        main(folder, kernel)


def _ready_kernel() -> ReadyKernel | None:
    if sys.platform != "linux":
        return None
    from mlprod_nb.notebooks.ready import ReadyKernel

    return ReadyKernel()


def write_log(folder: Path) -> None:
    """Let all that this process says go to the execution's log."""
    log = os.open(folder / "runner.log", os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    os.dup2(log, 1)
    os.dup2(log, 2)
    os.close(log)


def _tell(folder: Path, outcome: dict[str, Any]) -> None:
    """Write the outcome over the file that holds its room, so that a full disk cannot hinder it."""
    for most in (None, OUTCOME_BYTES // 16):  # a character is at most six bytes of JSON
        cut = {name: value[:most] if isinstance(value, str) else value for name, value in outcome.items()}
        with suppress(OSError), (folder / OUTCOME).open("r+", encoding="ascii") as file:
            file.write(json.dumps(cut))
            file.truncate()
            return


def _execute(folder: Path, spec: dict[str, Any], waiting: WaitingKernel | ReadyKernel | None) -> dict[str, Any]:
    _import()
    from nbclient.exceptions import DeadKernelError
    from papermill import execute_notebook
    from papermill.exceptions import PapermillExecutionError
    from papermill.iorw import papermill_io

    from mlprod_nb.notebooks import bounded

    logging.getLogger("papermill").setLevel(logging.ERROR)
    progress = _Progress(folder)
    output = _Output(folder / "executed.ipynb", progress)
    papermill_io.register("executed:", output)
    os.chdir(folder)
    try:
        execute_notebook(
            "source.ipynb",
            "executed:executed.ipynb",
            spec["parameters"],
            kernel_name="python3",
            language="python",
            engine_name=bounded.register(LARGEST_NOTEBOOK, output.too_large),
            progress_bar=False,
            cwd=spec["cwd"],
            autosave_cell_every=2,
            # nbclient waits 4 s for a cell's last outputs, which a busy machine exceeds.
            iopub_timeout=60,
            kernel_manager_class=_kernel_manager(folder, spec, waiting),
            on_cell_start=progress.started,
            on_cell_executed=progress.ended,
        )
    except PapermillExecutionError as error:
        reason = "memory" if _OUT_OF_MEMORY.search(error.ename) else "error"
        return _outcome(reason, error.cell_index, error.ename, error.evalue)
    except DeadKernelError:
        return _outcome("died", progress.cell, "", "")
    except Exception as error:  # noqa: BLE001 (the caller must be told whatever happened)
        return _outcome(
            "error" if progress.cell is not None else "start", progress.cell, type(error).__name__, str(error)
        )
    return _outcome("scratch", None, "", output.full) if output.full else _outcome(None, None, "", "")


def _import() -> None:
    """Import what any execution needs, and keep out what none does."""
    skip_slow_imports()
    # papermill asks for it to read from HDFS. Where a nursery has it already, nothing changes.
    sys.modules.setdefault("pyarrow", None)  # type: ignore[arg-type]
    import papermill.iorw  # noqa: F401

    import mlprod_nb.notebooks.bounded  # noqa: F401


def skip_slow_imports() -> None:
    """Keep out what jsonschema would import for one format that no notebook has: a grammar, built in a second."""
    sys.modules.setdefault("rfc3987_syntax", None)  # type: ignore[arg-type]


def _outcome(reason: str | None, cell: int | None, error: str, message: str) -> dict[str, Any]:
    return {"reason": reason, "cell": cell, "error": error, "message": message}


def _kernel_manager(folder: Path, spec: dict[str, Any], waiting: WaitingKernel | ReadyKernel | None) -> type[Any]:
    """Return a kernel manager for this very interpreter, or for the kernel that is asked for.

    A kernel looked up by the name ``python3`` may be another environment's: the user's own kernel specifications come
    first on Jupyter's path. So none is looked up. The connection file stays in the run's folder.
    """
    from jupyter_client.kernelspec import KernelSpec
    from jupyter_client.manager import AsyncKernelManager

    class OwnKernelManager(AsyncKernelManager):
        def __init__(self, **options: Any) -> None:
            file = str(folder / "kernel.json")
            # Sockets in the run's own folder are closed to other users; a socket's path has at most 107 characters.
            transport = "ipc" if sys.platform != "win32" and len(file) < 90 else "tcp"
            super().__init__(connection_file=file, transport=transport, **options)

        async def _async_launch_kernel(self, kernel_cmd: list[str], **options: Any) -> None:
            if waiting is None:
                await super()._async_launch_kernel(kernel_cmd, **options)
            else:
                self._take(waiting, options)
            _limit(getattr(self.provisioner, "pid", 0), spec["memory_mib"])

        async def _async_finish_shutdown(
            self, waittime: float | None = None, pollinterval: float = 0.1, restart: bool = False
        ) -> None:
            await super()._async_finish_shutdown(waittime, min(pollinterval, _LOOK_SECONDS), restart)

        def _take(self, waiting: WaitingKernel | ReadyKernel, options: dict[str, Any]) -> None:
            provisioner: Any = self.provisioner
            waiting.launch(self.connection_file, str(options.get("cwd") or Path.cwd()), options["env"])
            provisioner.process = waiting
            provisioner.pid = provisioner.pgid = waiting.pid
            self._reconcile_connection_info(provisioner.connection_info)

        @property
        def kernel_spec(self) -> KernelSpec:
            if spec["kernel"]:
                return kernels.find(spec["kernel"])
            python = spec["interpreter"] or sys.executable
            command = [python, "-m", "ipykernel_launcher", "-f", "{connection_file}"]
            return KernelSpec(argv=command, display_name="Python 3", language="python")

    return OwnKernelManager


def _limit(pid: int, memory_mib: int) -> None:
    """Bound a process's own memory, before it has run anything of the notebook's.

    What is counted are private pages that can be written (``RLIMIT_DATA``): an address space is mostly files and
    reservations, and says little of what a process takes.
    """
    if pid and memory_mib and sys.platform == "linux":
        size = memory_mib * 2**20
        resource.prlimit(pid, resource.RLIMIT_DATA, (size, size + _LAST_WORDS))


def _end_with_caller() -> None:
    if sys.platform == "linux":
        # Without reading: lines that come this way are for others, a nursery's among them.
        caller = select.poll()
        caller.register(0, 0)
        while not caller.poll():
            pass
    else:
        # Not by sys.stdin: a thread that waits in it holds its lock, and Python's own end waits for that and aborts.
        while os.read(0, 4096):
            pass
    _kill_below()
    os._exit(1)


def _kill_below() -> None:
    import psutil

    found = psutil.Process().children(recursive=True)
    for process in found:
        with suppress(psutil.Error):
            process.kill()
    # A child whose end nobody takes note of stays in the process table until somebody does.
    psutil.wait_procs(found, timeout=_REAP_SECONDS)


if __name__ == "__main__":
    if sys.argv[1:]:
        main(Path(sys.argv[1]))
    else:
        wait()
    # All is written, and nobody needs what is left to be taken apart.
    logging.shutdown()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)
