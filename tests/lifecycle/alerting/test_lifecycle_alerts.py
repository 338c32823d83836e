"""Alerts: raised once for each cause, closed by looks that judged it, carried by those that did not, held by people."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from mlprod_nb import Workspace
from mlprod_nb.errors import NotFound, Refused, UsageError
from mlprod_nb.lifecycle.alerting import alerts
from mlprod_nb.lifecycle.alerting.alerts import Look
from mlprod_nb.results import AlertChange, Verdict
from tests.clocks import Clock
from tests.lifecycle.alerting.looks import look


@pytest.fixture
def clock() -> Clock:
    return Clock(datetime(2013, 7, 1, 6, tzinfo=UTC))


@pytest.fixture
def workspace(tmp_path: Path, clock: Clock) -> Iterator[Workspace]:
    Workspace.init(str(tmp_path))
    workspace = Workspace(tmp_path, clock=clock)
    yield workspace
    workspace.context.store.close()


def changes(found: tuple[AlertChange, ...]) -> list[tuple[str, str]]:
    return [(change.change, change.cause) for change in found]


def states(workspace: Workspace) -> list[tuple[str, str]]:
    return [(row.causes, row.state) for row in workspace.alerts_list(every=True).alerts]


def test_an_alarm_raises_an_alert_that_says_what_why_where_and_what_next(workspace: Workspace) -> None:
    alerts.settle(workspace.context, look("performance=alarm"))
    [row] = workspace.alerts_list().alerts
    assert (row.endpoint, row.status, row.state, row.causes) == ("flights", "alarm", "open", "performance")
    assert (row.sentence, row.next, row.report) == ("performance=alarm.", "%mlprod rollback flights", "3fa9c1d23fa9")
    assert row.raised_at == workspace.clock()
    assert workspace.audit_show().entries[0].action == "alert"


def test_a_cause_that_lasts_does_not_alert_twice_and_a_new_one_beside_it_does(workspace: Workspace) -> None:
    context = workspace.context
    assert changes(alerts.settle(context, look("performance=alarm"))) == [("new", "performance")]
    assert changes(alerts.settle(context, look("performance=alarm"))) == [("still open", "performance")]
    found = alerts.settle(context, look("performance=alarm", "quality: hour=alarm"))
    assert changes(found) == [("new", "quality: hour"), ("still open", "performance")]
    assert states(workspace) == [("quality: hour", "open"), ("performance", "open")]


def test_another_endpoint_s_same_cause_is_an_alert_of_its_own(workspace: Workspace) -> None:
    alerts.settle(workspace.context, look("drift=alarm"))
    alerts.settle(workspace.context, look("drift=alarm", endpoint="fares"))
    assert [row.endpoint for row in workspace.alerts_list().alerts] == ["fares", "flights"]
    assert [row.endpoint for row in workspace.alerts_list("flights").alerts] == ["flights"]


def test_recovery_closes_an_alert_and_the_cause_may_come_again(workspace: Workspace, clock: Clock) -> None:
    context = workspace.context
    alerts.settle(context, look("drift=alarm", "performance=ok"))
    clock.now += timedelta(days=7)
    assert changes(alerts.settle(context, look("drift=ok", "performance=ok"))) == [("recovered", "drift")]
    assert states(workspace) == [("drift", "recovered")]
    assert workspace.alerts_list().alerts == ()
    assert workspace.alerts_list(every=True).alerts[0].note == "recovered at 2013-07-08T06:00:00Z"
    assert changes(alerts.settle(context, look("drift=alarm"))) == [("new", "drift")]


def test_a_look_that_could_not_judge_a_cause_leaves_it_open(workspace: Workspace) -> None:
    context = workspace.context
    alerts.settle(context, look("performance=alarm", "drift=ok"))
    assert changes(alerts.settle(context, look("drift=ok"))) == [("still open", "performance")]
    assert changes(alerts.settle(context, look())) == [("still open", "performance")]
    assert changes(alerts.settle(context, look("performance=ok"))) == [("recovered", "performance")]


def test_an_alert_with_two_causes_is_over_when_both_are_gone(workspace: Workspace) -> None:
    context = workspace.context
    alerts.settle(context, look("quality: hour=alarm", "quality: carrier=alarm"))
    alerts.settle(context, look("quality: hour=alarm"))
    assert states(workspace) == [("quality: hour", "open")]
    alerts.settle(context, look("quality=ok"))
    assert states(workspace) == [("quality: carrier, quality: hour", "recovered")]


def test_a_cause_that_fades_to_a_warning_stays_open_so_that_alerts_do_not_flap(workspace: Workspace) -> None:
    alerts.settle(workspace.context, look("drift=alarm"))
    assert changes(alerts.settle(workspace.context, look("drift=warn"))) == [("still open", "drift")]


def test_a_warning_raises_an_alert_only_where_that_is_asked_for(workspace: Workspace) -> None:
    alerts.settle(workspace.context, look("drift=warn"))
    assert states(workspace) == []
    file = workspace.context.layout.settings_file
    file.write_text(file.read_text() + '\n[endpoints.flights.monitor]\nalert_on = "warn"\n')
    again = Workspace(workspace.root, clock=workspace.clock)
    alerts.settle(again.context, look("drift=warn"))
    alerts.settle(again.context, look("drift=warn", endpoint="fares"))
    assert [row.endpoint for row in again.alerts_list().alerts] == ["flights"]
    again.context.store.close()


def test_a_user_s_own_report_is_a_cause_by_its_kind(workspace: Workspace) -> None:
    alarm = Look("flights", "fuel", Verdict("alarm", "too much fuel."), "ab" * 32)
    assert changes(alerts.settle(workspace.context, alarm)) == [("new", "fuel")]
    assert workspace.alerts_list().alerts[0].next == "%mlprod monitor flights"
    fine = Look("flights", "fuel", Verdict("ok", "fine."), "ab" * 32)
    assert changes(alerts.settle(workspace.context, fine)) == [("recovered", "fuel")]


def test_an_ab_test_s_verdict_raises_nothing(workspace: Workspace) -> None:
    assert alerts.settle(workspace.context, look("drift=alarm", kind="abtest")) == ()
    assert states(workspace) == []


def test_of_looks_at_the_same_time_one_raises_the_alert(workspace: Workspace) -> None:
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: alerts.settle(workspace.context, look("drift=alarm")), range(24)))
    assert states(workspace) == [("drift", "open")]


def test_an_acknowledged_alert_says_by_whom_until_when_and_why_and_later_looks_carry_it(
    workspace: Workspace, clock: Clock
) -> None:
    alerts.settle(workspace.context, look("drift=alarm"))
    held = workspace.alerts_acknowledge(1, until="2013-07-15", reason="storms")
    assert str(held).startswith("Alert 1 of 'flights' is acknowledged.")
    note = f"acknowledged by {held.actor} until 2013-07-15T00:00:00Z: storms"
    [change] = alerts.settle(workspace.context, look("drift=alarm"))
    assert (change.change, change.note) == ("acknowledged", note)
    assert workspace.alerts_list().alerts[0].note == note
    clock.now = datetime(2013, 7, 15, tzinfo=UTC)
    [change] = alerts.settle(workspace.context, look("drift=alarm"))
    assert (change.change, change.note) == ("still open", "")
    newest = workspace.audit_show().entries[0]
    assert (newest.action, newest.subject) == ("alert hold", "alert 1")


def test_a_snooze_ends_by_itself(workspace: Workspace, clock: Clock) -> None:
    alerts.settle(workspace.context, look("drift=alarm"))
    assert workspace.alerts_snooze(1, until="3 days").until == clock.now + timedelta(days=3)
    assert states(workspace) == [("drift", "snoozed")]
    clock.now += timedelta(days=3)
    assert states(workspace) == [("drift", "open")]


def test_the_newest_word_counts(workspace: Workspace) -> None:
    alerts.settle(workspace.context, look("drift=alarm"))
    workspace.alerts_snooze(1, until="3d")
    workspace.alerts_acknowledge(1)
    assert states(workspace) == [("drift", "acknowledged")]


@pytest.mark.parametrize(("until", "message"), [("2013-06-01", "not in the future"), ("soon", "not a moment")])
def test_a_hold_needs_an_end_to_come(workspace: Workspace, until: str, message: str) -> None:
    alerts.settle(workspace.context, look("drift=alarm"))
    with pytest.raises(UsageError, match=message):
        workspace.alerts_snooze(1, until=until)


def test_only_an_alert_that_is_there_and_open_can_be_held(workspace: Workspace) -> None:
    with pytest.raises(NotFound, match="mlprod alerts list"):
        workspace.alerts_acknowledge(1)
    alerts.settle(workspace.context, look("drift=alarm"))
    alerts.settle(workspace.context, look("drift=ok"))
    with pytest.raises(Refused, match="recovered already"):
        workspace.alerts_acknowledge(1)


def test_the_status_shows_what_is_open_and_is_quiet_about_what_somebody_sees_to(workspace: Workspace) -> None:
    alerts.settle(workspace.context, look("drift=alarm"))
    [row] = workspace.status().alerts
    assert (row.alert, row.state, row.sentence) == (1, "open", "drift=alarm.")
    assert workspace.status().verdict.sentence == "alert 1 of 'flights' is open.", "though nothing is deployed any more"
    workspace.alerts_acknowledge(1, reason="storms")
    assert workspace.status().alerts[0].note.startswith("acknowledged by ")
    assert workspace.status().verdict.sentence == "nothing is deployed yet."


def test_a_look_that_has_nothing_to_do_loads_nothing_that_acts() -> None:
    code = (
        "import sys\n"
        "from mlprod_nb.lifecycle.alerting import alerts\n"
        "acts = ('mlprod_nb.notebooks', 'mlprod_nb.lifecycle.retraining', 'mlprod_nb.lifecycle.deploying.deploy')\n"
        "print([name for name in acts if name in sys.modules])\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.strip() == "[]"
