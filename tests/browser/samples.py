"""What each panel shows in tests: everything that it can show, and names that are hostile."""

from __future__ import annotations

import math
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from mlprod_nb.lifecycle.panels.live import LiveRow, LiveView, Now, Sample, Samples, VariantCount
from mlprod_nb.lifecycle.panels.recent import Recent, Truth
from mlprod_nb.lifecycle.panels.traffic import Choice, Earlier, Part, TrafficView
from mlprod_nb.monitoring.plots import Bars
from mlprod_nb.widgets import live, traffic

HOSTILE = "<img src=x onerror=window.hit=1>"


def now() -> datetime:
    return datetime.now(UTC)


def a_traffic() -> TrafficView:
    return TrafficView(
        "flights",
        4,
        "tailnum",
        (
            Part("champion", "flights/1", 50.0, False, ""),
            Part("challenger", "flights/2", 40.0, False, "flights/5"),
            Part(HOSTILE, "flights/3", 10.0, False, ""),
            Part("canary", "flights/4", 0.0, True, ""),
        ),
        (Choice("next", "flights/6"), Choice("flights/7", "flights/7")),
        (
            Earlier(
                4, now() - timedelta(minutes=5), "ada", "champion flights/1 50 %, challenger flights/2 50 %", "a < b"
            ),
            Earlier(3, now() - timedelta(days=2), HOSTILE, "champion flights/1 100 %", ""),
        ),
    )


def a_live() -> LiveView:
    bars = Bars((), tuple(i / 10 for i in range(11)), (0.2, 0.3, 0.2, 0.1, 0.1, 0.1, 0, 0, 0, 0), (0.1,) * 10)
    truths = (
        Truth("reference", "accuracy", 0.78, 0.77, 0.79, 9_000),
        Truth("champion", "accuracy", 0.741, 0.72, 0.76, 1_800),
        Truth(HOSTILE, "accuracy", 0.75, 0.73, 0.77, 1_700),
    )
    rows = (
        LiveRow("champion", 120_000, 0, 1.4, 3.2, 9.1, 12.0),
        LiveRow(HOSTILE, 118_000, 14, 1.6, 4.4, 1_240.0, 12.1),
    )
    return LiveView("flights", 4, now(), 238_000, 14, rows, Recent(5_000, 3_500, "flights/1", bars, truths))


def a_watch(seconds: int = 100) -> Now:
    samples, begun = Samples(), now()
    for i in range(seconds):
        buckets = ((0.001, 40.0 * i), (0.0025, 90.0 * i), (0.01, 100.0 * i + i**1.2), (math.inf, 101.0 * i + i**1.2))
        counts = VariantCount(101.0 * i + i**1.2, 1_200.0 * i, 0.0, buckets)
        fewer = replace(counts, requests=60.0 * i + 20 * math.sin(i / 6), errors=0.2 * i)
        both = {"champion": counts, HOSTILE: fewer}
        samples.add(Sample(begun + timedelta(seconds=i), 200.0 * i, 0.2 * i, both))
    names = ("champion", HOSTILE)
    return Now(begun, "", names, samples.last(names, 5), tuple(samples.stretches(names)), a_live().recent)


def sample(name: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return a panel's state, and its other traits where it has any."""
    match name:
        case "traffic":
            return traffic.view(a_traffic()), {}
        case "live":
            return live.view(a_live()), {"live": live.moving(a_watch())}
    raise AssertionError(name)
