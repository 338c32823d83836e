"""Gates on what the model needs where it is served: a clean environment, memory, and time beside the champion."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

import mlprod_nb
from mlprod_nb.errors import ExecutionFailed
from mlprod_nb.gates.options import Count, NotNegative, Positive
from mlprod_nb.gates.protocol import GateOutcome, Inspection, NotTested
from mlprod_nb.registry.bundles import Bundle
from mlprod_nb.registry.onnx_runner import TOLERANCE, to_arrays
from mlprod_nb.scratch import temporary_folder

_LIMIT_SECONDS = 120.0
_INSTALL_SECONDS = 900.0
_LOADS = (
    "import runpy, sys; sys.path.insert(0, sys.argv.pop(1)); "
    "runpy.run_module('mlprod_nb.registry.fresh', run_name='__main__')"
)
#: What a fresh environment needs beside what the model itself names.
_NEEDED = {
    "onnx": ("numpy", "onnxruntime"),
    "python": ("numpy", "pandas", "scipy", "scikit-learn", "cloudpickle", "mlflow", "onnxruntime"),
}


@dataclass(frozen=True)
class Fresh:
    """What it took to load a bundle in a process of its own.

    Attributes:
        seconds: From nothing to answered warm-up rows, the interpreter's start left out.
        mib: Memory that it took, MiB; 0 where the system does not say.
        rows: How many warm-up rows were answered.
        difference: How far their scores are from the original's.
    """

    seconds: float
    mib: float
    rows: int
    difference: float


@dataclass(frozen=True)
class LoadsGate:
    """The bundle loads in a process that has only what the gateway has, or for Python code only what is installed."""

    name: str = "loads"

    def check(self, inspection: Inspection) -> GateOutcome:
        """Load it and compare the warm-up rows."""
        return _judged(self.name, inspection.fresh, "a fresh process")


@dataclass(frozen=True)
class EnvironmentGate:
    """The bundle loads in an environment made anew of the recorded packages; takes minutes and a package index."""

    name: str = "environment"

    def check(self, inspection: Inspection) -> GateOutcome:
        """Make the environment, load the bundle in it, and remove it."""
        around = inspection.surroundings
        if not around.exhaustive:
            raise NotTested("an environment made anew takes minutes; ask for it with --exhaustive")
        wanted = _NEEDED[inspection.bundle.manifest.runtime]
        pinned = [f"{name}=={around.packages[name]}" for name in wanted if name in around.packages]
        if not pinned:
            raise NotTested("it is not recorded which packages the version was made with")
        with temporary_folder("work") as scratch:
            found = _anew(inspection.bundle, pinned, scratch)
        return _judged(self.name, found, f"an environment made anew of {', '.join(pinned)}")


@dataclass(frozen=True)
class MemoryGate:
    """The loaded model fits into memory, and takes not much more of it than a champion of the same runtime.

    Attributes:
        limit_mib: The most that passes, MiB.
        times: How many times the champion's memory passes.
        slack_mib: What it may take beyond the champion's whatever the ratio, MiB.
    """

    limit_mib: Positive = 1024.0
    times: Positive = 2.0
    slack_mib: NotNegative = 64.0
    name: str = "memory"

    def check(self, inspection: Inspection) -> GateOutcome:
        """Read what the fresh process took."""
        found = inspection.fresh.mib
        limit, words = self.limit_mib, ""
        theirs = _memory_of_champion(inspection)
        if theirs is not None:
            limit = min(limit, max(self.times * theirs, theirs + self.slack_mib))
            words = f", that of {inspection.champion.subject} {theirs:.0f} MiB"
        sentence = f"The loaded model takes {found:.0f} MiB{words}; {limit:.0f} MiB pass."
        return GateOutcome(self.name, "ok" if found <= limit else "alarm", sentence, found, limit)


@dataclass(frozen=True)
class SpeedGate:
    """One row is not answered much later than by the champion, both measured in turn in this process.

    Attributes:
        times: How many times the champion's median passes.
        slack_ms: What it may take beyond the champion's whatever the ratio, milliseconds.
        calls: How many calls of each are measured.
        timer: Gives seconds from a fixed moment.
    """

    times: Positive = 3.0
    slack_ms: NotNegative = 5.0
    calls: Count = 100
    timer: Callable[[], float] = time.perf_counter
    name: str = "speed"

    def check(self, inspection: Inspection) -> GateOutcome:
        """Measure calls of both in turn, so that what else the machine does meets both."""
        champion = inspection.champion
        sides = [(side.runner, _rows(side.bundle)) for side in (inspection, champion)]
        taken: list[list[float]] = [[], []]
        for call in range(-2, self.calls):
            for place, (runner, rows) in enumerate(sides):
                begin = self.timer()
                runner.run(rows[call % len(rows)])
                if call >= 0:
                    taken[place].append((self.timer() - begin) * 1000)
        own, theirs = (float(np.median(times)) for times in taken)
        limit = max(self.times * theirs, theirs + self.slack_ms)
        sentence = (
            f"One row takes {own:.3g} ms in the median, by {champion.subject} {theirs:.3g} ms; {limit:.3g} ms pass."
        )
        return GateOutcome(self.name, "ok" if own <= limit else "alarm", sentence, own, limit)


def _memory_of_champion(inspection: Inspection) -> float | None:
    """Return what the champion takes; ``None`` where there is none, or one of another runtime, or it does not load."""
    try:
        champion = inspection.champion
        same = champion.bundle.manifest.runtime == inspection.bundle.manifest.runtime
        return champion.fresh.mib if same else None
    except (NotTested, ExecutionFailed):
        return None


def load_fresh(bundle: Bundle) -> Fresh:
    """Load a bundle in a process of its own, in an empty folder, so that nothing beside what is installed helps it.

    Raises:
        ExecutionFailed: It does not load; the message says why.
    """
    with temporary_folder("work") as folder:
        return _run([sys.executable, "-m", "mlprod_nb.registry.fresh", str(bundle.path.resolve())], folder)


def _anew(bundle: Bundle, pinned: Sequence[str], folder: Path) -> Fresh:
    python = folder / "environment" / "bin" / "python"
    for words in (
        [sys.executable, "-m", "venv", str(folder / "environment")],
        [str(python), "-m", "pip", "install", "-q", "--disable-pip-version-check", *pinned],
    ):
        done = _process(words, folder, _INSTALL_SECONDS)
        if done.returncode:
            raise ExecutionFailed(f"the recorded packages cannot be installed: {_last_line(done.stderr)}.")
    shutil.copytree(Path(mlprod_nb.__file__).parent, folder / "source" / "mlprod_nb")
    return _run([str(python), "-I", "-c", _LOADS, str(folder / "source"), str(bundle.path.resolve())], folder)


def _run(words: Sequence[str], folder: Path) -> Fresh:
    done = _process(words, folder, _LIMIT_SECONDS)
    try:
        told: Mapping[str, Any] = json.loads(done.stdout)
    except ValueError:
        raise ExecutionFailed(
            f"it does not load: {_last_line(done.stderr) or f'exit code {done.returncode}'}."
        ) from None
    if "problem" in told:
        raise ExecutionFailed(f"it does not load: {' '.join(str(told['problem']).split())[:300].rstrip('.')}.")
    return Fresh(**told)


def _process(words: Sequence[str], folder: Path, limit: float) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(  # noqa: S603 (our own interpreter)
            words, cwd=folder, capture_output=True, text=True, timeout=limit, check=False, stdin=subprocess.DEVNULL
        )
    except subprocess.TimeoutExpired:
        raise ExecutionFailed(f"it took longer than {limit:g} s.") from None


def _judged(name: str, found: Fresh, where: str) -> GateOutcome:
    if found.difference > TOLERANCE:
        sentence = f"In {where} the warm-up rows get other scores, by {found.difference:.2g}."
        return GateOutcome(name, "alarm", sentence, found.difference, TOLERANCE)
    sentence = f"It loads in {where} and answers {found.rows} warm-up rows after {found.seconds:.2g} s."
    return GateOutcome(name, "ok", sentence, found.difference, TOLERANCE)


def _rows(bundle: Bundle) -> list[dict[str, Any]]:
    columns, expected = bundle.warmup()
    arrays = to_arrays(bundle.signature, columns)
    return [{name: values[i : i + 1] for name, values in arrays.items()} for i in range(len(expected))]


def _last_line(text: str) -> str:
    lines = text.strip().splitlines()
    return lines[-1].strip()[:300].rstrip(".") if lines else ""
