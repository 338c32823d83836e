"""The load generator: wrk, one thread, each connection sending one request after the other."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median

from benchmarks.models import BODIES
from benchmarks.servers import Running

_SCRIPT = Path(__file__).with_name("load.lua")


@dataclass(frozen=True)
class Outcome:
    """What one load gave.

    Attributes:
        answered: Requests answered, whatever the status.
        seconds: How long the load took.
        p50_ms: Median latency.
        p99_ms: Latency that 99 of 100 requests did not exceed.
        refused: Requests answered with another status than 2xx or 3xx.
        broken: Requests without an answer.
    """

    answered: int
    seconds: float
    p50_ms: float
    p99_ms: float
    refused: int
    broken: int

    @property
    def per_second(self) -> float:
        """Requests answered a second, whatever the status."""
        return self.answered / self.seconds

    @property
    def good_per_second(self) -> float:
        """Requests answered well a second."""
        return (self.answered - self.refused) / self.seconds


def load(folder: Path, running: Running, *, rows: int, connections: int, seconds: float) -> Outcome:
    """Load a server; the bodies are those that ``models.prepare`` wrote."""
    command = ["wrk", "-t1", f"-c{connections}", f"-d{seconds:g}s", "--timeout", "30s", "-s", str(_SCRIPT), running.url]
    environment = {
        **os.environ,
        "BODIES": str(BODIES),
        "BODY_FOLDER": str(folder / f"{running.bodies}-{rows}"),
        "TARGET_PATH": running.path,
        "AUTHORIZATION": running.authorization,
    }
    said = subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout
    line = next(line for line in said.splitlines() if line.startswith("RESULT "))
    answered, microseconds, p50, p99, refused, broken = (int(word) for word in line.split()[1:])
    return Outcome(answered, microseconds / 1e6, p50 / 1e3, p99 / 1e3, refused, broken)


def median_of(runs: Sequence[Outcome]) -> Outcome:
    """Return the medians of several runs' figures; the sum of what failed."""
    middle = sorted(runs, key=lambda run: run.per_second)[len(runs) // 2]
    p50, p99 = (median(getattr(run, name) for run in runs) for name in ("p50_ms", "p99_ms"))
    refused, broken = (sum(getattr(run, name) for run in runs) for name in ("refused", "broken"))
    return replace(middle, p50_ms=p50, p99_ms=p99, refused=refused, broken=broken)


def require() -> None:
    """End the program where wrk is not installed."""
    if shutil.which("wrk") is None:
        raise SystemExit("make bench needs wrk: apt-get install wrk")
