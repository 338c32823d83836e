"""Time as a value that is passed in, and the ways users write it."""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from mlprod_nb.errors import UsageError

Clock = Callable[[], datetime]

_DURATION = re.compile(r"(\d+(?:\.\d+)?)([smhdw])")
_SPELT = re.compile(r"(\d)\s+([smhdw])(?:econd|inute|our|ay|eek)s?\b")
_AGO = re.compile(r"(\d.*?)\s+ago")
_WEEKDAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
_PAST = re.compile(
    rf"(?:last\s+)?(?P<day>today|yesterday|{'|'.join(_WEEKDAYS)})(?:\s+(?:at\s+)?(?P<hour>\d{{1,2}}):(?P<minute>\d{{2}}))?"
)
_WORDS = ("today", "yesterday", "last", "ago", "seconds", "minutes", "hours", "days", "weeks", *_WEEKDAYS)
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}
#: 1,000 years in seconds: what is added to a moment of now must still be one that a calendar has.
_LONGEST = 1000 * 365 * 86400


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
    seconds = sum(float(number) * _SECONDS[unit] for number, unit in parts)
    if seconds > _LONGEST:
        raise UsageError(f"{text!r} is longer than 1,000 years.", hint="Write it like 90s, 15m, 12h, 7d or 1d12h.")
    return timedelta(seconds=seconds)


def spell_duration(seconds: float) -> str:
    """Write a duration as :func:`parse_duration` reads it, as ``1d12h``; to the second."""
    left, words = round(seconds), ""
    for unit in ("w", "d", "h", "m", "s"):
        count, left = divmod(left, _SECONDS[unit])
        words += f"{count}{unit}" if count else ""
    return words or "0s"


def parse_moment(text: str, *, now: datetime, besides: str = "") -> datetime:
    """Read a moment: an ISO 8601 date or time, an age, or a day in words.

    An age is a duration before ``now``, as ``7d`` or ``2 hours ago``. A weekday, as in ``last tuesday`` or
    ``tuesday 14:30``, is the nearest before today; a day alone is its beginning. All in UTC, where no offset is given.

    Args:
        text: The moment, as a user writes it.
        now: The present moment.
        besides: What else the user may write there, for the hint of who wrote neither.

    Raises:
        UsageError: The text is none of these.
    """
    words = text.strip().lower()
    if match := _PAST.fullmatch(words):
        return _in_words(match, now)
    age = _AGO.fullmatch(words)
    plain = _SPELT.sub(r"\1\2", age[1]) if age else text.strip()
    try:
        moment = datetime.fromisoformat(plain)
    except ValueError:
        try:
            return now - parse_duration(plain)
        except UsageError:
            hint = "Write a date (2013-04-01), a time (2013-04-01T06:00), an age (7d) or a day (last tuesday)."
            hint = _meant(words, parse_moment, now) or f"{hint} {besides}".rstrip()
            raise UsageError(f"{text!r} is not a moment.", hint=hint) from None
    try:
        return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)
    except OverflowError:
        raise UsageError(f"{text!r} is beyond the years 1 to 9999, in UTC.") from None


def _meant(words: str, read: Callable[..., datetime], now: datetime) -> str:
    """Ask whether the moment was meant that the nearest known words make; empty where ``read`` takes none of them."""
    spelt = re.sub(r"[a-z]{3,}", _nearest_word, words)
    if spelt == words:
        return ""
    try:
        read(spelt, now=now)
    except UsageError:
        return ""
    return f"Did you mean {spelt!r}?"


def _nearest_word(match: re.Match[str]) -> str:
    word = match[0]
    if word in _WORDS or f"{word}s" in _WORDS:
        return word
    # Nearer than a name must be: 'months' is not 'minutes'.
    found = difflib.get_close_matches(word, _WORDS, n=1, cutoff=0.7)
    return found[0] if found else next((known for known in _WORDS if known.startswith(word)), word)


def _in_words(match: re.Match[str], now: datetime) -> datetime:
    today = now.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    name = match["day"]
    if name in _WEEKDAYS:
        back = (today.weekday() - _WEEKDAYS.index(name) - 1) % 7 + 1
    else:
        back = ("today", "yesterday").index(name)
    hour, minute = int(match["hour"] or 0), int(match["minute"] or 0)
    if hour > 23 or minute > 59:
        raise UsageError(f"{match[0]!r} is not a moment: {hour}:{minute:02d} is no time.", hint="Write it like 14:30.")
    return today - timedelta(days=back) + timedelta(hours=hour, minutes=minute)


def parse_deadline(text: str, *, now: datetime) -> datetime:
    """Read a moment to come: an ISO 8601 date or time (UTC where no offset is given), or a duration from ``now`` on.

    Raises:
        UsageError: The text is neither.
    """
    try:
        return now + parse_duration(_SPELT.sub(r"\1\2", text))
    except UsageError:
        pass
    try:
        return parse_moment(text, now=now)
    except UsageError:
        hint = "Write a date (2013-07-01), a time (2013-07-01T06:00) or a duration (3d)."
        meant = _meant(text.strip().lower(), parse_deadline, now)
        raise UsageError(f"{text!r} is not a moment to come.", hint=meant or hint) from None


def iso(moment: datetime) -> str:
    """Return a moment as ISO 8601 in UTC, to the second, as in ``2013-04-01T06:00:00Z``."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
