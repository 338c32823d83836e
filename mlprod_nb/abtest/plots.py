"""Pictures of an A/B test as self-contained SVG text, for pages in light and in dark.

Lines and letters take the page's own colour (``currentColor``); two colours are fixed, and neither carries a meaning
that a word or a position does not carry too.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import datetime
from html import escape

from mlprod_nb.abtest.results import ABTestResult, LookPoint, MetricLift
from mlprod_nb.results import format_interval

_BETTER, _WORSE = "#2f81d6", "#d9731a"
_WIDTH, _LEFT, _RIGHT = 680, 70, 16


def sequence_svg(result: ABTestResult) -> str:
    """Draw the primary metric's difference over event time with its band; empty where there is no interval yet."""
    points, lift = result.path, result.metrics[0]
    if not points:
        return ""
    height, top, bottom = 260, 34, 214
    low = min(0.0, *(point.lower for point in points[1:] or points))
    high = max(0.0, *(point.upper for point in points[1:] or points))
    ticks = _ticks(low, high)
    scale = _Scale(ticks[0], ticks[-1], bottom, top)
    times = _time_positions([point.time for point in points])
    parts = [
        f'<line x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{scale(tick)}" y2="{scale(tick)}" stroke="currentColor" '
        f'stroke-opacity="{0.9 if tick == 0 else 0.15}"/>'
        + _text(_LEFT - 8, scale(tick) + 4, f"{tick:+g}" if tick else "0", "end")
        for tick in ticks
    ]
    parts.append(_band(points, times, scale))
    for at, anchor in ((0, "start"), (-1, "end")) if len(points) > 1 else ((0, "middle"),):
        parts.append(_text(times[at], bottom + 20, f"{points[at].time:%Y-%m-%d %H:%M}", anchor))
    parts.append(
        _text(_LEFT, 20, f"{lift.metric}: {lift.arm or 'treatment'} minus control, {_aim(lift)}", "start", bold=True)
    )
    level = f"{100 * lift.confidence:g} % interval as it stood at each moment; the last one decides"
    parts.append(_text(_LEFT, bottom + 38, level, "start"))
    last = points[-1]
    description = (
        f"{len(points)} moments; at the last one the difference is {last.difference:+.4g}, "
        f"interval {format_interval(last.lower, last.upper, digits=4, signed=True)}."
    )
    return _svg(height, f"Difference in {lift.metric} over time", description, parts)


def intervals_svg(result: ABTestResult) -> str:
    """Draw every metric's interval against 0, each on its own scale; empty where no metric has one."""
    lifts = [lift for lift in result.metrics if lift.difference_lower is not None]
    if not lifts:
        return ""
    height = 44 + 44 * len(lifts)
    middle, reach = 330, 110
    parts = [
        f'<line x1="{middle}" x2="{middle}" y1="30" y2="{height - 8}" stroke="currentColor" stroke-opacity="0.9"/>',
        _text(middle, 20, "no difference", "middle"),
    ]
    for row, lift in enumerate(lifts):
        parts.append(_interval_row(lift, 58 + 44 * row, middle, reach))
    told = "; ".join(f"{lift.metric} {_numbers(lift)}" for lift in lifts)
    return _svg(height, "Intervals of the metrics' differences", f"{told}.", parts)


def _interval_row(lift: MetricLift, y: int, middle: int, reach: int) -> str:
    assert lift.difference is not None
    assert lift.difference_lower is not None
    assert lift.difference_upper is not None
    largest = max(abs(lift.difference_lower), abs(lift.difference_upper)) or 1.0
    x0, x, x1 = (
        round(middle + reach * value / largest, 1)
        for value in (lift.difference_lower, lift.difference, lift.difference_upper)
    )
    colour, word = _judge(lift)
    return (
        _text(8, y - 4, lift.metric, "start", bold=True)
        + _text(8, y + 12, f"{lift.role}, {_aim(lift)}", "start", soft=True)
        + f'<line x1="{x0}" x2="{x1}" y1="{y}" y2="{y}" stroke="{colour}" stroke-width="5" stroke-linecap="round"/>'
        f'<circle cx="{x}" cy="{y}" r="6" fill="{colour}"/>'
        + _text(456, y - 4, _numbers(lift), "start")
        + _text(456, y + 12, word, "start", soft=True)
    )


def _judge(lift: MetricLift) -> tuple[str, str]:
    if not lift.significant or lift.difference is None:
        return "currentColor", "no certain difference"
    if lift.better == "same":
        return _WORSE, "moved"
    gain = (lift.difference > 0) == (lift.better == "higher")
    return (_BETTER, "better") if gain else (_WORSE, "worse")


def _aim(lift: MetricLift) -> str:
    return "should not move" if lift.better == "same" else f"{lift.better} is better"


def _numbers(lift: MetricLift) -> str:
    assert lift.difference_lower is not None
    assert lift.difference_upper is not None
    return f"{lift.difference:+.3g} ({format_interval(lift.difference_lower, lift.difference_upper, signed=True)})"


class _Scale:
    """Maps values to pixels, clipped to the picture."""

    def __init__(self, low: float, high: float, bottom: float, top: float) -> None:
        self._low, self._span, self._bottom, self._top = low, high - low, bottom, top

    def __call__(self, value: float) -> float:
        share = min(1.0, max(0.0, (value - self._low) / self._span))
        return round(self._bottom - share * (self._bottom - self._top), 1)


def _band(points: Sequence[LookPoint], times: list[float], scale: _Scale) -> str:
    upper = [f"{x},{scale(point.upper)}" for x, point in zip(times, points, strict=True)]
    lower = [f"{x},{scale(point.lower)}" for x, point in zip(times, points, strict=True)]
    middle = [f"{x},{scale(point.difference)}" for x, point in zip(times, points, strict=True)]
    dots = "".join(
        f'<circle cx="{x}" cy="{scale(point.difference)}" r="2.5" fill="{_BETTER}"/>'
        for x, point in zip(times, points, strict=True)
    )
    if len(points) == 1:
        return f'<polyline points="{lower[0]} {upper[0]}" stroke="{_BETTER}" stroke-width="3"/>{dots}'
    return (
        f'<polygon points="{" ".join(upper + lower[::-1])}" fill="{_BETTER}" fill-opacity="0.18"/>'
        f'<polyline points="{" ".join(middle)}" fill="none" stroke="{_BETTER}" stroke-width="2"/>{dots}'
    )


def _time_positions(times: Sequence[datetime]) -> list[float]:
    width = _WIDTH - _RIGHT - _LEFT
    span = (times[-1] - times[0]).total_seconds()
    if span <= 0:
        return [_LEFT + width / 2 for _ in times]
    return [round(_LEFT + width * (moment - times[0]).total_seconds() / span, 1) for moment in times]


def _ticks(low: float, high: float) -> list[float]:
    """Return 4 to 8 round numbers that cover the range, 0 among them."""
    span = (high - low) or 1.0
    step = 10.0 ** math.floor(math.log10(span / 4))
    step *= next(factor for factor in (1, 2, 5, 10) if span / (step * factor) <= 6)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [round(k * step, 12) for k in range(first, max(last, first + 1) + 1)]


def _text(x: float, y: float, words: str, anchor: str, *, bold: bool = False, soft: bool = False) -> str:
    look = (' font-weight="600"' if bold else "") + (' fill-opacity="0.7"' if soft else "")
    return f'<text x="{x}" y="{y}" text-anchor="{anchor}"{look}>{escape(words)}</text>'


def _svg(height: int, title: str, description: str, parts: Sequence[str]) -> str:
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" role="img" '
        f'style="max-width:{_WIDTH}px;width:100%;height:auto" font-family="system-ui,sans-serif" font-size="12" '
        f'fill="currentColor"><title>{escape(title)}</title><desc>{escape(description)}</desc>{"".join(parts)}</svg>'
    )
