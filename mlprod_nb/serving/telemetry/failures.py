"""The rows that a variant's model failed on, by unit, in files that outlive the gateway.

The prediction log holds what was answered, so an A/B test that read it alone would not see that one variant answers
less. These counts have what such a test asks: when, under which revision, which variant and version, and whose row.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from mlprod_nb.clock import Clock
from mlprod_nb.routing import Variant
from mlprod_nb.serving.telemetry import tally
from mlprod_nb.serving.telemetry.tally import Tally

LINE_SECONDS = 1.0
#: From so many kinds in one interval on, rows are counted without their units.
MOST_KINDS = 10_000


@dataclass(frozen=True)
class Asked:
    """What a variant was asked and failed on; every sequence has one value a row.

    Attributes:
        endpoint: The endpoint's name.
        revision: The revision that was served.
        variant: The variant.
        units: The rows' units; ``None`` where a row has none.
        event_time: When the rows happened.
    """

    endpoint: str
    revision: int
    variant: Variant
    units: Sequence[str | None]
    event_time: Sequence[datetime]


@dataclass(frozen=True)
class FailedRows:
    """Rows of one unit that a variant failed on.

    Attributes:
        event_time: When they happened, to the second.
        received_at: When the first that was written down with them came, within a second.
        revision: The revision that was served.
        variant: The variant's name.
        model: The model's name.
        version: Its version.
        unit: The unit; ``None`` where the rows had none, or it was not kept.
        rows: How many.
    """

    event_time: datetime
    received_at: datetime
    revision: int
    variant: str
    model: str
    version: int
    unit: str | None
    rows: int


class Failures:
    """What the models of one worker failed on.

    Guarantee: memory is bounded, whatever fails: beyond :data:`MOST_KINDS` a second, rows are counted without units.

    Args:
        folder: Where the counts of all workers are; made when a model fails.
        slot: The worker's place in the gateway.
        clock: Gives the present moment.
    """

    def __init__(self, folder: Path, slot: int, clock: Clock) -> None:
        self._tally = Tally(folder, slot, clock, LINE_SECONDS)

    def note(self, asked: Asked, rows: Iterable[int]) -> None:
        """Count rows.

        Args:
            asked: Rows that were asked together.
            rows: Which of them.
        """
        variant = asked.variant
        which = (asked.endpoint, asked.revision, variant.name, variant.model, variant.version)
        found = Counter((asked.units[row], asked.event_time[row]) for row in rows)
        for (unit, moment), times in found.items():
            kept = unit if unit and self._tally.kinds < MOST_KINDS else ""
            self._tally.note(*which, kept, int(moment.timestamp()), times=times)

    def write(self, *, last: bool = False) -> None:
        """Append what was counted, if that began a second ago or this is the last time; a full disk is tried again."""
        self._tally.write(last=last)


def read(folder: Path, endpoint: str) -> Iterator[FailedRows]:
    """Yield what an endpoint's models failed on."""
    for at, (name, revision, variant, model, version, unit, second), rows in tally.read(folder):
        if name == endpoint:
            happened = datetime.fromtimestamp(second, UTC)
            received = datetime.fromisoformat(at).astimezone(UTC)
            yield FailedRows(happened, received, revision, variant, model, version, unit or None, rows)
