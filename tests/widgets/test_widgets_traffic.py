from __future__ import annotations

from typing import Any

import pytest

from mlprod_nb import commands
from mlprod_nb.lifecycle.deploying.deploy import RevisionResult, UnitsMoved
from mlprod_nb.lifecycle.deploying.revise import TrafficRow
from mlprod_nb.results import Result
from mlprod_nb.widgets.traffic import TrafficPanel
from tests.browser.samples import HOSTILE, a_traffic


class Runs:
    def __init__(self) -> None:
        self.lines: list[str] = []

    def __call__(self, line: str) -> Result:
        self.lines.append(line)
        if " route " not in line:
            return a_traffic()
        rows = (TrafficRow("champion", "flights/1", 70.0), TrafficRow("challenger", "flights/2", 30.0))
        moves = (UnitsMoved("challenger", "champion", 20.0),)
        return RevisionResult("flights", 5, rows, "tailnum", "", (), (), None, True, moves)


def sent(line: Any) -> tuple[TrafficPanel, Runs]:
    runs = Runs()
    panel = TrafficPanel(a_traffic(), runs)
    panel._handle_custom_msg({"line": line}, [])
    return panel, runs


LINE = "%mlprod route flights champion=70 challenger=30"


@pytest.mark.parametrize(
    "line",
    [LINE, f"{LINE} --dry-run", f"{LINE} --reason 'as planned'", "%mlprod route flights champion=100 next=shadow"],
)
def test_a_line_of_shares_is_run_and_tells_who_would_move(line: str) -> None:
    panel, runs = sent(line)
    assert runs.lines == [line, "%mlprod panel traffic flights"]
    assert panel.message["kind"] == "ok"
    assert panel.message["details"]["moves"] == [{"before": "challenger", "after": "champion", "share": 20.0}]


@pytest.mark.parametrize(
    "line",
    [
        "%mlprod route fares champion=100",
        "%mlprod route flights",
        "%mlprod route flights stranger=100",
        "%mlprod route flights champion=1e3",
        "%mlprod route flights champion=100 --unit carrier",
        "%mlprod deploy flights/2",
        "%mlprod undeploy flights --yes",
        "%mlprod route flights champion=70 '",
    ],
)
def test_no_other_line_is_run(line: str) -> None:
    panel, runs = sent(line)
    assert runs.lines == ["%mlprod panel traffic flights"]
    assert panel.message["kind"] == "error"


def test_undo_is_a_rollback_and_every_line_parses() -> None:
    state = TrafficPanel(a_traffic(), Runs()).state
    lines = [state["refresh"], *(action["line"] for action in state["actions"]), LINE]
    assert "%mlprod rollback flights" in lines
    for line in lines:
        assert isinstance(commands.parse(commands.split(line.removeprefix("%mlprod")), commands.Door()), commands.Call)


def test_the_page_holds_every_variant_and_executes_nothing() -> None:
    page = a_traffic()._repr_html_()
    assert HOSTILE not in page
    for text in ("champion", "flights/4", "challenger flights/2 50\N{NO-BREAK SPACE}%", "flights/7", "tailnum"):
        assert text in page
