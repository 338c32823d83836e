"""Jupyter kernels with an environment of their own, so that a user's notebook keeps the newest numpy.

alibi-detect asks for numpy below 2 and pandas below 3. A kernel of its own has them, and nothing else changes.
"""

from __future__ import annotations

import json
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from urllib.parse import unquote, urlparse

from mlprod_nb.errors import ExecutionFailed, Refused
from mlprod_nb.lifecycle.context import Context
from mlprod_nb.monitoring.detectors.alibi import LICENCE
from mlprod_nb.results import Result

NAME = "mlprod-alibi"
#: alibi-detect has no release for Python 3.13.
_PYTHONS = ("python3.12", "python3.11")
_NEWEST = (3, 12)
_LINES = 5
_STEPS = (
    "making an environment",
    "installing alibi-detect into it, which takes minutes",
    "telling Jupyter of the kernel",
)
Run = Callable[[Sequence[str]], None]


@dataclass(frozen=True)
class KernelResult(Result):
    """A Jupyter kernel with alibi-detect is made, or would be.

    Attributes:
        kernel: Its name, as Jupyter lists it.
        folder: The environment's folder.
        commands: The commands that made it, or would.
        licence: alibi-detect's licence.
        made: Whether they were run.
    """

    kernel: str
    folder: str
    commands: tuple[str, ...]
    licence: str
    made: bool

    def headline(self) -> str:
        """Say what was made."""
        if not self.made:
            return f"Kernel {self.kernel} would be made by {len(self.commands)} commands."
        return f"Kernel {self.kernel} is made: choose it in Jupyter's list of kernels."


def make_alibi(context: Context, *, source: str, dry_run: bool, run: Run | None = None) -> KernelResult:
    """Make a Jupyter kernel whose environment has alibi-detect.

    Args:
        context: The workspace.
        source: What pip installs; empty: this package, from where it was installed itself.
        dry_run: Only say by which commands.
        run: Runs one command; by default as a process.

    Raises:
        Refused: There is no Python that alibi-detect has a release for.
        ExecutionFailed: A command failed; the message has its last lines, and the environment is removed.
    """
    folder = context.layout.state / "kernels" / "alibi"
    commands = _commands(folder, source or _own_source())
    if not dry_run:
        context.change()
        folder.parent.mkdir(parents=True, exist_ok=True)
        try:
            for step, command in zip(_STEPS, commands, strict=True):
                context.progress.step(step)
                (run or _run)(command)
        except BaseException:
            shutil.rmtree(folder, ignore_errors=True)  # it is hundreds of MB, and no kernel
            raise
        with context.store.write() as connection:
            context.audit(connection, "kernel", NAME, str(folder))
    return KernelResult(NAME, str(folder), tuple(shlex.join(command) for command in commands), LICENCE, not dry_run)


def _commands(folder: Path, source: str) -> list[list[str]]:
    python = str(folder / "bin" / "python")
    title = "Python 3 (mlprod with alibi-detect)"
    return [
        [_python(), "-m", "venv", "--clear", str(folder)],
        [python, "-m", "pip", "install", "--quiet", source],
        [python, "-m", "ipykernel", "install", "--prefix", sys.prefix, "--name", NAME, "--display-name", title],
    ]


def _python() -> str:
    if sys.version_info[:2] <= _NEWEST:
        return sys.executable
    found = next(filter(None, map(shutil.which, _PYTHONS)), None)
    if found is None:
        raise Refused(
            "alibi-detect has no release for this Python, and no older one is on the PATH.",
            hint="Install Python 3.12, and run this again.",
        )
    return found


def _own_source() -> str:
    """Return what pip installs this package from: the directory it came from, or its version on the index."""
    found = metadata.distribution("mlprod_nb")
    place = json.loads(found.read_text("direct_url.json") or "{}").get("url", "")
    if place.startswith("file://"):
        return f"{unquote(urlparse(place).path)}[alibi]"
    return f"mlprod_nb[alibi]=={found.version}"


def _run(command: Sequence[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, errors="replace", check=False)  # noqa: S603 (ours)
    if done.returncode:
        said = [line for line in (done.stderr or done.stdout).splitlines() if line.strip()]
        errors = [line for line in said if line.startswith("ERROR")]
        raise ExecutionFailed(f"{shlex.join(command)} failed.", hint="\n".join((errors or said)[-_LINES:]))
