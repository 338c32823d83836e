"""A pinned range of the log: it always holds the same rows.

It names the version of the catalogue whose files it reads, and the bytes of segments that were in no file then. Neither
is ever written again; where such a segment has been compacted since, its rows are known in the files by their places.
"""

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
    """Which rows: those of one endpoint, in these files and bytes, with an event time in ``[since, until)``.

    Attributes:
        endpoint: The endpoint's name.
        segments: Of each segment with records of the endpoint, its file name and the end of the last of them.
        since: The first event time, or ``None`` for the beginning.
        until: The event time before which rows belong, or ``None`` for the end.
        rows: How many predictions there are in it, shadows left out.
        version: All files of the endpoint belong that the catalogue has had since this version; 0: none.
    """

    endpoint: str
    segments: tuple[tuple[str, int], ...]
    since: datetime | None
    until: datetime | None
    rows: int
    version: int = 0

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
            version = int(data.get("version", 0))
            if version < 0 or not all(_NAME.fullmatch(name) and end >= 0 for name, end in segments):
                raise ValueError
            return cls(
                endpoint=str(data["endpoint"]),
                segments=segments,
                since=_moment(data["since"]),
                until=_moment(data["until"]),
                rows=int(data["rows"]),
                version=version,
            )
        except (ValueError, KeyError, TypeError, AttributeError):
            raise UsageError("the pinned range is not one.", hint="It is what LogRange.to_json gives.") from None

    def _plain(self) -> dict[str, Any]:
        plain: dict[str, Any] = {
            "endpoint": self.endpoint,
            "segments": [list(segment) for segment in self.segments],
            "since": _text(self.since),
            "until": _text(self.until),
            "rows": self.rows,
        }
        # A range without files is written as it was before there were any, so that its digest stays.
        return {**plain, "version": self.version} if self.version else plain


def _moment(text: str | None) -> datetime | None:
    return None if text is None else utc(datetime.fromisoformat(text))


def _text(moment: datetime | None) -> str | None:
    """Write a moment in UTC, so that one instant has one digest."""
    return None if moment is None else utc(moment).isoformat()


def utc(moment: datetime) -> datetime:
    """Return a moment in UTC; one without an offset is in UTC already."""
    return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)
