"""A log with a catalogue for the tests, and what its readers see."""

from __future__ import annotations

import random
import shutil
from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mlprod_nb.prediction_log import framing
from mlprod_nb.prediction_log.catalogue import Catalogue, CompactedSegment, LogFile, Selection
from mlprod_nb.prediction_log.compaction import Compacted, Compactor
from mlprod_nb.prediction_log.keys import NO_KEYS, LogKeys
from mlprod_nb.prediction_log.ranges import LogRange
from mlprod_nb.prediction_log.reader import PredictionLog
from mlprod_nb.prediction_log.schema import encode_feedback, encode_predictions
from mlprod_nb.store import Store
from tests.prediction_log.batches import feedback, predictions, write
from tests.prediction_log.watched_files import CrashFiles, PowerLoss, WatchedFiles


@dataclass(frozen=True)
class Site:
    """A log's folder and its state database."""

    folder: Path
    store: Store
    keys: LogKeys = NO_KEYS

    @property
    def catalogue(self) -> Catalogue:
        return Catalogue(self.store)

    @property
    def log(self) -> PredictionLog:
        return PredictionLog(self.folder, self.catalogue, self.keys)

    def add(self, *ids: str, **columns: Any) -> Path:
        """Write one segment of one record of predictions."""
        return write(self.folder, self.sealed(encode_predictions(predictions(list(ids), **columns))))

    def label(self, *ids: str, **columns: Any) -> Path:
        """Write one segment of one record of feedback."""
        return write(self.folder, self.sealed(encode_feedback(feedback(list(ids), **columns))))

    def sealed(self, record: bytes) -> bytes:
        """Return a record as a gateway with the site's keys writes it."""
        sealer = self.keys.sealer()
        return record if sealer is None else framing.sealed(record, sealer)

    def compact(self, point: Callable[[str], None] | None = None, **options: Any) -> Compacted:
        """Compact; the function is called at each step."""
        files = WatchedFiles(point) if point else None
        return Compactor(self.folder, self.catalogue, **{"files": files, "keys": self.keys, **options}).run()

    def ids(self, endpoint: str = "flights") -> list[str]:
        found: list[str] = self.log.predictions(self.log.pin(endpoint), only=["prediction_id"])[
            "prediction_id"
        ].to_pylist()
        return found

    def segments(self) -> list[str]:
        return sorted(path.name for path in self.folder.glob("*.seg"))

    def files(self) -> list[str]:
        return sorted(path.relative_to(self.folder).as_posix() for path in self.folder.rglob("*.parquet"))

    def partial(self) -> list[str]:
        return [path.name for path in self.folder.rglob("*.partial")]


def open_site(root: Path) -> Site:
    """Open a log and its state database; make them where they are not there."""
    root.mkdir(exist_ok=True)
    store = Store(Store.sqlite_url(root / "state.db"))
    store.migrate()
    return Site(root / "log", store)


def after_power_loss(root: Path, step: int, chance: random.Random, **options: Any) -> Site | None:
    """Let the power go at a step of a compaction of a copy of ``root/template``, and open what is left on the disk.

    Args:
        root: Where the copies are made.
        step: At which of the disk's operations.
        chance: Chooses what of the unsynced writes is left.
        options: Of the compaction.

    Returns:
        The log; ``None`` where the compaction came to its end before.
    """
    before, after = root / f"{step}-before", root / f"{step}-after"
    shutil.copytree(root / "template", before)
    site = open_site(before)
    files = CrashFiles(site.folder, dies_at=step)
    try:
        site.compact(files=files, **options)
    except PowerLoss:
        pass
    else:
        return None
    finally:
        site.store.close()
    after.mkdir()
    files.after_power_loss(after / "log", chance)
    shutil.copy(before / "state.db", after)  # its commits are synced
    return open_site(after)


def seen(site: Site, where: LogRange) -> list[Any]:
    """Return all that a reader can get of a range, with the types."""
    log = site.log
    tables = [
        log.predictions(where),
        log.predictions(where, shadows=True),
        log.labelled(where),
        log.feedback(where),
        log.labelled(where, only=["score"]),
    ]
    found = [part for table in tables for part in (str(table.schema), table.to_pylist())]
    return [*found, log.unmatched(where)]


class Interrupted(Catalogue):
    """A catalogue for whose reader something happens before or after a call, once."""

    def __init__(self, store: Store, at: str, happen: Callable[[], object]) -> None:
        super().__init__(store)
        self._at = at
        self._happen = happen

    def _pass(self, point: str) -> None:
        if point == self._at:
            self._at = ""
            self._happen()

    def version(self) -> int:
        self._pass("before version")
        found = super().version()
        self._pass("after version")
        return found

    def segments(
        self, names: Collection[str] | None = None, *, after_version: int = 0, until_version: int | None = None
    ) -> dict[str, CompactedSegment]:
        found = super().segments(names, after_version=after_version, until_version=until_version)
        self._pass("after segments")
        return found

    def files(self, wanted: Selection) -> list[LogFile]:
        found = super().files(wanted)
        self._pass("after files")
        return found
