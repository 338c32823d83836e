"""Windows in the reference's own bins: each column counted as the profile of that column is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from mlprod_nb.monitoring.bins import ColumnCounts, WindowCounts, bin_counts, commonest
from mlprod_nb.monitoring.columns import single, to_counts, to_numbers
from mlprod_nb.monitoring.profile import OUTCOMES, ColumnProfile, Profile


def count(profile: Profile, columns: Mapping[str, Any]) -> WindowCounts:
    """Count a window in the reference's own bins.

    Args:
        profile: The reference.
        columns: Each column's values; outcomes under their own names. A column that is absent, or holds what its type
            does not allow, is said so in its ``problem``; nothing is raised.
    """
    known = {column.name: column for column in (*profile.columns, *profile.outcomes)}
    rows = max((len(values) for name, values in columns.items() if name not in OUTCOMES), default=0)
    counted = {
        name: _count(column, columns[name])
        if name in columns
        else replace(_nothing(column), rows=0, problem="" if name in OUTCOMES else "the column is gone")
        for name, column in known.items()
    }
    extra = tuple(sorted(name for name in columns if name not in known and name not in OUTCOMES))
    return WindowCounts(rows, counted, extra)


def _nothing(column: ColumnProfile) -> ColumnCounts:
    return ColumnCounts(np.zeros(len(column.counts), dtype=np.int64), 0, 0, ordered=column.kind == "number")


def _count(column: ColumnProfile, values: Any) -> ColumnCounts:
    if column.kind == "category":
        return _count_categories(column, values)
    try:
        numbers = to_numbers(values)
    except ValueError as error:
        return replace(_nothing(column), rows=len(values), problem=str(error))
    present = numbers[~np.isnan(numbers)]
    finite = present[np.isfinite(present)]
    ordered = np.sort(single(present))
    bounds = single(np.array([column.minimum or 0.0, column.maximum or 0.0]))
    known = column.minimum is not None
    away = finite - (column.mean or 0.0)
    return ColumnCounts(
        counts=bin_counts(ordered, np.array(column.edges, dtype=np.float32)),
        missing=len(numbers) - len(present),
        rows=len(numbers),
        below=int(np.searchsorted(ordered, bounds[0], side="left")) if known else 0,
        above=int(ordered.size - np.searchsorted(ordered, bounds[1], side="right")) if known else 0,
        infinite=len(present) - len(finite),
        minimum=float(finite.min()) if finite.size else None,
        maximum=float(finite.max()) if finite.size else None,
        total=float(away.sum()),
        squares=float((away**2).sum()),
        ordered=True,
    )


def _count_categories(column: ColumnProfile, values: Any) -> ColumnCounts:
    found, missing = to_counts(values)
    listed = [found.pop(category, 0) for category in column.categories]
    unseen = sum(found.values())
    return ColumnCounts(
        counts=np.array([*listed, unseen], dtype=np.int64),
        missing=missing,
        rows=len(values),
        unseen=unseen,
        new=commonest(found),
    )
