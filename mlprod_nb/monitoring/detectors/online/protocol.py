"""What an online detector is: it takes a stream row by row and says after which row it fired.

A stream is of *places* or of *truths*. A number's place is where it lies in the reference: uniform between 0 and 1 if
nothing changed, whatever the column's distribution (the randomised probability integral transform), so one set of
thresholds serves every column. Truths are zeros and ones, as errors are, with a rate in the reference.

Each detector states an expected run time: unchanged and independent rows make it fire at most once in so many rows, on
average. The thresholds follow from it by formula, so that a run time of many millions costs nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Set
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import numpy as np

from mlprod_nb.monitoring.columns import Floats

#: Plain numbers and lists, which JSON can hold.
State = Mapping[str, Any]
#: Sizes of the windows that are compared with the reference, one after the other, each twice the one before.
WINDOWS = (25, 50, 100, 200, 400, 800)


@dataclass(frozen=True)
class Basis:
    """What a stream is compared with.

    Attributes:
        rows: Rows of the reference.
        rate: Share of them that are true; ``None`` for a stream of places.
        expected: Rows in which unchanged data may fire once, on average.
    """

    rows: int
    rate: float | None
    expected: float

    @property
    def kind(self) -> Literal["places", "truths"]:
        """What the stream is of."""
        return "places" if self.rate is None else "truths"

    @property
    def positives(self) -> int:
        """How many rows of the reference are true."""
        return round((self.rate or 0.0) * self.rows)


class OnlineDetector(Protocol):
    """Takes a stream in parts; how it is parted changes nothing. It holds a small state and nothing else."""

    @property
    def name(self) -> str:
        """What users call it."""
        ...

    @property
    def kinds(self) -> Set[str]:
        """The kinds of stream it takes: ``"places"``, ``"truths"`` or both."""
        ...

    def start(self, basis: Basis) -> State | str:
        """Return the state before the first row, or why this reference cannot be compared with."""
        ...

    def update(self, basis: Basis, state: State, values: Floats) -> tuple[State, tuple[int, ...]]:
        """Take the next rows; return the state after them, and after how many of these rows it fired each time."""
        ...


def windows(basis: Basis) -> tuple[int, ...]:
    """Return the sizes of windows that the reference is large enough for."""
    return tuple(size for size in WINDOWS if size <= basis.rows)


def chance(basis: Basis, size: int) -> float:
    """Return the chance that one window of that size may spend: each size fires equally often, all together once."""
    return min(size / (basis.expected * max(len(windows(basis)), 1)), 0.2)


def complete(kept: Floats, values: Floats, sizes: tuple[int, ...]) -> tuple[Floats, list[tuple[int, Floats]]]:
    """Return the rows to keep since the largest window began, and the windows that these values complete.

    Args:
        kept: The rows kept before.
        values: The rows that come now.
        sizes: The windows' sizes; each divides the largest, so all end where the largest ends.

    Returns:
        The rows to keep, and for each size how many of all rows come before its first complete window, with the
        windows, shape ``(windows, size)``.
    """
    rows = np.concatenate([kept, values])
    found = []
    for size in sizes:
        first, last = len(kept) // size, len(rows) // size
        found.append((first * size, rows[first * size : last * size].reshape(-1, size)))
    largest = sizes[-1]
    return rows[len(rows) // largest * largest :], found
