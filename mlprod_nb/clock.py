"""Time as a value that is passed in, and the ways users write it."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from mlprod_nb.errors import UsageError

Clock = Callable[[], datetime]

_DURATION = re.compile(r"(\d+(?:\.\d+)?)([smhdw])")
_SPELT = re.compile(r"(\d)\s+([smhdw])(?:econd|inute|our|ay|eek)s?\b")
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}


def utc_now() -> datetime:
    """Return the present moment, aware, in UTC."""
    return datetime.now(UTC)


def parse_duration(text: str) -> timedelta:
    """Read a duration such as ``90s``, ``15m``, ``12h``, ``7d``, ``4w`` or ``1d12h``.

    Raises:
        UsageError: The text is not a duration.
    """
    parts = _DURATION.findall(text.strip())
    if not parts or "".join(number + unit for number, unit in parts) != text.strip():
        raise UsageError(f"{text!r} is not a duration.", hint="Write it like 90s, 15m, 12h, 7d or 1d12h.")
    return timedelta(seconds=sum(float(number) * _SECONDS[unit] for number, unit in parts))


def spell_duration(seconds: float) -> str:
    """Write a duration as :func:`parse_duration` reads it, as ``1d12h``; to the second."""
    left, words = round(seconds), ""
    for unit in ("w", "d", "h", "m", "s"):
        count, left = divmod(left, _SECONDS[unit])
        words += f"{count}{unit}" if count else ""
    return words or "0s"


def parse_moment(text: str, *, now: datetime) -> datetime:
    """Read a moment: an ISO 8601 date or time (UTC where no offset is given), or a duration before ``now``.

    Raises:
        UsageError: The text is neither.
    """
    try:
        moment = datetime.fromisoformat(text.strip())
    except ValueError:
        try:
            return now - parse_duration(text)
        except UsageError:
            raise UsageError(
                f"{text!r} is not a moment.",
                hint="Write a date (2013-04-01), a time (2013-04-01T06:00) or an age (7d).",
            ) from None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def parse_deadline(text: str, *, now: datetime) -> datetime:
    """Read a moment to come: an ISO 8601 date or time (UTC where no offset is given), or a duration from ``now`` on.

    Raises:
        UsageError: The text is neither.
    """
    try:
        return now + parse_duration(_SPELT.sub(r"\1\2", text))
    except UsageError:
        return parse_moment(text, now=now)


def iso(moment: datetime) -> str:
    """Return a moment as ISO 8601 in UTC, to the second, as in ``2013-04-01T06:00:00Z``."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
