"""Conditions on input columns, and sets of rows that fulfil them: what segments are made of.

A condition is kept as data and written as SQL, so that the same one can be asked of the reference and read by a person.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from mlprod_nb.monitoring.columns import Coded
from mlprod_nb.monitoring.traffic import Column

#: The commonest categories of a column that are looked at one by one.
CATEGORIES = 20
_LEVELS = (0.2, 0.4, 0.6, 0.8)
Rows = NDArray[np.bool_]


@dataclass(frozen=True)
class Condition:
    """A condition on one column.

    Attributes:
        column: Its name.
        operator: ``"="``, ``"<="``, ``">"`` or ``"is null"``.
        value: What is compared with; ``None`` for ``"is null"``.
    """

    column: str
    operator: Literal["=", "<=", ">", "is null"]
    value: str | float | None = None

    def __str__(self) -> str:
        if self.operator == "is null":
            return f"{named(self.column)} is null"
        if isinstance(self.value, str):
            quoted = self.value.replace("'", "''")
            return f"{named(self.column)} {self.operator} '{quoted}'"
        return f"{named(self.column)} {self.operator} {self.value:.6g}"

    def holds(self, columns: Mapping[str, Column]) -> Rows | None:
        """Return which rows fulfil it, or ``None`` where the column is not there."""
        column = columns.get(self.column)
        if column is None:
            return None
        if isinstance(column, Coded):
            return column.equals(str(self.value)) if self.operator == "=" else column.codes < 0
        if self.operator == "is null":
            return np.isnan(column)
        value = float(self.value or 0.0)
        found: Rows = {"=": column == value, "<=": column <= value, ">": column > value}[self.operator]
        return found


def named(column: str) -> str:
    """Return a column as SQL names it: plainly where it can be."""
    return column if column.isidentifier() else '"' + column.replace('"', '""') + '"'


def possible(columns: Mapping[str, Column]) -> Iterator[Condition]:
    """Yield conditions worth a look: the commonest categories, and above or below each fifth of a column of numbers."""
    for name, column in columns.items():
        if isinstance(column, Coded):
            sizes = np.bincount(column.codes[column.codes >= 0], minlength=len(column.names))
            for place in np.argsort(-sizes, kind="stable")[:CATEGORIES].tolist():
                yield Condition(name, "=", column.names[place])
            gaps = bool((column.codes < 0).any())
        else:
            there = column[np.isfinite(column)]
            yield from _numbers(name, there) if there.size else ()
            gaps = bool(np.isnan(column).any())
        if gaps:
            yield Condition(name, "is null")


def _numbers(name: str, values: NDArray[np.float64]) -> Iterator[Condition]:
    # As written: a cut that reads as 0.333333 must not be 1/3, or the condition would not be what it says.
    cuts = sorted({float(f"{cut:.6g}") for cut in np.quantile(values, _LEVELS, method="inverted_cdf").tolist()})
    for cut in cuts:
        yield Condition(name, "<=", cut)
        yield Condition(name, ">", cut)
