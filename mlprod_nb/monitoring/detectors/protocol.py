"""What a detector is: it compares one column's counts in the reference and in a window."""

from __future__ import annotations

from collections.abc import Set
from dataclasses import dataclass
from typing import Protocol

from mlprod_nb.monitoring.bins import ColumnCounts
from mlprod_nb.results import counted


@dataclass(frozen=True)
class Comparison:
    """What a detector found.

    Attributes:
        statistic: The test statistic; ``None`` where nothing was tested.
        effect: The share of the rows that would have to change to undo the difference, 0 to 1.
        p_value: Chance of a statistic at least as large if nothing changed; ``None`` where nothing was tested.
        reason: Why nothing was tested; empty where something was.
    """

    statistic: float | None = None
    effect: float | None = None
    p_value: float | None = None
    reason: str = ""


def too_few(found: int, least: int, what: str = "value") -> str:
    """Return why so few are not tested."""
    return f"{counted(found, what)} {'is' if found == 1 else 'are'} too few; it takes {least}"


class Detector(Protocol):
    """Compares two samples of one column, both given as counts in the same bins or categories.

    The p-value must be valid: with unchanged data, at most a share ``a`` of them is below ``a``.
    """

    @property
    def name(self) -> str:
        """What users call it."""
        ...

    @property
    def kinds(self) -> Set[str]:
        """The kinds of column it takes: ``"number"``, ``"category"`` or both."""
        ...

    @property
    def floor(self) -> float:
        """The effect below which a difference does not matter, however significant."""
        ...

    def compare(self, reference: ColumnCounts, window: ColumnCounts) -> Comparison:
        """Compare; what cannot be tested is a :class:`Comparison` with a reason, never an exception."""
        ...
