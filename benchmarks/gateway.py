"""The gateway beside ``mlflow models serve`` and a bare echo: ``python -m benchmarks.gateway [--quick]``.

The gateway authenticates every request and syncs every prediction to its log before it replies; the others do neither.
All run on one machine, one after the other, under the same load generator (wrk, one thread, Debian's package), which
shares the machine's cores with them. Figures of different runs do not compare; the ratios within one do.
"""

from __future__ import annotations

import argparse
import os
import platform
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from benchmarks import servers
from benchmarks.models import BODIES, MODELS, prepare
from benchmarks.servers import Running

CONNECTIONS = (1, 16, 64)
_WARM_SECONDS = 2
_SCRIPT = Path(__file__).with_name("load.lua")


@dataclass(frozen=True)
class Load:
    """What one load gave.

    Attributes:
        server: ``"gateway"``, ``"mlflow"`` or ``"echo"``, or a variety of the gateway.
        model: The model's name; empty for the echo.
        rows: Rows in each request.
        connections: Connections that ask one request after the other.
        per_second: Requests answered a second.
        p50_ms: Median latency.
        p99_ms: Latency that 99 of 100 requests did not exceed.
        failed: Requests with another status than 2xx, or without an answer.
    """

    server: str
    model: str
    rows: int
    connections: int
    per_second: float
    p50_ms: float
    p99_ms: float
    failed: int


@dataclass(frozen=True)
class Footprint:
    """What a server takes before any load: memory in MB, and seconds from its start to its first answer."""

    server: str
    model: str
    memory_mb: float
    first_answer_seconds: float


def main() -> None:
    """Run everything, print as it goes, and write RESULTS.md."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--quick", action="store_true", help="One model and 2 s a load, and no file is written.")
    quick = parser.parse_args().quick
    if shutil.which("wrk") is None:
        raise SystemExit("make bench needs wrk: apt-get install wrk")
    loads: list[Load] = []
    footprints: list[Footprint] = []
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        prepare(folder)
        measure = _Measure(folder, 2 if quick else 6, loads, footprints)
        measure.all(("logistic",) if quick else tuple(MODELS))
    page = render(loads, footprints)
    print(page)
    if not quick:
        Path(__file__).with_name("RESULTS.md").write_text(page, encoding="utf-8")


@dataclass(frozen=True)
class _Measure:
    folder: Path
    seconds: int
    loads: list[Load]
    footprints: list[Footprint]

    def all(self, models: tuple[str, ...]) -> None:
        with servers.echo(self.folder) as running:
            self._server("echo", "", running)
        for model in models:
            with servers.ours(self.folder, model) as running:
                self._server("gateway", model, running)
            with servers.mlflow_serve(self.folder, model) as running:
                self._server("mlflow", model, running)
        with servers.ours(self.folder, models[0], workers=2) as running:
            self._load("gateway, 2 workers", models[0], running, 1, 64)
        with servers.ours(self.folder, "worker") as running:
            self._load("gateway, model worker", "forest", running, 1, 64)

    def _server(self, server: str, model: str, running: Running) -> None:
        if model:
            self.footprints.append(Footprint(server, model, running.memory_mb, running.first_answer_seconds))
        for rows in (1, 100):
            for connections in CONNECTIONS if rows == 1 else (16,):
                self._load(server, model, running, rows, connections)

    def _load(self, server: str, model: str, running: Running, rows: int, connections: int) -> None:
        self._wrk(running, rows, connections, _WARM_SECONDS)
        found = self._wrk(running, rows, connections, self.seconds)
        requests, microseconds, p50, p99, bad, broken = found
        load = Load(
            server, model, rows, connections, requests / (microseconds / 1e6), p50 / 1e3, p99 / 1e3, bad + broken
        )
        self.loads.append(load)
        print(load, flush=True)

    def _wrk(self, running: Running, rows: int, connections: int, seconds: int) -> list[int]:
        command = [
            "wrk",
            "-t1",
            f"-c{connections}",
            f"-d{seconds}s",
            "--timeout",
            "30s",
            "-s",
            str(_SCRIPT),
            running.url,
        ]
        environment = {
            **os.environ,
            "BODIES": str(BODIES),
            "BODY_FOLDER": str(self.folder / f"bodies-{rows}"),
            "TARGET_PATH": running.path,
            "AUTHORIZATION": running.authorization,
        }
        said = subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout
        line = next(line for line in said.splitlines() if line.startswith("RESULT "))
        return [int(word) for word in line.split()[1:]]


def render(loads: list[Load], footprints: list[Footprint]) -> str:
    """Return the results as a page."""
    lines = [
        "# Speed of the gateway",
        "",
        f"`make bench` on {datetime.now(UTC):%Y-%m-%d}: {os.cpu_count()} cores, {platform.machine()}, "
        f"Linux {platform.release().split('-')[0]}, Python {platform.python_version()}, "
        + ", ".join(f"{name} {version(name)}" for name in ("mlflow", "uvicorn", "onnxruntime", "scikit-learn")),
        "",
        *[line.strip() for line in (__doc__ or "").strip().splitlines()[2:]],
        "",
        "One request carries 30 columns of numbers in `dataframe_split`. × mlflow is the throughput over that of",
        "`mlflow models serve` with the same model, rows and connections; × echo that over the echo of the same body.",
        "",
        "| server | model | rows | connections | requests/s | p50 ms | p99 ms | failed | × mlflow | × echo |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    lines += [_row(load, loads) for load in loads]
    lines += [
        "",
        "Before any load, with one endpoint; memory is the resident memory of all processes of the server.",
        "",
        "| server | model | memory MB | first answer s |",
        "|---|---|---|---|",
    ]
    lines += [f"| {f.server} | {f.model} | {f.memory_mb:.0f} | {f.first_answer_seconds:.1f} |" for f in footprints]
    return "\n".join(lines) + "\n"


def _row(load: Load, loads: list[Load]) -> str:
    ratios = []
    for server, model in (("mlflow", load.model), ("echo", "")):
        wanted = (server, model, load.rows, load.connections)
        other = next((o for o in loads if (o.server, o.model, o.rows, o.connections) == wanted), None)
        shown = other is not None and load.server.startswith("gateway")
        ratios.append(f"{load.per_second / other.per_second:.2f}" if shown and other else "")
    values = (load.server, load.model, load.rows, load.connections)
    times = f"{load.per_second:,.0f} | {load.p50_ms:.2f} | {load.p99_ms:.2f} | {load.failed}"
    return f"| {' | '.join(map(str, values))} | {times} | {' | '.join(ratios)} |"


if __name__ == "__main__":
    main()
