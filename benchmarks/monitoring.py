"""The monitor beside a bare pass, a loop over scipy and alibi-detect: ``python -m benchmarks.monitoring [--quick]``.

Each runs in a process of its own, from its start to its verdict: it imports what it needs, reads the same Parquet file
and compares 16 columns of numbers and 4 of 30 categories with the same reference. The monitor and the bare pass have
the reference as the stored profile; scipy and alibi-detect need its rows, and read them from Parquet. The computation
alone leaves out starting, importing, reading, decoding and making numbers of categories; of two threads it is measured
apart, with all rows in memory before, as scipy and alibi-detect have them. The bare pass reads, sorts each column in
float32, counts in the profile's bins and compares the shares: no score, no tests, no verdict.

Beside scipy's and alibi-detect's tests of 20 columns the monitor's computation counts score, prediction, missing,
infinite, new and out-of-range values, means and spreads; PSI, Jensen-Shannon and Wasserstein besides the tests; scale;
rank correlations of 190 pairs; which labels came; and it corrects, weighs and ends in a verdict. Beside alibi-detect's
it has two things to its advantage: the reference is counted already, and it compares counts rather than rows, with the
error that is told below.

numpy 1.26, which alibi-detect asks for, sorts by vector instructions where the processor has AVX-512, and else several
times as slowly. So the last cases are measured without, as on processors that have none: sorting is nearly all that
the bare pass, scipy and alibi-detect do, and the monitor then counts in cells instead.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.statistics_page import write_section
from mlprod_nb.monitoring import build
from mlprod_nb.prediction_log import lake
from mlprod_nb.registry.bundles import Column, Signature

TITLE = "Speed of the monitor"
COLUMNS = 20
MISSING = 0.05
SEED = 2013
NAMES = {
    "ours": "mlprod_nb, one thread",
    "ours2": "mlprod_nb, reading ahead",
    "bare": "bare pass, one thread",
    "bare2": "bare pass, two threads",
    "scipy": "scipy loop",
    "alibi": "alibi-detect's TabularDrift",
}
HELD = "held2"
"""Two threads whose computation alone is measured: all is read before. What it takes else is not shown."""
WHAT = (*NAMES, HELD)
_TIMEOUT_SECONDS = 300


@dataclass(frozen=True)
class Case:
    """A window and its reference.

    Attributes:
        rows: Rows of the window.
        reference_rows: Rows of the reference.
        missing: The share of missing values in every column of both.
        vectors: Whether numpy may use AVX-512, if the processor has it.
    """

    rows: int
    reference_rows: int
    missing: float = 0.0
    vectors: bool = True

    @property
    def window(self) -> str:
        """The name of the window's file."""
        return f"window-{self.rows}-{self.missing}"

    @property
    def reference(self) -> str:
        """The name of the reference's file and profile."""
        return f"reference-{self.reference_rows}-{self.missing}"

    def __str__(self) -> str:
        missing = f", {100 * self.missing:.0f} % of the values missing" if self.missing else ""
        plain = "" if self.vectors else ", without AVX-512"
        return f"{self.rows:,} rows against {self.reference_rows:,}{missing}{plain}"


CASES = (
    Case(50_000, 100_000),
    Case(50_000, 100_000, MISSING),
    Case(1_000_000, 100_000),
    Case(1_000_000, 100_000, MISSING),
    Case(1_000_000, 1_000_000),
    Case(1_000_000, 100_000, vectors=False),
    Case(1_000_000, 1_000_000, vectors=False),
)
_AVX512 = "AVX512F AVX512CD AVX512_SKX AVX512_CLX AVX512_CNL AVX512_ICL AVX512_SPR"


@dataclass(frozen=True)
class Measured:
    """What one process took.

    Attributes:
        seconds: From its start to its verdict.
        cpu: The processor's seconds until then.
        passing: Seconds from opening the file to its verdict: without starting and importing.
        computing: Seconds of the computation alone.
        computing_cpu: The processor's seconds of it.
        memory_mb: Its largest resident memory.
        found: What it found.
    """

    seconds: float
    cpu: float
    passing: float
    computing: float
    computing_cpu: float
    memory_mb: float
    found: dict[str, Any]


def main() -> None:
    """Run everything, print as it goes, and write the section of RESULTS.md."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--quick", action="store_true", help="One run of the smallest case, and no file is written.")
    parser.add_argument("--runs", type=int, default=3, help="How often each is run.")
    given = parser.parse_args()
    cases = CASES[:1] if given.quick else CASES
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        for case in cases:
            prepare(folder, case)
        found = {case: measure(folder, case, 1 if given.quick else given.runs) for case in cases}
    lines = render(found, 1 if given.quick else given.runs)
    print("\n".join(lines))
    if not given.quick:
        write_section(TITLE, lines, page=Path(__file__).with_name("RESULTS.md"))


def prepare(folder: Path, case: Case) -> None:
    """Write a case's window, its reference and the reference's profile, where they are not there yet."""
    random = np.random.default_rng([SEED, case.rows, case.reference_rows])
    if not (folder / f"{case.window}.parquet").exists():
        _write(folder / f"{case.window}.parquet", random, draw(random, case.rows, case.missing))
    reference = folder / f"{case.reference}.parquet"
    if reference.exists():
        return
    columns = draw(random, case.reference_rows, case.missing)
    _write(reference, random, columns)
    texts = {name for name, values in columns.items() if values.dtype == object}
    profile = build(
        columns,
        Signature(tuple(Column(name, "string" if name in texts else "double", True) for name in columns)),
        scores=random.random(case.reference_rows),
        labels=None,
        task="classification",
        classes=(0, 1),
    )
    reference.with_suffix(".json").write_bytes(profile.to_json())


def draw(random: np.random.Generator, rows: int, missing: float) -> dict[str, Any]:
    """Draw columns that never change: four normal ones, then one of 30 categories, and so on."""
    names = np.array([f"k{number}" for number in range(30)], dtype=object)
    columns: dict[str, Any] = {}
    for number in range(COLUMNS):
        category = number % 5 == 4
        values = names[random.integers(0, 30, rows)] if category else random.normal(size=rows) * (number + 1)
        if missing:
            values[random.random(rows) < missing] = None if category else np.nan
        columns[f"c{number}"] = values
    return columns


def _write(path: Path, random: np.random.Generator, columns: dict[str, Any]) -> None:
    rows = len(columns["c0"])
    scores = random.random(rows)
    moments = np.datetime64("2026-01-01", "us") + np.arange(rows) * np.timedelta64(500, "ms")
    ends = random.integers(0, 1 << 62, rows, dtype=np.int64).tolist()
    table = pa.table(
        {
            "prediction_id": pa.array(
                [f"019b0000-0000-7000-{end >> 48:04x}-{end & (1 << 48) - 1:012x}" for end in ends]
            ),
            "model": pa.array(["model"] * rows),
            "version": pa.array(np.ones(rows, dtype=np.int32)),
            "variant": pa.array(["champion"] * rows),
            "event_time": pa.array(moments, pa.timestamp("us", "UTC")),
            "prediction": pa.array(np.where(scores > 0.5, "1", "0")),
            "score": pa.array(scores),
            "inputs": pa.StructArray.from_arrays(
                [pa.array(values, from_pandas=True) for values in columns.values()], names=list(columns)
            ),
        }
    )
    pq.write_table(table, path, **lake.WRITTEN)


def measure(folder: Path, case: Case, runs: int) -> dict[str, list[Measured]]:
    """Run each in turn, so often, after a first run that is not counted: it compiles and fills the cache of files."""
    found: dict[str, list[Measured]] = {what: [] for what in WHAT}
    for what in WHAT:
        _run(folder, case, what)
    for _ in range(runs):
        for what in WHAT:
            found[what].append(_run(folder, case, what))
            print(f"{case}: {what}: {found[what][-1]}"[:200], flush=True)
    return found


def _run(folder: Path, case: Case, what: str) -> Measured:
    program = [sys.executable, "-m", "benchmarks.monitoring_child", what, str(folder), case.window, case.reference]
    # Arrow counts processors by the first; it reads columns in so many threads.
    threads = {"OMP_NUM_THREADS": "2" if what.endswith("2") else "1", "OPENBLAS_NUM_THREADS": "1"}
    # An installed package is compiled once, not by every process.
    compiled = {"PYTHONDONTWRITEBYTECODE": "", "PYTHONPYCACHEPREFIX": str(folder / "compiled")}
    began = time.time()
    vectors = {} if case.vectors else {"NPY_DISABLE_CPU_FEATURES": _AVX512}
    done = subprocess.run(
        program,
        env={**os.environ, **threads, **compiled, **vectors},
        stdout=subprocess.PIPE,
        timeout=_TIMEOUT_SECONDS,
        check=True,
    )
    said = json.loads(done.stdout.splitlines()[-1])
    own = {name: said.pop(name) for name in ("cpu", "passing", "computing", "computing_cpu", "memory_mb")}
    return Measured(seconds=said.pop("ended") - began, **own, found=said)


def render(found: dict[Case, dict[str, list[Measured]]], runs: int) -> list[str]:
    """Return the section's lines."""
    lines = [
        f"`make bench-monitoring` on {datetime.now(UTC):%Y-%m-%d}: {os.cpu_count()} cores, {platform.machine()}, "
        f"Linux {platform.release().split('-')[0]}, Python {platform.python_version()}, "
        + ", ".join(f"{name} {version(name)}" for name in ("numpy", "pyarrow", "scipy", "alibi-detect")),
        "",
        *[line.strip() for line in (__doc__ or "").strip().splitlines()[2:]],
        "",
        f"Medians of {runs} runs, taken in turn. Processor seconds are those of all threads; they depend less on what",
        "else the machine does. Ratios of computations on one thread are of processor seconds, the others of the",
        "clock's.",
    ]
    for case, measured in found.items():
        lines += ["", f"**{case}**", "", *_table(measured), "", *_ratios(measured), "", *_remarks(measured)]
    return lines


def _table(measured: dict[str, list[Measured]]) -> list[str]:
    lines = [
        "| | start to verdict s | processor s | file to verdict s | computation s | processor s | memory MB |",
        "|---|---|---|---|---|---|---|",
    ]
    for what, name in NAMES.items():
        runs = measured[what]
        alone = {"ours2": measured[HELD], "bare2": []}.get(what, runs)
        cells = [f"{_median(alone, name):.2f}" if alone else "" for name in ("computing", "computing_cpu")]
        values = [f"{_median(runs, name):.2f}" for name in ("seconds", "cpu", "passing")]
        lines.append(f"| {name} | {' | '.join([*values, *cells])} | {_median(runs, 'memory_mb'):.0f} |")
    return lines


def _ratios(measured: dict[str, list[Measured]]) -> list[str]:
    """Say the ratios that are goals, each of times of the same sort."""
    lines = ["| times ours | goal | one thread | two threads |", "|---|---|---|---|"]
    for what, goal in (("alibi", "≥ 8"), ("scipy", "≥ 4")):
        times = _median(measured[what], "computing_cpu")
        own = times / _median(measured["ours"], "computing_cpu"), times / _median(measured[HELD], "computing")
        lines.append(f"| {NAMES[what]}, computation | {goal} | {own[0]:.1f} | {own[1]:.1f} |")
    lines += ["", "| ours, times the bare pass | goal | one thread | two threads |", "|---|---|---|---|"]
    for name, told in (("seconds", "start to verdict"), ("passing", "file to verdict")):
        one, two = (_median(measured[f"ours{n}"], name) / _median(measured[f"bare{n}"], name) for n in ("", "2"))
        lines.append(f"| {told} | ≤ 1.5 | {one:.1f} | {two:.1f} |")
    return lines


def _remarks(measured: dict[str, list[Measured]]) -> list[str]:
    binned, exact = (measured[what][0].found["ks"] for what in ("ours", "scipy"))
    error = max(abs(binned[name] - value) for name, value in exact.items())
    lines = [f"The monitor's KS statistics are within {error:.1e} of the exact ones of all rows."]
    untested = measured["alibi"][0].found["untested"]
    if untested:
        lines.append(f"alibi-detect gave no p-value for {untested} of the {COLUMNS} columns, and no warning.")
    return lines


def _median(runs: list[Measured], name: str) -> float:
    return float(median(getattr(run, name) for run in runs))


if __name__ == "__main__":
    main()
