"""The cost of one scan of the log beside a bare DuckDB aggregate; writes its section of STATISTICS.md.

Both run in fresh processes of one thread, in turn, and only ratios within one run count.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import time
from collections.abc import Callable

import numpy as np
import pyarrow as pa

from benchmarks.statistics_page import write_section
from mlprod_nb.abtest.estimators import Ratio
from mlprod_nb.abtest.metrics import Outcome, find
from mlprod_nb.abtest.scan import open_scan

ROWS, UNITS, TURNS = 10_000_000, 1_000_000, 5


def main() -> None:
    """Run both in turn, and write the ratio of their processor seconds."""
    found = {kind: [_child(kind) for _ in range(TURNS)] for kind in WORK}
    best = {kind: min(run["seconds"] for run in runs) for kind, runs in found.items()}
    memory = {
        kind: max(run["megabytes"] for run in runs) - found["nothing"][0]["megabytes"] for kind, runs in found.items()
    }
    write_section(
        "One scan of the A/B log",
        [
            f"{ROWS:,} rows, each its own unit: two proportions and a mean; then besides each with a covariate, a",
            "ratio, and the units of each variant;",
            f"the least of {TURNS} runs in turn, one thread each, after a first call on a hundred rows.",
            "",
            "| what | bare DuckDB aggregate, CPU s | the scan, CPU s | times bare | MB beyond the table (bare) |",
            "|---|---:|---:|---:|---:|",
            *[
                f"| {name} | {best[bare]:.2f} | {best[scan]:.2f} | {best[scan] / best[bare]:.2f} | "
                f"{memory[scan]:.0f} ({memory[bare]:.0f}) |"
                for name, bare, scan in (
                    ("two proportions and a mean", "bare", "scan"),
                    ("with covariate, ratio and units", "bare of all", "scan of all"),
                    (f"two proportions and a mean, of {UNITS:,} units", "bare of units", "scan of units"),
                )
            ],
        ],
    )


def _child(kind: str) -> dict[str, float]:
    done = subprocess.run([sys.executable, "-m", __spec__.name, kind], capture_output=True, text=True, check=True)
    answer: dict[str, float] = json.loads(done.stdout)
    return answer


def measure(kind: str) -> None:
    """Build the table, then do one thing with it, and print its cost."""
    table, work = _table(), WORK[kind]
    if kind.endswith("of units"):
        table = table.set_column(table.column_names.index("unit"), "unit", pa.array(np.arange(ROWS) * 7 % UNITS))
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
            "covariate before": rng.random(ROWS),
        }
    )


_VALUES = ("(prediction = label)::DOUBLE", "latency_ms::DOUBLE", "(prediction = '1')::DOUBLE")
_PLAIN = ", ".join(f"count({x}), sum({x}), sum({x} * {x})" for x in _VALUES)
#: Of the covariate and each value, and of the ratio's two sides: what variances and covariances are made of.
_FURTHER = ", ".join(
    f"sum({x}), sum({x} * {x}), sum({x} * {y})"
    for x, y in (('"covariate before"', "latency_ms::DOUBLE"), ("score", "latency_ms::DOUBLE"))
)
_FURTHER += "".join(f', sum({x} * "covariate before")' for x in (_VALUES[0], _VALUES[2]))


def _bare(table: pa.Table, sums: str = _PLAIN) -> None:
    import duckdb

    connection = duckdb.connect(config={"threads": 1})
    connection.register("predictions", table)
    connection.execute(f"SELECT variant, {sums} FROM predictions GROUP BY variant").fetchall()


def _bare_of_all(table: pa.Table) -> None:
    _bare(table, f"{_PLAIN}, {_FURTHER}")


def _bare_of_units(table: pa.Table) -> None:
    import duckdb

    connection = duckdb.connect(config={"threads": 1})
    connection.register("predictions", table)
    inner = ", ".join(f"count({x}) AS n{i}, sum({x}) AS s{i}, sum({x} * {x}) AS q{i}" for i, x in enumerate(_VALUES))
    outer = ", ".join(
        f"sum(n{i}), sum(s{i}), sum(q{i}), var_samp(s{i}), var_samp(n{i}), covar_samp(s{i}, n{i})"
        for i in range(len(_VALUES))
    )
    units = f"SELECT variant, {inner} FROM predictions GROUP BY variant, unit"
    connection.execute(f"SELECT variant, {outer} FROM ({units}) GROUP BY variant").fetchall()


def _scan(table: pa.Table) -> None:
    with open_scan(table, _OUTCOME) as scan:
        scan.sums(_METRICS)


def _scan_of_all(table: pa.Table) -> None:
    with open_scan(table, _OUTCOME) as scan:
        ratio = Ratio("per score", "latency_ms", "score", needs_labels=False)
        scan.read_ahead([*_METRICS.values(), ratio], _VARIANTS, ["before"])
        scan.sums(_METRICS)
        for metric in _METRICS.values():
            scan.unit_moments(metric, _VARIANTS, ["before"])
        scan.measures(ratio, _VARIANTS)
        scan.units(_VARIANTS)


_OUTCOME, _VARIANTS = Outcome("classification", ("0", "1")), ("champion", "challenger")
_METRICS = {name: find(name) for name in ("accuracy", "latency_ms", "positive_rate")}
WORK: dict[str, Callable[[pa.Table], object]] = {
    "bare": _bare,
    "scan": _scan,
    "bare of all": _bare_of_all,
    "scan of all": _scan_of_all,
    "bare of units": _bare_of_units,
    "scan of units": _scan,
    "nothing": len,
}


if __name__ == "__main__":
    measure(sys.argv[1]) if len(sys.argv) > 1 else main()
