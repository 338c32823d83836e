"""A target without processes."""

from __future__ import annotations

from pathlib import Path

from mlprod_nb.clock import utc_now
from mlprod_nb.store.gateways import GatewayRecord
from mlprod_nb.targets import Condition


class Elsewhere:
    """Says that a gateway runs from its start to its stop."""

    def __init__(self) -> None:
        self.record: GatewayRecord | None = None
        self.stops = 0

    def start(self, root: Path, *, after_compaction: str = "") -> GatewayRecord:
        self.record = self.record or GatewayRecord("1", 7, "http://elsewhere.test:80", utc_now())
        return self.record

    def running(self, root: Path) -> GatewayRecord | None:
        return self.record

    def condition(self, root: Path) -> Condition:
        return Condition(workers=3, place="elsewhere") if self.record else Condition()

    def stop(self, root: Path) -> bool:
        self.stops += 1
        found, self.record = self.record, None
        return found is not None
