"""What is wrong with the data themselves, as statements; whatever comes in, nothing is raised."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from mlprod_nb.monitoring import derived, joint_counts
from mlprod_nb.monitoring.bins import ColumnCounts, WindowCounts
from mlprod_nb.monitoring.profile import ColumnProfile, Profile
from mlprod_nb.monitoring.rows import Finding

TINY = 100
_NOTABLE = 0.001
_MUCH = 0.01
_UNLIKELY = 1e-6


def findings(profile: Profile, window: WindowCounts) -> tuple[Finding, ...]:
    """Return every finding, the gravest first."""
    found = list(_volume(window))
    if window.rows:
        dates = derived.dated(profile)
        for column in profile.columns:
            found += _column(column, window.columns[column.name], date=column.name in dates)
        found += _dates(profile, window)
        found += [Finding(name, "derived", "info", 0.0, text) for name, text in derived.untested(profile)]
        found += [
            Finding(name, "new column", "info", 1.0, "the reference has no such column; it is not looked at")
            for name in window.extra
        ]
        unpaired = joint_counts.untested(profile.columns, profile.pairs)
        found += [Finding("", "pairs", "info", 0.0, f"pairs of columns are {unpaired}")] if unpaired else []
    rank = {"alarm": 0, "warn": 1, "info": 2}
    return tuple(sorted(found, key=lambda f: (rank[f.severity], bool(f.column), -f.value, f.column)))


def _volume(window: WindowCounts) -> Iterator[Finding]:
    if not window.rows:
        yield Finding("", "volume", "warn", 0.0, "the window is empty: nothing was tested")
    elif window.rows < TINY:
        noun = "prediction" if window.rows == 1 else "predictions"
        text = f"the window has {window.rows} {noun}: only a very large change could be seen"
        yield Finding("", "volume", "warn", float(window.rows), text)


def _column(column: ColumnProfile, counts: ColumnCounts, *, date: bool) -> Iterator[Finding]:
    if counts.problem:
        gone = counts.problem == "the column is gone"
        yield Finding(column.name, "column gone" if gone else "type", "alarm", 1.0, counts.problem)
        return
    if counts.rows and counts.missing == counts.rows:
        known = column.missing == column.rows
        text = "every value is missing" + (", as in the reference" if known else "")
        by_chance = min(1.0, careful(column.missing) / max(column.rows, 1)) ** counts.rows >= _UNLIKELY
        yield Finding(column.name, "missing", "info" if known or by_chance else "alarm", 1.0, text)
        return
    yield from _missing(column, counts)
    if date:  # new ones are no news, and the rows of a day have one in common
        return
    yield from _values(column, counts)
    commonest = max(column.counts) / max(sum(column.counts), 1)
    if column.distinct > 1 and _distinct(counts) == 1 and commonest**counts.present < _UNLIKELY:
        text = f"one value only, in the reference {column.distinct:,}"
        yield Finding(column.name, "constant", "warn", 1.0, text)


def _missing(column: ColumnProfile, counts: ColumnCounts) -> Iterator[Finding]:
    share = counts.missing / counts.rows if counts.rows else 0.0
    before = column.missing / column.rows if column.rows else 0.0
    if share:
        rate = careful(column.missing) / max(column.rows, 1)
        much = share - before >= _MUCH and beyond_chance(counts.missing, counts.rows, rate)
        text = f"{rounded(share)} missing, in the reference {rounded(before)}"
        yield Finding(column.name, "missing", "warn" if much else "info", share, text)


def _values(column: ColumnProfile, counts: ColumnCounts) -> Iterator[Finding]:
    present = max(counts.present, 1)
    if counts.infinite:
        share = counts.infinite / present
        yield Finding(
            column.name,
            "infinite",
            "info" if column.infinite else "warn",
            share,
            f"{counts.infinite:,} infinite values",
        )
    outside = (counts.below + counts.above) / present
    if outside >= _NOTABLE and column.minimum is not None:
        text = (
            f"{rounded(outside)} outside the reference's range"
            f" {column.minimum:.4g} to {column.maximum:.4g}, up to {_furthest(column, counts):.4g}"
        )
        # Chance of a value beyond the largest of n: more than t / n with probability exp(-t); t = 14 on either side.
        rate = 28 / (column.rows - column.missing)
        much = outside >= _MUCH and beyond_chance(counts.below + counts.above, counts.present, rate)
        yield Finding(column.name, "range", "warn" if much else "info", outside, text)
    if counts.unseen and not column.bounded:
        share = counts.unseen / present
        examples = ", ".join(repr(name[:40]) for name, _ in counts.new[:3])
        text = f"{rounded(share)} in categories that the reference lacks, as {examples}"
        much = share >= _MUCH and beyond_chance(counts.unseen, counts.present, _unseen_rate(column))
        yield Finding(column.name, "unseen categories", "warn" if much else "info", share, text)
    elif counts.unseen and column.rows:
        text = f"unseen categories are not tested: the reference has more than {len(column.categories):,} categories"
        yield Finding(column.name, "unseen categories", "info", 0.0, text)


def _dates(profile: Profile, window: WindowCounts) -> Iterator[Finding]:
    """Yield, of each column of dates, how many values are none."""
    sources = {column.name: column for column in profile.columns}
    # Hours are missing where only a date is written; the others tell the same of one column.
    telling = {column.source: column for column in profile.derived or () if column.how in ("age", "weekday")}
    for name, column in telling.items():
        now, given, source = window.columns[column.name], window.columns[name], sources[name]
        wrong, present = now.missing - given.missing, max(given.present, 1)
        before, known = column.missing - source.missing, max(source.rows - source.missing, 1)
        if not now.problem and wrong:
            share = wrong / present
            far = share - before / known >= _MUCH and beyond_chance(wrong, present, careful(before) / known)
            text = f"{rounded(share)} are no dates as 2013-01-31, in the reference {rounded(before / known)}"
            yield Finding(name, "dates", "warn" if far else "info", share, text)


def _unseen_rate(column: ColumnProfile) -> float:
    """Return a careful bound of the share of new categories if nothing changed (Good 1953: that of the singletons)."""
    singletons = sum(1 for rows in column.counts[:-1] if rows == 1)
    return careful(singletons) / max(sum(column.counts), 1)


def careful(found: int) -> float:
    """Return a count that the true mean of a Poisson count hardly exceeds."""
    return found + 5 * math.sqrt(found + 1) + 10


def beyond_chance(found: int, rows: int, rate: float) -> bool:
    """Say whether so many of some rows are more than chance gives at a rate."""
    from scipy.special import pdtrc

    return bool(pdtrc(found - 1, rows * rate) < _UNLIKELY)


def _furthest(column: ColumnProfile, counts: ColumnCounts) -> float:
    assert column.minimum is not None
    assert column.maximum is not None
    low = column.minimum if counts.minimum is None else counts.minimum
    high = column.maximum if counts.maximum is None else counts.maximum
    return low if column.minimum - low > high - column.maximum else high


def _distinct(counts: ColumnCounts) -> int:
    """Return 1 where all values are one; else 2, which stands for more."""
    if counts.ordered:
        return 1 if counts.minimum == counts.maximum and not counts.infinite else 2
    if counts.unseen:
        return 2
    return min(2, int(np.count_nonzero(counts.counts)))


def rounded(share: float) -> str:
    """Return a share as a percentage of two digits."""
    return f"{100 * share:.2g} %" if share < 0.0995 else f"{100 * share:.0f} %"
