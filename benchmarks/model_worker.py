"""Our model worker beside MLServer, both serving Python models: ``python -m benchmarks.model_worker``.

The models are those of the gateway's bench, without ONNX: a model worker runs ours, and MLServer's parallel worker the
same models, trained on the same rows and pickled. Both batch adaptively, get the same bytes of the Open Inference
Protocol v2 (one row, 30 tensors with the columns' names) over 64 connections of the same load generator, and were found
to give the same labels. The gateway checks a token, gives probabilities beside the labels, and syncs every prediction
to its log before it replies; MLServer does none of these. Ours is also loaded by `dataframe_split`, which MLServer's
runtime of scikit-learn does not take. The servers of a model are loaded in turn, three times; shown are medians.
"""

from __future__ import annotations

import argparse
import os
import platform
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from statistics import median

import httpx

from benchmarks import mlserver, servers, wrk
from benchmarks.mlserver import NotInstalled
from benchmarks.models import BODIES, MODELS, prepare
from benchmarks.servers import Running
from benchmarks.statistics_page import write_section

TITLE = "Speed of a model worker"
OURS, PEER = "model worker", "MLServer"
TENSORS, SPLIT = "V2", "dataframe_split"
_CONNECTIONS, _TURNS = 64, 3
_WARM_SECONDS, _SECONDS = 1, 2


@dataclass(frozen=True)
class Load:
    """What a server gave under its load.

    Attributes:
        server: ``OURS`` or ``PEER``.
        request: The form of its requests: ``TENSORS`` or ``SPLIT``.
        model: The model's name.
        outcome: The median of what it gave.
        cores: Processor seconds that the server's processes took, a second.
    """

    server: str
    request: str
    model: str
    outcome: wrk.Outcome
    cores: float


def main() -> None:
    """Measure, print as it goes, and write the section of RESULTS.md."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--quick", action="store_true", help="One model, one turn, and no file is written.")
    parser.add_argument("--folder", type=Path, help="Keep the trained models here, or use those that are here.")
    options = parser.parse_args()
    quick = options.quick
    wrk.require()
    names = ("logistic",) if quick else tuple(MODELS)
    python, missing = None, ""
    try:
        python = mlserver.install()
    except NotInstalled as error:
        missing = str(error)
    loads: list[Load] = []
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.folder or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        prepare(folder, [_ours(name) for name in names if not (folder / _ours(name)).exists()])
        for name in names:
            for load in measure(folder, name, python, 1 if quick else _TURNS):
                print(load, flush=True)
                loads.append(load)
    lines = render(loads, missing)
    print("\n".join(lines))
    if not quick:
        write_section(TITLE, lines, page=Path(__file__).with_name("RESULTS.md"))


def measure(folder: Path, name: str, python: Path | None, turns: int) -> list[Load]:
    """Load the servers of one model in turn.

    Args:
        folder: Holds the workspaces and the bodies.
        name: The model's.
        python: The interpreter of MLServer's environment; ``None``: there is none.
        turns: How often each is loaded.
    """
    found: dict[tuple[str, str], list[tuple[wrk.Outcome, float]]] = {}
    with ExitStack() as stack:
        ours = stack.enter_context(servers.ours(folder, _ours(name)))
        tensors = replace(ours, path=f"/v2/models/{_ours(name)}/infer", bodies="tensors")
        running = {(OURS, TENSORS): tensors, (OURS, SPLIT): ours}
        if python is not None:
            mlserver.save(folder, name)
            peer = stack.enter_context(mlserver.serve(folder, name, python))
            if labels(folder, tensors, "predictions") != labels(folder, peer, "predict"):
                raise SystemExit(f"{PEER} and the model worker give different labels for {name}.")
            running = {(PEER, TENSORS): peer, **running}
        for _ in range(turns):
            for key, server in running.items():
                wrk.load(folder, server, rows=1, connections=_CONNECTIONS, seconds=_WARM_SECONDS)
                before = server.processor_seconds
                outcome = wrk.load(folder, server, rows=1, connections=_CONNECTIONS, seconds=_SECONDS)
                cores = (server.processor_seconds - before) / outcome.seconds
                found.setdefault(key, []).append((outcome, cores))
    return [
        Load(*key, name, wrk.median_of([outcome for outcome, _ in runs]), median(cores for _, cores in runs))
        for key, runs in found.items()
    ]


def _ours(name: str) -> str:
    return f"{name}-worker"


def labels(folder: Path, server: Running, output: str) -> list[int]:
    """Return the label that a server gives for each body, in the output of this name."""
    found: list[int] = []
    headers = {"Content-Type": "application/json", "Authorization": server.authorization}
    with httpx.Client(trust_env=False, timeout=30) as client:
        for number in range(1, BODIES + 1):
            body = (folder / f"{server.bodies}-1" / f"{number}.json").read_bytes()
            reply = client.post(f"{server.url}{server.path}", content=body, headers=headers).raise_for_status().json()
            found += next(each["data"] for each in reply["outputs"] if each["name"] == output)
    return found


def render(loads: Sequence[Load], missing: str) -> list[str]:
    """Return the section's lines.

    Args:
        loads: What was measured.
        missing: Why MLServer could not be installed; empty where it was.
    """
    lines = [
        f"`python -m benchmarks.model_worker` on {datetime.now(UTC):%Y-%m-%d}: {os.cpu_count()} cores, "
        f"{platform.machine()}, Linux {platform.release().split('-')[0]}, Python {platform.python_version()}, "
        f"mlserver {mlserver.VERSION}, scikit-learn {version('scikit-learn')}",
        "",
        *[line.strip() for line in (__doc__ or "").strip().splitlines()[2:]],
        "",
        f"MLServer has {mlserver.PARALLEL_WORKERS} parallel worker, as by default, `max_batch_size` "
        f"{mlserver.MAX_BATCH_SIZE} and `max_batch_time` {mlserver.MAX_BATCH_TIME_SECONDS}, its best of those tried.",
        "",
        f"| server | request | model | requests/s | p50 ms | p99 ms | cores | failed | × {PEER} |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    peers = {load.model: load for load in loads if load.server == PEER}
    lines += [_row(load, peers.get(load.model)) for load in loads]
    if missing:
        lines.append(f"| {PEER} | {TENSORS} | could not be installed here: {missing.replace('|', '/')} | | | | | | |")
    return lines


def _row(load: Load, peer: Load | None) -> str:
    found = load.outcome
    ratio = f"{found.per_second / peer.outcome.per_second:.1f}" if peer and load.server != PEER else ""
    times = f"{found.per_second:,.0f} | {found.p50_ms:.2f} | {found.p99_ms:.2f} | {load.cores:.2f}"
    return f"| {load.server} | {load.request} | {load.model} | {times} | {found.refused + found.broken} | {ratio} |"


if __name__ == "__main__":
    main()
