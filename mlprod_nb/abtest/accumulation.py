"""From what a query of the scan returns to sums over units."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from mlprod_nb.abtest.covariates import UnitMoments, symmetric
from mlprod_nb.abtest.estimate import UnitSums

if TYPE_CHECKING:
    import pyarrow as pa

#: A variance from sums is used up to so many times its own size in squares: of sixteen digits twelve are left.
_DIGITS = 1e4


def unit_sums(part: Sequence[Any]) -> UnitSums:
    """Return a query's row as sums over units."""
    # One unit has no variance; DuckDB says null.
    units, rows, total, squares, *spread = (0.0 if value is None else value for value in part)
    return UnitSums(int(units), int(rows), total, squares, spread[0], spread[1], spread[2])


def unit_moments(row: Sequence[Any], numbers: int) -> UnitMoments:
    """Return a query's row as moments of so many numbers over units."""
    _, units, squares, *values = row
    return UnitMoments(int(units), np.array(values[:numbers]), symmetric(values[numbers:], numbers), float(squares))


def of_rows(count: int, total: float | None, squares: float | None) -> UnitSums | None:
    """Return sums over rows as sums over units of one row each; ``None`` where there is none."""
    if not count or total is None or squares is None:
        return None
    total, squares = float(total), float(squares)
    spread = max(0.0, squares - total * (total / count)) / max(1, count - 1)
    return UnitSums(count, count, total, squares, spread, 0.0, 0.0)


def keeps_digits(part: UnitSums) -> bool:
    """Return whether a variance that came from sums is as good as one from deviations from the mean.

    What a difference of sums loses is their size over its own. Sums of zeros and ones are whole and lose nothing.
    """
    whole = part.squares == part.total and float(part.total).is_integer()
    return whole or part.squares <= _DIGITS * part.variance_total * part.rows


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
