"""How often the monitor may cry wolf, and how large a difference must be to matter.

A year's budget of false alarms is spent evenly over the planned looks: each look has ``yearly_alpha / looks`` (a union
bound, so it holds however the looks depend on each other), two fifths for drift, two for performance, and one for
tests that need rows. Inside a look, Holm's step-down procedure (Holm 1979) keeps the chance of any false flag at that
part, however the columns depend on each other. With the default of 5 % a year over 52 looks a look has 0.096 %.

A test of a million rows finds specks, so a difference must also be large. The effect of every detector is one
quantity, the share of the rows that would have to change to undo the difference, and the floors are in that unit.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mlprod_nb.errors import UsageError

#: 3 % of the rows: a shift of a normal column by 0.075 of its standard deviation. Smaller moves are ordinary life.
SHAPE_FLOOR = 0.03
#: 1 % of the rows: values that go missing are a fault in the pipeline rather than a turn of the world.
MISSING_FLOOR = 0.01
#: The shares from which the smallest change of a share is told.
MISSING, SHARE = 0.01, 0.2


@dataclass(frozen=True)
class Budget:
    """How many false alarms are allowed.

    Attributes:
        yearly_alpha: Chance of at least one false alarm in a year of looks at data that never change.
        looks_per_year: How many looks are planned in a year.
    """

    yearly_alpha: float = 0.05
    looks_per_year: int = 52

    def __post_init__(self) -> None:
        if not 0 < self.yearly_alpha < 1:
            raise UsageError(f"a yearly alpha of {self.yearly_alpha} is not between 0 and 1.")
        if self.looks_per_year < 1:
            raise UsageError(f"{self.looks_per_year} looks a year is fewer than one.")

    @property
    def per_look(self) -> float:
        """Chance of any false alarm in one look."""
        return self.yearly_alpha / self.looks_per_year

    @property
    def drift(self) -> float:
        """The part of a look's chance that tests of drift may spend."""
        return 2 * self.per_look / 5

    @property
    def joint(self) -> float:
        """The part of a look's chance that tests of rows may spend: of all columns together, online, alibi-detect."""
        return self.per_look / 5

    @property
    def performance(self) -> float:
        """The part of a look's chance that tests of performance may spend."""
        return 2 * self.per_look / 5

    def describe(self) -> str:
        """Return the budget in words."""
        year = f"{100 * self.yearly_alpha:.3g} % a year over {self.looks_per_year} looks"
        parts = "two fifths for drift, two for performance, one for tests of rows"
        return f"{self.per_look:.2g} in this look ({year}), {parts}"


@dataclass(frozen=True)
class Findable:
    """The smallest changes that one window finds with a chance of 80 %.

    Attributes:
        looks: How many looks the window holds.
        rows: Its rows.
        shift_sd: A shift of a normal column, in its standard deviations.
        missing: The missing rate that 1 % becomes.
        share: The share that a category of 20 % becomes.
        correlation: The rank correlation that two independent columns get.
    """

    looks: int
    rows: int
    shift_sd: float
    missing: float
    share: float
    correlation: float


@dataclass(frozen=True)
class Spending:
    """What a year's budget of false alarms is, and where it went.

    Attributes:
        yearly_alpha: Chance of at least one false alarm in a year that is allowed.
        looks_per_year: How many looks are planned in a year.
        this_look: What this look spends.
        tests: How many tests of drift share this look's part.
        looks_so_far: How many looks of this length the calendar year has had by the window's end, this one among them;
            ``None`` where the window has no beginning or end.
        spent: What they spend together, at most.
        left: What the year has left after them.
        note: What is wrong with the plan; empty where nothing is.
        findable: What this look's windows find.
    """

    yearly_alpha: float
    looks_per_year: int
    this_look: float
    tests: int
    looks_so_far: int | None
    spent: float | None
    left: float | None
    note: str
    findable: tuple[Findable, ...]


def holm(p_values: Sequence[float]) -> list[float]:
    """Return Holm's adjusted p-values: comparing each with alpha keeps the family-wise error at alpha.

    Args:
        p_values: One p-value a test, in any order.
    """
    p = np.asarray(p_values, dtype=np.float64)
    order = np.argsort(p, kind="stable")
    adjusted = np.empty_like(p)
    adjusted[order] = np.minimum(1, np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1)))
    return [float(value) for value in adjusted]
