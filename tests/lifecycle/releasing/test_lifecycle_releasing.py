"""Releases through the workspace: by steps to the promotion, back on harm, and what people do to them meanwhile."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from mlprod_nb import Workspace, scheduler
from mlprod_nb.errors import NotFound, Refused, UsageError
from mlprod_nb.lifecycle.context import Caller, Context
from mlprod_nb.lifecycle.panels import live
from mlprod_nb.lifecycle.releasing import acting, counters, story
from mlprod_nb.lifecycle.releasing.plan import Step
from mlprod_nb.lifecycle.releasing.planning import ReleasePlan
from mlprod_nb.lifecycle.releasing.shown import ReleaseResult
from mlprod_nb.routing import EndpointSpec
from mlprod_nb.store.releases import Release
from tests.lifecycle.conftest import Site
from tests.lifecycle.releasing.releases import (
    BAD,
    Opener,
    ask,
    revisions,
    serving,
    shown,
    state,
    up,
)

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


def test_a_version_is_checked_shadowed_canaried_and_promoted(site: Site, opened: Opener, endpoint: str) -> None:
    workspace = opened()
    found = shown(workspace.release("flights/2", endpoint=endpoint, reason="trained on more"))
    assert found.state == "under way"
    assert found.step == "shadow"
    assert serving(workspace, endpoint) == "champion flights/1 100 %, v2 flights/2 shadow"
    assert "waits for predictions: 0 of 60" in found.verdict.sentence
    for expected in ("champion flights/1 80 %, v2 flights/2 20 %", "champion flights/1 50 %, v2 flights/2 50 %"):
        ask(site, endpoint)
        workspace.release_advance(endpoint)
        assert serving(workspace, endpoint) == expected
    ask(site, endpoint)
    workspace.release_advance(endpoint)
    assert serving(workspace, endpoint) == "v2 flights/2 100 %, champion flights/1 shadow"
    ask(site, endpoint)
    [row] = workspace.release_advance(endpoint).releases
    assert row.state == "promoted"
    assert serving(workspace, endpoint) == "champion flights/2 100 %"
    assert workspace.context.registry.aliases("flights")["champion"] == 2
    told = shown(workspace.release_show(endpoint))
    assert [step.state for step in told.steps] == ["done"] * 6
    reasons = [move.reason for move in workspace.history(endpoint).moves]
    assert "step 3 of 6 (20 %): 400 predictions and no harm" in " ".join(reasons)
    assert workspace.schedule_list().jobs == ()
    assert workspace.audit_verify().exit_code == 0


def test_a_planted_bad_version_is_rolled_back_by_itself_and_people_are_told(
    site: Site, opened: Opener, endpoint: str
) -> None:
    workspace = opened(shadow="false")
    workspace.release(BAD, endpoint=endpoint)
    assert serving(workspace, endpoint) == "champion flights/1 80 %, v3 flights/3 20 %"
    for _ in range(4):
        ask(site, endpoint)
        [row] = workspace.release_advance(endpoint).releases
        if row.state != "under way":
            break
    assert row.state == "rolled back"
    assert "accuracy is" in row.sentence
    assert serving(workspace, endpoint) == "champion flights/1 100 %"
    assert set(site.ask(endpoint)) == {"flights/1"}
    newest = workspace.history(endpoint).moves[0]
    assert newest.reason.startswith("release ")
    assert "is rolled back: accuracy is" in newest.reason
    [alert] = workspace.alerts_list(endpoint).alerts
    assert (alert.causes, alert.next) == ("release: flights/3", f"%mlprod release show {endpoint}")
    assert shown(workspace.release_show(endpoint)).exit_code == 1


def test_a_plan_shows_each_step_and_what_it_takes_and_changes_nothing(
    site: Site, opened: Opener, endpoint: str
) -> None:
    workspace = opened(min_labels="40", proof="true", metrics="{accuracy = 0.05}")
    days = [f"2013-04-{1 + i % 20:02}" for i in range(len(site.data))]
    site.workspace.predict(endpoint, data=site.data, event_time=days)
    found = workspace.release("flights/2", endpoint=endpoint, plan=True)
    assert isinstance(found, ReleasePlan)
    assert [step.what for step in found.steps] == ["check", "shadow", "20 %", "50 %", "100 %", "promote"]
    assert found.steps[2].needs == "60 predictions, 40 with feedback"
    assert "proof that accuracy is within 0.05" in found.steps[3].needs
    assert "accuracy worse by 0.05" in found.steps[3].rolled_back_by
    assert found.predictions_per_day == pytest.approx(400 / 19)
    assert found.steps[2].days == pytest.approx(60 / (400 / 19 * 0.2))
    assert "(a plan, nothing changed)" in found.headline()
    rows = found.sections()[1].rows
    assert (rows[0][3], rows[2][3]) == ("no time", "14 days")
    with pytest.raises(Refused, match="nothing was ever released"):
        workspace.release_show(endpoint)


def test_a_release_is_watched_in_the_live_panel(opened: Opener, endpoint: str) -> None:
    workspace = opened()
    workspace.release("flights/2", endpoint=endpoint)
    workspace.release_pause(endpoint, reason="the fair begins")
    now = live.watch(workspace.context, endpoint).look().release
    assert now is not None
    assert "stands at shadow and is paused" in now.sentence
    assert [(step.what, step.state) for step in now.steps[:3]] == [
        ("check", "done"),
        ("shadow", "paused"),
        ("20 %", "to come"),
    ]
    assert "the fair begins" in str(workspace.panel("live", endpoint))
    workspace.release_stop(endpoint)
    ended = live.watch(workspace.context, endpoint).look().release
    assert ended is not None
    assert ended.state == "stopped"


def test_two_releases_of_one_endpoint_refuse_each_other_and_the_same_one_goes_on(
    site: Site, opened: Opener, endpoint: str
) -> None:
    workspace = opened()
    first = shown(workspace.release("flights/2", endpoint=endpoint))
    with pytest.raises(Refused, match=f"release {first.release} of flights/2 to '{endpoint}' is under way"):
        workspace.release(BAD, endpoint=endpoint)
    again = shown(workspace.release("flights/2", endpoint=endpoint))
    assert again.release == first.release
    workspace.release_stop(endpoint)


def test_a_paused_release_stays_where_it_is_whatever_comes_and_goes_on_when_it_is_resumed(
    site: Site, opened: Opener, endpoint: str
) -> None:
    workspace = opened(shadow="false")
    workspace.release("flights/2", endpoint=endpoint)
    paused = workspace.release_pause(endpoint, reason="the fair begins")
    assert paused.exit_code == 0
    assert "the fair begins" in paused.verdict.sentence
    ask(site, endpoint)
    workspace.release_advance(endpoint)
    assert serving(workspace, endpoint) == "champion flights/1 80 %, v2 flights/2 20 %"
    workspace.release_resume(endpoint)
    assert serving(workspace, endpoint) == "champion flights/1 50 %, v2 flights/2 50 %"
    workspace.release_stop(endpoint)
    assert state(workspace, endpoint) == "stopped"
    with pytest.raises(Refused, match="is over: stopped"):
        workspace.release_resume(endpoint)


def test_a_step_without_its_evidence_in_time_goes_back(site: Site, opened: Opener, endpoint: str) -> None:
    workspace = opened(longest='"0s"')
    found = shown(workspace.release("flights/2", endpoint=endpoint))
    assert found.state == "rolled back"
    assert "still waits for predictions: 0 of 60" in found.verdict.sentence
    assert serving(workspace, endpoint) == "champion flights/1 100 %"


def test_without_the_gateway_a_release_waits_and_goes_on_after_it(site: Site, opened: Opener, endpoint: str) -> None:
    workspace = opened(shadow="false")
    site.workspace.down(yes=True)
    try:
        found = shown(workspace.release("flights/2", endpoint=endpoint))
        assert "waits for the gateway, which is not running: mlprod up" in found.verdict.sentence
        assert found.carried_on == "nobody, since no scheduler runs: mlprod up, or mlprod release advance"
        assert len(revisions(workspace, endpoint)) == 1
    finally:
        up(site)
    workspace.release_advance(endpoint)
    assert serving(workspace, endpoint) == "champion flights/1 80 %, v2 flights/2 20 %"
    workspace.release_stop(endpoint)


def test_what_cannot_be_released_is_refused_before_anything_changes(site: Site, opened: Opener, endpoint: str) -> None:
    workspace = opened()
    with pytest.raises(NotFound, match="there is no endpoint 'nowhere'"):
        workspace.release("flights/2", endpoint="nowhere")
    with pytest.raises(NotFound, match="there is no version 'flights/99'"):
        workspace.release("flights/99", endpoint=endpoint)
    with pytest.raises(Refused, match="flights/1 serves at"):
        workspace.release("flights/1", endpoint=endpoint)
    site.workspace.route(endpoint, "champion=50", "flights/2=50")
    with pytest.raises(Refused, match=r"the traffic of .* is split"):
        workspace.release(BAD, endpoint=endpoint)
    site.workspace.rollback(endpoint)
    with pytest.raises(NotFound, match=r"there is no metric 'acuracy'\. Did you mean 'accuracy'"):
        opened(metrics="{acuracy = 0.1}").release("flights/2", endpoint=endpoint)
    with pytest.raises(UsageError, match="proof = true needs metrics"):
        opened(proof="true").release("flights/2", endpoint=endpoint)
    with pytest.raises(UsageError, match="steps are shares of the traffic in percent, rising"):
        opened(steps="[50, 10]").release("flights/2", endpoint=endpoint)
    assert workspace.schedule_list().jobs == ()


def test_a_version_that_fails_its_gates_changes_nothing(
    site: Site, opened: Opener, endpoint: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mlprod_nb.lifecycle.releasing import checking
    from mlprod_nb.results import Verdict

    monkeypatch.setattr(checking, "verdict", lambda *_: Verdict("alarm", "flights/2 must not be deployed: too slow."))
    workspace = opened()
    found = shown(workspace.release("flights/2", endpoint=endpoint))
    assert (found.state, found.exit_code) == ("refused", 1)
    assert "too slow" in found.verdict.sentence
    assert len(revisions(workspace, endpoint)) == 1


def test_the_promotion_waits_for_approvals_and_says_whose_and_by_which_line(
    site: Site, opened: Opener, endpoint: str
) -> None:
    workspace = opened(steps="[50]", shadow="false")
    file = workspace.context.layout.settings_file
    file.write_text(file.read_text() + "\n[models.flights.protected.champion]\napprovals = 1\n")
    workspace = Workspace.open(workspace.root)
    planned = workspace.release("flights/2", endpoint=endpoint, plan=True)
    needed = r"1 approval by others than \S+, since flights@champion is protected"
    assert re.search(needed, str(planned))
    begun = shown(workspace.release("flights/2", endpoint=endpoint))
    line = r"; somebody else than \S+ runs: mlprod approve \w+ --reason WHY"
    assert re.fullmatch(f"{needed}{line}", begun.end_waits_for)
    ask(site, endpoint)
    [row] = workspace.release_advance(endpoint).releases
    assert row.state == "under way"
    assert "waits for approval: flights/2 lacks 1 approval by others than its author" in row.sentence
    assert shown(workspace.release_show(endpoint)).end_waits_for == begun.end_waits_for
    digest = row.sentence.partition("runs: mlprod approve ")[2].split()[0]
    [alert] = workspace.alerts_list(endpoint).alerts
    assert (alert.status, alert.next) == ("warn", f"%mlprod release show {endpoint}")
    assert "waits for approval: flights/2 lacks 1 approval" in alert.sentence
    assert f"runs: mlprod approve {digest} --reason WHY" in alert.sentence
    assert serving(workspace, endpoint) == "champion flights/1 50 %, v2 flights/2 50 %"
    Workspace.open(workspace.root, caller=Caller("bob")).approve(digest, reason="I have read it")
    [row] = workspace.release_advance(endpoint).releases
    assert row.state == "promoted"
    assert serving(workspace, endpoint) == "champion flights/2 100 %"
    assert workspace.alerts_list(endpoint).alerts == ()


def test_waiting_in_the_foreground_ends_with_the_release_and_tells_its_steps(
    site: Site, opened: Opener, endpoint: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    workspace = opened(steps="[50]", shadow="false")
    looked = story.look

    def with_traffic(context: Context, number: int) -> ReleaseResult:
        found = looked(context, number)
        if found.state == "under way":
            ask(site, endpoint)
        return found

    monkeypatch.setattr(story, "look", with_traffic)
    monkeypatch.setattr(story, "_LOOK_SECONDS", 0.0)
    found = shown(workspace.release("flights/2", endpoint=endpoint, wait=True))
    assert (found.state, found.exit_code) == ("promoted", 0)


def test_an_interruption_pauses_a_release_that_nobody_else_carries_on(
    site: Site, opened: Opener, endpoint: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    workspace = opened()
    looked = story.look

    def interrupted(context: Context, number: int) -> ReleaseResult:
        looked(context, number)
        raise KeyboardInterrupt

    monkeypatch.setattr(story, "look", interrupted)
    with pytest.raises(KeyboardInterrupt, match=r"release [0-9]+ is paused: release resume carries it on"):
        workspace.release("flights/2", endpoint=endpoint)
    found = shown(workspace.release("flights/2", endpoint=endpoint, wait=True))
    assert found.state == "paused"
    assert "interrupted, and no scheduler runs to carry it on" in found.verdict.sentence
    monkeypatch.setattr(story, "look", looked)
    monkeypatch.setattr(scheduler, "running", lambda root: 1234)
    assert workspace.release_resume(endpoint).state == "under way"
    monkeypatch.setattr(story, "look", interrupted)
    again = shown(workspace.release("flights/2", endpoint=endpoint, wait=True))
    assert (again.state, again.carried_on) == ("under way", "the scheduler, every minute")
    with pytest.raises(KeyboardInterrupt, match=r"release [0-9]+ is carried on by the scheduler, until release stop"):
        workspace.release("flights/2", endpoint=endpoint)
    monkeypatch.undo()
    workspace.release_stop(endpoint)


def test_a_version_that_the_gateway_cannot_load_is_rolled_back_and_what_served_never_stopped(
    site: Site, opened: Opener, endpoint: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    right = acting.wanted

    def broken(context: Context, release: Release, part: Step) -> EndpointSpec:
        spec = right(context, release, part)
        lost = tuple(
            replace(v, bundle="0" * 64) if v.model == "flights" and v.version == 2 else v for v in spec.variants
        )
        return replace(spec, variants=lost)

    monkeypatch.setattr(acting, "wanted", broken)
    found = shown(opened(shadow="false").release("flights/2", endpoint=endpoint))
    assert found.state == "rolled back"
    assert "did not take revision 2" in found.verdict.sentence
    assert serving(site.workspace, endpoint) == "champion flights/1 100 %"
    outcomes = [move.outcome.partition(":")[0] for move in revisions(site.workspace, endpoint)]
    assert outcomes == ["rejected", "active"]


def test_requests_that_a_candidate_fails_on_are_evidence(
    site: Site, opened: Opener, endpoint: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    workspace = opened(shadow="false", steps="[50]")
    workspace.release("flights/2", endpoint=endpoint)
    real = counters.now
    monkeypatch.setattr(
        counters,
        "now",
        lambda context, name: {**real(context, name), "failed": {"v2": 60}, "answered": {"champion": 900}},
    )
    [row] = workspace.release_advance(endpoint).releases
    assert row.state == "rolled back"
    assert "60 of 60 requests failed, against 0 of 900 of the champion's" in row.sentence
