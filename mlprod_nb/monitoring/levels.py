"""Which rows of many are taken: each row has a level by chance, and a larger window needs only the higher levels.

Level 0 is three rows of four, level 1 three of four of the others, and so on: the random end of a row's id says it. A
window of up to 40,000 rows is the sum of all levels, one of up to 160,000 of those from 1 on, and so on.

Guarantee: the rows that are taken depend on which rows a window has, and never on the files or segments that hold them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import pyarrow as pa

Levels = NDArray[np.uint8]
#: Of a window with more rows a quarter is taken, of one with four times as many a quarter of these, and so on.
MAX_ROWS = 40_000
LEVELS = 4


def levels_of(ids: pa.ChunkedArray) -> Levels:
    """Return the level of each row: how often four divides the number that the last two digits of its id are.

    The end of an id is random, as hexadecimal digits.
    """
    found = [_levels_of(chunk) for chunk in ids.chunks]
    return np.concatenate(found) if found else np.zeros(0, dtype=np.uint8)


def levels_by_place(rows: int) -> Levels:
    """Return a level for each row where there are no ids: how often four divides its place."""
    places = np.arange(rows)
    return sum((places % 4**level == 0 for level in range(1, LEVELS)), np.zeros(rows, dtype=np.uint8))


def lowest_level(rows: int) -> int:
    """Return the lowest level that counts in a window of so many rows."""
    return next((level for level in range(LEVELS - 1) if rows <= MAX_ROWS * 4**level), LEVELS - 1)


def _levels_of(ids: pa.Array) -> Levels:
    if not len(ids):
        return np.zeros(0, dtype=np.uint8)
    offsets = np.frombuffer(ids.buffers()[1], dtype=np.int32)[ids.offset : ids.offset + len(ids) + 1]
    letters = np.frombuffer(ids.buffers()[2] or b"\0", dtype=np.uint8)
    ends, lengths = offsets[1:], np.diff(offsets)
    width = int(lengths[0])
    if width >= 2 and (lengths == width).all():  # as all of ours are
        table = letters[offsets[0] : offsets[-1]].reshape(-1, width)
        same: Levels = _LEVEL_OF[16 * _DIGITS[table[:, -2]] + _DIGITS[table[:, -1]]]
        return same
    last, before = (_DIGITS[np.where(lengths >= back, letters[np.maximum(ends - back, 0)], 0)] for back in (1, 2))
    found: Levels = _LEVEL_OF[16 * before + last]
    return found


def _digit(letter: int) -> int:
    return letter - ord("0") if letter <= ord("9") else letter + 10 - ord("a")


_DIGITS = np.array([_digit(letter) % 16 for letter in range(256)], dtype=np.uint8)
_LEVEL_OF = levels_by_place(256)
