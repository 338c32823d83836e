"""What a drill shows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

from mlprod_nb.results import Result, Section

Already = Literal["", "pooled", "alone"]
_REMARKS: dict[Already, str] = {
    "": "",
    "pooled": "13 looks at the window as it is, pooled, make it fire",
    "alone": "fires on the window as it is",
}


@dataclass(frozen=True)
class DrillRow:
    """When one detector would fire.

    Attributes:
        detector: Its name; ``correlation`` for the rank correlations with other columns.
        rows: The fewest of the tried numbers of rows from which on it fires in one look; ``None``: on none.
        looks: In which look at the drifted data it fires first, pooled windows among them; ``None``: not within 13.
        already: Whether it fires on the window as it is: alone, or only pooled with others drawn from it.
    """

    detector: str
    rows: int | None
    looks: int | None
    already: Already

    @property
    def told(self) -> bool:
        """Whether it would tell of what was injected, and not of what is in the window anyway."""
        return self.looks is not None if self.already == "" else self.already == "pooled" and self.rows is not None


@dataclass(frozen=True)
class DrillResult(Result):
    """Which detectors would find a drift that was injected into a copy of the window.

    Attributes:
        endpoint: The endpoint.
        injected: The drift.
        drawn_from: Rows of the window that the drill drew from.
        rows: Rows of a look, at most 20,000.
        detectors: When each detector would fire.
    """

    endpoint: str
    injected: str
    drawn_from: int
    rows: int
    detectors: tuple[DrillRow, ...]

    _frame_field: ClassVar[str] = "detectors"

    def headline(self) -> str:
        """Return which detector finds the drift first."""
        first = min(
            (row for row in self.detectors if row.told),
            key=lambda row: (row.looks or 0, row.rows or self.rows + 1),
            default=None,
        )
        if first is None:
            return f"{self.injected} would not be found within 13 looks of {self.rows:,} rows."
        where = "in the first look" if first.looks == 1 else f"in look {first.looks}"
        enough = f", and from {first.rows:,} rows on in one look" if first.rows is not None else ""
        return f"{self.injected} would be found {where} of {self.rows:,} rows, by {_spell(first.detector)}{enough}."

    def sections(self) -> Sequence[Section]:
        """Return the drill's facts, and each detector's row."""
        facts = (("endpoint", self.endpoint), ("injected", self.injected), ("drawn from rows", self.drawn_from))
        table = tuple(
            (
                _spell(row.detector),
                f"more than {self.rows:,}" if row.rows is None else f"{row.rows:,}",
                "not within 13" if row.looks is None else str(row.looks),
                _REMARKS[row.already],
            )
            for row in self.detectors
        )
        head = ("detector", "rows, in one look", f"looks of {self.rows:,} rows", "remark")
        return [Section("", (), facts), Section("detectors", head, table)]


def _spell(name: str) -> str:
    return name.replace("_", " ")
