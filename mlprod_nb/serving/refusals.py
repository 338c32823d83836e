"""How many requests each endpoint refused, and why, in files that outlive the gateway.

The metrics only ever grow and have no times; these counts have: a line a minute, endpoint and reason in which something
was refused, in a file a worker and month. An answered request costs nothing here, and neither does a quiet minute.
What a killed worker counted after its last line, within :data:`LINE_SECONDS` at most, is lost.
"""

from __future__ import annotations

from collections import Counter
from datetime import datetime, timedelta
from pathlib import Path

import orjson

from mlprod_nb.clock import Clock, iso

LINE_SECONDS = 60.0
KEPT_DAYS = 400


class Refusals:
    """What one worker refused.

    Args:
        folder: Where the counts of all workers are; made when something is refused.
        slot: The worker's place in the gateway.
        clock: Gives the present moment.
    """

    def __init__(self, folder: Path, slot: int, clock: Clock) -> None:
        self._folder = folder
        self._slot = slot
        self._clock = clock
        self._counts: Counter[tuple[str, str]] = Counter()
        self._first: datetime | None = None

    def note(self, endpoint: str, reason: str, requests: int = 1) -> None:
        """Count refused requests.

        Args:
            endpoint: One of the route table, so callers cannot make names.
            reason: An error's class in lower case and hyphens, as ``invalid-input``.
            requests: How many.
        """
        self._first = self._first or self._clock()
        self._counts[endpoint, reason] += requests

    def write(self, *, last: bool = False) -> None:
        """Append what was counted, if that began a minute ago or this is the last time; a full disk is tried again."""
        now = self._clock()
        if self._first is None or (not last and now - self._first < timedelta(seconds=LINE_SECONDS)):
            return
        lines = b"".join(
            orjson.dumps([iso(self._first), endpoint, reason, requests]) + b"\n"
            for (endpoint, reason), requests in sorted(self._counts.items())
        )
        try:
            self._append(self._folder / f"{self._first:%Y-%m}-{self._slot}.jsonl", lines, now)
        except OSError:
            return
        self._counts.clear()
        self._first = None

    def _append(self, file: Path, lines: bytes, now: datetime) -> None:
        if not file.exists():
            self._folder.mkdir(parents=True, exist_ok=True)
            oldest = f"{now - timedelta(days=KEPT_DAYS):%Y-%m}"
            for old in self._folder.glob("*.jsonl"):
                if old.name[:7] < oldest:
                    old.unlink(missing_ok=True)
        with file.open("ab") as opened:
            opened.write(lines)


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
    found = []
    low, high = iso(since) if since else "", iso(until) if until else "~"
    for file in sorted(folder.glob("*.jsonl")):
        if not low[:7] <= file.name[:7] <= high[:7]:
            continue
        for line in file.read_bytes().splitlines():
            try:
                at, name, reason, requests = orjson.loads(line)
            except ValueError:
                continue
            if name == endpoint and low <= at < high:
                found.append((datetime.fromisoformat(at).timestamp(), reason, requests))
    return tuple(sorted(found))
