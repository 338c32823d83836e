"""The gateway beside ``mlflow models serve`` and a bare echo: ``python -m benchmarks.gateway [--model M --load 1x64]``.

The gateway authenticates every request and syncs every prediction to its log before it replies; the others do neither.
For each model all three are started, and each load is put on one after the other, three times in turn, by the same load
generator (wrk, one thread, Debian's package), which shares the machine's cores with them. Shown are medians. Figures of
different runs do not compare; the ratios within one do.
"""

from __future__ import annotations

import argparse
import os
import platform
import tempfile
import time
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from statistics import median

from benchmarks import one_load, servers, strain, wrk
from benchmarks.models import MODELS, TWO_WORKERS, prepare
from benchmarks.servers import Running
from benchmarks.statistics_page import write_head
from benchmarks.strain import Strain

CONNECTIONS = (1, 16, 64)
_WORKER_MODEL = "forest-worker"
_IN_MEMORY = Path("/dev/shm")
_TURNS = 3
_WARM_SECONDS = 1
_RECORD_BYTES, _RECORDS = 700, 500


@dataclass(frozen=True)
class Load:
    """A load and what it gave.

    Attributes:
        server: ``"gateway"``, ``"mlflow"`` or ``"echo"``, or a variety of the gateway.
        model: The model's name; of the echo, the one that it ran beside.
        rows: Rows in each request.
        connections: Connections that ask one request after the other.
        outcome: The median of what it gave.
        cores: Processor seconds that the server's processes took, a second.
    """

    server: str
    model: str
    rows: int
    connections: int
    outcome: wrk.Outcome
    cores: float


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
    one_load.add_options(parser)
    options = parser.parse_args()
    wrk.require()
    if options.load is not None:
        one_load.run(options)
        return
    quick = options.quick
    loads: list[Load] = []
    footprints: list[Footprint] = []
    strains: list[Strain] = []
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        prepare(folder, (*MODELS, TWO_WORKERS, _WORKER_MODEL))
        sync = _sync_microseconds(folder)
        measure = _Measure(folder, 2 if quick else 4, 1 if quick else _TURNS, loads, footprints)
        measure.all(("logistic",) if quick else tuple(MODELS))
        with servers.ours(folder, "logistic") as running:
            for found in strain.all_of(
                folder, running, requests=100_000 if quick else 1_000_000, seconds=measure.seconds
            ):
                print(found, flush=True)
                strains.append(found)
    page = render(loads, footprints, strains, sync)
    print(page)
    if not quick:
        write_head(page, Path(__file__).with_name("RESULTS.md"))


def _sync_microseconds(folder: Path) -> float:
    """Return the median of appending as many bytes as a record of one row has, and syncing them; nothing else runs."""
    record, spent = os.urandom(_RECORD_BYTES), []
    with (folder / "bare-log").open("ab", buffering=0) as file:
        for _ in range(_RECORDS):
            began = time.perf_counter()
            file.write(record)
            os.fdatasync(file.fileno())
            spent.append(time.perf_counter() - began)
    return 1e6 * median(spent)


@dataclass(frozen=True)
class _Measure:
    folder: Path
    seconds: int
    turns: int
    loads: list[Load]
    footprints: list[Footprint]

    def all(self, models: tuple[str, ...]) -> None:
        for model in models:
            with ExitStack() as stack:
                running = {
                    "gateway": stack.enter_context(servers.ours(self.folder, model)),
                    "mlflow": stack.enter_context(servers.mlflow_serve(self.folder, model)),
                    "echo": stack.enter_context(servers.echo(self.folder)),
                }
                for name in ("gateway", "mlflow"):
                    found = running[name]
                    self.footprints.append(Footprint(name, model, found.memory_mb, found.first_answer_seconds))
                lone = running | self._without_a_disk(model, stack)
                for rows, connections in (*((1, connections) for connections in CONNECTIONS), (100, 16)):
                    self._load(model, lone if connections == 1 else running, rows, connections)
        with ExitStack() as stack:
            running = {
                "gateway, 1 worker": stack.enter_context(servers.ours(self.folder, models[0])),
                "gateway, 2 workers": stack.enter_context(servers.ours(self.folder, TWO_WORKERS, workers=2)),
            }
            self._load(models[0], running, 1, 64)
        with servers.ours(self.folder, _WORKER_MODEL) as worker:
            self._load("forest", {"gateway, model worker": worker}, 1, 64)

    def _without_a_disk(self, model: str, stack: ExitStack) -> dict[str, Running]:
        """Return the gateway with its workspace in memory: what it would take on a disk that syncs in no time."""
        if not _IN_MEMORY.is_dir():
            return {}
        copy = Path(stack.enter_context(tempfile.TemporaryDirectory(dir=_IN_MEMORY)))
        return {"gateway, in memory": stack.enter_context(servers.ours(self.folder, model, copy_to=copy))}

    def _load(self, model: str, running: dict[str, Running], rows: int, connections: int) -> None:
        found: dict[str, list[tuple[wrk.Outcome, float]]] = {name: [] for name in running}
        for _ in range(self.turns):
            for name, server in running.items():
                wrk.load(self.folder, server, rows=rows, connections=connections, seconds=_WARM_SECONDS)
                before = server.processor_seconds
                outcome = wrk.load(self.folder, server, rows=rows, connections=connections, seconds=self.seconds)
                found[name].append((outcome, (server.processor_seconds - before) / outcome.seconds))
        for name, runs in found.items():
            outcome = wrk.median_of([outcome for outcome, _ in runs])
            self.loads.append(Load(name, model, rows, connections, outcome, median(cores for _, cores in runs)))
            print(self.loads[-1], flush=True)


def render(loads: list[Load], footprints: list[Footprint], strains: list[Strain], sync: float) -> str:
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
        "Cores are the processor seconds of a server's processes in a second; the load generator's come beside.",
        f"Appending {_RECORD_BYTES} bytes to a file of this disk and syncing them takes {sync:.0f} µs alone. A lone",
        "caller waits for that at every request, so the gateway runs a second time with its workspace in memory.",
        "",
        "| server | model | rows | connections | requests/s | p50 ms | p99 ms | cores | failed | × mlflow | × echo |",
        "|---|---|---|---|---|---|---|---|---|---|---|",
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
    for server in ("mlflow", "echo"):
        wanted = (server, load.model, load.rows, load.connections)
        other = next((o for o in loads if (o.server, o.model, o.rows, o.connections) == wanted), None)
        shown = other is not None and load.server.startswith("gateway")
        ratios.append(f"{load.outcome.per_second / other.outcome.per_second:.2f}" if shown and other else "")
    values = (load.server, load.model, load.rows, load.connections)
    found = load.outcome
    times = f"{found.per_second:,.0f} | {found.p50_ms:.2f} | {found.p99_ms:.2f} | {load.cores:.2f}"
    return f"| {' | '.join(map(str, values))} | {times} | {found.refused + found.broken} | {' | '.join(ratios)} |"


if __name__ == "__main__":
    main()
