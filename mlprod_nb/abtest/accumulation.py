"""From what a query of the scan returns to sums over units."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from mlprod_nb.abtest.covariates import UnitMoments, symmetric
from mlprod_nb.abtest.estimate import UnitSums

if TYPE_CHECKING:
    import pyarrow as pa


def unit_sums(part: Sequence[Any]) -> UnitSums:
    """Return a query's row as sums over units."""
    # One unit has no variance; DuckDB says null.
    units, rows, total, squares, *spread = (0.0 if value is None else value for value in part)
    return UnitSums(int(units), int(rows), total, squares, spread[0], spread[1], spread[2])


def unit_moments(row: Sequence[Any], numbers: int) -> UnitMoments:
    """Return a query's row as moments of so many numbers over units."""
    _, units, squares, *values = row
    return UnitMoments(int(units), np.array(values[:numbers]), symmetric(values[numbers:], numbers), float(squares))


def accumulate(data: pa.Table, steps: int) -> Iterator[UnitSums | None]:
    """Yield the sums over the units after each step, from what each unit brought in each step."""
    units = data["unit"].combine_chunks().dictionary_encode().indices.to_numpy(zero_copy_only=False)
    step = data["step"].to_numpy()
    brought = {name: data[name].to_numpy().astype(np.float64) for name in ("n", "s", "q")}
    count = int(units.max()) + 1 if len(units) else 0
    rows, total, squares = np.zeros(count), np.zeros(count), 0.0
    for at in range(steps):
        now = step == at
        rows[units[now]] += brought["n"][now]
        total[units[now]] += brought["s"][now]
        squares += float(brought["q"][now].sum())
        met = rows > 0
        n, s = rows[met], total[met]
        if not len(n):
            yield None
            continue
        spread = np.cov(s, n) if len(n) > 1 else np.zeros((2, 2))
        yield UnitSums(len(n), int(n.sum()), float(s.sum()), squares, float(spread[0, 0]), float(spread[1, 1]),
                       float(spread[0, 1]))  # fmt: skip
