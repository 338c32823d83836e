"""A pinned range of the log: it names bytes that are never written again, so it always holds the same rows."""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from mlprod_nb.errors import UsageError

_NAME = re.compile(r"[A-Za-z0-9-]{1,100}\.seg", re.ASCII)


@dataclass(frozen=True)
class LogRange:
    """Which rows: those of one endpoint, in these bytes, with an event time in ``[since, until)``.

    Attributes:
        endpoint: The endpoint's name.
        segments: Of each segment with records of the endpoint, its file name and the end of the last of them.
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
            segments = tuple((str(name), int(end)) for name, end in data["segments"])
            # A name that is a path would read files that are none of the log's.
            if not all(_NAME.fullmatch(name) and end >= 0 for name, end in segments):
                raise ValueError
            return cls(
                endpoint=str(data["endpoint"]),
                segments=segments,
                since=_moment(data["since"]),
                until=_moment(data["until"]),
                rows=int(data["rows"]),
            )
        except (ValueError, KeyError, TypeError, AttributeError):
            raise UsageError("the pinned range is not one.", hint="It is what LogRange.to_json gives.") from None

    def _plain(self) -> dict[str, Any]:
        return {
            "endpoint": self.endpoint,
            "segments": [list(segment) for segment in self.segments],
            "since": _text(self.since),
            "until": _text(self.until),
            "rows": self.rows,
        }


def _moment(text: str | None) -> datetime | None:
    return None if text is None else utc(datetime.fromisoformat(text))


def _text(moment: datetime | None) -> str | None:
    """Write a moment in UTC, so that one instant has one digest."""
    return None if moment is None else utc(moment).isoformat()


def utc(moment: datetime) -> datetime:
    """Return a moment in UTC; one without an offset is in UTC already."""
    return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)
