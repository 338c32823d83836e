"""What each panel shows in tests: everything that it can show, and names that are hostile."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from mlprod_nb.lifecycle.panels.traffic import Choice, Earlier, Part, TrafficView
from mlprod_nb.widgets import traffic

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


def sample(name: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return a panel's state and message."""
    match name:
        case "traffic":
            return traffic.view(a_traffic()), {}
    raise AssertionError(name)
