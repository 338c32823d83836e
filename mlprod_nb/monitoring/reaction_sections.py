"""How what users did is shown: the series, by variant, over time; and what a verdict says of it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from mlprod_nb.monitoring import plots
from mlprod_nb.monitoring.plots import Figure
from mlprod_nb.monitoring.reactions import Reaction, Reactions, ReactionStretch
from mlprod_nb.monitoring.sections import SHOWN, day, short
from mlprod_nb.results import Section, counted, duration, format_interval, percent

TITLE = "interactions and rewards"
_SIDE_BY_SIDE = 4


def warning(found: Reactions) -> str:
    """Return what a verdict says of what users do less; empty where there is nothing."""
    less = [row for row in found.rows if row.less]
    if not less:
        return ""
    first = less[0]
    now, before = shown(first.kind, first.value), shown(first.kind, first.before or 0.0)
    more = f", and {counted(len(less) - 1, 'more series')} fell" if len(less) > 1 else ""
    return f"{first.title} fell from {before} to {now} {_EACH[first.kind]}{more}"


_EACH = {"interaction": "of the predictions", "reward": "a prediction"}


def sections(found: Reactions | None) -> list[Section]:
    """Return the tables."""
    rows = () if found is None else found.rows
    others = f" (beside {counted(found.others, 'rarer name')})" if found is not None and found.others else ""
    table = tuple(
        (
            row.title,
            "" if row.p_value is None else ("✗ less" if row.less else "✓ no less"),
            None if row.before is None else shown(row.kind, row.before),
            shown(row.kind, row.value) + ("" if row.complete else " so far"),
            _interval(row.kind, row.lower, row.upper),
            row.rows,
            duration(row.wait_s),
            short(row.p_value_corrected, 2),
        )
        for row in rows
    )
    head = ("name", "judgement", "before", "window", "95 % interval", "predictions", "99 % within", "p, corrected")
    return [Section(TITLE + others, head, table), _by_variant(rows), _over_time(rows[:_SIDE_BY_SIDE])]


def figures(found: Reactions | None) -> tuple[Figure, ...]:
    """Return the first series over the window's time, each beside its value before."""
    drawn = [_figure(row) for row in (found.rows[:_SIDE_BY_SIDE] if found is not None else ())]
    return tuple(figure for figure in drawn if figure is not None)


def _figure(row: Reaction) -> Figure | None:
    size, unit = (100.0, " %") if row.kind == "interaction" else (1.0, "")
    window = [one for one in row.stretches if one.in_window]
    ends = [[end if math.isfinite(end) else one.value for end in (one.lower, one.upper)] for one in window]
    points = [
        plots.Point(one.since, size * one.value, size * low, size * high, one.rows)
        for one, (low, high) in zip(window, ends, strict=True)
    ]
    still = next((place for place, one in enumerate(window) if not one.complete), None)
    before = None if row.before is None else size * row.before
    return plots.lines(row.title, points, plots.Beside(before, "before", still, unit))


def shown(kind: str, value: float) -> str:
    """Return a share, or a mean reward, as a reader wants it."""
    return percent(value) if kind == "interaction" else f"{value:.3g}"


def _by_variant(rows: Sequence[Reaction]) -> Section:
    table = tuple(
        (row.title, one.variant, shown(row.kind, one.value), _interval(row.kind, one.lower, one.upper), one.rows)
        for row in rows
        if len(row.variants) > 1
        for one in row.variants
    )
    more = f" (first {SHOWN} of {len(table)})" if len(table) > SHOWN else ""
    head = ("name", "variant", "window", "95 % interval", "predictions")
    return Section(f"{TITLE} by variant{more}", head, table[:SHOWN])


def _over_time(rows: Sequence[Reaction]) -> Section:
    """Return the window's stretches, the first series side by side."""
    columns = [[one for one in row.stretches if one.in_window] for row in rows]
    table: list[tuple[Any, ...]] = []
    for stretches in zip(*columns, strict=True):
        since, until, number = stretches[0].since, stretches[0].until, stretches[0].rows
        cells = (_cell(row.kind, one) for row, one in zip(rows, stretches, strict=True))
        table.append((f"{day(since)} to {day(until)}", number, *cells))
    head = ("predictions of", "number", *(row.title for row in rows))
    return Section(f"{TITLE} over time", head, tuple(table))


def _cell(kind: str, one: ReactionStretch) -> str:
    interval = _interval(kind, one.lower, one.upper)
    text = shown(kind, one.value) + (f" ({interval})" if interval else "")
    return text if one.complete else f"{text}, not complete"


def _interval(kind: str, lower: float, upper: float) -> str | None:
    if not math.isfinite(upper):
        return None
    if kind == "interaction":
        return f"{percent(lower).removesuffix(' %')} to {percent(upper)}"
    return format_interval(lower, upper)
