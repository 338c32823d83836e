"""A result's sections as text: for a pipe as they are, for a terminal no wider than it is.

Words stay whole, and so does a line to run: both are there to be copied.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence
from itertools import zip_longest
from typing import TYPE_CHECKING

from mlprod_nb.results.values import format_value

if TYPE_CHECKING:
    from mlprod_nb.results import Section

#: Characters of the widest cell of a table, and of one that is made narrower for a terminal.
_WIDEST, _NARROWEST = 60, 8
_GAP = "  "


def section(shown: Section, width: int | None = None) -> str:
    """Return a section as text.

    Args:
        shown: The section.
        width: Characters of a terminal's line; ``None``: as many as it takes. A table that cannot be made so narrow is
            shown row by row, each as facts.
    """
    cells = [[format_value(value) for value in row] for row in shown.rows]
    if shown.columns:
        lines = _table([_head(shown), *cells], width) or _rows(_head(shown), cells, width)
    else:
        lines = list(_facts(cells, width))
    name, bracket, remark = shown.title.partition(" (")
    title = paragraph(name.upper() + bracket + remark, width) if shown.title else ""
    return "\n".join(([title] if title else []) + lines)


def paragraph(text: str, width: int | None) -> str:
    """Return a text whose lines are broken between words; as it is without a width."""
    return text if width is None else "\n".join(_broken(text, width))


def _head(shown: Section) -> list[str]:
    return [column.replace("_", " ") for column in shown.columns]


def _table(rows: Sequence[Sequence[str]], width: int | None) -> list[str]:
    """Return a table's lines, its cells as wide as the line allows; nothing where they would be too narrow."""
    for widest in range(_WIDEST, _NARROWEST - 1, -2):
        broken = [[_broken(cell, widest) for cell in row] for row in rows]
        widths = [max(len(line) for row in broken for line in row[i]) for i in range(len(broken[0]))]
        if width is None or sum(widths) + len(_GAP) * (len(widths) - 1) <= width:
            return _laid_out(broken, widths)
    return []


def _laid_out(broken: Sequence[Sequence[list[str]]], widths: Sequence[int]) -> list[str]:
    return [
        _GAP.join(part.ljust(size) for part, size in zip(parts, widths, strict=True)).rstrip()
        for row in broken
        for parts in zip_longest(*row, fillvalue="")
    ]


def _rows(head: Sequence[str], cells: Sequence[Sequence[str]], width: int | None) -> list[str]:
    lines: list[str] = []
    for row in cells:
        said = [(name, cell) for name, cell in zip(head, row, strict=True) if cell]
        lines += ([""] if lines else []) + list(_facts(said, width))
    return lines


def _facts(rows: Sequence[Sequence[str]], width: int | None) -> Iterator[str]:
    """Give a line for each fact; where it is broken, the rest stands below its beginning."""
    names = max((len(name) for name, *_ in rows), default=0)
    room = None if width is None else max(width - names - len(_GAP), 2 * _NARROWEST)
    broken = [[[cell] if room is None or not i else _broken(cell, room) for i, cell in enumerate(row)] for row in rows]
    widths = [max(len(line) for row in broken for line in row[i]) for i in range(len(broken[0]))] if broken else []
    yield from _laid_out(broken, widths)


def _broken(cell: str, width: int) -> list[str]:
    if cell.startswith(("%", "mlprod ")):
        return [cell]
    wrapped = [textwrap.wrap(line, width, break_on_hyphens=False, break_long_words=False) for line in cell.split("\n")]
    return [part for line in wrapped for part in (line or [""])]
