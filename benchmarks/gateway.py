"""The gateway beside ``mlflow models serve`` and a bare echo: ``python -m benchmarks.gateway [--quick]``.

The gateway authenticates every request and syncs every prediction to its log before it replies; the others do neither.
All run on one machine, one after the other, under the same load generator (wrk, one thread, Debian's package), which
shares the machine's cores with them. Figures of different runs do not compare; the ratios within one do.
"""

from __future__ import annotations

import argparse
import os
import platform
import tempfile
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from benchmarks import servers, strain, wrk
from benchmarks.models import MODELS, prepare
from benchmarks.servers import Running
from benchmarks.statistics_page import write_head
from benchmarks.strain import Strain

CONNECTIONS = (1, 16, 64)
_WARM_SECONDS = 2


@dataclass(frozen=True)
class Load:
    """A load and what it gave.

    Attributes:
        server: ``"gateway"``, ``"mlflow"`` or ``"echo"``, or a variety of the gateway.
        model: The model's name; empty for the echo.
        rows: Rows in each request.
        connections: Connections that ask one request after the other.
        outcome: What it gave.
    """

    server: str
    model: str
    rows: int
    connections: int
    outcome: wrk.Outcome


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
    wrk.require()
    loads: list[Load] = []
    footprints: list[Footprint] = []
    strains: list[Strain] = []
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        prepare(folder)
        measure = _Measure(folder, 2 if quick else 6, loads, footprints)
        measure.all(("logistic",) if quick else tuple(MODELS))
        with servers.ours(folder, "logistic") as running:
            for found in strain.all_of(
                folder, running, requests=100_000 if quick else 1_000_000, seconds=measure.seconds
            ):
                print(found, flush=True)
                strains.append(found)
    page = render(loads, footprints, strains)
    print(page)
    if not quick:
        write_head(page, Path(__file__).with_name("RESULTS.md"))


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
        wrk.load(self.folder, running, rows=rows, connections=connections, seconds=_WARM_SECONDS)
        found = wrk.load(self.folder, running, rows=rows, connections=connections, seconds=self.seconds)
        self.loads.append(Load(server, model, rows, connections, found))
        print(self.loads[-1], flush=True)


def render(loads: list[Load], footprints: list[Footprint], strains: list[Strain]) -> str:
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
    lines += [
        "",
        "Under strain, the gateway with the logistic regression:",
        "",
        "| what | figure | goal |",
        "|---|---|---|",
    ]
    lines += [f"| {each.what} | {each.figure} | {each.goal} |" for each in strains]
    return "\n".join(lines) + "\n"


def _row(load: Load, loads: list[Load]) -> str:
    ratios = []
    for server, model in (("mlflow", load.model), ("echo", "")):
        wanted = (server, model, load.rows, load.connections)
        other = next((o for o in loads if (o.server, o.model, o.rows, o.connections) == wanted), None)
        shown = other is not None and load.server.startswith("gateway")
        ratios.append(f"{load.outcome.per_second / other.outcome.per_second:.2f}" if shown and other else "")
    values = (load.server, load.model, load.rows, load.connections)
    found = load.outcome
    times = f"{found.per_second:,.0f} | {found.p50_ms:.2f} | {found.p99_ms:.2f} | {found.refused + found.broken}"
    return f"| {' | '.join(map(str, values))} | {times} | {' | '.join(ratios)} |"


if __name__ == "__main__":
    main()
