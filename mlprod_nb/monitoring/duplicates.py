"""What is there twice: columns that became equal, and rows that repeat an earlier one.

Which columns may be equal is read from counts, which costs nothing; only then are some rows read to be sure. Rows are
compared on equal numbers of them, chosen by chance on both sides, since more rows repeat more often.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Hashable, Iterator, Mapping
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mlprod_nb.monitoring.bins import ColumnCounts, WindowCounts
from mlprod_nb.monitoring.columns import to_codes, to_numbers
from mlprod_nb.monitoring.profile import ColumnProfile, Profile
from mlprod_nb.monitoring.quality import beyond_chance, careful, rounded
from mlprod_nb.monitoring.rows import Finding

Rows = Mapping[str, Any]
MAX_ROWS = 5_000
_FEWEST = 20
_MUCH = 0.01
_CLOSE = 1e-6
_SHAPE = ("missing", "counts", "edges", "categories")


def columns(profile: Profile, window: WindowCounts, read: Callable[[], Rows]) -> Iterator[Finding]:
    """Yield each pair of columns that are equal in the window's rows and were not in the reference.

    Args:
        profile: The reference.
        window: The window's counts.
        read: Gives some of the window's rows by column; called only where counts are equal.
    """
    alike = list(_alike(profile, window))
    rows = read() if alike else {}
    for first, second in alike:
        if first.name in rows and second.name in rows and _equal(first, rows[first.name], rows[second.name]):
            text = f"equal to {first.name!r} in all rows looked at, in the reference not"
            yield Finding(second.name, "duplicated column", "warn", 1.0, text)


def rows(profile: Profile, window: Rows, reference: Rows) -> Iterator[Finding]:
    """Compare how many rows of the window and of the reference sample repeat an earlier one.

    It is worth a look where the reference's rows hardly ever do. Where they do by nature, as rows of few values, a
    short window has more of them by nature, too, and that is only mentioned.

    Args:
        profile: The reference.
        window: Some of the window's rows by column.
        reference: The reference sample by column.
    """
    shared = [column for column in profile.columns if column.name in window and column.name in reference]
    sides = [_codes(shared, side) for side in (window, reference)]
    if any(side is None for side in sides):
        return
    count = min(MAX_ROWS, *(len(side) for side in sides if side is not None))
    if len(shared) < 2 or count < _FEWEST:
        return
    found, before = (_repeats(side, count) for side in sides if side is not None)
    share, known = found / count, before / count
    if share - known >= _MUCH and beyond_chance(found, count, careful(before) / count):
        text = f"{rounded(share)} of {count:,} rows repeat an earlier one, in the reference {rounded(known)}"
        yield Finding("", "duplicated rows", "warn" if known < _MUCH else "info", share, text)


def _alike(profile: Profile, window: WindowCounts) -> Iterator[tuple[ColumnProfile, ColumnProfile]]:
    """Yield the pairs of columns whose counts are those of equal columns, and were not in the reference."""
    groups: defaultdict[Hashable, list[ColumnProfile]] = defaultdict(list)
    for column in profile.columns:
        key = _key(column, window.columns[column.name])
        if key is not None:
            groups[key].append(column)
    for group in groups.values():
        for first, second in combinations(group, 2):
            same = all(getattr(first, part) == getattr(second, part) for part in _SHAPE)
            if not same and _same_mean(first, second, window):
                yield first, second


def _key(column: ColumnProfile, counts: ColumnCounts) -> Hashable | None:
    """Return what equal columns have in common; ``None`` for a column that says nothing."""
    if counts.problem or counts.present < _FEWEST:
        return None
    if column.kind == "number":
        varies = counts.minimum != counts.maximum
        return ("number", counts.missing, counts.infinite, counts.minimum, counts.maximum) if varies else None
    found = dict(zip(column.categories, counts.counts.tolist(), strict=False)) | dict(counts.new)
    known = frozenset((name, rows) for name, rows in found.items() if rows)
    return ("category", counts.missing, known) if len(known) > 1 else None


def _same_mean(first: ColumnProfile, second: ColumnProfile, window: WindowCounts) -> bool:
    if first.kind != "number":
        return True
    one, other = window.columns[first.name], window.columns[second.name]
    finite = max(one.present - one.infinite, 1)
    gap = abs((first.mean or 0.0) + one.total / finite - (second.mean or 0.0) - other.total / finite)
    return gap <= _CLOSE * ((one.maximum or 0.0) - (one.minimum or 0.0))


def _equal(column: ColumnProfile, first: Any, second: Any) -> bool:
    if column.kind == "number":
        return np.array_equal(to_numbers(first), to_numbers(second), equal_nan=True)
    one, other = to_codes(first), to_codes(second)
    names = [np.array([*side.names, ""], dtype=object)[side.codes] for side in (one, other)]
    return np.array_equal(one.codes < 0, other.codes < 0) and bool((names[0] == names[1]).all())


def _codes(shared: list[ColumnProfile], side: Rows) -> NDArray[np.int64] | None:
    """Return rows as whole numbers, equal where values are, shape ``(rows, columns)``; ``None`` where unreadable."""
    try:
        made = [
            np.unique(to_numbers(side[column.name]), return_inverse=True)[1]
            if column.kind == "number"
            else to_codes(side[column.name]).codes
            for column in shared
        ]
    except ValueError:
        return None
    return np.stack(made, axis=1).astype(np.int64) if made else None


def _repeats(side: NDArray[np.int64], count: int) -> int:
    chosen = np.sort(np.random.default_rng(0).permutation(len(side))[:count])
    return count - len(np.unique(side[chosen], axis=0))
