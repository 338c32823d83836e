"""Counts of what is rare, in files that outlive the gateway.

The metrics only ever grow and have no times; these counts have: a line an interval and kind in which something was
counted, in a file a worker and month. What is not counted costs nothing here, and neither does a quiet interval.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import orjson

from mlprod_nb.clock import Clock, iso

KEPT_DAYS = 400


class Tally:
    """What one worker counts.

    What a killed worker counted after its last line, within one interval, is lost.

    Args:
        folder: Where the counts of all workers are; made when something is counted.
        slot: The worker's place in the gateway.
        clock: Gives the present moment.
        seconds: The interval.
    """

    def __init__(self, folder: Path, slot: int, clock: Clock, seconds: float) -> None:
        self._folder = folder
        self._slot = slot
        self._clock = clock
        self._interval = timedelta(seconds=seconds)
        self._counts: Counter[tuple[Any, ...]] = Counter()
        self._first: datetime | None = None

    @property
    def kinds(self) -> int:
        """How many kinds wait for their line."""
        return len(self._counts)

    def note(self, *kind: str | int, times: int = 1) -> None:
        """Count what is of a kind, which JSON can write."""
        self._first = self._first or self._clock()
        self._counts[kind] += times

    def write(self, *, last: bool = False) -> None:
        """Append what was counted, if that began an interval ago or this is the last time.

        A full disk is tried again.
        """
        now = self._clock()
        if self._first is None or (not last and now - self._first < self._interval):
            return
        lines = b"".join(
            orjson.dumps([iso(self._first), *kind, times]) + b"\n" for kind, times in sorted(self._counts.items())
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


def read(
    folder: Path, *, since: datetime | None = None, until: datetime | None = None
) -> Iterator[tuple[str, tuple[Any, ...], int]]:
    """Yield what all workers counted in intervals that began from ``since`` to before ``until``: when, what, how often.

    A line that a full disk or a power loss cut short is passed over.
    """
    low, high = iso(since) if since else "", iso(until) if until else "~"
    for file in sorted(folder.glob("*.jsonl")):
        if not low[:7] <= file.name[:7] <= high[:7]:
            continue
        for line in file.read_bytes().splitlines():
            try:
                at, *kind, times = orjson.loads(line)
            except ValueError:
                continue
            if low <= at < high:
                yield at, tuple(kind), times
