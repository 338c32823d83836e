"""One measured process of ``benchmarks.monitoring``: ``python -m benchmarks.monitoring_child WHAT FOLDER ROWS``.

It prints one line of JSON: seconds and processor seconds of the computation alone, peak memory, and what was found.
Data are read before the clock starts where a library takes arrays; ours and the bare pass read them inside.
"""

from __future__ import annotations

import json
import resource
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

Found = dict[str, Any]
Work = Callable[[], Found]

_BUFFER_BYTES = 65_536


def ours(folder: Path, rows: int) -> Work:
    """From a Parquet file and a stored profile to a verdict."""

    def work() -> Found:
        import pyarrow as pa
        import pyarrow.parquet as pq

        from mlprod_nb.monitoring import MonitorInput, Profile, counting, run, scoring

        profile = Profile.from_json((folder / "profile.json").read_bytes())
        counts = counting.add(profile, [])
        texts = ["model", "variant", "prediction"]
        texts += [f"inputs.{column.name}" for column in profile.columns if column.kind == "category"]
        path = folder / f"window-{rows}.parquet"
        with pq.ParquetFile(path, read_dictionary=texts, pre_buffer=False, buffer_size=_BUFFER_BYTES) as file:
            for group in range(file.num_row_groups):  # as WindowCounter counts the log's files
                table = file.read_row_group(group, columns=["model", "version", "prediction", "score", "inputs"])
                outcomes = scoring.read(profile, table)
                counted = counting.count_predictions(profile, table, outcomes, "model/1", of_rows=rows)
                counts = counting.add(profile, [counts, counted])
            del table, outcomes, counted
            pa.default_memory_pool().release_unused()
            # as PredictionLog.labelled reads what is needed row by row
            window = file.read(columns=["model", "version", "variant", "event_time", "prediction", "score"])
        result = run(MonitorInput("bench", profile, window, model_version="model/1", counts=counts))
        return {
            "verdict": result.verdict.status,
            "ks": {row.column: row.statistic for row in result.columns if row.kind == "number"},
        }

    return work


def bare(folder: Path, rows: int) -> Work:
    """The same pass with nothing around it: read, sort in float32, count in the reference's bins, KS."""

    def work() -> Found:
        import numpy as np
        import pyarrow.compute as pc
        import pyarrow.parquet as pq

        profile = json.loads((folder / "profile.json").read_bytes())
        numbers = {c["name"]: np.array(c["edges"], dtype=np.float32) for c in profile["columns"] if c["edges"]}
        before = {c["name"]: np.array(c["counts"]) for c in profile["columns"]}
        found = {name: np.zeros(len(edges) + 1, dtype=np.int64) for name, edges in numbers.items()}
        texts = [c["name"] for c in profile["columns"] if not c["edges"]]
        categories: dict[str, dict[str, int]] = {name: {} for name in texts}
        with pq.ParquetFile(
            folder / f"window-{rows}.parquet",
            read_dictionary=[f"inputs.{name}" for name in texts],
            pre_buffer=False,
            buffer_size=_BUFFER_BYTES,
        ) as file:
            for group in range(file.num_row_groups):
                column = file.read_row_group(group, columns=["inputs"])["inputs"]
                for name, edges in numbers.items():
                    array = pc.struct_field(column, name).combine_chunks()
                    values = np.frombuffer(array.buffers()[1], dtype="f8")[array.offset :][: len(array)]
                    ordered = np.sort(values.astype(np.float32))
                    reached = np.searchsorted(ordered, edges, side="right")
                    found[name] += np.diff(np.concatenate([[0], reached, [ordered.size]]))
                for name in texts:
                    pairs = pc.value_counts(pc.struct_field(column, name))
                    for text, count in zip(
                        pairs.field(0).cast("string").to_pylist(), pairs.field(1).to_pylist(), strict=True
                    ):
                        categories[name][text] = categories[name].get(text, 0) + count
        gaps = {
            name: float(np.abs(np.cumsum(counts) / counts.sum() - np.cumsum(before[name]) / before[name].sum()).max())
            for name, counts in found.items()
        }
        return {"ks": gaps}

    return work


def scipy_loop(folder: Path, rows: int) -> Work:
    """``ks_2samp`` and ``chi2_contingency``, column by column."""
    import numpy as np
    from scipy import stats

    reference, window = _arrays(folder, "reference"), _arrays(folder, f"window-{rows}")

    def work() -> Found:
        found = {}
        for name, after in window.items():
            before = reference[name]
            if after.dtype == object:
                names = np.unique(np.concatenate([before, after]).astype(str))
                sides = (np.concatenate([names, side.astype(str)]) for side in (before, after))
                stats.chi2_contingency(np.array([np.unique(side, return_counts=True)[1] - 1 for side in sides]))
            else:
                found[name] = float(stats.ks_2samp(before, after, method="asymp").statistic)
        return {"ks": found}

    return work


def alibi(folder: Path, rows: int) -> Work:
    """alibi-detect's TabularDrift."""
    import numpy as np
    from alibi_detect.cd import TabularDrift

    before, after = (
        np.column_stack([_codes(values) for values in _arrays(folder, name).values()])
        for name in ("reference", f"window-{rows}")
    )
    kinds = {i: None for i, values in enumerate(_arrays(folder, "reference").values()) if values.dtype == object}

    def work() -> Found:
        detector = TabularDrift(before, p_val=0.05, categories_per_feature=kinds)
        said = detector.predict(after)["data"]
        return {"drift": int(said["is_drift"])}

    return work


def _arrays(folder: Path, name: str) -> dict[str, Any]:
    import numpy as np
    import pyarrow.parquet as pq

    column = pq.read_table(folder / f"{name}.parquet", columns=["inputs"])["inputs"].combine_chunks()
    return {
        field.name: np.asarray(column.field(number).to_numpy(zero_copy_only=False))
        for number, field in enumerate(column.type)
    }


def _codes(values: Any) -> Any:
    import numpy as np

    return np.unique(values.astype(str), return_inverse=True)[1].astype(float) if values.dtype == object else values


WORK: dict[str, Callable[[Path, int], Work]] = {"ours": ours, "bare": bare, "scipy": scipy_loop, "alibi": alibi}


def main() -> None:
    """Measure one of them."""
    what, folder, rows = sys.argv[1:]
    work = WORK[what](Path(folder), int(rows))
    began, processor = time.perf_counter(), time.process_time()
    found = work()
    seconds, cpu = time.perf_counter() - began, time.process_time() - processor
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    pandas = "pandas" in sys.modules
    print(json.dumps({"seconds": seconds, "cpu": cpu, "memory_mb": memory, "pandas": pandas, **found}))


if __name__ == "__main__":
    main()
