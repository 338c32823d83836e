"""How many requests each endpoint refused, and why, in files that outlive the gateway."""

from __future__ import annotations

from collections import Counter
from datetime import datetime
from pathlib import Path

from mlprod_nb.clock import Clock
from mlprod_nb.serving.telemetry import tally
from mlprod_nb.serving.telemetry.tally import Tally

LINE_SECONDS = 60.0


class Refusals:
    """What one worker refused.

    Args:
        folder: Where the counts of all workers are; made when something is refused.
        slot: The worker's place in the gateway.
        clock: Gives the present moment.
    """

    def __init__(self, folder: Path, slot: int, clock: Clock) -> None:
        self._tally = Tally(folder, slot, clock, LINE_SECONDS)

    def note(self, endpoint: str, reason: str, requests: int = 1) -> None:
        """Count refused requests.

        Args:
            endpoint: One of the route table, so callers cannot make names.
            reason: An error's class in lower case and hyphens, as ``invalid-input``.
            requests: How many.
        """
        self._tally.note(endpoint, reason, times=requests)

    def write(self, *, last: bool = False) -> None:
        """Append what was counted, if that began a minute ago or this is the last time; a full disk is tried again."""
        self._tally.write(last=last)


def read(folder: Path, endpoint: str, *, since: datetime | None, until: datetime | None) -> dict[str, int]:
    """Return how many requests an endpoint refused, by reason, of those that came from ``since`` to before ``until``.

    A line that a full disk or a power loss cut short is passed over.
    """
    found: Counter[str] = Counter()
    for _, reason, requests in minutes(folder, endpoint, since=since, until=until):
        found[reason] += requests
    return dict(found)


def minutes(
    folder: Path, endpoint: str, *, since: datetime | None, until: datetime | None
) -> tuple[tuple[float, str, int], ...]:
    """Return what :func:`read` adds up, minute by minute: when, seconds since 1970, why, and how many requests."""
    found = (
        (datetime.fromisoformat(at).timestamp(), reason, requests)
        for at, (name, reason), requests in tally.read(folder, since=since, until=until)
        if name == endpoint
    )
    return tuple(sorted(found))
