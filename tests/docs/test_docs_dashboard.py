"""The Grafana dashboard asks for metrics that the gateway has, by labels that they have, and for all of them."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from mlprod_nb.serving.telemetry.metrics import Telemetry

DOCS = Path(__file__).parents[2] / "docs"
DASHBOARD = json.loads((DOCS / "grafana-dashboard.json").read_text(encoding="utf-8"))
_SERIES = re.compile(r"\b((?:mlprod|process)_\w+)(?:\{([^}]*)\})?")
_BY = re.compile(r"by \(([^)]*)\)")
_NOT_SHOWN = {"process_start_time_seconds", "process_virtual_memory_bytes"}


def expressions() -> list[str]:
    found = [target["expr"] for panel in DASHBOARD["panels"] for target in panel.get("targets", ())]
    found += [each["query"]["query"] for each in DASHBOARD["templating"]["list"] if isinstance(each["query"], dict)]
    return found + [each["expr"] for each in DASHBOARD["annotations"]["list"]]


@pytest.fixture(scope="module")
def labels() -> dict[str, set[str]]:
    """Return the labels of each series that a gateway can expose."""
    telemetry = Telemetry()
    telemetry.watch_queues(lambda: {("flights", "champion"): 0})
    return {name: names for metric in telemetry._registry.collect() for name, names in series(telemetry, metric)}


def series(telemetry: Telemetry, metric: Any) -> Iterator[tuple[str, set[str]]]:
    known = next((m for m in vars(telemetry).values() if getattr(m, "_name", "") == metric.name), None)
    names = set(getattr(known, "_labelnames", ())) or {label for sample in metric.samples for label in sample.labels}
    if metric.type == "counter":
        yield f"{metric.name}_total", names
    elif metric.type == "histogram":
        yield from (
            (f"{metric.name}_bucket", names | {"le"}),
            (f"{metric.name}_sum", names),
            (f"{metric.name}_count", names),
        )
    else:
        yield metric.name, names


@pytest.mark.parametrize("expression", expressions())
def test_an_expression_asks_for_what_the_gateway_has(expression: str, labels: dict[str, set[str]]) -> None:
    used = _SERIES.findall(expression)
    assert used
    for name, selectors in used:
        assert name in labels, f"no such metric: {name}"
        chosen = {selector.strip() for selector in re.findall(r"(\w+)\s*(?:=~|!~|!=|=)", selectors)}
        grouped = {part.strip() for group in _BY.findall(expression) for part in group.split(",")}
        assert chosen | grouped <= labels[name], f"{name} has the labels {sorted(labels[name])}"


def test_every_metric_of_the_gateway_is_on_the_dashboard(labels: dict[str, set[str]]) -> None:
    shown = {name for expression in expressions() for name, _ in _SERIES.findall(expression)}
    families = {re.sub(r"_(bucket|sum|count)$", "", name) for name in labels}
    assert families - {re.sub(r"_(bucket|sum|count)$", "", name) for name in shown} == _NOT_SHOWN


def test_no_two_panels_overlap_or_share_a_number() -> None:
    cells = [
        (x, y)
        for panel in DASHBOARD["panels"]
        for place in [panel["gridPos"]]
        for x in range(place["x"], place["x"] + place["w"])
        for y in range(place["y"], place["y"] + place["h"])
    ]
    assert len(cells) == len(set(cells))
    numbers = [panel["id"] for panel in DASHBOARD["panels"]]
    assert len(numbers) == len(set(numbers))


def test_every_alert_of_the_page_asks_for_what_the_gateway_has(labels: dict[str, set[str]]) -> None:
    page = (DOCS / "operating-the-gateway.md").read_text(encoding="utf-8")
    alerts = re.findall(r"^\| `(.*(?:mlprod|process)_.*)` \|", page, re.MULTILINE)
    names = {name for alert in alerts for name, _ in _SERIES.findall(alert)}
    assert names <= labels.keys()
    assert len(names) > 4
