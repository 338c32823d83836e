"""A release whose endpoint people change meanwhile: told to them at once, paused, or ended."""

from __future__ import annotations

import pytest

from mlprod_nb.errors import Refused
from tests.lifecycle.conftest import Site
from tests.lifecycle.releasing.releases import BAD, Opener, serving, shown

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


def test_somebody_elses_route_pauses_the_release_and_a_resumption_makes_its_step_again(
    site: Site, opened: Opener, endpoint: str
) -> None:
    workspace = opened()
    workspace.release("flights/2", endpoint=endpoint)
    routed = site.workspace.route(endpoint, "champion=100", reason="an audit")
    number = workspace.release_show(endpoint).release
    settled = f"mlprod release resume {endpoint} makes its step again in place of this, "
    settled += f"mlprod release stop {endpoint} ends it and leaves this."
    about = f"Release {number} of flights/2 is"
    assert routed.notes == (f"{about} under way at '{endpoint}': its next look pauses it; {settled}",)
    [row] = workspace.release_advance(endpoint).releases
    assert row.state == "paused"
    assert "made revision 3 of" in row.sentence
    assert serving(workspace, endpoint) == "champion flights/1 100 %"
    [alert] = workspace.alerts_list(endpoint).alerts
    assert (alert.status, alert.next) == ("warn", f"%mlprod release resume {endpoint}")
    preview = site.workspace.deploy("flights@champion", endpoint=endpoint, dry_run=True)
    assert preview.notes == (f"{about} paused at '{endpoint}': {settled}",)
    with pytest.raises(Refused, match="is paused already"):
        workspace.release_pause(endpoint)
    resumed = workspace.release_resume(endpoint, reason="the audit is over")
    assert workspace.alerts_list(endpoint).alerts == ()
    assert (resumed.state, resumed.step) == ("under way", "shadow")
    assert serving(workspace, endpoint) == "champion flights/1 100 %, v2 flights/2 shadow"
    workspace.release_stop(endpoint)
    assert serving(workspace, endpoint) == "champion flights/1 100 %"


def test_a_stop_leaves_what_somebody_else_routed(site: Site, opened: Opener, endpoint: str) -> None:
    workspace = opened()
    workspace.release("flights/2", endpoint=endpoint)
    site.workspace.deploy(BAD, endpoint=endpoint, reason="an experiment of mine")
    workspace.release_advance(endpoint)
    stopped = workspace.release_stop(endpoint, reason="no longer")
    assert stopped.state == "stopped"
    assert "stays, which the release did not make" in stopped.verdict.sentence
    assert serving(workspace, endpoint) == "v3 flights/3 100 %"


def test_a_promotion_by_hand_ends_a_paused_release_and_alias_and_endpoint_agree(
    site: Site, opened: Opener, endpoint: str
) -> None:
    workspace = opened(shadow="false")
    workspace.release("flights/2", endpoint=endpoint)
    paused = workspace.release_pause(endpoint)
    ends = f"Release {paused.release} of flights/2 is paused at '{endpoint}': its next look ends it, "
    ends += "since flights@champion moves with this."
    for dry_run in (True, False):
        promoted = workspace.promote("flights/2", endpoint=endpoint, reason="it cannot wait", dry_run=dry_run)
        assert promoted.notes == (ends,)
    found = workspace.release_resume(endpoint)
    assert found.state == "stopped"
    assert "moved flights@champion from flights/1 to flights/2 meanwhile, with revision 3" in found.verdict.sentence
    assert serving(workspace, endpoint) == "champion flights/2 100 %"
    assert workspace.context.registry.aliases("flights")["champion"] == 2
    with pytest.raises(Refused, match="is over: stopped"):
        workspace.release_stop(endpoint)


def test_a_promotion_by_hand_that_is_rolled_back_only_pauses_a_release(
    site: Site, opened: Opener, endpoint: str
) -> None:
    workspace = opened(shadow="false")
    workspace.release("flights/2", endpoint=endpoint)
    workspace.promote("flights/2", endpoint=endpoint)
    assert "its next look pauses it" in workspace.rollback(endpoint).notes[0]
    [row] = workspace.release_advance(endpoint).releases
    assert row.state == "paused"
    workspace.release_stop(endpoint)


def test_a_stop_says_what_the_alias_names_where_something_else_serves(
    site: Site, opened: Opener, endpoint: str
) -> None:
    workspace = opened(shadow="false")
    workspace.release("flights/2", endpoint=endpoint)
    workspace.context.registry.set_alias("flights", "champion", 3)
    stopped = workspace.release_stop(endpoint)
    assert serving(workspace, endpoint) == "champion flights/1 100 %"
    assert "But flights@champion is flights/3" in stopped.verdict.sentence
    assert "mlprod promote flights/1 moves the alias back" in stopped.verdict.sentence


def test_taking_the_endpoint_away_says_how_its_release_ends_and_it_does(
    site: Site, opened: Opener, endpoint: str
) -> None:
    workspace = opened()
    number = shown(workspace.release("flights/2", endpoint=endpoint)).release
    gone = workspace.undeploy(endpoint, yes=True)
    line = f"mlprod release stop {endpoint} ends it."
    assert gone.notes == (
        f"Release {number} of flights/2 is under way at '{endpoint}': its next look pauses it; {line}",
    )
    stopped = workspace.release_stop(endpoint)
    assert stopped.state == "stopped"
    assert f"took '{endpoint}' away meanwhile, with revision 3" in stopped.verdict.sentence
