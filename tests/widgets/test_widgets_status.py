from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from mlprod_nb.errors import Refused
from mlprod_nb.lifecycle.serving_now import EndpointStatus, GatewayStatus
from mlprod_nb.lifecycle.status import AlertStatus, JobStatus, ReportRow, StatusResult
from mlprod_nb.results import Result, Verdict
from mlprod_nb.widgets.panel import offers
from mlprod_nb.widgets.status import StatusPanel, show, view
from tests.widgets.fake_shell import FakeShell

AT = datetime(2013, 4, 1, tzinfo=UTC)


def a_status(*, running: bool = True, revision: int = 3, sentence: str = "flights answers") -> StatusResult:
    return StatusResult(
        verdict=Verdict("ok", sentence),
        workspace="flights",
        gateway=GatewayStatus(running, "http://127.0.0.1:8000" if running else "", 7, AT if running else None, ""),
        endpoints=(
            EndpointStatus("flights", revision, "champion", "flights/1", 50.0, "onnx", ""),
            EndpointStatus("flights", revision, "challenger", "flights/2", 50.0, "python", "no converter"),
            EndpointStatus("fares", 1, "champion", "fares/1", 100.0, "onnx", ""),
        ),
        reports=(ReportRow("flights", "drift", "warn", "dep_delay drifts", AT, "3fa9c1d2", 0),),
        jobs=(JobStatus(1, "0 6 * * 1", "report flights drift", AT, ""),),
        alerts=(
            AlertStatus(7, "flights", "alarm", "open", "brier rose", "", AT),
            AlertStatus(6, "fares", "alarm", "acknowledged", "hour is gone", "acknowledged by ada: known", AT),
        ),
    )


class Runs:
    """Runs lines as the grammar would, and remembers them."""

    def __init__(self, raises: Exception | None = None) -> None:
        self.lines: list[str] = []
        self.raises = raises

    def __call__(self, line: str) -> Result:
        self.lines.append(line)
        if self.raises is not None and line != "%mlprod status":
            raise self.raises
        return a_status(revision=len(self.lines) + 3)


def clicked(panel: StatusPanel, line: Any) -> dict[str, Any]:
    """Send what a click sends; return the message that the panel then shows."""
    panel._handle_custom_msg({"line": line}, [])
    message = panel.message
    assert isinstance(message, dict)
    return message


def test_the_view_groups_variants_by_endpoint_and_offers_what_makes_sense() -> None:
    shown = view(a_status())
    assert [(e["name"], [v["variant"] for v in e["variants"]]) for e in shown["endpoints"]] == [
        ("flights", ["champion", "challenger"]),
        ("fares", ["champion"]),
    ]
    assert {offer["line"] for offer in offers(shown)} == {
        "%mlprod monitor flights",
        "%mlprod rollback flights",
        "%mlprod monitor fares",
        "%mlprod alerts acknowledge 7",
    }
    assert "%mlprod up" in [offer["line"] for offer in offers(view(a_status(running=False)))]


def test_what_an_alert_says_is_said_once_and_its_report_points_to_it() -> None:
    report = ReportRow("flights", "drift", "alarm", "brier rose", AT, "77a9c1d2", 0)
    status = replace(a_status(), reports=(*a_status().reports, report))
    for shown in (str(status), status._repr_html_(), status._repr_markdown_()):
        assert shown.count("brier rose") == 1
        assert "see alert 7" in shown
    assert [row["alert"] for row in view(status)["reports"]] == [None, 7]
    assert status.to_dict()["reports"][1]["sentence"] == "brier rose"


def test_every_line_that_a_panel_offers_parses() -> None:
    from mlprod_nb import commands

    for offer in offers(view(a_status(running=False))):
        line = offer["line"] + (" --dry-run" if offer["dry"] else "") + (" --reason x" if offer["reason"] else "")
        assert isinstance(commands.parse(commands.split(line.removeprefix("%mlprod")), commands.Door()), commands.Call)


def test_a_click_runs_the_line_and_shows_the_new_state() -> None:
    runs = Runs()
    panel = StatusPanel(a_status(), runs)
    message = clicked(panel, "%mlprod rollback flights")
    assert runs.lines == ["%mlprod rollback flights", "%mlprod status"]
    assert message["line"] == "%mlprod rollback flights"
    assert (message["turn"], message["kind"], message["text"]) == (1, "ok", "✓ OK: flights answers")
    assert panel.state["endpoints"][0]["revision"] == 5


def test_refresh_shows_the_new_state_and_says_nothing() -> None:
    runs = Runs()
    panel = StatusPanel(a_status(), runs)
    assert clicked(panel, "%mlprod status")["text"] == ""
    assert clicked(panel, "%mlprod status")["turn"] == 2
    assert set(runs.lines) == {"%mlprod status"}


@pytest.mark.parametrize(
    "line",
    [
        "%mlprod down --yes",
        "import os",
        None,
        ["%mlprod status"],
        "%mlprod rollback fares",
        "rollback flights",
        "%mlprod rollback flights --to 1",
        "%mlprod rollback flights --reason a b",
        "%mlprod monitor flights --reason a",
        "%mlprod rollback 'flights",
    ],
)
def test_a_line_that_the_panel_did_not_offer_is_not_run(line: Any) -> None:
    runs = Runs()
    message = clicked(StatusPanel(a_status(), runs), line)
    assert runs.lines == ["%mlprod status"]
    assert message["kind"] == "error"
    assert message["text"].startswith("the panel did not offer this line.")


@pytest.mark.parametrize("end", [" --dry-run", " --reason 'it is late'", " --dry-run --reason late"])
def test_a_line_may_be_tried_and_given_a_reason_where_its_verb_takes_them(end: str) -> None:
    runs = Runs()
    assert clicked(StatusPanel(a_status(), runs), f"%mlprod rollback flights{end}")["kind"] == "ok"
    assert runs.lines[0] == f"%mlprod rollback flights{end}"


@pytest.mark.parametrize("error", [Refused("there is no earlier revision."), KeyError("x")])
def test_an_error_is_shown_in_the_panel(error: Exception) -> None:
    message = clicked(StatusPanel(a_status(), Runs(error)), "%mlprod rollback flights")
    assert message["kind"] == "error"
    assert str(error) in message["text"]


def test_in_jupyterlab_a_panel_comes_before_its_page() -> None:
    shell: Any = FakeShell("2b0b3d1c")
    show(a_status(), shell)
    panel, page = shell.published
    assert panel["application/vnd.jupyter.widget-view+json"]["model_id"]
    assert '<div class="mlprod-snapshot">' in page["text/html"]
    assert page["text/plain"].startswith("✓ OK: flights answers")


@pytest.mark.parametrize("cell", ["", "vscode-notebook-cell:1"])
def test_where_no_panel_can_live_only_the_page_is_shown(cell: str) -> None:
    shell: Any = FakeShell(cell)
    show(a_status(), shell)
    [page] = shell.published
    assert set(page) == {"text/plain", "text/markdown", "text/html"}


def test_without_a_front_end_a_cell_shows_all_that_jupyterlab_keeps_save_the_widget() -> None:
    in_lab: Any = FakeShell("2b0b3d1c")
    by_nbval: Any = FakeShell()
    for shell in (in_lab, by_nbval):
        show(a_status(), shell)
    widget, *kept = in_lab.published
    assert set(widget) == {"application/vnd.jupyter.widget-view+json"}, "nbval counts the outputs of each other kind"
    assert kept == by_nbval.published


def test_the_page_holds_what_the_panel_holds_and_executes_nothing() -> None:
    shell: Any = FakeShell()
    show(a_status(sentence="<img src=x onerror=alert(1)>"), shell)
    html = shell.published[0]["text/html"]
    assert "<img" not in html
    for text in ("flights/2", "challenger", "no converter", "dep_delay drifts", "report flights drift"):
        assert text in html
