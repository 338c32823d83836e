"""Derived columns: what a text says beyond its category, as numbers and days that the usual detectors test.

Of texts that are mostly distinct, as notes are, the length in characters. Of dates and times in ISO 8601: the hour of
the day and the day of the week as they are written, and the age in days when the row's event happened (a time without
an offset is taken as UTC). Which columns have them is chosen at registration and kept in the profile; dates themselves
move on by nature, so they are not compared as categories.

Guarantee: a row's value depends on that row alone, so counts of parts add up to those of all rows.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from mlprod_nb.monitoring.bins import WindowCounts
from mlprod_nb.monitoring.columns import Coded, Floats, to_codes

if TYPE_CHECKING:
    from mlprod_nb.monitoring.profile import ColumnProfile, Profile

How = Literal["length", "age", "hour", "weekday"]
Made = Floats | Coded
WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
NO_EVENT_TIMES = "the rows have no event times"
MOVES_ON = "dates move on; what is derived of them is compared instead"
DAY = 86_400
#: Of a reference's texts, how many must be dates, and how many distinct for the length to say more than the category.
_MOSTLY_DATES, _MOSTLY_DISTINCT = 0.95, 0.5
_FEWEST = 20
_TRIED = 10
_CYCLES: Mapping[str, tuple[int, str]] = {"hour": (DAY, "days"), "weekday": (7 * DAY, "weeks")}
#: How unevenly a stretch may hold the hours of a day or the days of a week: half of what a detector calls a drift.
_UNEVEN = 0.015
_ISO = (
    r"^(?P<year>\d{4})-(?P<month>\d{2})-(?P<day>\d{2})"
    r"(?:[T ](?P<hour>\d{2}):(?P<minute>\d{2})(?::(?P<second>\d{2})(?:[.,]\d{1,9})?)?"
    r"(?P<zone>Z|[+-]\d{2}:?\d{2})?)?$"
)
_LIMITS = {"year": (1, 9999), "month": (1, 12), "hour": (0, 23), "minute": (0, 59), "second": (0, 60)}


@dataclass(frozen=True)
class Dates:
    """Texts read as dates, all arrays of one length, NaN where a text is none.

    Attributes:
        seconds: Since 1970, as written.
        offset: By how many seconds the writer's clock is ahead of UTC.
        hour: The hour of the day; NaN where only a date is written.
    """

    seconds: Floats
    offset: Floats
    hour: Floats


def choose(
    columns: Iterable[ColumnProfile], values: Mapping[str, Any], moments: Floats | None
) -> Iterator[tuple[str, How, Made]]:
    """Yield what is derived of the reference: the source's name, how, and the values.

    Args:
        columns: The profiled columns.
        values: Their values.
        moments: When each row's event happened, seconds since 1970; without it there are no ages.
    """
    every = tuple(columns)
    taken = {column.name for column in every}
    for column in every:
        present = column.rows - column.missing
        if column.kind != "category" or present < _FEWEST:
            continue
        distinct = column.distinct >= _MOSTLY_DISTINCT * present
        if not distinct and np.isnan(read_dates(column.categories[:_TRIED]).seconds).all():
            continue
        texts = to_codes(values[column.name])
        found = _of_dates(texts, moments, present)
        if not found and distinct:
            found = {"length": _length(texts)}
        for how, made in found.items():
            if named(column.name, how) not in taken:
                yield column.name, how, made


def named(source: str, how: How) -> str:
    """Return a derived column's name, as ``"note (length)"``."""
    return f"{source} ({how})"


def derive(derived: Sequence[ColumnProfile], columns: Mapping[str, Any], moments: Floats | None) -> dict[str, Made]:
    """Return the derived columns of a window's rows by name; those are absent whose source is, or ages without times.

    Args:
        derived: The profile's derived columns.
        columns: The window's columns.
        moments: When each row's event happened, seconds since 1970.
    """
    found: dict[str, Made] = {}
    for source in dict.fromkeys(column.source for column in derived if column.source in columns):
        texts = to_codes(columns[source])
        wanted = [column for column in derived if column.source == source]
        dates = read_dates(texts.names) if any(column.how != "length" for column in wanted) else None
        for column in wanted:
            if column.how == "length" or dates is None:
                found[column.name] = _length(texts)
            elif column.how != "age" or moments is not None:
                found[column.name] = _of_date(column.how, texts, dates, moments)
    return found


def dated(profile: Profile) -> frozenset[str]:
    """Return the columns of dates."""
    return frozenset(column.source for column in profile.derived or () if column.how != "length")


def judged(profile: Profile, counted: WindowCounts, span_s: float | None) -> WindowCounts:
    """Return counts in which hours and weekdays are not to be tested where the window holds some more often.

    A window of ten days has three weekdays twice: their shares move by nature.

    Args:
        profile: The reference.
        counted: The window's counts.
        span_s: How long the window is, seconds; ``None`` where that is not known.
    """
    changed = {}
    for column in profile.derived or ():
        cycle, noun = _CYCLES.get(column.how, (0, ""))
        if cycle and span_s is not None and not even(span_s / cycle) and not counted.columns[column.name].problem:
            problem = f"the window holds no whole number of {noun}"
            changed[column.name] = replace(counted.columns[column.name], problem=problem)
    return replace(counted, columns={**counted.columns, **changed}) if changed else counted


def even(cycles: float) -> bool:
    """Say whether a stretch of so many cycles holds each part of a cycle about as often.

    Of ``n`` whole cycles and a rest ``f``, a share ``f (1 - f) / (n + f)`` of the rows would have to move.
    """
    rest = cycles - math.floor(cycles)
    return cycles > 0 and rest * (1 - rest) / cycles <= _UNEVEN


def untested(profile: Profile) -> Iterator[tuple[str, str]]:
    """Yield the columns of which something could be derived and is not, each with the reason."""
    if profile.derived is None:
        for column in profile.columns:
            present = column.rows - column.missing
            distinct = column.distinct >= _MOSTLY_DISTINCT * present
            if column.kind == "category" and present >= _FEWEST and distinct:
                before = "the version was registered before derived columns were kept; register it again"
                yield column.name, f"the length of its texts, or what dates say, is not tested: {before}"
        return
    aged = {column.source for column in profile.derived if column.how == "age"}
    for source in sorted(dated(profile) - aged):
        missing = "the reference's rows have no event times; register a frame whose index is of them"
        yield source, f"the age of its dates is not tested: {missing}"


def read_dates(texts: Sequence[str]) -> Dates:
    """Read texts as dates, with or without a time of the day, in ISO 8601's extended form."""
    import pyarrow as pa
    import pyarrow.compute as pc

    parts = pc.extract_regex(pa.array(texts, pa.string()), _ISO)
    zones = pc.fill_null(parts.field("zone"), "").to_pylist()
    known = {zone: _offset(zone) for zone in set(zones)}
    number = {name: _number(parts, name) for name in ("year", "month", "day", "hour", "minute", "second")}
    years, months = np.nan_to_num(number["year"], nan=1970.0) - 1970, np.nan_to_num(number["month"], nan=1.0) - 1
    month = (years * 12 + months).astype("datetime64[M]")
    first, after = (each.astype("datetime64[D]").astype(np.int64) for each in (month, month + 1))
    right = (number["day"] >= 1) & (number["day"] <= after - first)
    clock = {name: np.nan_to_num(number[name]) for name in ("hour", "minute", "second")}
    for name, (lowest, highest) in _LIMITS.items():
        value = clock.get(name, number[name])
        right &= (value >= lowest) & (value <= highest)
    seconds = (first + number["day"] - 1) * DAY + clock["hour"] * 3600 + clock["minute"] * 60 + clock["second"]
    offset = np.array([known[zone] for zone in zones], dtype=np.float64)
    right &= ~np.isnan(offset)
    return Dates(np.where(right, seconds, np.nan), offset, np.where(right, number["hour"], np.nan))


def _number(parts: Any, name: str) -> Floats:
    """Return a part of the texts as numbers, NaN where it is not there."""
    import pyarrow as pa
    import pyarrow.compute as pc

    texts = pc.struct_field(parts, name)
    there = pc.if_else(pc.equal(texts, ""), None, texts).cast(pa.float64())
    return np.array(pc.fill_null(there, math.nan).to_pylist(), dtype=np.float64)


def _offset(zone: str) -> float:
    """Return by how many seconds a clock of a zone, as ``"+02:00"``, is ahead of UTC; NaN where there is no such."""
    if zone in ("", "Z"):
        return 0.0
    hours, minutes = int(zone[1:3]), int(zone[-2:])
    size = hours * 3600.0 + minutes * 60.0 if hours <= 23 and minutes <= 59 else math.nan
    return -size if zone[0] == "-" else size


def _of_dates(texts: Coded, moments: Floats | None, present: int) -> dict[How, Made]:
    """Return what can be derived of a reference's column; nothing where it is none of dates."""
    dates = read_dates(texts.names)
    seconds = _each(dates.seconds, texts)
    known = seconds[~np.isnan(seconds)]
    if len(known) < _MOSTLY_DATES * present:
        return {}
    span, hours = float(np.ptp(known)), _each(dates.hour, texts)
    written = hours[~np.isnan(hours)]
    timed = len(written) >= _MOSTLY_DATES * present and len(np.unique(written)) > 1
    found: dict[How, bool] = {
        "age": moments is not None,
        "hour": timed and even(span / DAY),
        "weekday": even((span + (0 if timed else DAY)) / (7 * DAY)),
    }
    return {how: _of_date(how, texts, dates, moments) for how, wanted in found.items() if wanted}


def _of_date(how: str, texts: Coded, dates: Dates, moments: Floats | None) -> Made:
    if how == "hour":
        return _each(dates.hour, texts)
    if how == "weekday":
        # The first of January 1970 was a Thursday.
        days = np.nan_to_num(dates.seconds // DAY).astype(np.int64)
        places = np.append(np.where(np.isnan(dates.seconds), -1, (days + 3) % 7), -1)
        return Coded(places[texts.codes].astype(np.int64), WEEKDAYS)
    assert moments is not None
    return (moments - _each(dates.seconds - dates.offset, texts)) / DAY


def _length(texts: Coded) -> Floats:
    return _each(np.array([len(text) for text in texts.names], dtype=np.float64), texts)


def _each(values: NDArray[np.float64], texts: Coded) -> Floats:
    """Return each row's value, NaN where the text is missing."""
    found: Floats = np.append(values, np.nan)[texts.codes]
    return found
