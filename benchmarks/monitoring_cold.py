"""``mlprod monitor`` from a shell, cold: ``python -m benchmarks.monitoring_cold [--quick]``.

A workspace is made as a user makes one: a model is registered with 100,000 rows of reference and deployed; predictions
of a week, 16 columns of numbers and 4 of 30 categories, drawn as the reference was and scored by the model, are written
to segments and compacted. Then ``mlprod monitor`` runs as a process of its own, from its start to its last line: the
first look counts every file, a later one finds what was counted kept. Between two first looks what is kept is taken
away. Memory is the process's largest resident.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
from concurrent.futures import Future
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from importlib.metadata import version
from pathlib import Path
from statistics import median

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator
from sklearn.compose import make_column_transformer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from benchmarks.monitoring import draw
from benchmarks.statistics_page import write_section
from mlprod_nb import Workspace
from mlprod_nb.prediction_log.schema import PredictionBatch, encode_predictions
from mlprod_nb.prediction_log.segments import SegmentWriter
from mlprod_nb.store import tables

TITLE = "Speed of a cold monitor"
NAME = "model"
REFERENCE_ROWS = 100_000
SIZES = (50_000, 1_000_000)
GOALS = {50_000: "≤ 0.8 s", 1_000_000: "≤ 2 s, ≤ 250 MB"}
START = datetime(2026, 1, 5, tzinfo=UTC)
WEEK = timedelta(days=7)
SEED = 2014
_FITTED_ROWS = 5000
_ROWS_A_RECORD = 5000
_TIMEOUT_SECONDS = 120


# A process of few megabytes between: what a parent holds would count as its child's memory. Exit code 1 is a verdict.
_LAUNCHER = """
import json, os, sys, time
began = time.perf_counter()
null = os.open(os.devnull, os.O_WRONLY)
to = [(os.POSIX_SPAWN_DUP2, null, 1), (os.POSIX_SPAWN_DUP2, null, 2)]
_, status, used = os.wait4(os.posix_spawn(sys.argv[1], sys.argv[1:], os.environ, file_actions=to), 0)
assert os.waitstatus_to_exitcode(status) in (0, 1), status
cpu = used.ru_utime + used.ru_stime
print(json.dumps({"seconds": time.perf_counter() - began, "cpu": cpu, "memory_mb": used.ru_maxrss / 1024}))
"""


@dataclass(frozen=True)
class Look:
    """What one process took.

    Attributes:
        seconds: From its start to its end.
        cpu: The processor's seconds.
        memory_mb: Its largest resident memory.
    """

    seconds: float
    cpu: float
    memory_mb: float


def main() -> None:
    """Measure every size, and write the section of RESULTS.md."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--quick", action="store_true", help="One run of the smallest window, and no file is written.")
    parser.add_argument("--runs", type=int, default=3, help="How often each look is run.")
    given = parser.parse_args()
    sizes, runs = (SIZES[:1], 1) if given.quick else (SIZES, given.runs)
    found = {}
    for rows in sizes:
        with tempfile.TemporaryDirectory(prefix="mlprod-cold-") as folder:
            workspace = prepare(Path(folder), rows)
            try:
                found[rows] = measure(workspace, Path(folder), runs)
            finally:
                workspace.context.store.close()
    lines = render(found, runs)
    print("\n".join(lines))
    if not given.quick:
        write_section(TITLE, lines, page=Path(__file__).with_name("RESULTS.md"))


def prepare(root: Path, rows: int) -> Workspace:
    """Make the workspace: a version, its endpoint, and a week of compacted predictions."""
    random = np.random.default_rng([SEED, rows])
    Workspace.init(str(root))
    workspace = Workspace.open(root)
    data = pd.DataFrame(draw(random, REFERENCE_ROWS, 0.0))
    target = pd.Series((random.random(REFERENCE_ROWS) < 0.5).astype(int))
    texts = [name for name in data if data[name].dtype == object]
    numbers = [name for name in data if name not in texts]
    columns = make_column_transformer((OneHotEncoder(), texts), (StandardScaler(), numbers))
    model = make_pipeline(columns, LogisticRegression()).fit(data[:_FITTED_ROWS], target[:_FITTED_ROWS])
    made = workspace.register(NAME, model=model, data=data, target=target)
    workspace.up()
    try:
        workspace.deploy(made.version, endpoint=NAME)
    finally:
        workspace.down(yes=True)
    _log(workspace.context.layout.log, random, model, rows)
    workspace.compact()
    return workspace


def _log(folder: Path, random: np.random.Generator, model: BaseEstimator, rows: int) -> None:
    """Write a week of predictions as the gateway does."""
    writer = SegmentWriter(folder)
    for first in range(0, rows, _ROWS_A_RECORD):
        many = min(_ROWS_A_RECORD, rows - first)
        columns = draw(random, many, 0.0)
        scores = np.asarray(model.predict_proba(pd.DataFrame(columns)))[:, 1]
        moments = [START + WEEK * ((first + row) / rows) for row in range(many)]
        ids = [
            _id(moment, end) for moment, end in zip(moments, random.integers(0, 1 << 62, many).tolist(), strict=True)
        ]
        batch = PredictionBatch(
            prediction_id=ids,
            request_id=[ids[0]] * many,
            endpoint=[NAME] * many,
            revision=[1] * many,
            variant=["champion"] * many,
            model=[NAME] * many,
            version=[1] * many,
            shadow=[False] * many,
            unit=[None] * many,
            event_time=moments,
            received_at=moments,
            latency_ms=random.gamma(4, 2, many).tolist(),
            prediction=np.where(scores >= 0.5, "1", "0").tolist(),
            score=scores,
            inputs=columns,
        )
        _append(writer, encode_predictions(batch))
    writer.close()


def _id(moment: datetime, random: int) -> str:
    """Return a UUIDv7 of a moment and 62 random bits."""
    stamp, end = int(moment.timestamp() * 1000), f"{random:016x}"
    return f"{stamp >> 16:08x}-{stamp & 0xFFFF:04x}-7{end[13:]}-8{end[10:13]}-{end[4:]}"


def _append(writer: SegmentWriter, record: bytes) -> None:
    done: Future[None] = Future()
    writer.append(record, lambda error: done.set_exception(error) if error else done.set_result(None))
    done.result(_TIMEOUT_SECONDS)


def measure(workspace: Workspace, root: Path, runs: int) -> dict[str, list[Look]]:
    """Run a first and a later look in turn, so often, after one that is not counted: it compiles what is imported."""
    found: dict[str, list[Look]] = {"first": [], "later": []}
    _look(root)
    for _ in range(runs):
        with workspace.context.store.write() as connection:
            connection.execute(tables.log_counts.delete())
        for name, looks in found.items():
            looks.append(_look(root))
            print(f"{name}: {looks[-1]}", flush=True)
    return found


def _look(root: Path) -> Look:
    # An installed package is compiled once, not by every process.
    compiled = {"PYTHONDONTWRITEBYTECODE": "", "PYTHONPYCACHEPREFIX": str(root / "compiled")}
    # make sets these for its own processes; a user's shell does not.
    env = {name: value for name, value in os.environ.items() if name not in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS")}
    script = Path(sys.executable).with_name("mlprod")
    done = subprocess.run(
        [sys.executable, "-S", "-c", _LAUNCHER, str(script), "monitor", NAME],
        cwd=root,
        env={**env, **compiled},
        stdout=subprocess.PIPE,
        timeout=_TIMEOUT_SECONDS,
        check=True,
    )
    return Look(**json.loads(done.stdout))


def render(found: dict[int, dict[str, list[Look]]], runs: int) -> list[str]:
    """Return the section's lines."""
    return [
        f"`python -m benchmarks.monitoring_cold` on {datetime.now(UTC):%Y-%m-%d}: {os.cpu_count()} cores, "
        f"{platform.machine()}, Linux {platform.release().split('-')[0]}, Python {platform.python_version()}, "
        + ", ".join(f"{name} {version(name)}" for name in ("numpy", "pyarrow", "scipy")),
        "",
        *[line.strip() for line in (__doc__ or "").strip().splitlines()[2:]],
        "",
        f"Medians of {runs} runs, taken in turn. Load of the machine (processes that ran or wanted to) at the end: "
        f"{os.getloadavg()[0]:.1f}.",
        "",
        "| rows of the window | look | seconds | processor s | memory MB | goal |",
        "|---|---|---|---|---|---|",
        *(
            f"| {rows:,} | {name} | {_median(looks, 'seconds'):.2f} | {_median(looks, 'cpu'):.2f} | "
            f"{_median(looks, 'memory_mb'):.0f} | {GOALS[rows]} |"
            for rows, measured in found.items()
            for name, looks in measured.items()
        ),
    ]


def _median(looks: list[Look], name: str) -> float:
    return float(median(getattr(look, name) for look in looks))


if __name__ == "__main__":
    main()
