"""What users did, added up by stretch of time and by variant.

A prediction without an event counts 0, since leaving it out would count only those that users cared for. Of several
sources an interaction counts once, and rewards are added.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mlprod_nb.monitoring.calibration import wilson
from mlprod_nb.monitoring.columns import Coded, Floats
from mlprod_nb.monitoring.reaction_series import Integers, Key, Side
from mlprod_nb.monitoring.stretches import Seconds, divide

_STRETCHES = 12
#: The time before is six windows long; a window whose rows fill little of it has stretches that are short for that.
_MOST_BEFORE = 120
#: A stretch of fewer predictions is shown, and not compared.
_FEWEST = 20
_Z = 1.959963984540054


@dataclass(frozen=True)
class Grid:
    """Stretches of equal length, number 0 of them the window's first.

    Attributes:
        begin: Its beginning, seconds since 1970.
        length: How long each is, seconds.
    """

    begin: int
    length: int

    @classmethod
    def of(cls, seconds: Seconds) -> Grid:
        """Return those of a window, twelve at most."""
        stretches = divide(seconds, _STRETCHES)
        return cls(stretches.begin, stretches.length)


@dataclass(frozen=True)
class Cells:
    """The predictions of a side by stretch.

    Attributes:
        first: The number of the first stretch.
        rows: How many each has.
        newest: When the last of each was received, seconds since 1970.
        by_variant: How many each has of each variant, shape ``(stretches, variants)``.
    """

    first: int
    rows: Integers
    newest: Floats
    by_variant: Integers


def cells_of(side: Side, grid: Grid) -> Cells:
    """Return the predictions of a side by stretch."""
    places = (side.seconds - grid.begin) // grid.length
    near = places >= -_MOST_BEFORE
    places = places[near]
    first = int(places.min(initial=0))
    places -= first
    variants = len(side.variants.names)
    both = np.bincount(
        places * variants + side.variants.codes[near], minlength=(int(places.max(initial=-1)) + 1) * variants
    )
    by_variant = both.reshape(-1, variants).astype(np.int64)
    newest = np.full(len(by_variant), -math.inf)
    np.maximum.at(newest, places, side.logged_at[near])
    return Cells(first, by_variant.sum(axis=1), newest, by_variant)


@dataclass(frozen=True)
class Sums:
    """What a series adds up to in some predictions.

    Attributes:
        rows: The predictions.
        total: The sum of their values; of an interaction, how many have it.
        squares: The sum of the values' squares.
        size: The sum of the values without their signs.
    """

    rows: int = 0
    total: float = 0.0
    squares: float = 0.0
    size: float = 0.0

    def __add__(self, other: Sums) -> Sums:
        return Sums(
            self.rows + other.rows, self.total + other.total, self.squares + other.squares, self.size + other.size
        )

    @property
    def mean(self) -> float:
        """The value of a prediction; of an interaction the share that have it."""
        return self.total / self.rows if self.rows else 0.0

    @property
    def variance(self) -> float:
        """The variance of the value of a prediction."""
        return max(self.squares / self.rows - self.mean**2, 0.0) * self.rows / (self.rows - 1) if self.rows > 1 else 0.0

    def interval(self, kind: str) -> tuple[float, float]:
        """Return the 95 % interval of the mean; without bounds where one reward says nothing of the others."""
        if kind == "interaction":
            low, high = wilson(self.total, self.rows)
            return float(low), float(high)
        half = _Z * math.sqrt(self.variance / self.rows) if self.rows > 1 else math.inf
        return self.mean - half, self.mean + half


@dataclass(frozen=True)
class Values:
    """A series' values of those predictions that have one, arrays of one length.

    Attributes:
        places: The number of each one's stretch.
        variants: Which variant predicted.
        values: The sum of its sources' rewards; 1 of an interaction.
    """

    places: Integers
    variants: Coded
    values: Floats

    def since(self, first: int) -> Values:
        """Return those of a stretch and later ones."""
        some = self.places >= first
        return Values(self.places[some], Coded(self.variants.codes[some], self.variants.names), self.values[some])


def values_of(side: Side, key: Key, grid: Grid) -> Values:
    """Return a series' values of each prediction that has one."""
    events = side.events
    chosen = np.flatnonzero(events.of(key))
    _, first, places = np.unique(events.about[chosen], return_index=True, return_inverse=True)
    rows = chosen[first]
    added = np.bincount(places, weights=events.numbers[chosen] if key.kind == "reward" else None, minlength=len(rows))
    values = added.astype(np.float64) if key.kind == "reward" else np.ones(len(rows))
    return Values(
        (events.seconds[rows] - grid.begin) // grid.length,
        Coded(events.variants.codes[rows], events.variants.names),
        values,
    )


@dataclass(frozen=True)
class Counts:
    """A series on one side.

    Attributes:
        cells: The side's predictions by stretch.
        variants: Names of the variants, in the order of the cells.
        values: The series' values.
        sums: By stretch.
        complete: Of which stretches no more is to come, shape ``(stretches,)``.
    """

    cells: Cells
    variants: tuple[str, ...]
    values: Values
    sums: tuple[Sums, ...]
    complete: NDArray[np.bool_]

    @property
    def done(self) -> bool:
        """Whether there is a prediction of which no more is to come."""
        return bool(self.cells.rows[self.complete].any())

    @property
    def counted(self) -> NDArray[np.bool_]:
        """The stretches that are counted: those of which no more is to come, or all where there are none."""
        return self.complete if self.done else np.ones_like(self.complete)

    @property
    def together(self) -> Sums:
        """The sums of what is counted."""
        chosen = [one for one, counts in zip(self.sums, self.counted, strict=True) if counts]
        return sum(chosen, Sums())

    @property
    def judged(self) -> list[float]:
        """The values of the stretches that can be compared."""
        pairs = zip(self.sums, self.complete, strict=True)
        return [one.mean for one, complete in pairs if complete and one.rows >= _FEWEST]

    def variant(self, name: str) -> Sums:
        """Return the sums of what is counted of a variant."""
        rows = int(self.cells.by_variant[self.counted, self.variants.index(name)].sum())
        counted = self.counted[self.values.places - self.cells.first]
        each = self.values.values[counted & self.values.variants.equals(name)]
        return Sums(rows, float(each.sum()), float(each @ each), float(np.abs(each).sum()))


def counts_of(side: Side, cells: Cells, key: Key, grid: Grid, until: tuple[float, float]) -> Counts:
    """Return what a series adds up to on a side.

    Args:
        side: The side.
        cells: Its predictions by stretch.
        key: The series.
        grid: The stretches.
        until: How long events are waited for, seconds, and until when something was heard, seconds since 1970.
    """
    wait, known_until = until
    values = values_of(side, key, grid).since(cells.first)
    each = values.values
    added = (
        np.bincount(values.places - cells.first, weights=weights, minlength=len(cells.rows)).tolist()
        for weights in (each, each**2, np.abs(each))
    )
    sums = tuple(Sums(*one) for one in zip(cells.rows.tolist(), *added, strict=True))
    return Counts(cells, side.variants.names, values, sums, cells.newest + wait <= known_until)
