"""After a verdict: an alert is raised for what is new, closed for what is gone, and carried by the looks that follow.

An alert has causes. A cause that is open in one raises no other, so a trouble that lasts says so once. A cause is gone
when a look judged its family and did not find it; a look that could not judge it leaves it open.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING, ClassVar

from sqlalchemy.engine import Connection

from mlprod_nb.clock import iso
from mlprod_nb.lifecycle.context import Context
from mlprod_nb.lifecycle.logs import check_endpoint
from mlprod_nb.lifecycle.watching.watch import Window
from mlprod_nb.results import AlertChange, Cause, Result, Verdict, counted
from mlprod_nb.store import alerts
from mlprod_nb.store.alerts import Alert, HoldKind, NewAlert

if TYPE_CHECKING:
    from mlprod_nb.monitoring import MonitorResult
    from mlprod_nb.reports import ReportResult
    from mlprod_nb.store.actions import Action

#: Whether the variants of a test differ is no trouble of the endpoint's.
_SILENT = ("abtest",)
_GRAVE = {"alarm": ("alarm",), "warn": ("alarm", "warn")}


@dataclass(frozen=True)
class Look:
    """What looked at an endpoint, and what it concluded.

    Attributes:
        endpoint: The endpoint's name.
        kind: ``monitor``, or the report's kind.
        verdict: The conclusion.
        report: The report's digest, or empty.
        page: The report's page, relative to the workspace, or empty.
    """

    endpoint: str
    kind: str
    verdict: Verdict
    report: str = ""
    page: str = ""

    @property
    def causes(self) -> tuple[Cause, ...]:
        """What the verdict rests on; where it does not say, the kind of the look stands for it."""
        return self.verdict.causes or ((Cause(self.kind, self.verdict.status),) if self.report else ())

    def wrong(self, grades: Iterable[str] = ("alarm", "warn")) -> set[str]:
        """Return the names of the causes that are of one of these grades."""
        return {cause.name for cause in self.causes if cause.grade in grades}

    def gone(self, cause: str) -> bool:
        """Return whether the look judged a cause's family and did not find it."""
        families = {judged.family for judged in self.causes}
        return cause.partition(":")[0] in families and cause not in self.wrong()


@dataclass(frozen=True)
class AlertRow:
    """One alert.

    Attributes:
        alert: Its number.
        endpoint: The endpoint it is about.
        status: alarm or warn.
        state: open, acknowledged, snoozed or recovered.
        causes: What is wrong, or was.
        sentence: The verdict in words.
        raised_at: When it was raised.
        note: Who acknowledged or snoozed it, until when and why; when it recovered; what was done; what was not sent.
        next: The exact line to run next.
        report: The report's digest, its first characters.
    """

    alert: int
    endpoint: str
    status: str
    state: str
    causes: str
    sentence: str
    raised_at: datetime
    note: str
    next: str
    report: str


@dataclass(frozen=True)
class AlertsResult(Result):
    """Alerts, the newest first.

    Attributes:
        alerts: One row an alert.
    """

    alerts: tuple[AlertRow, ...]
    _frame_field: ClassVar[str] = "alerts"

    def headline(self) -> str:
        """Say how many are open."""
        if not self.alerts:
            return "There is no alert."
        waiting = sum(row.state == "open" for row in self.alerts)
        held = sum(row.state in ("acknowledged", "snoozed") for row in self.alerts)
        return f"{counted(waiting, 'open alert')}, {held} acknowledged or snoozed."


@dataclass(frozen=True)
class HoldResult(Result):
    """An alert is acknowledged or snoozed.

    Attributes:
        alert: Its number.
        endpoint: The endpoint it is about.
        state: acknowledged or snoozed.
        actor: Who said so.
        reason: Why.
        until: Until when; ``None``: as long as it is open.
    """

    alert: int
    endpoint: str
    state: str
    actor: str
    reason: str
    until: datetime | None
    _hidden: ClassVar[tuple[str, ...]] = ("alert", "endpoint", "state")

    def headline(self) -> str:
        """Say which."""
        return f"Alert {self.alert} of {self.endpoint!r} is {self.state}."


def of_report(context: Context, found: ReportResult) -> Look:
    """Return the look that a report is."""
    page = found.page.relative_to(context.root).as_posix()
    return Look(found.endpoint, found.kind, found.verdict, found.digest, page)


def of_monitor(result: MonitorResult) -> Look:
    """Return the look that a monitor is."""
    return Look(result.endpoint, "monitor", result.verdict)


def watched(context: Context, window: Window, result: MonitorResult) -> MonitorResult:
    """Return a monitor's result with what is new since the looks before.

    Alerts are raised where a job looks by itself; a look by hand, or within a report, changes nothing.
    """
    look = of_monitor(result)
    by_itself = context.caller.job and not window.pinned
    return replace(result, since_last_report=settle(context, look) if by_itself else compare(context, look))


def settle(context: Context, look: Look) -> tuple[AlertChange, ...]:
    """Raise and close alerts after a look; return what changed, as :func:`compare` would have told before."""
    from mlprod_nb.lifecycle.alerting import adapting, notifying
    from mlprod_nb.store import notices

    if look.kind in _SILENT:
        return ()
    changes = compare(context, look)
    said = NewAlert(
        look.endpoint, look.kind, look.verdict.status, look.verdict.sentence, _next(look), look.report, look.page
    )
    with context.store.write() as connection:
        known = alerts.open_causes(connection, look.endpoint)
        gone = [cause for cause in known if look.gone(cause)]
        for number in alerts.recover(connection, look.endpoint, gone, now=context.clock()):
            notices.add(connection, number, "recovered", now=context.clock(), detail=look.verdict.sentence)
            context.audit(connection, "alert recovered", f"alert {number}", look.verdict.sentence)
        raised = alerts.add(connection, said, look.wrong(_grades(context, look.endpoint)), now=context.clock())
        if raised is not None:
            notices.add(connection, raised, "raised", now=context.clock())
            adapting.plan(context, connection, raised, look.endpoint)
            context.audit(connection, "alert", f"alert {raised}", f"{look.endpoint}: {look.verdict.sentence}")
        _remind(connection, look.endpoint, context.clock())
    notifying.deliver(context)
    adapting.carry_out(context, look.endpoint)
    notifying.deliver(context)
    return changes


def compare(context: Context, look: Look) -> tuple[AlertChange, ...]:
    """Say what of a look is new, gone or still open; change nothing."""
    if look.kind in _SILENT:
        return ()
    with context.store.read() as connection:
        known = alerts.list_alerts(connection, endpoint=look.endpoint, only_open=True)
    held = {cause: alert for alert in known for cause in alert.open_causes}
    fresh = sorted(look.wrong(_grades(context, look.endpoint)) - held.keys())
    changes = [AlertChange("new", cause, look.verdict.sentence, None, "") for cause in fresh]
    for cause, alert in sorted(held.items()):
        state = "recovered" if look.gone(cause) else alert.state(context.clock())
        change = "still open" if state == "open" else state
        note = str(alert.hold) if state in ("acknowledged", "snoozed") else ""
        changes.append(AlertChange(change, cause, alert.said.sentence, alert.raised_at, note))
    return tuple(changes)


def list_alerts(context: Context, endpoint: str, *, every: bool = False) -> AlertsResult:
    """List alerts: those that are not over, or every one.

    Raises:
        NotFound: There is no such endpoint.
    """
    from mlprod_nb.lifecycle.alerting import notifying
    from mlprod_nb.store import actions

    with context.store.read() as connection:
        found = alerts.list_alerts(connection, endpoint=endpoint, only_open=not every)
        done = actions.of(connection, [alert.id for alert in found])
    if endpoint and not found:
        check_endpoint(context, endpoint)
    lost = {alert: f"not sent: {problem}" for alert, problem in notifying.unsent(context).items()}
    rows = (_row(alert, context.clock(), done.get(alert.id), lost.get(alert.id, "")) for alert in found)
    return AlertsResult(tuple(rows))


def acknowledge(context: Context, alert: int, *, until: str, reason: str) -> HoldResult:
    """Record that somebody sees to an alert."""
    return _hold(context, alert, "acknowledged", until, reason)


def snooze(context: Context, alert: int, *, until: str, reason: str) -> HoldResult:
    """Keep an alert silent until a moment."""
    return _hold(context, alert, "snoozed", until, reason)


def _hold(context: Context, alert: int, kind: HoldKind, until: str, reason: str) -> HoldResult:
    actor, now = context.caller.actor, context.clock()
    with context.store.write() as connection:
        found, given = alerts.hold(connection, alert, kind, until=until, actor=actor, reason=reason, now=now)
        context.audit(connection, "alert hold", f"alert {alert}", str(given))
    return HoldResult(alert, found.said.endpoint, kind, given.actor, given.reason, given.until)


def _remind(connection: Connection, endpoint: str, now: datetime) -> None:
    """Tell once more of alerts whose snooze has ended."""
    from mlprod_nb.store import notices

    for alert in alerts.list_alerts(connection, endpoint=endpoint, only_open=True):
        end = alert.hold.until if alert.hold and alert.hold.kind == "snoozed" else None
        if end is not None and end <= now and not notices.told_since(connection, alert.id, "still open", end):
            notices.add(connection, alert.id, "still open", now=now)


def _grades(context: Context, endpoint: str) -> tuple[str, ...]:
    """Return the grades that raise an alert."""
    return _GRAVE[context.settings.endpoint(endpoint).monitor.alert_on]


def _next(look: Look) -> str:
    return look.verdict.action or f"%mlprod monitor {look.endpoint}"


def _row(alert: Alert, now: datetime, action: Action | None, lost: str) -> AlertRow:
    from mlprod_nb.lifecycle.alerting import notifying

    said, state, over = alert.said, alert.state(now), alert.recovered_at
    causes = ", ".join(alert.open_causes or (cause for cause, _ in alert.causes))
    note = f"recovered at {iso(over)}" if over else str(alert.hold) if state != "open" else ""
    note = "; ".join(filter(None, (note, str(action) if action else "", lost)))
    return AlertRow(
        alert.id,
        said.endpoint,
        said.status,
        state,
        causes,
        said.sentence,
        alert.raised_at,
        note,
        notifying.next_line(alert, action),
        said.report[:12],
    )
