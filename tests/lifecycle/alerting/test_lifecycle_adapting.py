"""What is done about an alert: once, whole or not at all, whoever is killed in between, and never to and fro."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from mlprod_nb import Workspace
from mlprod_nb.errors import Refused
from mlprod_nb.lifecycle.alerting import adapting
from mlprod_nb.monitoring import MonitorResult
from tests.forks import Forks
from tests.lifecycle.alerting.acted import about, action, alarm, alarms_over_half_an_hour, revisions_of, serving
from tests.lifecycle.alerting.receivers import webhook
from tests.lifecycle.conftest import Site, make_site
from tests.notebook_files import code, text, verdict, write

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")

Opener = Callable[..., Workspace]
PLAIN = 'name = "site"\n'
#: Registers a version as a training notebook does, on the reference data.
TRAINS = (
    "import joblib\nfrom mlprod_nb import Workspace\n"
    "model, data, target = joblib.load('training.joblib')\n"
    "Workspace.open('.').register('flights', model=model, data=data, target=target, note=note)"
)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    import joblib

    site = make_site(tmp_path_factory.mktemp("site"))
    site.workspace.up()
    joblib.dump((site.model, site.data, site.target), site.workspace.root / "training.joblib")
    own_notebook(site.workspace.root, TRAINS)
    yield site
    site.workspace.down(yes=True)
    site.workspace.context.store.close()


def own_notebook(root: Path, source: str) -> None:
    parameters = 'since: str = ""\nuntil: str = ""\nmode: str = ""\nnote: str = ""'
    write(root / "notebooks" / "train.ipynb", code(parameters, "parameters"), code(source))


@pytest.fixture
def endpoint(site: Site, request: pytest.FixtureRequest) -> str:
    """An endpoint of this test's own, at revision 2: it serves the challenger, and did serve the champion."""
    name = f"e-{zlib.crc32(request.node.name.encode()):x}"
    site.workspace.deploy("flights@champion", endpoint=name)
    site.workspace.deploy("flights/2", endpoint=name)
    return name


@pytest.fixture
def opened(site: Site, endpoint: str) -> Iterator[Opener]:
    """Opens the workspace with what is to be done about alerts of the endpoint."""
    file = site.workspace.context.layout.settings_file

    def again(on_drift: str, **more: str) -> Workspace:
        lines = [f'on_drift = "{on_drift}"', *(f'{name} = "{value}"' for name, value in more.items())]
        settings = [PLAIN, f"[endpoints.{endpoint}.monitor]", *lines]
        settings += ["[retraining]", 'notebook = "train"', "timeout_seconds = 60"]
        file.write_text("\n".join(settings))
        return Workspace.open(site.workspace.root)

    yield again
    file.write_text(PLAIN)


def test_by_default_people_are_told_and_nothing_is_done(opened: Opener, endpoint: str) -> None:
    workspace = opened("alert")
    alarm(workspace, endpoint)
    assert len(revisions_of(workspace, endpoint)) == 2
    with pytest.raises(Refused, match="on_drift was alert"):
        workspace.alerts_act(workspace.alerts_list(endpoint).alerts[0].alert)


def test_a_fallback_routes_everything_to_the_robust_version_and_the_journal_says_why(
    site: Site, opened: Opener, endpoint: str
) -> None:
    workspace = opened("fallback", fallback="flights/1")
    alarm(workspace, endpoint)
    assert set(site.ask(endpoint)) == {"flights/1"}
    last = revisions_of(workspace, endpoint)[-1]
    number = workspace.alerts_list(endpoint).alerts[0].alert
    assert last.reason == f"alert {number}: fallback to flights/1, since drift=alarm."
    assert action(workspace, endpoint).state == "done"
    note = workspace.alerts_list(endpoint).alerts[0].note
    assert note == f"fallback done: Endpoint {endpoint!r}: revision 3 is live."
    assert {"adapt", "route", "alert"} <= {entry.action for entry in workspace.audit_show().entries}


def test_a_fallback_that_serves_already_makes_no_revision(opened: Opener, endpoint: str) -> None:
    workspace = opened("fallback", fallback="flights/2")
    alarm(workspace, endpoint)
    assert len(revisions_of(workspace, endpoint)) == 2
    assert action(workspace, endpoint).detail == "flights/2 answers everything already."


def test_a_look_that_finds_the_same_does_nothing_twice(opened: Opener, endpoint: str) -> None:
    workspace = opened("rollback")
    for _ in range(3):
        alarm(workspace, endpoint)
    assert len(revisions_of(workspace, endpoint)) == 3
    assert "flights/1 100 %" in serving(workspace, endpoint)


def test_a_second_alert_does_not_roll_back_further_and_says_so(
    opened: Opener, endpoint: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with webhook() as hook:
        monkeypatch.setenv("MLPROD_ALERTS__URLS", hook.url())
        workspace = opened("rollback")
        alarm(workspace, endpoint)
        alarm(workspace, endpoint, "drift=ok")
        alarm(workspace, endpoint)
    assert len(revisions_of(workspace, endpoint)) == 3
    done = action(workspace, endpoint)
    assert (done.state, done.detail) == ("left alone", "revision 3, which serves, is what an alert brought before.")
    titles = [taken["title"].split(": ", 1)[1] for taken in hook.taken if endpoint in taken["title"]]
    told = [f"ALARM on {endpoint}", f"done on {endpoint}", f"recovered: {endpoint}"]
    assert titles == [*told, f"ALARM on {endpoint}", f"left alone: {endpoint}"]


def test_an_endpoint_that_somebody_changed_since_is_left_alone(site: Site, opened: Opener, endpoint: str) -> None:
    workspace = opened("fallback", fallback="flights/1")
    with gateway_away(site):
        alarm(workspace, endpoint)
    assert action(workspace, endpoint).state == "failed"
    site.workspace.route(endpoint, "v2=50", "champion=50", reason="I see to it")
    alarm(workspace, endpoint)
    assert action(workspace, endpoint).state == "left alone"
    assert "has changed the endpoint since (revision 3)" in action(workspace, endpoint).detail
    assert len(revisions_of(workspace, endpoint)) == 3


def test_broken_data_are_no_reason_to_train_or_to_roll_back(opened: Opener, endpoint: str) -> None:
    workspace = opened("rollback")
    alarm(workspace, endpoint, "quality: hour=alarm")
    assert action(workspace, endpoint).state == "left alone"
    assert "the data are at fault" in action(workspace, endpoint).detail
    assert len(revisions_of(workspace, endpoint)) == 2


@contextmanager
def gateway_away(site: Site) -> Iterator[None]:
    site.workspace.down(yes=True)
    yield
    site.workspace.up()


def test_without_the_gateway_the_alert_says_so_and_the_next_look_does_it(
    site: Site, opened: Opener, endpoint: str
) -> None:
    workspace = opened("fallback", fallback="flights/1")
    with gateway_away(site):
        alarm(workspace, endpoint)
        assert "fallback failed: the gateway is not running." in workspace.status().alerts[0].note
        assert len(revisions_of(workspace, endpoint)) == 2
    alarm(workspace, endpoint)
    assert action(workspace, endpoint).state == "done"
    assert "flights/1 100 %" in serving(workspace, endpoint)


def test_an_alert_that_somebody_sees_to_is_not_acted_upon_by_itself(site: Site, opened: Opener, endpoint: str) -> None:
    workspace = opened("fallback", fallback="flights/1")
    with gateway_away(site):
        alarm(workspace, endpoint)
    number = workspace.alerts_list(endpoint).alerts[0].alert
    workspace.alerts_acknowledge(number, reason="I look at it")
    alarm(workspace, endpoint)
    assert action(workspace, endpoint).state == "failed"
    assert "flights/2 100 %" in serving(workspace, endpoint)
    workspace.alerts_act(number)
    assert "flights/1 100 %" in serving(workspace, endpoint)


def test_a_fallback_version_that_is_gone_is_named_tried_thrice_and_leaves_what_serves(
    opened: Opener, endpoint: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with webhook() as hook:
        monkeypatch.setenv("MLPROD_ALERTS__URLS", hook.url())
        workspace = opened("fallback", fallback="flights/99")
        alarms_over_half_an_hour(workspace, endpoint)
    failed = action(workspace, endpoint)
    assert (failed.state, failed.tries) == ("failed", 3)
    assert "there is no version 'flights/99'" in failed.detail
    assert len(revisions_of(workspace, endpoint)) == 2
    alarm_told, failure_told = about(hook, endpoint)
    assert [taken["title"].split(": ")[1].split(" on ")[0] for taken in (alarm_told, failure_told)] == [
        "ALARM",
        "failed",
    ]
    assert "Fallback failed: there is no version 'flights/99'" in failure_told["message"]


def test_looks_by_hand_one_after_the_other_use_up_one_try(site: Site, opened: Opener, endpoint: str) -> None:
    workspace = opened("fallback", fallback="flights/1")
    with gateway_away(site):
        for _ in range(5):
            alarm(workspace, endpoint)
    assert (action(workspace, endpoint).state, action(workspace, endpoint).tries) == ("failed", 1)
    alarm(workspace, endpoint)
    assert action(workspace, endpoint).state == "done"


def test_what_was_given_up_can_still_be_done_by_hand(site: Site, opened: Opener, endpoint: str) -> None:
    workspace = opened("fallback", fallback="flights/1")
    with gateway_away(site):
        alarms_over_half_an_hour(workspace, endpoint)
    alarm(workspace, endpoint)
    assert (action(workspace, endpoint).state, action(workspace, endpoint).tries) == ("failed", 3)
    workspace.alerts_act(workspace.alerts_list(endpoint).alerts[0].alert)
    assert "flights/1 100 %" in serving(workspace, endpoint)


def test_an_endpoint_that_was_taken_away_is_left_without_a_trace(site: Site, opened: Opener, endpoint: str) -> None:
    workspace = opened("fallback", fallback="flights/1")
    site.workspace.undeploy(endpoint, yes=True)
    alarm(workspace, endpoint)
    assert f"there is no endpoint '{endpoint}'" in action(workspace, endpoint).detail
    assert revisions_of(workspace, endpoint)[-1].after == "taken away"


def test_a_dry_run_shows_what_would_be_done(site: Site, opened: Opener, endpoint: str) -> None:
    workspace = opened("fallback", fallback="flights/1")
    with gateway_away(site):
        alarm(workspace, endpoint)
    number = workspace.alerts_list(endpoint).alerts[0].alert
    shown = workspace.alerts_act(number, dry_run=True)
    assert "fallback would be done (dry run, nothing changed)" in str(shown)
    assert len(revisions_of(workspace, endpoint)) == 2
    assert workspace.alerts_act(number).detail == f"Endpoint {endpoint!r}: revision 3 is live."
    assert "done already" in workspace.alerts_act(number).detail
    assert "would be done" not in str(workspace.alerts_act(number, dry_run=True))
    assert len(revisions_of(workspace, endpoint)) == 3


def test_while_one_process_acts_another_does_not(opened: Opener, endpoint: str) -> None:
    workspace = opened("fallback", fallback="flights/1")
    with adapting._alone(workspace.context, endpoint) as mine:
        assert mine
        alarm(workspace, endpoint)
        assert action(workspace, endpoint).state == "planned"
        with pytest.raises(Refused, match="another process acts"):
            workspace.alerts_act(workspace.alerts_list(endpoint).alerts[0].alert)
    alarm(workspace, endpoint)
    assert action(workspace, endpoint).state == "done"


PROCESS = "tests.lifecycle.alerting.adapting_process"
KILLS = ["planned", "begun", "proposed", "active", "moved", "told"]


# A fallback that is made twice shows nothing, a rollback does.
@pytest.mark.parametrize("step", KILLS)
@pytest.mark.parametrize("what", ["rollback", pytest.param("fallback", marks=pytest.mark.exhaustive)])
def test_traffic_moves_once_though_the_job_is_killed(
    site: Site, opened: Opener, endpoint: str, what: str, step: str, forks: Forks, monkeypatch: pytest.MonkeyPatch
) -> None:
    with webhook() as hook:
        monkeypatch.setenv("MLPROD_ALERTS__URLS", hook.url())
        workspace = opened(what, fallback="flights/1")
        forks.killed(PROCESS, workspace.root, endpoint, step)
        alarm(workspace, endpoint)
        alarm(workspace, endpoint)
    assert [move.outcome for move in revisions_of(workspace, endpoint)] == ["active"] * 3
    assert "flights/1 100 %" in serving(workspace, endpoint)
    assert set(site.ask(endpoint)) == {"flights/1"}
    assert action(workspace, endpoint).state == "done"
    assert [taken["type"] for taken in about(hook, endpoint)] == ["failure", "success"]
    assert workspace.audit_verify().exit_code == 0


@pytest.mark.slow
@pytest.mark.parametrize(
    "step",
    [
        "registered",
        *(pytest.param(step, marks=pytest.mark.exhaustive) for step in ("executing", "journal written", "moved")),
    ],
)
def test_one_challenger_is_trained_though_the_job_is_killed(
    site: Site, opened: Opener, endpoint: str, step: str, forks: Forks
) -> None:
    site.workspace.predict(endpoint, data=site.data[:200])
    label(site, endpoint)
    workspace = opened("retrain")
    before = len(workspace.models("flights").versions)
    serves = serving(workspace, endpoint)
    forks.killed(PROCESS, workspace.root, endpoint, step)
    alarm(workspace, endpoint)
    alarm(workspace, endpoint)
    versions = workspace.models("flights").versions
    assert len(versions) == before + 1
    assert "challenger" in versions[0].aliases
    assert action(workspace, endpoint).state == "done"
    assert versions[0].version in action(workspace, endpoint).detail
    assert workspace.alerts_list(endpoint).alerts[0].next == f"%mlprod check {versions[0].version}"
    assert serving(workspace, endpoint) == serves


def label(site: Site, endpoint: str) -> None:
    rows = site.workspace.logs(endpoint, limit=1000).rows
    ids = [row["prediction_id"] for row in rows]
    site.workspace.feedback(endpoint, ids=ids, values=[i % 2 for i in range(len(ids))])


def test_a_training_notebook_that_fails_or_hangs_is_told_and_changes_nothing(
    site: Site, opened: Opener, endpoint: str
) -> None:
    site.workspace.predict(endpoint, data=site.data[:100])
    label(site, endpoint)
    workspace = opened("retrain", retrain_mode="full")
    before = len(workspace.models("flights").versions)
    try:
        own_notebook(workspace.root, "1 / 0")
        alarm(workspace, endpoint)
        assert "ZeroDivisionError" in action(workspace, endpoint).detail
        own_notebook(workspace.root, "while True: pass")
        file = workspace.context.layout.settings_file
        file.write_text(file.read_text().replace("timeout_seconds = 60", "timeout_seconds = 8"))
        again = Workspace.open(workspace.root)
        alarm(again, endpoint)
        assert "reached the limit of 8 s" in action(again, endpoint).detail
    finally:
        own_notebook(workspace.root, TRAINS)
    assert len(workspace.models("flights").versions) == before
    assert action(workspace, endpoint).state == "failed"


def test_a_report_that_ends_in_an_alarm_raises_the_alert_and_acts(site: Site, opened: Opener, endpoint: str) -> None:
    workspace = opened("fallback", fallback="flights/1")
    cells = (text("# Own"), code('workspace: str = ""\nendpoint: str = ""\npinned: str = ""', "parameters"))
    write(workspace.root / "notebooks" / "own_report.ipynb", *cells, verdict("alarm", "too late."))
    found = workspace.report(endpoint, "own")
    assert [(change.change, change.cause) for change in found.since_last_report] == [("new", "own")]
    [row] = workspace.alerts_list(endpoint).alerts
    assert (row.sentence, row.next, row.report) == ("too late.", "%mlprod status", found.digest[:12])
    assert "flights/1 100 %" in serving(workspace, endpoint)
    write(workspace.root / "notebooks" / "own_report.ipynb", *cells, verdict("ok", "on time."))
    assert [change.change for change in workspace.report(endpoint, "own").since_last_report] == ["recovered"]


def test_a_monitor_raises_alerts_in_a_job_and_not_by_hand(site: Site, opened: Opener, endpoint: str) -> None:
    workspace = opened("alert", alert_on="warn")
    drifted = site.data.assign(distance=site.data["distance"] + 3000)
    site.workspace.predict(endpoint, data=drifted)
    result = workspace.monitor(endpoint)
    assert isinstance(result, MonitorResult)
    assert result.verdict.status != "ok"
    assert ("new", "drift") in [(change.change, change.cause) for change in result.since_last_report]
    assert workspace.alerts_list(endpoint).alerts == ()
    workspace.schedule_run(workspace.schedule_add("0 6 * * 1", f"monitor {endpoint}").job)
    assert "drift" in workspace.alerts_list(endpoint).alerts[0].causes
    later = workspace.monitor(endpoint)
    assert isinstance(later, MonitorResult)
    assert ("still open", "drift") in [(c.change, c.cause) for c in later.since_last_report]
