"""A window's counts: what was kept of whole files of the log, and what is counted now at its edges and in its tail."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import TYPE_CHECKING

from mlprod_nb.prediction_log.ranges import LogRange

if TYPE_CHECKING:
    import pyarrow as pa

    from mlprod_nb.monitoring.bins import WindowCounts
    from mlprod_nb.monitoring.profile import Profile
    from mlprod_nb.prediction_log.catalogue import LogFile
    from mlprod_nb.prediction_log.reader import PredictionLog
    from mlprod_nb.registry.bundles import Bundle

MOST_EARLIER = 12
"""How many windows before a window are looked at: with it a quarter of a year of weekly looks."""

_READ = ("prediction_id", "score", "prediction", "model", "version", "inputs")


@dataclass(frozen=True)
class WindowCounter:
    """Counts windows of one log against one profile.

    Attributes:
        log: The log.
        profile: The reference.
        version: The version whose scores and predictions are counted, as ``flights/3``.
        written: The profile as its bundle has it; ``None`` where it has to be written for its digest.
    """

    log: PredictionLog
    profile: Profile
    version: str
    written: bytes | None = None

    @classmethod
    def of(cls, log: PredictionLog, bundle: Bundle, version: str) -> WindowCounter:
        """Return what counts against the reference of a version, which its bundle has."""
        from mlprod_nb.monitoring.profile import Profile
        from mlprod_nb.registry.bundles import PROFILE

        written = (bundle.path / PROFILE).read_bytes()
        return cls(log, Profile.from_json(written), version, written)

    def counts(self, where: LogRange, earlier: int = 0, until: datetime | None = None) -> list[WindowCounts]:
        """Return the counts of a range, labels left out, and of windows of the same length before it, newest first.

        Windows before the first rows are left out.

        Args:
            where: The range.
            earlier: How many windows before it.
            until: Where the range ends, if it does not say so.
        """
        import pyarrow as pa

        from mlprod_nb.monitoring import counting, stored_counts

        times = _times(where, earlier, until or where.until)
        said = self.log.tally(where, self.key, self._count, only=self._read, times=times)
        # What counting needed for a while would count beside the rows that are read next.
        pa.default_memory_pool().release_unused()
        found = [counting.add(self.profile, map(stored_counts.decode, parts)) for parts in said]
        while len(found) > 1 and not found[-1].rows:
            found.pop()
        return found

    def uncounted(self, endpoint: str) -> list[LogFile]:
        """Return the files of an endpoint's predictions that were not counted yet, the newest rows first."""
        return [] if self.log.catalogue is None else self.log.catalogue.lacking(endpoint, self.key)

    def count_ahead(self, file: LogFile) -> None:
        """Count a whole file now, so that :meth:`counts` of a window around it need not.

        Raises:
            Gone: The file was merged into another meanwhile, or is lost.
            Corrupt: It is damaged.
        """
        self.log.tally_ahead(file, self.key, self._count, only=self._read)

    @cached_property
    def key(self) -> str:
        """What the counts of a file depend on beside the file, as a digest."""
        from mlprod_nb.monitoring import stored_counts

        written = self.profile.to_json() if self.written is None else self.written
        return hashlib.sha256(f"{stored_counts.FORMAT}\0{self.version}\0".encode() + written).hexdigest()

    def _count(self, tables: Iterable[pa.Table], rows: int) -> bytes:
        from mlprod_nb.monitoring import stored_counts

        return stored_counts.encode(count_tables(self.profile, self.version, tables, rows))

    @property
    def _read(self) -> tuple[str, ...]:
        aged = any(column.how == "age" for column in self.profile.derived or ())
        return (*_READ, "event_time") if aged else _READ


def count_tables(profile: Profile, version: str, tables: Iterable[pa.Table], of_rows: int) -> WindowCounts:
    """Count the rows of some tables of predictions together.

    Args:
        profile: The reference.
        version: As in :class:`WindowCounter`.
        tables: The predictions, table by table.
        of_rows: How many rows there are at least in all of them.
    """
    from mlprod_nb.monitoring import counting, scoring

    counted = (
        counting.count_predictions(profile, table, scoring.read(profile, table), version, of_rows=of_rows)
        for table in tables
    )
    return counting.add(profile, counted)


def _times(where: LogRange, earlier: int, until: datetime | None) -> list[tuple[datetime | None, datetime | None]]:
    times: list[tuple[datetime | None, datetime | None]] = [(where.since, where.until)]
    if where.since is not None and until is not None and until > where.since:
        length = until - where.since
        times += [(where.since - length * (n + 1), where.since - length * n) for n in range(earlier)]
    return times
