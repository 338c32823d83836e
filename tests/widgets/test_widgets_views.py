"""What every panel sends and takes: its lines parse, strangers' lines do not run, its page executes nothing."""

from __future__ import annotations

import importlib
import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from mlprod_nb import commands
from mlprod_nb.results import Result, drawings
from mlprod_nb.widgets import PANELS
from mlprod_nb.widgets.abtest import ABTestPanel, view
from mlprod_nb.widgets.approvals import ApprovalsPanel
from mlprod_nb.widgets.drift import DriftPanel
from mlprod_nb.widgets.jobs import JobsPanel
from mlprod_nb.widgets.live import LivePanel
from mlprod_nb.widgets.panel import Panel, offers
from mlprod_nb.widgets.registry import RegistryPanel
from mlprod_nb.widgets.status import StatusPanel
from mlprod_nb.widgets.traffic import TrafficPanel
from tests.browser import samples
from tests.widgets.fake_shell import FakeShell

MADE: dict[str, tuple[Callable[..., Panel], Callable[[], Any]]] = {
    "status": (StatusPanel, samples.a_status),
    "registry": (RegistryPanel, samples.a_registry),
    "traffic": (TrafficPanel, samples.a_traffic),
    "live": (LivePanel, samples.a_live),
    "drift": (DriftPanel, samples.a_drift),
    "abtest": (ABTestPanel, samples.a_test),
    "jobs": (JobsPanel, samples.some_jobs),
    "approvals": (ApprovalsPanel, samples.some_approvals),
}


class Runs:
    def __init__(self, result: Result) -> None:
        self.lines: list[str] = []
        self.result = result

    def __call__(self, line: str) -> Result:
        self.lines.append(line)
        return self.result


def made(name: str) -> tuple[Panel, Runs]:
    panel, sample = MADE[name]
    runs = Runs(sample())
    return panel(runs.result, runs), runs


def clicked(panel: Panel, line: Any) -> dict[str, Any]:
    panel._handle_custom_msg({"line": line}, [])
    message = panel.message
    assert isinstance(message, dict)
    return message


def test_every_panel_is_tried_here() -> None:
    named = {module.rpartition(".")[2] for module in PANELS.values()}
    assert named == set(MADE) == set(samples.NAMES)


@pytest.mark.parametrize("name", MADE)
def test_every_line_that_a_panel_offers_parses_and_runs(name: str) -> None:
    panel, runs = made(name)
    ends = {True: (" --dry-run", " --dry-run --reason 'so'"), False: ("",)}
    for offer in [{"line": panel.state["refresh"]}, *offers(panel.state)]:
        for end in ends[bool(offer.get("dry"))] if offer.get("reason") != "needed" else (" --reason 'so'",):
            line = offer["line"] + end
            assert isinstance(
                commands.parse(commands.split(line.removeprefix("%mlprod")), commands.Door()), commands.Call
            )
            assert clicked(panel, line)["kind"] == "ok", line
            assert line in runs.lines


@pytest.mark.parametrize("name", MADE)
@pytest.mark.parametrize(
    "line", ["%mlprod down --yes", "import os", None, {"line": 1}, "%mlprod undeploy flights --yes"]
)
def test_a_stranger_s_line_is_not_run(name: str, line: Any) -> None:
    panel, runs = made(name)
    assert clicked(panel, line)["kind"] == "error"
    assert runs.lines == [panel.state["refresh"]]


@pytest.mark.parametrize("name", MADE)
def test_a_panel_s_state_is_json_and_its_page_executes_nothing(name: str) -> None:
    panel, runs = made(name)
    json.dumps(panel.state, allow_nan=False)
    page = runs.result._repr_html_()
    assert "<img" not in drawings.unpacked(page)
    assert "<script" not in page


@pytest.mark.parametrize("name", MADE)
def test_in_jupyterlab_a_panel_comes_before_its_page(name: str) -> None:
    shell: Any = FakeShell("2b0b3d1c")
    importlib.import_module(f"mlprod_nb.widgets.{name}").show(MADE[name][1](), shell)
    panel, page = shell.published
    assert panel["application/vnd.jupyter.widget-view+json"]["model_id"]
    assert '<div class="mlprod-snapshot">' in page["text/html"]


def test_the_drift_panel_reads_any_window_and_stays_there() -> None:
    panel, runs = made("drift")
    line = "%mlprod panel drift flights --since 2013-04-02T00:00:00Z --until 2013-04-03T00:00:00Z"
    assert clicked(panel, line)["kind"] == "ok"
    assert runs.lines == [line], "it is read once"
    for wrong in (
        "%mlprod panel drift fares",
        "%mlprod panel drift flights --since x --until 2013-04-03",
        "%mlprod panel drift flights --until 2013-04-03",
    ):
        assert clicked(panel, wrong)["kind"] == "error"


def test_a_report_that_one_has_approved_is_not_offered_again() -> None:
    panel, _ = made("approvals")
    lines = [offer["line"] for offer in offers(panel.state)]
    assert "%mlprod approve 77a9c1d2aa33" in lines
    assert "%mlprod approve 3fa9c1d2aa01" not in lines
    assert clicked(panel, "%mlprod approve 77a9c1d2aa33 --reason 'seen'")["kind"] == "ok"


def test_a_test_that_has_ended_or_has_nothing_to_say_offers_what_makes_sense() -> None:
    running = samples.a_test()
    labels = [offer["label"] for offer in offers(view(running))]
    assert labels == ["Report", "Ship", "Stop"]
    assert [offer["label"] for offer in offers(view(replace(running, stopped=True)))] == []
    assert [offer["label"] for offer in offers(view(replace(running, result=None)))] == ["Start"]
