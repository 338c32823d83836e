"""One load on one model: is a change faster? ``python -m benchmarks.gateway --load 1x64 --beside ../before``.

The servers are loaded in turns, for ratios; the processor time of a request depends less than its throughput on what
else the machine does. Nothing is written but what ``--folder`` keeps.
"""

from __future__ import annotations

import argparse
import tempfile
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path
from statistics import median

from benchmarks import servers, wrk
from benchmarks.models import MODELS, prepare
from benchmarks.servers import Running

_TURNS = 5
_WARM_SECONDS, _SECONDS = 1, 3
_SERVERS = ("gateway", "encrypted", "mlflow", "echo")


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of one load alone."""
    group = parser.add_argument_group("one load alone", "With --load nothing else is measured, and no file is written.")
    group.add_argument("--load", type=_load, metavar="ROWSxCONNECTIONS", help="For example 1x64, 1x1 or 100x16.")
    group.add_argument("--model", choices=MODELS, default="logistic", help="The model (default: logistic).")
    group.add_argument(
        "--server",
        choices=_SERVERS,
        action="append",
        help="A server to load; may be repeated (default: gateway and echo).",
    )
    group.add_argument("--beside", type=Path, metavar="TREE", help="Load the gateway of this other source tree, too.")
    group.add_argument("--folder", type=Path, help="Keep the trained models here, or use those that are here.")


def run(options: argparse.Namespace) -> None:
    """Run the load and print what each server gave."""
    rows, connections = options.load
    with tempfile.TemporaryDirectory() as temporary, ExitStack() as stack:
        folder = options.folder or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        if not (folder / options.model).exists():
            prepare(folder, (options.model,))
        running: dict[str, Running] = {}
        for name in options.server or ("gateway", "echo"):
            running[name] = stack.enter_context(_started(name, folder, options.model))
        if options.beside is not None:
            running["beside"] = stack.enter_context(servers.ours(folder, options.model, tree=options.beside))
        found: dict[str, list[tuple[wrk.Outcome, float]]] = {name: [] for name in running}
        for _ in range(_TURNS):
            for name, server in running.items():
                wrk.load(folder, server, rows=rows, connections=connections, seconds=_WARM_SECONDS)
                before = server.processor_seconds
                outcome = wrk.load(folder, server, rows=rows, connections=connections, seconds=_SECONDS)
                found[name].append((outcome, (server.processor_seconds - before) / outcome.answered))
    _print(found)


def _started(name: str, folder: Path, model: str) -> AbstractContextManager[Running]:
    if name in ("gateway", "encrypted"):
        return servers.ours(folder, model, encrypt=name == "encrypted")
    return servers.mlflow_serve(folder, model) if name == "mlflow" else servers.echo(folder)


def _print(found: dict[str, list[tuple[wrk.Outcome, float]]]) -> None:
    """Print the medians, each server's throughput as a ratio to the first one's, and the turns' throughputs."""
    rates = {name: [outcome.per_second for outcome, _ in runs] for name, runs in found.items()}
    first = next(iter(rates.values()))
    print(f"{'server':8} {'req/s':>8} {'x first':>8} {'p50 ms':>7} {'p99 ms':>7} {'cpu us':>7} failed  turns")
    for name, runs in found.items():
        middle = wrk.median_of([outcome for outcome, _ in runs])
        ratio = median(one / other for one, other in zip(rates[name], first, strict=True))
        spent = 1e6 * median(seconds for _, seconds in runs)
        turns = " ".join(f"{rate:,.0f}" for rate in rates[name])
        print(
            f"{name:8} {middle.per_second:8,.0f} {ratio:8.3f} {middle.p50_ms:7.2f} {middle.p99_ms:7.2f} {spent:7.1f} "
            f"{middle.refused + middle.broken:6}  {turns}"
        )


def _load(text: str) -> tuple[int, int]:
    rows, _, connections = text.partition("x")
    if rows not in ("1", "100") or not connections.isdigit() or int(connections) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not 1xCONNECTIONS or 100xCONNECTIONS")
    return int(rows), int(connections)
