"""Small figures as SVG text: reference against window, and a metric over time.

Own SVG rather than a plotting library: a figure is a few kilobytes, needs no import, follows the page's text colour in
light and dark, and says in its title and description what it shows.
"""

from __future__ import annotations

import base64
import html
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from mlprod_nb.monitoring.bins import ColumnCounts
from mlprod_nb.monitoring.columns import Floats
from mlprod_nb.monitoring.profile import ColumnProfile
from mlprod_nb.monitoring.sections import day
from mlprod_nb.results import drawings, format_pair

if TYPE_CHECKING:
    from mlprod_nb.monitoring.calibration import Reliability
    from mlprod_nb.monitoring.trials import Estimation

REFERENCE_COLOUR, WINDOW_COLOUR = "#3f8fd2", "#e07b29"
WIDTH, HEIGHT = 460, 220
_LEFT, _RIGHT, _TOP, _BOTTOM = 48, 12, 44, 30
_BARS = 32
_CATEGORIES = 8
#: How far from a whole number the edges of whole numbers' bins may lie: the next lower float32 of a thousand.
_WHOLE = 1e-4
#: Part of a picture's range by which a bin's edge may lie below its value: it may be the next lower float32.
_HAIR = 1e-9


@dataclass(frozen=True)
class Figure:
    """One picture.

    Attributes:
        title: What it shows, in a few words.
        description: What there is to see, for those who do not see it.
        svg: The picture.
    """

    title: str
    description: str
    svg: str

    def _repr_html_(self) -> str:
        return f'<div style="color:var(--jp-ui-font-color1,currentColor)">{drawings.image(self.svg)}</div>'

    def _repr_markdown_(self) -> str:
        data = base64.b64encode(self.svg.encode()).decode()
        alt = f"{self.title}: {self.description}".replace("[", "(").replace("]", ")").replace("\n", " ")
        return f"![{alt}](data:image/svg+xml;base64,{data})"


@dataclass(frozen=True)
class Point:
    """A metric in one stretch of time, with its 95 % interval."""

    moment: datetime
    value: float
    lower: float
    upper: float
    rows: int


@dataclass(frozen=True)
class Bars:
    """Reference and window of one column, bar by bar, as shares of the rows.

    Attributes:
        names: The categories; empty for numbers.
        stops: Where the bars of numbers begin and end, one more than bars; empty for categories.
        reference: The reference's share in each bar.
        window: The window's share in each bar.
    """

    names: tuple[str, ...]
    stops: tuple[float, ...]
    reference: tuple[float, ...]
    window: tuple[float, ...]


def bars(column: ColumnProfile, window: ColumnCounts) -> Bars | None:
    """Return the shares that a figure of the column shows, or ``None`` where either side has no values."""
    if not sum(column.counts) or not window.counts.sum():
        return None
    if column.kind == "category":
        names, before, after = _categories(column, window)
        return Bars(tuple(names), (), tuple(before.tolist()), tuple(after.tolist()))
    edges = np.array(column.edges, dtype=np.float64)
    stops, _ = _bars(column, window, edges)
    heights = (_heights(np.asarray(counts), edges, stops) for counts in (column.counts, window.counts))
    return Bars((), tuple(stops.tolist()), *(tuple(shares.tolist()) for shares in heights))


def column_figure(column: ColumnProfile, window: ColumnCounts) -> Figure | None:
    """Return the reference and the window of one column side by side, or ``None`` where either has no values."""
    if not sum(column.counts) or not window.counts.sum():
        return None
    if column.kind == "category":
        return _category_figure(column, window)
    return _number_figure(column, window)


def over_time(metric: str, points: Sequence[Point], reference: float | None) -> Figure | None:
    """Return a metric over time with its 95 % band and the reference's value, or ``None`` for fewer than two points."""
    return lines(metric.replace("_", " "), points, Beside(reference, "in the reference"))


@dataclass(frozen=True)
class Beside:
    """What is drawn beside a line over time.

    Attributes:
        value: A level, drawn dashed; ``None``: none.
        name: What it is of: ``before``, or ``in the reference``.
        open_from: From which point on the line is dotted, since more is to come of these points; ``None``: nowhere.
        unit: The unit of the axis.
    """

    value: float | None
    name: str
    open_from: int | None = None
    unit: str = ""


def lines(name: str, points: Sequence[Point], beside: Beside) -> Figure | None:
    """Return a value over time with its 95 % band beside a level, or ``None`` for fewer than two points."""
    if len(points) < 2:
        return None
    reference = beside.value
    values = [v for p in points for v in (p.lower, p.upper)] + ([reference] if reference is not None else [])
    low, high = min(values), max(values)
    margin = (high - low) * 0.08 or 0.01
    bottom = max(low - margin, 0.0) if low >= 0 else low - margin  # no share is below 0
    start = points[0].moment.timestamp()
    span = points[-1].moment.timestamp() - start or 1.0
    x = _scaled(np.array([p.moment.timestamp() - start for p in points]), 0, span, _LEFT, WIDTH - _RIGHT)

    def height(numbers: Sequence[float]) -> Floats:
        return _scaled(np.array(numbers), bottom, high + margin, HEIGHT - _BOTTOM, _TOP)

    upper, lower = height([p.upper for p in points]), height([p.lower for p in points])
    band = _path(np.concatenate([x, x[::-1]]), np.concatenate([upper, lower[::-1]])) + "Z"
    y = height([p.value for p in points])
    known = len(points) if beside.open_from is None else beside.open_from
    parts = [
        f'<path d="{band}" fill="{WINDOW_COLOUR}" opacity=".25"/>',
        *([_line(x[:known], y[:known])] if known else []),
        *([_line(x[max(known - 1, 0) :], y[max(known - 1, 0) :], "2 4")] if known < len(points) else []),
        *_y_axis(bottom, high + margin, beside.unit),
        _text(_LEFT, HEIGHT - 10, day(points[0].moment)),
        _text(WIDTH - _RIGHT, HEIGHT - 10, day(points[-1].moment), "end"),
    ]
    if reference is not None:
        level = float(height([reference])[0])
        parts.append(
            f'<path d="M{_LEFT} {level:.1f}H{WIDTH - _RIGHT}" stroke="{REFERENCE_COLOUR}" stroke-width="2"'
            ' stroke-dasharray="5 4"/>'
        )
    text = f"from {points[0].value:.3g} at first to {points[-1].value:.3g} at last"
    text += f"; {reference:.3g} {beside.name}" if reference is not None else ""
    text += "; not complete where it is dotted" if known < len(points) else ""
    names = (
        beside.name.removeprefix("in the "),
        "window, 95 % band" + (", dotted: not complete" * (known < len(points))),
    )
    return _figure(f"{name} over time", text, parts, names)


def _line(x: Floats, y: Floats, dashes: str = "") -> str:
    dashed = f' stroke-dasharray="{dashes}"' if dashes else ""
    return f'<path d="{_path(x, y)}" fill="none" stroke="{WINDOW_COLOUR}" stroke-width="2"{dashed}/>'


def reliability(found: Reliability) -> Figure:
    """Return how often what was given a probability came true, with 95 % intervals."""
    bins = found.bins
    low = max(0.0, min(min(b.score, b.lower) for b in bins) - 0.02)
    high = min(1.0, max(max(b.score, b.upper) for b in bins) + 0.02)

    def across(values: Sequence[float]) -> Floats:
        return _scaled(np.array(values), low, high, _LEFT, WIDTH - _RIGHT)

    def height(values: Sequence[float]) -> Floats:
        return _scaled(np.array(values), low, high, HEIGHT - _BOTTOM, _TOP)

    x, shares = across([b.score for b in bins]), height([b.share for b in bins])
    ends = zip(x, height([b.lower for b in bins]), height([b.upper for b in bins]), strict=True)
    whiskers = "".join(f"M{a:.1f} {b:.1f}V{c:.1f}" for a, b, c in ends)
    parts = [
        f'<path d="M{_LEFT} {HEIGHT - _BOTTOM}L{WIDTH - _RIGHT} {_TOP}" stroke="{REFERENCE_COLOUR}" stroke-width="2"'
        ' stroke-dasharray="5 4"/>',
        f'<path d="{whiskers}" stroke="{WINDOW_COLOUR}" stroke-width="2" opacity=".5"/>',
        f'<path d="{_path(x, shares)}" fill="none" stroke="{WINDOW_COLOUR}" stroke-width="2"/>',
        *(_dot(a, b) for a, b in zip(x, shares, strict=True)),
        *_y_axis(100 * low, 100 * high, " %"),
        *(
            _text(float(across([value])[0]), HEIGHT - 10, f"{100 * value:.3g} % said", anchor)
            for value, anchor in ((low, "start"), ((low + high) / 2, "middle"), (high, "end"))
        ),
    ]
    text = f"how often what was given a probability came true; {found.statement}"
    return _figure(f"calibration, probability of {found.of}", text, parts, ("calibrated", "window, 95 % intervals"))


def trials(found: Estimation) -> Figure | None:
    """Return estimates with their bands beside what was realised, or ``None`` for fewer than two trials."""
    tried = found.trials
    if len(tried) < 2:
        return None
    values = [v for t in tried for v in (t.lower, t.upper, t.realised)]
    margin = (max(values) - min(values)) * 0.08 or 0.01
    low, high = min(values) - margin, max(values) + margin
    step = (WIDTH - _LEFT - _RIGHT) / len(tried)
    x, wide = _LEFT + step * (np.arange(len(tried)) + 0.5), min(step * 0.6, 26)

    def height(numbers: Sequence[float]) -> Floats:
        return _scaled(np.array(numbers), low, high, HEIGHT - _BOTTOM, _TOP)

    bands = zip(x, height([t.upper for t in tried]), height([t.lower for t in tried]), strict=True)
    parts = [
        *(
            f'<rect x="{a - wide / 2:.1f}" y="{b:.1f}" width="{wide:.1f}" height="{c - b:.1f}"'
            f' fill="{REFERENCE_COLOUR}" opacity=".45"/>'
            for a, b, c in bands
        ),
        *(_dot(a, b) for a, b in zip(x, height([t.realised for t in tried]), strict=True)),
        *_y_axis(low, high),
        _text(_LEFT, HEIGHT - 10, tried[0].since.strftime("%Y-%m-%d")),
        _text(WIDTH - _RIGHT, HEIGHT - 10, tried[-1].until.strftime("%Y-%m-%d"), "end"),
    ]
    inside = sum(t.inside for t in tried)
    text = f"each stretch whose labels have come: in {inside} of {len(tried)} what was realised lies in the band"
    name = found.metric.replace("_", " ")
    return _figure(f"{name}, estimated and realised", text, parts, ("95 % band", "realised"))


def _dot(x: float, y: float) -> str:
    return f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3.5" fill="{WINDOW_COLOUR}"/>'


def _number_figure(column: ColumnProfile, window: ColumnCounts) -> Figure:
    edges = np.array(column.edges, dtype=np.float64)
    stops, marks = _bars(column, window, edges)
    low, high = stops[0], stops[-1]
    before, after = (_heights(np.asarray(counts), edges, stops) for counts in (column.counts, window.counts))
    top = max(float(before.max()), float(after.max())) * 1.06 or 1.0
    x = _scaled(stops, low, high, _LEFT, WIDTH - _RIGHT)
    areas = [_steps(x, _scaled(shares, 0, top, HEIGHT - _BOTTOM, _TOP)) for shares in (before, after)]
    parts = [
        f'<path d="{areas[0]}" fill="{REFERENCE_COLOUR}" opacity=".45"/>',
        f'<path d="{areas[1]}" fill="none" stroke="{WINDOW_COLOUR}" stroke-width="2"/>',
        *_y_axis(0, 100 * top, " %"),
        *(
            _text(at, HEIGHT - 10, f"{mark:.4g}", "end" if mark == high else "middle")
            for mark, at in zip(marks, _scaled(marks, low, high, _LEFT, WIDTH - _RIGHT), strict=True)
        ),
    ]
    mean = (column.mean or 0.0) + window.total / max(window.present - window.infinite, 1)
    text = f"share of the rows by value; mean {column.mean or 0.0:.4g} in the reference, {mean:.4g} in the window"
    return _figure(column.name.strip("_"), text, parts)


def _bars(column: ColumnProfile, window: ColumnCounts, edges: Floats) -> tuple[Floats, Floats]:
    """Return where bars end, and which values are written below: a bar each for a few whole numbers, else 32."""
    whole = np.unique(np.round(edges))
    ends = [window.minimum, window.maximum, *whole[:1], *whole[-1:]]
    low, high = (np.floor(f(end for end in ends if end is not None)) for f in (min, max))
    if np.abs(edges - np.round(edges)).max() < _WHOLE and high - low < _BARS:
        values = np.arange(low, high + 1)
        return np.append(values - 0.5, high + 0.5), values[:: -(-len(values) // 8)]
    low, high = _view(column, window, edges)
    stops = np.linspace(low, high, _BARS + 1)
    return stops, stops[::8]


def _view(column: ColumnProfile, window: ColumnCounts, edges: Floats) -> tuple[float, float]:
    """Choose the range to show: the middle 98 % of both, and half a bar on either side where values could be."""
    ends = []
    for counts in (np.asarray(column.counts), window.counts):
        reached = np.cumsum(counts) / counts.sum()
        ends.append([edges[min(int(np.searchsorted(reached, level)), len(edges) - 1)] for level in (0.01, 0.99)])
    low, high = min(e[0] for e in ends), max(e[1] for e in ends)
    if window.maximum is not None and window.counts[-1] > 0.01 * window.counts.sum():
        high = max(high, window.maximum)
    if window.minimum is not None and window.counts[0] > 0.01 * window.counts.sum():
        low = min(low, window.minimum)
    margin = (high - low) / (2 * _BARS) or 0.5
    known = [end for end in (edges[0], edges[-1], window.minimum, window.maximum) if end is not None]
    if min(known) < -_HAIR * (high - low):
        return low - margin, high + margin
    return max(low - margin, 0.0), high + margin if max(known) > 1 else min(high + margin, 1.0)


def _heights(counts: NDArray[np.int64], edges: Floats, stops: Floats) -> Floats:
    """Return the share of the rows between neighbouring stops, values taken as even inside a bin."""
    reached = np.cumsum(counts)[:-1] / counts.sum()
    first, last = min(stops[0], edges[0]) - 1e-9, max(stops[-1], edges[-1]) + 1e-9
    at = np.interp(stops, np.concatenate([[first], edges, [last]]), np.concatenate([[0.0], reached, [1.0]]))
    if stops[0] <= edges[0] + _HAIR * (stops[-1] - stops[0]):
        at[0] = 0.0  # the lowest value is in the first bar, also where the bar begins with it
    return np.diff(at)


def _categories(column: ColumnProfile, window: ColumnCounts) -> tuple[list[str], Floats, Floats]:
    """Return the categories whose shares changed most, commonest in the reference first, and their shares."""
    before = np.asarray(column.counts) / sum(column.counts)
    after = window.counts / window.counts.sum()
    changed = np.argsort(-np.abs(after - before), kind="stable")[:_CATEGORIES]
    changed = changed[np.maximum(before, after)[changed] > 0]
    chosen = changed[np.argsort(-before[changed], kind="stable")]
    names = [column.categories[i] if i < len(column.categories) else "all others" for i in chosen]
    return names, before[chosen], after[chosen]


def _category_figure(column: ColumnProfile, window: ColumnCounts) -> Figure:
    names, before, after = _categories(column, window)
    top = float(max(before.max(), after.max()))
    left, row = 120, (HEIGHT - _TOP - 8) / len(names)
    thick = min(row * 0.38, 14)
    parts = []
    for place, (name, one, other) in enumerate(zip(names, before, after, strict=True)):
        y = _TOP + row * place + row / 2
        for share, colour, offset in ((one, REFERENCE_COLOUR, -thick), (other, WINDOW_COLOUR, 0.0)):
            width = (WIDTH - left - 96) * share / top
            parts.append(
                f'<rect x="{left}" y="{y + offset:.1f}" width="{width:.1f}" height="{thick:.1f}" fill="{colour}"/>'
            )
        parts.append(_text(left - 6, y + 4, name if len(name) <= 18 else name[:17] + "…", "end"))
        parts.append(_text(WIDTH - 2, y + 4, f"{format_pair(100 * one, '→', 100 * other)} %", "end"))
    most = int(np.argmax(np.abs(after - before)))
    text = f"the categories whose share of the rows changed most; {names[most]} {100 * before[most]:.3g} % in the"
    text += f" reference, {100 * after[most]:.3g} % in the window"
    return _figure(column.name.strip("_"), text, parts)


def _figure(
    title: str, description: str, parts: Sequence[str], names: tuple[str, str] = ("reference", "window")
) -> Figure:
    legend = [
        _text(8, 16, title, weight="600"),
        f'<rect x="8" y="26" width="10" height="10" fill="{REFERENCE_COLOUR}"/>',
        _text(23, 35, names[0]),
        f'<rect x="96" y="26" width="10" height="10" fill="{WINDOW_COLOUR}"/>',
        _text(111, 35, names[1]),
    ]
    safe_title, safe_text = html.escape(title), html.escape(description)
    svg = (
        f'<svg xmlns="http://www.w3.org/2000/svg" role="img" aria-label="{safe_title}: {safe_text}"'
        f' viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" height="{HEIGHT}" style="max-width:100%;height:auto"'
        f' font-family="system-ui,sans-serif" font-size="11" fill="currentColor">'
        f"<title>{safe_title}</title><desc>{safe_text}</desc>{''.join([*legend, *parts])}</svg>"
    )
    return Figure(title, description, svg)


def _y_axis(low: float, high: float, unit: str = "") -> list[str]:
    parts = [
        f'<path d="M{_LEFT} {HEIGHT - _BOTTOM}H{WIDTH - _RIGHT}" stroke="currentColor" opacity=".4"/>',
    ]
    for value in (low, (low + high) / 2, high):
        y = float(_scaled(np.array([value]), low, high, HEIGHT - _BOTTOM, _TOP)[0])
        parts.append(_text(_LEFT - 5, y + 4, f"{value:.2g}{unit}", "end"))
    return parts


def _scaled(values: Floats, low: float, high: float, first: float, last: float) -> Floats:
    """Map values from one range to another."""
    moved: Floats = first + (values - low) / (high - low) * (last - first)
    return moved


def _path(x: Floats, y: Floats) -> str:
    return "M" + "L".join(f"{a:.1f} {b:.1f}" for a, b in zip(x, y, strict=True))


def _steps(stops: Floats, tops: Floats) -> str:
    base = HEIGHT - _BOTTOM
    inner = "".join(f"V{top:.1f}H{stop:.1f}" for top, stop in zip(tops, stops[1:], strict=True))
    return f"M{stops[0]:.1f} {base}{inner}V{base}"


def _text(x: float, y: float, text: str, anchor: str = "start", weight: str = "") -> str:
    bold = f' font-weight="{weight}"' if weight else ""
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}"{bold}>{html.escape(text)}</text>'
