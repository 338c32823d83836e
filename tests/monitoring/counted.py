"""Counts of a column made by hand, and where the counts of two windows differ."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

import numpy as np

from mlprod_nb.monitoring.bins import ColumnCounts, WindowCounts


def differences(a: WindowCounts, b: WindowCounts) -> list[str]:
    """What is not the same to the bit, by column and field."""
    found = [name for name in ("rows", "extra") if getattr(a, name) != getattr(b, name)]
    found += ["pairs"] if not np.array_equal(_pairs(a), _pairs(b)) else []
    for name in sorted({*a.columns, *b.columns}):
        one, other = a.columns[name], b.columns[name]
        found += [f"{name}.counts"] if not np.array_equal(one.counts, other.counts) else []
        plain = [field.name for field in fields(ColumnCounts) if field.name != "counts"]
        found += [f"{name}.{each}" for each in plain if repr(getattr(one, each)) != repr(getattr(other, each))]
    return found


def _pairs(counts: WindowCounts) -> Any:
    return np.zeros(0) if counts.pairs is None else counts.pairs


def counts(*cells: int, missing: int = 0, ordered: bool = False) -> ColumnCounts:
    return ColumnCounts(np.array(cells, dtype=np.int64), missing, sum(cells) + missing, ordered=ordered)
