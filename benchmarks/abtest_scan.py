"""The cost of one scan of the log beside a bare DuckDB aggregate; writes its section of STATISTICS.md.

Both run in fresh processes of one thread, in turn, and only ratios within one run count.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import time

import numpy as np
import pyarrow as pa

from benchmarks.statistics_page import write_section
from mlprod_nb.abtest.metrics import Outcome, find
from mlprod_nb.abtest.scan import open_scan

ROWS, TURNS = 10_000_000, 5


def main() -> None:
    """Run both in turn, and write the ratio of their processor seconds."""
    found = {kind: [_child(kind) for _ in range(TURNS)] for kind in ("bare", "scan", "nothing")}
    best = {kind: min(run["seconds"] for run in runs) for kind, runs in found.items()}
    memory = {kind: max(run["megabytes"] for run in runs) for kind, runs in found.items()}
    write_section(
        "One scan of the A/B log",
        [
            f"Two proportions, a mean and the units of each variant over {ROWS:,} rows, each its own unit;",
            f"the least of {TURNS} runs in turn, one thread each, after a first call on a hundred rows.",
            "",
            f"- bare DuckDB aggregate (count, sum and sum of squares of the same by variant): {best['bare']:.2f} CPU s",
            f"- the scan: {best['scan']:.2f} CPU s, {best['scan'] / best['bare']:.1f} times the bare one",
            f"- memory beyond the table itself: {memory['scan'] - memory['nothing']:.0f} MB "
            f"(bare: {memory['bare'] - memory['nothing']:.0f} MB)",
        ],
    )


def _child(kind: str) -> dict[str, float]:
    done = subprocess.run([sys.executable, "-m", __spec__.name, kind], capture_output=True, text=True, check=True)
    answer: dict[str, float] = json.loads(done.stdout)
    return answer


def measure(kind: str) -> None:
    """Build the table, then do one thing with it, and print its cost."""
    table = _table()
    work = {"bare": _bare, "scan": _scan, "nothing": len}[kind]
    work(table.slice(0, 100))  # what is imported at the first call is no cost of a row
    start = time.process_time()
    work(table)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    sys.stdout.write(json.dumps({"seconds": time.process_time() - start, "megabytes": peak}))


def _table() -> pa.Table:
    rng = np.random.default_rng(1)
    units, treated = pa.array(np.arange(ROWS, dtype=np.int64)), (rng.random(ROWS) < 0.5).astype(np.int8)
    same = pa.DictionaryArray.from_arrays(np.zeros(ROWS, np.int8), ["flights"])
    hit = (rng.random(ROWS) < 0.1).astype(np.int8)
    return pa.table(
        {
            "prediction_id": units,
            "variant": pa.DictionaryArray.from_arrays(treated, ["champion", "challenger"]),
            "model": same,
            "version": pa.array(treated),
            "unit": pa.nulls(ROWS, pa.int64()),
            "event_time": pa.array(np.arange(ROWS), pa.int64()).cast(pa.timestamp("us", "UTC")),
            "latency_ms": rng.gamma(2, 3, ROWS).astype(np.float32),
            "prediction": pa.DictionaryArray.from_arrays(hit, ["0", "1"]),
            "score": rng.random(ROWS),
            "label": pa.DictionaryArray.from_arrays(np.ones(ROWS, np.int8), ["0", "1"]),
            "label_number": np.ones(ROWS, np.float32),
        }
    )


def _bare(table: pa.Table) -> None:
    import duckdb

    connection = duckdb.connect(config={"threads": 1})
    connection.register("predictions", table)
    values = ("(prediction = label)::DOUBLE", "latency_ms::DOUBLE", "(prediction = '1')::DOUBLE")
    sums = ", ".join(f"count({x}), sum({x}), sum({x} * {x})" for x in values)
    connection.execute(f"SELECT variant, {sums} FROM predictions GROUP BY variant").fetchall()


def _scan(table: pa.Table) -> None:
    with open_scan(table, Outcome("classification", ("0", "1"))) as scan:
        scan.sums({name: find(name) for name in ("accuracy", "latency_ms", "positive_rate")})


if __name__ == "__main__":
    measure(sys.argv[1]) if len(sys.argv) > 1 else main()
