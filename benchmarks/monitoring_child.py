"""One measured process of ``benchmarks.monitoring``.

``python -m benchmarks.monitoring_child WHAT FOLDER WINDOW REFERENCE`` prints one line of JSON: when it had its verdict,
its processor seconds until then, the seconds since it opened the file, those of the computation alone (without
starting, importing and reading), peak memory, and what was found. All read the same Parquet file.
"""

from __future__ import annotations

import json
import resource
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from threading import Lock
from typing import Any

Found = dict[str, Any]

_BUFFER_BYTES = 65_536


@dataclass
class Watch:
    """Adds up what the computation takes, ours and the processor's seconds."""

    seconds: float = 0.0
    cpu: float = 0.0
    opened: float = field(default_factory=time.perf_counter)
    found: Found = field(default_factory=dict)

    def opening(self) -> None:
        """Say that all is imported, and that reading begins."""
        self.opened = time.perf_counter()

    def reading(self, tables: Iterator[Any]) -> Iterator[Any]:
        """Yield tables inside a computation, and leave out what it takes to read them."""
        while True:
            began, processor = time.perf_counter(), time.process_time()
            table = next(tables, None)
            self.seconds -= time.perf_counter() - began
            self.cpu -= time.process_time() - processor
            if table is None:
                return
            yield table
            del table

    @contextmanager
    def computing(self) -> Iterator[None]:
        """Count what happens inside."""
        began, processor = time.perf_counter(), time.process_time()
        yield
        self.seconds += time.perf_counter() - began
        self.cpu += time.process_time() - processor


def ours(watch: Watch, window: Path, reference: Path, threads: int = 1, *, held: bool = False) -> None:
    """Count the file in the stored profile's bins, as the product does, and judge.

    Args:
        watch: Takes the times.
        window: The window's file.
        reference: The reference's file.
        threads: One, or two, of which one reads ahead.
        held: Whether all is read before anything is counted, as scipy and alibi-detect do: with two threads the
            computation alone cannot be told otherwise.
    """
    import pyarrow as pa
    import pyarrow.compute  # what is imported late is not the computation
    import pyarrow.parquet as pq
    import scipy.special  # noqa: F401

    from mlprod_nb.lifecycle.watching.window_counts import count_tables
    from mlprod_nb.monitoring import MonitorInput, Profile, run
    from mlprod_nb.monitoring.detectors import BUILT_IN
    from mlprod_nb.prediction_log.ahead import ahead

    watch.opening()
    profile = Profile.from_json(reference.with_suffix(".json").read_bytes())
    counted = ["prediction_id", "model", "version", "prediction", "score", "inputs"]
    texts = ["model", "variant", "prediction", *_fields(profile, "category")]
    rows = pq.read_metadata(window).num_rows
    with pq.ParquetFile(window, read_dictionary=texts, pre_buffer=False, buffer_size=_BUFFER_BYTES) as file:
        tables = (file.read_row_group(group, columns=counted) for group in range(file.num_row_groups))
        given = list(tables) if held else watch.reading(tables) if threads == 1 else ahead(tables)
        with watch.computing():
            counts = count_tables(profile, "model/1", given, rows)
        pa.default_memory_pool().release_unused()
        # as PredictionLog.outcomes reads what is needed row by row
        narrow = file.read(columns=["model", "version", "variant", "event_time", "prediction", "score"])
    with watch.computing():
        result = run(MonitorInput("bench", profile, narrow, model_version="model/1", counts=counts))
    numbers = [column for column in profile.columns if column.kind == "number"]
    watch.found = {
        "verdict": result.verdict.status,
        "ks": {c.name: BUILT_IN["ks"].compare(c.as_counts(), counts.columns[c.name]).statistic for c in numbers},
    }


def bare(watch: Watch, window: Path, reference: Path, threads: int = 1) -> None:
    """The same pass with nothing around it: read, sort in float32, count in the profile's bins, KS."""
    from concurrent.futures import ThreadPoolExecutor

    import numpy as np
    import pyarrow.compute  # noqa: F401
    import pyarrow.parquet as pq

    watch.opening()
    profile = json.loads(reference.with_suffix(".json").read_bytes())
    numbers = {c["name"]: np.array(c["edges"], dtype=np.float32) for c in profile["columns"] if c["edges"]}
    before = {c["name"]: np.array(c["counts"]) for c in profile["columns"]}
    categories = [c["name"] for c in profile["columns"] if not c["edges"]]
    texts = [f"inputs.{name}" for name in categories]
    with pq.ParquetFile(window, read_dictionary=texts, pre_buffer=False, buffer_size=_BUFFER_BYTES) as file:
        tables = (file.read_row_group(group, columns=["inputs"])["inputs"] for group in range(file.num_row_groups))
        given = watch.reading(tables) if threads == 1 else _locked(tables)
        with watch.computing(), ThreadPoolExecutor(threads) as pool:
            work = [pool.submit(_bare_counts, given, numbers, categories) for _ in range(threads)]
            parts = [done.result() for done in work]
    with watch.computing():
        found = {name: sum(part[name] for part in parts) for name in numbers}
        shares = {name: np.cumsum(counts) / counts.sum() for name, counts in found.items()}
        gaps = {name: share - np.cumsum(before[name]) / before[name].sum() for name, share in shares.items()}
        watch.found = {"ks": {name: float(np.abs(gap).max()) for name, gap in gaps.items()}}


def _bare_counts(tables: Iterator[Any], numbers: dict[str, Any], categories: list[str]) -> dict[str, Any]:
    import numpy as np
    import pyarrow.compute as pc

    found = {name: np.zeros(len(edges) + 1, dtype=np.int64) for name, edges in numbers.items()}
    for column in tables:
        for name, edges in numbers.items():
            array = pc.struct_field(column, name).combine_chunks().drop_null()
            values = np.frombuffer(array.buffers()[1], dtype="f8")[array.offset :][: len(array)]
            ordered = np.sort(values.astype(np.float32))
            reached = np.searchsorted(ordered, edges, side="right")
            found[name] += np.diff(np.concatenate([[0], reached, [ordered.size]]))
        for name in categories:
            pairs = pc.value_counts(pc.struct_field(column, name))
            for text, count in zip(pairs.field(0).cast("string").to_pylist(), pairs.field(1).to_pylist(), strict=True):
                found[f"{name}={text}"] = found.get(f"{name}={text}", 0) + count
    return found


def _locked(tables: Iterator[Any]) -> Iterator[Any]:
    """Let several threads take from one generator."""
    lock = Lock()

    def take() -> Any:
        with lock:
            return next(tables, None)

    return iter(take, None)


def scipy_loop(watch: Watch, window: Path, reference: Path) -> None:
    """``ks_2samp`` and ``chi2_contingency``, column by column, without missing values."""
    import pandas as pd
    from scipy import stats

    watch.opening()
    before, after = _frame(reference), _frame(window)
    with watch.computing():
        found, p_values = {}, {}
        for name in after:
            if after[name].dtype == object:
                counts = pd.concat([side[name].value_counts() for side in (before, after)], axis=1).fillna(0)
                p_values[name] = stats.chi2_contingency(counts.to_numpy()).pvalue
            else:
                tested = stats.ks_2samp(before[name].dropna(), after[name].dropna(), method="asymp")
                found[name], p_values[name] = float(tested.statistic), tested.pvalue
        watch.found = {"ks": found, "verdict": str(min(p_values.values()) < 0.05 / len(p_values))}


def alibi(watch: Watch, window: Path, reference: Path) -> None:
    """alibi-detect's ``TabularDrift``, for which categories are made numbers."""
    import numpy as np
    import pandas as pd
    from alibi_detect.cd import TabularDrift

    watch.opening()
    before, after = _frame(reference), _frame(window)
    texts = [place for place, name in enumerate(before) if before[name].dtype == object]
    for name in before.columns[texts]:
        known = pd.CategoricalDtype(before[name].dropna().unique())
        before[name], after[name] = (side[name].astype(known).cat.codes.astype(float) for side in (before, after))
    first, second = before.to_numpy(dtype=float), after.to_numpy(dtype=float)
    with watch.computing():
        detector = TabularDrift(first, p_val=0.05, categories_per_feature=dict.fromkeys(texts))
        said = detector.predict(second)["data"]
        untested = int(np.isnan(np.asarray(said["p_val"], dtype=float)).sum())
        watch.found = {"verdict": str(bool(said["is_drift"])), "untested": untested}


def _fields(profile: Any, kind: str) -> list[str]:
    return [f"inputs.{column.name}" for column in profile.columns if column.kind == kind]


def _frame(path: Path) -> Any:
    import pyarrow as pa
    import pyarrow.parquet as pq

    column = pq.read_table(path, columns=["inputs"])["inputs"]
    return pa.Table.from_struct_array(column).to_pandas()


WORK: dict[str, Callable[[Watch, Path, Path], None]] = {
    "ours": ours,
    "ours2": partial(ours, threads=2),
    "held2": partial(ours, threads=2, held=True),
    "bare": bare,
    "bare2": partial(bare, threads=2),
    "scipy": scipy_loop,
    "alibi": alibi,
}


def main() -> None:
    """Measure one of them."""
    what, folder, window, reference = sys.argv[1:]
    watch = Watch()
    WORK[what](watch, Path(folder) / f"{window}.parquet", Path(folder) / f"{reference}.parquet")
    passing = time.perf_counter() - watch.opened
    used = resource.getrusage(resource.RUSAGE_SELF)
    print(
        json.dumps(
            {
                "ended": time.time(),
                "cpu": used.ru_utime + used.ru_stime,
                "passing": passing,
                "computing": watch.seconds,
                "computing_cpu": watch.cpu,
                "memory_mb": _peak_mb(),
                **watch.found,
            }
        )
    )


def _peak_mb() -> float:
    """Return the largest resident memory until now; ``ru_maxrss`` would begin with that of the parent."""
    status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text("utf-8").splitlines())
    return int(status["VmHWM"].split()[0]) / 1024


if __name__ == "__main__":
    main()
