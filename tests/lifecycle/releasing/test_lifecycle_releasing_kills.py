"""kill -9 of whoever carries a release on, at every mark: the next look ends what was begun, once."""

from __future__ import annotations

import pytest

from mlprod_nb import Workspace
from tests.forks import Forks
from tests.lifecycle.conftest import Site
from tests.lifecycle.releasing.releases import BAD, GOOD, Opener, ask, serving, state

pytestmark = [pytest.mark.filterwarnings("ignore::DeprecationWarning"), pytest.mark.slow]
PROCESS = "tests.lifecycle.releasing.releasing_process"


def sometimes(marks: list[str], ordinary: str) -> list[object]:
    return [mark if mark == ordinary else pytest.param(mark, marks=pytest.mark.exhaustive) for mark in marks]


def outcomes(workspace: Workspace, endpoint: str) -> list[str]:
    return [move.outcome for move in workspace.history(endpoint).moves if move.what.startswith("revision")]


def champion(workspace: Workspace) -> int:
    return workspace.context.registry.aliases("flights")["champion"]


@pytest.mark.parametrize(
    "mark", sometimes(["begun event", "begun", "proposed", "active", "made", "stands"], "proposed")
)
def test_a_share_of_the_traffic_is_routed_once(
    site: Site, opened: Opener, endpoint: str, mark: str, forks: Forks
) -> None:
    workspace = opened(steps="[20, 50]")
    workspace.release(GOOD, endpoint=endpoint)
    ask(site, endpoint)
    forks.killed(PROCESS, workspace.root, endpoint, mark.removesuffix(" event"))
    workspace.release_advance(endpoint)
    assert serving(workspace, endpoint) == "champion flights/1 80 %, v2 flights/2 20 %"
    assert outcomes(workspace, endpoint) == ["active"] * 3
    assert set(site.ask(endpoint)) <= {"flights/1", "flights/2"}
    assert state(workspace, endpoint) == "under way"
    workspace.release_stop(endpoint)


@pytest.mark.parametrize(
    "mark", sometimes(["begun", "proposed", "active", "journal written", "promoted"], "journal written")
)
def test_a_version_is_promoted_once_and_the_alias_goes_with_it(
    site: Site, opened: Opener, endpoint: str, mark: str, forks: Forks
) -> None:
    workspace = opened(steps="[50]", shadow="false")
    began = workspace.context.clock()  # the tests of this module share the alias
    workspace.release(GOOD, endpoint=endpoint)
    ask(site, endpoint)
    forks.killed(PROCESS, workspace.root, endpoint, mark)
    workspace.release_advance(endpoint)
    assert serving(workspace, endpoint) == "champion flights/2 100 %"
    assert outcomes(workspace, endpoint) == ["active"] * 3
    assert champion(workspace) == 2
    moves = workspace.history(endpoint).moves
    assert [move.after for move in moves if move.what == "flights@champion" and move.at >= began] == ["flights/2"]
    assert state(workspace, endpoint) == "promoted"


@pytest.mark.parametrize(
    "mark", sometimes(["reverting event", "reverting", "proposed", "active", "rolled back"], "active")
)
def test_a_harmful_version_is_rolled_back_once(
    site: Site, opened: Opener, endpoint: str, mark: str, forks: Forks
) -> None:
    workspace = opened(steps="[50]", shadow="false")
    workspace.release(BAD, endpoint=endpoint)
    ask(site, endpoint)
    forks.killed(PROCESS, workspace.root, endpoint, mark.removesuffix(" event"))
    workspace.release_advance(endpoint)
    assert serving(workspace, endpoint) == "champion flights/1 100 %"
    assert outcomes(workspace, endpoint) == ["active"] * 3
    assert set(site.ask(endpoint)) == {"flights/1"}
    assert state(workspace, endpoint) == "rolled back"
    assert len(workspace.alerts_list(endpoint).alerts) == 1
    assert workspace.audit_verify().exit_code == 0
