"""The whole workspace at a glance."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from mlprod_nb.errors import MlprodError
from mlprod_nb.lifecycle import background, serving_now
from mlprod_nb.lifecycle.alias_moves import owed
from mlprod_nb.lifecycle.background import TaskRow
from mlprod_nb.lifecycle.context import Context
from mlprod_nb.lifecycle.deploying.revise import active
from mlprod_nb.lifecycle.serving_now import EndpointStatus, GatewayStatus
from mlprod_nb.results import Result, Section, Verdict
from mlprod_nb.store import journal

#: Of so many tasks, the newest, those are shown that run or did not end well.
_TASKS = 5
_REPORTS = 5
_MOST_REACTIONS = 3


@dataclass(frozen=True)
class ReactionStatus:
    """What users did with the answers of one endpoint since the gateway started.

    Attributes:
        endpoint: The endpoint's name.
        interactions: How many interactions came.
        rewards: How many rewards.
        most: The most frequent of both by name, and how often each came.
    """

    endpoint: str
    interactions: int
    rewards: int
    most: str


@dataclass(frozen=True)
class ReportRow:
    """One report.

    Attributes:
        endpoint: The endpoint it is about.
        kind: ``drift``, ``abtest`` or the name of a user's own.
        status: Its verdict: ok, warn or alarm; failed where it came to none.
        sentence: Its verdict in words, or what failed.
        created_at: When it was made.
        digest: Its digest's first characters; empty where it failed.
        approvals: How many approved it.
    """

    endpoint: str
    kind: str
    status: str
    sentence: str
    created_at: datetime
    digest: str
    approvals: int


@dataclass(frozen=True)
class JobStatus:
    """One scheduled job.

    Attributes:
        job: Its number.
        cron: When it runs.
        command: What it runs.
        next_at: When it runs next.
        last: How its last run ended, or empty.
    """

    job: int
    cron: str
    command: str
    next_at: datetime | None
    last: str


@dataclass(frozen=True)
class AlertStatus:
    """One alert that is not over.

    Attributes:
        alert: Its number.
        endpoint: The endpoint it is about.
        status: alarm or warn.
        state: open, acknowledged or snoozed.
        sentence: Its verdict in words.
        note: Who acknowledged or snoozed it, until when and why; where it could not be sent.
        raised_at: When it was raised.
    """

    alert: int
    endpoint: str
    status: str
    state: str
    sentence: str
    note: str
    raised_at: datetime


@dataclass(frozen=True)
class StatusResult(Result):
    """The workspace at a glance.

    Attributes:
        verdict: Whether anything needs attention.
        workspace: Its name.
        gateway: The gateway.
        endpoints: One row a variant.
        reports: The newest reports first.
        jobs: The scheduled jobs.
        alerts: The alerts that are not over, newest first.
        tasks: The tasks in the background that run, or of the last ones did not end well, newest first.
        reactions: What users did with the answers of endpoints, where they did something.
    """

    verdict: Verdict
    workspace: str
    gateway: GatewayStatus
    endpoints: tuple[EndpointStatus, ...]
    reports: tuple[ReportRow, ...]
    jobs: tuple[JobStatus, ...]
    alerts: tuple[AlertStatus, ...] = ()
    tasks: tuple[TaskRow, ...] = ()
    reactions: tuple[ReactionStatus, ...] = ()

    _frame_field = "endpoints"

    def sections(self) -> Sequence[Section]:
        """Return what is shown: alerts before all that they may be about, and what they say only there."""
        told = replace(self, reports=tuple(_short(report, self.alerts) for report in self.reports))
        sections = Result.sections(told)
        return sorted(sections, key=lambda section: _ORDER.get(section.title, len(_ORDER)))


#: The sections' order; the others come after.
_ORDER = {title: place for place, title in enumerate(("", "gateway", "alerts", "endpoints", "reactions"))}


def same_alert(report: ReportRow, alerts: Sequence[AlertStatus]) -> int | None:
    """Return the number of the alert that says what a report says, or ``None``."""
    said = (report.endpoint, report.sentence)
    return next((alert.alert for alert in alerts if (alert.endpoint, alert.sentence) == said), None)


def _short(report: ReportRow, alerts: Sequence[AlertStatus]) -> ReportRow:
    alert = same_alert(report, alerts)
    return report if alert is None else replace(report, sentence=f"see alert {alert}")


def status(context: Context) -> StatusResult:
    """Look at every part; a part that does not answer is said to, never an error."""
    gateway = serving_now.gateway(context)
    deployed = active(context)
    endpoints = tuple(row for revision in deployed.values() for row in serving_now.endpoint(context, revision))
    reports = _reports(context)
    waiting = _alerts(context)
    verdict = _verdict(gateway, endpoints, reports, waiting)
    notable = [f"a gateway that starts cannot load {row.endpoint!r}: {row.note}." for row in endpoints if row.lost]
    notable += [sentence for sentence in (gateway.outdated(),) if sentence]
    notable += [
        f"{move.alias} has not moved to {move.after}: whoever moved it died; the next verb does it once it can."
        for move in owed.waiting(context)
    ]
    notable += context.settings.strangers(deployed) if deployed else []
    if context.settings.models:
        with context.store.read() as connection:
            models = journal.registered(connection)
        notable += context.settings.unknown_models(models) if models else []
    return StatusResult(
        verdict=Verdict("warn", notable[0]) if notable and verdict.status == "ok" else verdict,
        workspace=context.settings.name or context.root.name,
        gateway=gateway,
        endpoints=endpoints,
        reports=reports,
        jobs=_jobs(context),
        alerts=waiting,
        tasks=tuple(row for row in background.tasks(context)[:_TASKS] if row.state != "done"),
        reactions=_reactions(context, deployed) if gateway.running else (),
    )


def _reactions(context: Context, endpoints: Iterable[str]) -> tuple[ReactionStatus, ...]:
    """Return what the gateway heard of users; nothing where it does not tell."""
    from mlprod_nb.lifecycle.panels import counters, reacting
    from mlprod_nb.lifecycle.traffic import client
    from mlprod_nb.prediction_log.schema import REACTIONS

    try:
        with client(context) as gateway:
            metrics = gateway.metrics()
    except MlprodError:
        return ()
    if not any(f'kind="{kind}"' in metrics for kind in REACTIONS):  # reading them takes longer than looking
        return ()
    rows = []
    for endpoint in endpoints:
        found = counters.Samples(newest=counters.read(metrics, endpoint, context.clock())).reactions()
        if found:
            told = {kind: sum(one.since_start for one in found if one.kind == kind) for kind in REACTIONS}
            most = ", ".join(f"{reacting.title(one)} {one.since_start:,.0f}" for one in found[:_MOST_REACTIONS])
            rows.append(ReactionStatus(endpoint, round(told["interaction"]), round(told["reward"]), most))
    return tuple(rows)


def _reports(context: Context) -> tuple[ReportRow, ...]:
    from mlprod_nb import site
    from mlprod_nb.store import report_index

    with context.store.read() as connection:
        found = report_index.list_reports(connection, limit=_REPORTS)
    rows = [
        ReportRow(r.endpoint, r.kind, r.status, r.sentence, r.created_at, r.digest[:12], r.approvals) for r in found
    ]
    rows += [
        ReportRow(entry.endpoint, entry.kind, entry.status, entry.sentence, entry.at, "", 0)
        for entry in site.failed(context.layout.reports, newest=_REPORTS)
    ]
    return tuple(sorted(rows, key=lambda row: row.created_at, reverse=True)[:_REPORTS])


def _alerts(context: Context) -> tuple[AlertStatus, ...]:
    from mlprod_nb.lifecycle.alerting import alerts

    return tuple(
        AlertStatus(row.alert, row.endpoint, row.status, row.state, row.sentence, row.note, row.raised_at)
        for row in alerts.list_alerts(context, "").alerts
    )


def _jobs(context: Context) -> tuple[JobStatus, ...]:
    from mlprod_nb import scheduler

    with context.store.read() as connection:
        listed = scheduler.list_jobs(connection, now=context.clock())
    return tuple(JobStatus(job.job, job.cron, job.command, job.next_at, job.last) for job in listed.jobs)


def _verdict(
    gateway: GatewayStatus,
    endpoints: tuple[EndpointStatus, ...],
    reports: tuple[ReportRow, ...],
    alerts: tuple[AlertStatus, ...],
) -> Verdict:
    if endpoints and not gateway.running:
        return Verdict("alarm", "the gateway is not running, so no endpoint answers.", "%mlprod up")
    if gateway.problem and gateway.running:
        return Verdict("alarm", f"the gateway is not ready: {gateway.problem}")
    if gateway.log.startswith("on_reserve"):
        reason = gateway.log.removeprefix("on_reserve: ")
        return Verdict("warn", f"predictions are answered and logged for a while yet: {reason}")
    waiting = [alert for alert in alerts if alert.state == "open"]
    if waiting:
        # What an alert says stands in its row, and once is enough.
        newest = f"alert {waiting[0].alert} of {waiting[0].endpoint!r}"
        several = f"{len(waiting)} alerts are open, the newest is {newest}."
        sentence = several if len(waiting) > 1 else f"{newest} is open."
        return Verdict("warn", sentence, f"%mlprod alerts acknowledge {waiting[0].alert}")
    if not endpoints:
        where = f"the gateway is up at {gateway.url}; " if gateway.running else ""
        action = "%mlprod deploy MODEL@ALIAS" if gateway.running else "%mlprod up"
        return Verdict("ok", f"{where}nothing is deployed yet.", action)
    latest: dict[tuple[str, str], ReportRow] = {}
    for report in reports:
        latest.setdefault((report.endpoint, report.kind), report)
    seen_to = {alert.endpoint for alert in alerts}
    bad = [row for row in latest.values() if row.status in ("alarm", "failed") and row.endpoint not in seen_to]
    if bad:
        first = bad[0]
        says = "failed" if first.status == "failed" else "says"
        return Verdict("warn", f"the last {first.kind} report of {first.endpoint!r} {says}: {first.sentence}")
    names = sorted({row.endpoint for row in endpoints})
    return Verdict("ok", f"{', '.join(names)} {'answers' if len(names) == 1 else 'answer'} at {gateway.url}")
