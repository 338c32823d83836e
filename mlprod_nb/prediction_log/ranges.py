"""A pinned range of the log: it names bytes that are never written again, so it always holds the same rows."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from mlprod_nb.errors import UsageError


@dataclass(frozen=True)
class LogRange:
    """Which rows: those of one endpoint, in these bytes, with an event time in ``[since, until)``.

    Attributes:
        endpoint: The endpoint's name.
        segments: Each segment's file name, and the offset up to which it belongs to the range.
        since: The first event time, or ``None`` for the beginning.
        until: The event time before which rows belong, or ``None`` for the end.
        rows: How many predictions there are in it, shadows left out.
    """

    endpoint: str
    segments: tuple[tuple[str, int], ...]
    since: datetime | None
    until: datetime | None
    rows: int

    @property
    def digest(self) -> str:
        """SHA-256 over what decides which rows these are, in hex."""
        facts = {name: value for name, value in self._plain().items() if name != "rows"}
        return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()

    def to_json(self) -> str:
        """Return the range as text that a report's parameters can hold."""
        return json.dumps(self._plain(), sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> LogRange:
        """Read what :meth:`to_json` gave.

        Raises:
            UsageError: The text is no range.
        """
        try:
            data = json.loads(text)
            return cls(
                endpoint=str(data["endpoint"]),
                segments=tuple((str(name), int(end)) for name, end in data["segments"]),
                since=datetime.fromisoformat(data["since"]) if data["since"] else None,
                until=datetime.fromisoformat(data["until"]) if data["until"] else None,
                rows=int(data["rows"]),
            )
        except (ValueError, KeyError, TypeError):
            raise UsageError("the pinned range is not one.", hint="It is what LogRange.to_json gives.") from None

    def _plain(self) -> dict[str, Any]:
        return {
            "endpoint": self.endpoint,
            "segments": [list(segment) for segment in self.segments],
            "since": self.since.isoformat() if self.since else None,
            "until": self.until.isoformat() if self.until else None,
            "rows": self.rows,
        }
