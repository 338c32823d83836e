"""When a job is due: cron expressions in time zones, with each moment once.

At the spring change, times that do not exist run at the first moment that does; at the autumn change, a job at a fixed
hour runs the first time that hour comes. A job with a star for its minute or hour follows real time, so it runs in both
of the repeated hours. This is what Debian's cron does.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime
from zoneinfo import ZoneInfo, available_timezones

from mlprod_nb.errors import NotFound, UsageError, nearest
from mlprod_nb.results import counted

_NAMES = (
    *("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"),
    *("january", "february", "march", "april", "may", "june", "july", "august"),
    *("september", "october", "november", "december"),
)

#: What cron itself also takes, in five fields.
_NAMED = {
    "@hourly": "0 * * * *",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@weekly": "0 0 * * 0",
    "@monthly": "0 0 1 * *",
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
}


def check(cron: str, timezone: str) -> None:
    """Make sure that an expression and a time zone can be used.

    Raises:
        UsageError: The expression is not five cron fields, or never comes.
        NotFound: There is no such time zone.
    """
    from cronsim import CronSim, CronSimError

    hint = "Write minute, hour, day, month and weekday, as in: 0 6 * * 1"
    if cron.strip().lower() in _NAMED:
        raise UsageError(f"{cron!r} is not five cron fields.", hint=f"Write: {_NAMED[cron.strip().lower()]}")
    if len(cron.split()) != 5:
        raise UsageError(f"{cron!r} has {counted(len(cron.split()), 'cron field')}; it needs 5.", hint=hint)
    try:
        next(CronSim(cron, datetime(2024, 1, 1, tzinfo=UTC)))
    except CronSimError as error:
        raise UsageError(f"{cron!r} is not a cron expression: {error}.", hint=_meant(cron) or hint) from None
    except StopIteration:
        raise UsageError(f"{cron!r} never comes.", hint=hint) from None
    zone(timezone)


def _meant(cron: str) -> str:
    """Ask whether an expression was meant whose days and months have the short names that cron knows."""
    from cronsim import CronSim, CronSimError

    spelt = re.sub(r"[A-Za-z]{3,}", lambda word: nearest(word[0], _NAMES)[:3].upper() or word[0], cron)
    try:
        CronSim(spelt, datetime(2024, 1, 1, tzinfo=UTC))
    except CronSimError:
        return ""
    return f"Did you mean {spelt!r}?"


def zone(name: str) -> ZoneInfo:
    """Return a time zone.

    Raises:
        NotFound: There is none of that name.
    """
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        raise NotFound(
            "time zone", name, available_timezones(), hint="Write an IANA name, as in Europe/Berlin."
        ) from None


def slots(cron: str, timezone: str, after: datetime) -> Iterator[datetime]:
    """Yield the moments later than ``after`` at which a job is due: UTC, growing, each once."""
    from cronsim import CronSim

    latest = after.astimezone(UTC)
    for local in CronSim(cron, after.astimezone(zone(timezone))):
        moment = local.astimezone(UTC)
        # In the repeated hour the calculator may go back to the first one; in the missing hour several times meet.
        if moment > latest:
            latest = moment
            yield moment


def next_slot(cron: str, timezone: str, after: datetime) -> datetime | None:
    """Return the first moment later than ``after``, or ``None`` where there is none."""
    return next(slots(cron, timezone, after), None)


def newest_slot(cron: str, timezone: str, after: datetime, until: datetime) -> datetime | None:
    """Return the last moment later than ``after`` and not later than ``until``, or ``None``."""
    newest = None
    for moment in slots(cron, timezone, after):
        if moment > until:
            break
        newest = moment
    return newest
