"""Moments over rows that are each their own unit: no grouping by unit, which takes most of the time.

What is asked together is read in one pass: the sums of the numbers and of their products. A difference of such sums
loses digits where the values lie far from zero, and a value that is missing must count as the mean; there, and only
there, the pass is made once more over distances from the means that it found (Chan, Golub and LeVeque 1983,
"Algorithms for computing the sample variance", The American Statistician 37: shifted data).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import combinations_with_replacement
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mlprod_nb.abtest.covariates import UnitMoments, symmetric
from mlprod_nb.abtest.estimate import Arm, Sample, UnitSums
from mlprod_nb.abtest.queries import LARGEST, Number, micros, step
from mlprod_nb.abtest.rows import VARIANT_CODE

Array = NDArray[np.float64]

#: A mean that lies farther from zero than so many variances, squared, costs more than four digits of sixteen.
_FAR = 1e4


@dataclass(frozen=True)
class Asked:
    """Numbers whose moments are wanted together.

    Attributes:
        numbers: A row where one is null does not count.
        filled: Further numbers; where one is null, it counts as the mean of those that are not.
        truth: Whether the only number is a truth value, which is counted in a third of the time of adding.
    """

    numbers: tuple[Number, ...] = ()
    filled: tuple[Number, ...] = ()
    truth: bool = False

    @property
    def columns(self) -> tuple[Number, ...]:
        """All numbers."""
        return (*self.numbers, *self.filled)


@dataclass(frozen=True)
class RowSums:
    """Sums over the rows of one variant.

    Attributes:
        rows: Rows that count.
        known: How many values of each number are known.
        middle: What each number's distance is measured from; a value that is missing has no distance.
        first: Sums of the distances.
        products: Sums of the products of each pair of distances, square and symmetric.
    """

    rows: int
    known: Array
    middle: Array
    first: Array
    products: Array

    @property
    def means(self) -> Array:
        """The numbers' means."""
        return self.middle + self.first / max(1, self.rows)

    @property
    def covariance(self) -> Array:
        """Their sample covariance; zeros where there is one row."""
        inner: Array = self.products - np.outer(self.first, self.first) / max(1, self.rows)
        return inner / max(1, self.rows - 1)

    @property
    def is_complete(self) -> bool:
        """Whether no value is missing."""
        return bool((self.known == self.rows).all())

    @property
    def is_finite(self) -> bool:
        """Whether every value is a number whose square is one too."""
        return bool((np.diag(self.products) <= LARGEST**2).all())

    @property
    def keeps_digits(self) -> bool:
        """Whether no variance is a small difference of large sums; those of zeros and ones are whole."""
        squares = np.diag(self.products)
        whole = (self.first == squares) & (np.floor(squares) == squares)
        near = squares <= _FAR * np.diag(self.covariance) * max(1, self.rows)
        return bool((whole | near).all())

    @property
    def is_sound(self) -> bool:
        """Whether all of this holds."""
        return self.is_finite and self.is_complete and self.keeps_digits

    def unit_sums(self) -> UnitSums:
        """Return the only number's sums, each row a unit."""
        middle, total, squares = float(self.middle[0]), float(self.first[0]), float(self.products[0, 0])
        spread = max(0.0, float(self.covariance[0, 0]))
        squares += middle * (2 * total + self.rows * middle)
        return UnitSums(self.rows, self.rows, total + self.rows * middle, squares, spread, 0.0, 0.0)

    def of_units(self) -> UnitMoments:
        """Return what an adjustment needs: of a unit its row, its value (the first number), its covariates."""
        means, spread = self.means, self.covariance
        size = len(means) + 1
        covariance = np.zeros((size, size))
        covariance[1:, 1:] = spread
        squares = (self.rows - 1) * float(spread[0, 0]) + self.rows * float(means[0]) ** 2
        return UnitMoments(self.rows, np.concatenate(([1.0], means)), covariance, squares)

    def ratio(self) -> Arm | None:
        """Return the first number's sum over the second's, its variance by the delta method; ``None`` over nothing."""
        above, below = self.means
        if not below:
            return None
        ratio = float(above / below)
        change = np.array([1.0, -ratio]) / below
        variance = max(0.0, float(change @ self.covariance @ change))
        return Arm(Sample(self.rows, self.rows, ratio, variance, variance))


#: Sums by the variant's code.
Sums = dict[int, RowSums]


def read(connection: Any, source: str, asked: Sequence[Asked], edges: Sequence[int] = ()) -> list[list[Sums]]:
    """Return the sums of all that is asked: a list a moment, in it an entry for each, in it the variants with rows.

    Args:
        connection: DuckDB's.
        source: What to read, as SQL.
        asked: What is asked.
        edges: Moments in microseconds since 1970, growing: each with the rows up to it. Without any, all rows.
    """
    numbers = list(dict.fromkeys(number for one in asked for number in one.columns))
    added = {number for one in asked if not one.truth for number in one.columns}
    places = [[numbers.index(number) for number in one.columns] for one in asked]
    # What is no finite number shows in the sums: looking at each value would take as long as adding it.
    columns = [(number.sql, number not in added) for number in numbers]
    found = _pass(connection, source, columns, places, np.zeros(len(columns)), edges)
    for at, one in enumerate(asked):
        mine = [moment[at] for moment in found]
        if all(part.is_sound for moment in mine for part in moment.values()):
            continue
        for moment, part in zip(found, _alone(connection, source, one, edges), strict=True):
            moment[at] = part
    return found


class RowReader:
    """Reads rows that are each their own unit, and remembers what was read ahead.

    Args:
        connection: DuckDB's.
        variants: The variants' names by their codes.
    """

    def __init__(self, connection: Any, variants: Sequence[str]) -> None:
        self._connection = connection
        self._variants = variants
        self._ahead: dict[tuple[str, Asked], Sums] = {}

    def ahead(self, source: str, asked: Sequence[Asked]) -> None:
        """Read in one pass what will be asked of all rows of a source."""
        (found,) = read(self._connection, source, asked)
        self._ahead |= {(source, one): part for one, part in zip(asked, found, strict=True)}

    def sums(self, source: str, asked: Sequence[Asked]) -> list[dict[str, RowSums]]:
        """Return the sums of all that is asked, an entry for each, by the variants' names."""
        (found,) = self._known(source, asked) or read(self._connection, source, asked)
        return [self._named(part) for part in found]

    def path(self, source: str, asked: Asked, moments: Sequence[datetime] | None) -> list[dict[str, RowSums]]:
        """Return the sums of the rows up to each moment, by the variants' names; without moments of all rows."""
        if moments is None:
            return self.sums(source, [asked])
        edges = [micros(moment) for moment in moments]
        return [self._named(part) for (part,) in read(self._connection, source, [asked], edges)] if edges else []

    def _known(self, source: str, asked: Sequence[Asked]) -> list[list[Sums]]:
        found = [self._ahead[source, one] for one in asked if (source, one) in self._ahead]
        return [found] if len(found) == len(asked) else []

    def _named(self, part: Sums) -> dict[str, RowSums]:
        return dict(sorted((self._variants[code], sums) for code, sums in part.items()))


def _alone(connection: Any, source: str, asked: Asked, edges: Sequence[int]) -> list[Sums]:
    """Return the sums of what has missing values or loses digits: of finite numbers, as distances from the mean."""
    columns, places = [(number.finite, asked.truth) for number in asked.columns], [list(range(len(asked.columns)))]
    known = " AND ".join(f"({number.finite}) IS NOT NULL" for number in asked.numbers)
    rows = f"(SELECT * FROM {source} WHERE {known})"  # noqa: S608

    def once_more(source: str, middle: Array, edges: Sequence[int]) -> list[Sums]:
        return [moment[0] for moment in _pass(connection, source, columns, places, middle, edges)]

    found = once_more(rows, np.zeros(len(columns)), edges)
    if not all(part.keeps_digits for moment in found for part in moment.values()):
        found = once_more(rows, _means(found[-1]), edges)
    for at, moment in enumerate(found):
        if not all(part.is_sound for part in moment.values()):
            until = f"(SELECT * FROM {rows} WHERE event_us + 0 <= {edges[at]})" if edges else rows  # noqa: S608
            (found[at],) = once_more(until, _means(moment), ())
    return found


def _means(parts: Mapping[int, RowSums]) -> Array:
    """Return the means of the values that are known, over all variants."""
    known = np.sum([part.known for part in parts.values()], axis=0)
    total = np.sum([part.first + part.known * part.middle for part in parts.values()], axis=0)
    return np.asarray(total / np.maximum(1, known), float)


def _pass(
    connection: Any,
    source: str,
    columns: Sequence[tuple[str, bool]],
    places: Sequence[Sequence[int]],
    middle: Array,
    edges: Sequence[int],
) -> list[list[Sums]]:
    """Read once.

    Args:
        connection: DuckDB's.
        source: What to read.
        columns: SQL, and whether it is a truth value.
        places: The columns of each that is asked.
        middle: What each column's distance is measured from.
        edges: The moments.
    """
    pairs = list(dict.fromkeys(pair for mine in places for pair in combinations_with_replacement(mine, 2)))
    products = [pair for pair in pairs if not columns[pair[0]][1]]
    values = ["count(*)", *(f"count(c{i})" for i in range(len(columns)))]
    values += [f"count_if(c{i})" if truth else f"sum(c{i})" for i, (_, truth) in enumerate(columns)]
    values += [f"sum(c{i} * c{j})" for i, j in products]
    shifts = [f" - {float(value)!r}::DOUBLE" if value else "" for value in middle]
    inner = "".join(
        f", ({sql}){'' if truth else '::DOUBLE'}{shifts[i]} AS c{i}" for i, (sql, truth) in enumerate(columns)
    )
    groups = f"{VARIANT_CODE}, {step(edges)} AS step" if edges else VARIANT_CODE
    keys = f"{VARIANT_CODE}, step" if edges else VARIANT_CODE
    until = f" WHERE event_us + 0 <= {edges[-1]}" if edges else ""
    rows = connection.execute(
        f"SELECT {keys}, {', '.join(values)} FROM (SELECT {groups}{inner} FROM {source}{until}) GROUP BY {keys}"  # noqa: S608
    ).fetchall()
    size, skip = len(columns), 2 if edges else 1
    steps = np.zeros((max(1, len(edges)), 1 + max((row[0] for row in rows), default=0), len(values)))
    for row in rows:
        steps[row[1] if edges else 0, row[0]] = [0.0 if value is None else value for value in row[skip:]]
    at = {pair: 1 + 2 * size + i for i, pair in enumerate(products)}
    at |= {(i, i): 1 + size + i for i, (_, truth) in enumerate(columns) if truth}  # of zeros and ones squares are sums
    return [
        [
            {code: _sums(numbers, mine, middle, at) for code, numbers in enumerate(moment) if _rows(numbers, mine)}
            for mine in places
        ]
        for moment in np.cumsum(steps, axis=0)
    ]


def _rows(numbers: Array, places: Sequence[int]) -> int:
    """Return how many rows count: of one number those where it is known."""
    return int(numbers[1 + places[0]] if len(places) == 1 else numbers[0])


def _sums(numbers: Array, places: Sequence[int], middle: Array, at: Mapping[tuple[int, int], int]) -> RowSums:
    size, mine = len(middle), np.array(places, int)
    products = [numbers[at[pair]] for pair in combinations_with_replacement(places, 2)]
    return RowSums(
        _rows(numbers, places),
        numbers[1 + mine],
        middle[mine],
        numbers[1 + size + mine],
        symmetric(products, len(places)),
    )
