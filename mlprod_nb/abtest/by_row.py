"""Moments over rows that are each their own unit: no grouping by unit, which takes most of the time.

Added up are products of distances from a number near the mean, so that no digit is lost where the values lie far from
zero (Chan, Golub and LeVeque 1983, "Algorithms for computing the sample variance", The American Statistician 37:
shifted data). That number is the mean of the first rows; where it turns out to lie far off, and where a value that is
missing must become the mean, the pass is made once more with the means that it found.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations_with_replacement
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mlprod_nb.abtest.covariates import UnitMoments, symmetric
from mlprod_nb.abtest.estimate import Arm, Sample
from mlprod_nb.abtest.rows import VARIANT_CODE

Array = NDArray[np.float64]

_FIRST_ROWS = 1_000
#: A middle that lies farther from the mean than so many variances, squared, costs more than four digits of sixteen.
_FAR = 1e4


@dataclass(frozen=True)
class RowMoments:
    """Moments of some numbers over the rows of one variant.

    Attributes:
        rows: Rows.
        means: Means of the numbers.
        covariance: Their sample covariance; zeros where there is one row.
    """

    rows: int
    means: Array
    covariance: Array

    def of_units(self) -> UnitMoments:
        """Return what an adjustment needs: of a unit its row, its value (the first number), its covariates."""
        size = len(self.means) + 1
        covariance = np.zeros((size, size))
        covariance[1:, 1:] = self.covariance
        squares = (self.rows - 1) * float(self.covariance[0, 0]) + self.rows * float(self.means[0]) ** 2
        return UnitMoments(self.rows, np.concatenate(([1.0], self.means)), covariance, squares)

    def ratio(self) -> Arm | None:
        """Return the first number's sum over the second's, its variance by the delta method; ``None`` over nothing."""
        above, below = self.means
        if not below:
            return None
        ratio = float(above / below)
        change = np.array([1.0, -ratio]) / below
        variance = max(0.0, float(change @ self.covariance @ change))
        return Arm(Sample(self.rows, self.rows, ratio, variance, variance))


def moments(connection: Any, source: str, numbers: Sequence[str], filled: Sequence[str] = ()) -> dict[int, RowMoments]:
    """Return the moments of some numbers by the variant's code.

    Args:
        connection: DuckDB's.
        source: What to read, as SQL.
        numbers: SQL; a row where one is null does not count.
        filled: SQL of further numbers; where one is null, it counts as the mean of those that are not.
    """
    every = [*numbers, *filled]
    inner = ", ".join(f"({sql})::DOUBLE AS c{i}" for i, sql in enumerate(every))
    known = " AND ".join(f"c{i} IS NOT NULL" for i in range(len(numbers)))
    rows = f"(SELECT {VARIANT_CODE}, {inner} FROM {source}) WHERE {known}"  # noqa: S608
    means = ", ".join(f"avg(c{i})" for i in range(len(every)))
    first = connection.execute(f"SELECT {means} FROM (SELECT * FROM {rows} LIMIT {_FIRST_ROWS})").fetchone()  # noqa: S608
    middle = np.array([0.0 if value is None else value for value in first])
    found = _pass(connection, rows, middle)
    if not found:
        return {}
    sums = np.sum([part.sums[: len(every)] for part in found.values()], axis=0)
    exact = middle + sums / np.maximum(1, np.sum([part.known for part in found.values()], axis=0))
    if any((part.known < part.rows).any() or part.loses_digits() for part in found.values()):
        found = _pass(connection, rows, exact)
    return {code: part.moments() for code, part in found.items()}


@dataclass(frozen=True)
class _Sums:
    """Sums of distances from the middle and of their products.

    Attributes:
        rows: Rows.
        known: How many values of each number are known; a missing one has no distance.
        middle: The middle of each number.
        sums: First the distances, then the products of each pair, a number with itself among them.
    """

    rows: int
    known: Array
    middle: Array
    sums: Array

    def moments(self) -> RowMoments:
        size = len(self.middle)
        first, products = self.sums[:size], symmetric(self.sums[size:], size)
        covariance = (products - np.outer(first, first) / self.rows) / max(1, self.rows - 1)
        return RowMoments(self.rows, self.middle + first / self.rows, covariance)

    def loses_digits(self) -> bool:
        """Return whether some number's mean lies so far from the middle that its variance is a small difference."""
        found = self.moments()
        far = (found.means - self.middle) ** 2
        return bool((far > _FAR * np.diag(found.covariance)).any())


def _pass(connection: Any, rows: str, middle: Array) -> dict[int, _Sums]:
    size = len(middle)
    distances = ", ".join(f"c{i} - {float(value)!r}::DOUBLE AS d{i}" for i, value in enumerate(middle))
    names = [f"d{i}" for i in range(size)]
    sums = [f"coalesce(sum({name}), 0)" for name in names]
    sums += [f"coalesce(sum({one} * {other}), 0)" for one, other in combinations_with_replacement(names, 2)]
    counts = [f"count({name})" for name in names]
    found = connection.execute(
        f"SELECT {VARIANT_CODE}, count(*), {', '.join(counts + sums)} "  # noqa: S608
        f"FROM (SELECT {VARIANT_CODE}, {distances} FROM {rows}) GROUP BY {VARIANT_CODE} ORDER BY {VARIANT_CODE}"
    ).fetchall()
    return {
        code: _Sums(count, np.array(numbers[:size], float), middle, np.array(numbers[size:], float))
        for code, count, *numbers in found
    }
