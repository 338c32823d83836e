"""A log with a catalogue for the tests, and what its readers see."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mlprod_nb.prediction_log.catalogue import Catalogue
from mlprod_nb.prediction_log.compaction import Compacted, Compactor
from mlprod_nb.prediction_log.reader import PredictionLog
from mlprod_nb.prediction_log.schema import encode_feedback, encode_predictions
from mlprod_nb.store import Store
from tests.prediction_log.batches import feedback, predictions, write
from tests.prediction_log.watched_files import WatchedFiles


@dataclass(frozen=True)
class Site:
    """A log's folder and its state database."""

    folder: Path
    store: Store

    @property
    def catalogue(self) -> Catalogue:
        return Catalogue(self.store)

    @property
    def log(self) -> PredictionLog:
        return PredictionLog(self.folder, self.catalogue)

    def add(self, *ids: str, **columns: Any) -> Path:
        """Write one segment of one record of predictions."""
        return write(self.folder, encode_predictions(predictions(list(ids), **columns)))

    def label(self, *ids: str, **columns: Any) -> Path:
        """Write one segment of one record of feedback."""
        return write(self.folder, encode_feedback(feedback(list(ids), **columns)))

    def compact(self, point: Callable[[str], None] | None = None, **options: Any) -> Compacted:
        """Compact; the function is called at each step."""
        files = WatchedFiles(point) if point else None
        return Compactor(self.folder, self.catalogue, **{"files": files, **options}).run()

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
