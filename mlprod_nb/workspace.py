"""The façade: one method a verb, the same words in the shell, in a notebook, in a button and in a scheduled job.

Positional parameters are a verb's arguments, keyword parameters its options. The docstrings are what ``--help`` shows.
"""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlprod_nb import settings
from mlprod_nb.clock import Clock, utc_now

if TYPE_CHECKING:
    from mlprod_nb.abtest import ABTestResult, PlanResult
    from mlprod_nb.abtest.calibration import AAResult
    from mlprod_nb.gates import GateReport
    from mlprod_nb.lifecycle.access import AuditResult, GrantResult, RevokeResult, TokensResult, VerifyResult
    from mlprod_nb.lifecycle.adapting import ActResult
    from mlprod_nb.lifecycle.alerts import AlertsResult, HoldResult
    from mlprod_nb.lifecycle.context import Caller, Context
    from mlprod_nb.lifecycle.deploy import RevisionResult, UndeployResult
    from mlprod_nb.lifecycle.gateway import DownResult, InitResult, UpResult
    from mlprod_nb.lifecycle.history import (
        CompactResult,
        HistoryResult,
        LogReader,
        LogsResult,
        VerifyLogResult,
        WhoServedResult,
    )
    from mlprod_nb.lifecycle.kernels import KernelResult
    from mlprod_nb.lifecycle.notifying import TestSent
    from mlprod_nb.lifecycle.register import ModelsResult, RegisterResult
    from mlprod_nb.lifecycle.reporting import ApprovalResult
    from mlprod_nb.lifecycle.retraining import RetrainResult
    from mlprod_nb.lifecycle.scheduling import JobAdded, JobRan, JobRemoved
    from mlprod_nb.lifecycle.shipping import ABTestStopped
    from mlprod_nb.lifecycle.starting import ABTestStarted
    from mlprod_nb.lifecycle.status import StatusResult
    from mlprod_nb.lifecycle.traffic import FeedbackResult, PredictResult
    from mlprod_nb.lifecycle.training import TrainingReader
    from mlprod_nb.monitoring import MonitorResult
    from mlprod_nb.monitoring.drill_result import DrillResult
    from mlprod_nb.reports import ReportResult
    from mlprod_nb.reports.compare import DiffResult
    from mlprod_nb.reports.flips import FlipsResult
    from mlprod_nb.reports.replay import ReplayResult
    from mlprod_nb.reports.site import SiteResult
    from mlprod_nb.scheduler import JobList


class Workspace:
    """A directory with ``mlprod.toml``: its registry, endpoints, prediction log and reports.

    Args:
        root: The directory.
        caller: Who calls, from where, with which line; by default the operating system's user.
        clock: Gives the present moment.
    """

    def __init__(self, root: Path, *, caller: Caller | None = None, clock: Clock = utc_now) -> None:
        self.root = root
        self.caller = caller
        self.clock = clock

    @classmethod
    def open(cls, start: str | Path | None = None, *, caller: Caller | None = None) -> Workspace:
        """Open the workspace at or above a directory.

        Args:
            start: Where to look; by default ``MLPROD_WORKSPACE`` or the current directory.
            caller: Who calls.

        Raises:
            NotFound: No workspace is there.
        """
        return cls(settings.open_root(Path(start) if start else None), caller=caller)

    @cached_property
    def context(self) -> Context:
        """What the stories work on: settings, store, registry, prediction log, caller and clock."""
        from mlprod_nb.lifecycle.context import Caller, Context

        return Context(self.root, self.caller or Caller.current(), self.clock)

    @cached_property
    def log(self) -> LogReader:
        """The prediction log as tables, for analysis: ``ws.log("flights", since="7d").to_frame()``."""
        from mlprod_nb.lifecycle.history import LogReader

        return LogReader(self.context)

    @cached_property
    def training(self) -> TrainingReader:
        """Labelled rows to train on: ``ws.training("flights", since="28d").fit()``."""
        from mlprod_nb.lifecycle.training import TrainingReader

        return TrainingReader(self.context)

    # -- set up ---------------------------------------------------------------------------------------------------

    @staticmethod
    def init(path: str = ".", *, name: str = "") -> InitResult:
        """Make a workspace: mlprod.toml, the state database, the registry and a token for local calls.

        What is there already is kept.

        Args:
            path: The directory; made where it does not exist.
            name: What the workspace is called; the directory's name where empty.

        Examples:
            mlprod init
            mlprod init ./flights --name flights
        """
        from mlprod_nb.lifecycle import gateway

        return gateway.init(Path(path), name=name)

    def up(self) -> UpResult:
        """Start the gateway and the scheduler as processes of their own, which survive the notebook's kernel.

        Examples:
            mlprod up
        """
        from mlprod_nb.lifecycle import gateway

        return gateway.up(self.context)

    def down(self, *, yes: bool = False) -> DownResult:
        """Stop the gateway and the scheduler; requests under way are answered first.

        Args:
            yes: Do not ask.

        Examples:
            mlprod down --yes
        """
        from mlprod_nb.lifecycle import gateway

        return gateway.down(self.context, yes=yes)

    def status(self) -> StatusResult:
        """Show the gateway, endpoints, versions, traffic, reports and jobs.

        Examples:
            mlprod status
        """
        from mlprod_nb.lifecycle import status

        return status.status(self.context)

    # -- models ---------------------------------------------------------------------------------------------------

    def register(
        self, name: str, *, model: Any, data: Any, target: Any = None, alias: str = "", note: str = ""
    ) -> RegisterResult:
        """Register a fitted model as a new version, with its bundle, reference profile and lineage.

        Args:
            name: The registered model's name.
            model: The fitted model ($name in a notebook, a joblib file in a shell).
            data: The reference data: the columns the model takes ($name, or a CSV or Parquet file); a frame's index of
                moments says when each row's event happened.
            target: The true outcomes of the reference data ($name, or the name of a column of the data).
            alias: An alias to set on the new version, as champion.
            note: What changed and why; in a notebook the cell's body.

        Examples:
            mlprod register flights --model $clf --data $X --target $y --alias champion
        """
        from mlprod_nb.lifecycle import register

        return register.register(self.context, register.Submission(name, model, data, target, alias, note))

    def models(self, name: str = "") -> ModelsResult:
        """List the registered models, or the versions of one.

        Args:
            name: A model's name; empty for all.

        Examples:
            mlprod models
            mlprod models flights
        """
        from mlprod_nb.lifecycle import register

        return register.models(self.context, name)

    def check(self, version: str) -> GateReport:
        """Run the gates on a version: integrity, signature, agreement with the original, smoke prediction, latency.

        Args:
            version: A version, as flights/3 or flights@champion.

        Examples:
            mlprod check flights@champion
        """
        from mlprod_nb.lifecycle import register

        return register.check(self.context, version)

    # -- endpoints ------------------------------------------------------------------------------------------------

    def deploy(self, version: str, *, endpoint: str = "", reason: str = "", dry_run: bool = False) -> RevisionResult:
        """Serve a version at an endpoint, with all of its traffic.

        Args:
            version: A version, as flights/3 or flights@champion.
            endpoint: The endpoint's name; the model's name where empty.
            reason: Why, for the journal.
            dry_run: Show what would change and change nothing.

        Examples:
            mlprod deploy flights@champion
            mlprod deploy flights/2 --endpoint flights-eu --reason "new region"
        """
        from mlprod_nb.lifecycle import deploy

        return deploy.deploy(self.context, version, endpoint=endpoint, reason=reason, dry_run=dry_run)

    def undeploy(self, endpoint: str, *, reason: str = "", dry_run: bool = False, yes: bool = False) -> UndeployResult:
        """Take an endpoint away; its log and history stay.

        Args:
            endpoint: The endpoint's name.
            reason: Why, for the journal.
            dry_run: Show what would change and change nothing.
            yes: Do not ask.

        Examples:
            mlprod undeploy flights --yes --reason "replaced by flights-eu"
        """
        from mlprod_nb.lifecycle import deploy

        return deploy.undeploy(self.context, endpoint, reason=reason, dry_run=dry_run, yes=yes)

    def route(
        self, endpoint: str, *shares: str, unit: str = "", reason: str = "", dry_run: bool = False
    ) -> RevisionResult:
        """Split an endpoint's traffic between versions, sticky by unit.

        Args:
            endpoint: The endpoint's name.
            shares: One VARIANT=WEIGHT for each: a variant's name, an alias or version of the model; VARIANT=shadow
                for one that scores the same rows after the reply and never answers.
            unit: What is randomised, as the request column tailnum; kept as it was where empty.
            reason: Why, for the journal; in a notebook the cell's body.
            dry_run: Show what would change and change nothing.

        Examples:
            mlprod route flights champion=50 challenger=50 --unit tailnum
            mlprod route flights champion=100 challenger=shadow
            mlprod route flights champion=100 --reason "stop the test" --dry-run
        """
        from mlprod_nb.lifecycle import deploy

        return deploy.route(self.context, endpoint, shares, unit=unit, reason=reason, dry_run=dry_run)

    def promote(
        self, version: str, *, alias: str = "champion", endpoint: str = "", reason: str = "", dry_run: bool = False
    ) -> RevisionResult:
        """Make a version the champion: all traffic of the endpoint, and the alias.

        Args:
            version: A version, as flights/3 or flights@challenger.
            alias: The alias that moves to it.
            endpoint: The endpoint's name; the model's name where empty.
            reason: Why, for the journal; in a notebook the cell's body.
            dry_run: Show what would change and change nothing.

        Examples:
            mlprod promote flights@challenger --reason "better Brier score in April"
        """
        from mlprod_nb.lifecycle import deploy

        request = deploy.Promotion(version, alias, endpoint, reason, dry_run)
        return deploy.promote(self.context, request)

    def rollback(self, endpoint: str, *, to: int = 0, reason: str = "", dry_run: bool = False) -> RevisionResult:
        """Bring an endpoint back to an earlier revision, and the aliases that its moves had changed.

        Args:
            endpoint: The endpoint's name.
            to: The revision's number; the one before the present where 0.
            reason: Why, for the journal; in a notebook the cell's body.
            dry_run: Show what would change and change nothing.

        Examples:
            mlprod rollback flights
            mlprod rollback flights --to 2 --reason "errors since noon"
        """
        from mlprod_nb.lifecycle import deploy

        return deploy.rollback(self.context, endpoint, to=to, reason=reason, dry_run=dry_run)

    def history(self, endpoint: str, *, limit: int = 20) -> HistoryResult:
        """Show an endpoint's revisions and its aliases' moves: who, when, why, from, to.

        Args:
            endpoint: The endpoint's name.
            limit: How many entries at most.

        Examples:
            mlprod history flights
        """
        from mlprod_nb.lifecycle import history

        return history.history(self.context, endpoint, limit=limit)

    # -- traffic --------------------------------------------------------------------------------------------------

    def predict(self, endpoint: str, *, data: Any, units: Any = None, event_time: Any = None) -> PredictResult:
        """Ask an endpoint for predictions, over HTTP as any client would.

        Args:
            endpoint: The endpoint's name.
            data: The rows ($name, or a CSV or Parquet file).
            units: One unit a row ($name, or a column of the data).
            event_time: One moment a row, UTC ($name, or a column of the data).

        Examples:
            mlprod predict flights --data $april --event-time $when
        """
        from mlprod_nb.lifecycle import traffic

        return traffic.predict(self.context, endpoint, data, units=units, event_time=event_time)

    def feedback(
        self, endpoint: str, *, ids: Any, values: Any, kind: str = "label", name: str = "label", source: str = ""
    ) -> FeedbackResult:
        """Send what really happened, by prediction id.

        Args:
            endpoint: The endpoint's name.
            ids: Prediction ids, as a prediction's reply gave them ($name).
            values: One value an id ($name).
            kind: label, reward or interaction.
            name: What the value is called, where there are several kinds of it.
            source: Where the values come from; the latest value of each source counts.

        Examples:
            mlprod feedback flights --ids $ids --values $arrived_late
        """
        from mlprod_nb.lifecycle import traffic

        rows = traffic.Feedback(endpoint, ids, values, kind, name, source)
        return traffic.feedback(self.context, rows)

    def logs(self, endpoint: str, *, since: str = "", until: str = "", where: str = "", limit: int = 20) -> LogsResult:
        """Read the prediction log.

        Args:
            endpoint: The endpoint's name.
            since: From this event time on: a date, a time, or an age such as 7d.
            until: Before this event time.
            where: A SQL condition over the log's columns and the model's inputs.
            limit: How many rows at most.

        Examples:
            mlprod logs flights --since 2013-04-01 --where "variant = 'challenger' and carrier = 'UA'"
        """
        from mlprod_nb.lifecycle import history

        query = history.LogQuery(endpoint, since, until, where, limit)
        return history.logs(self.context, query)

    def who_served(self, prediction_id: str) -> WhoServedResult:
        """Tell which version answered a request, by prediction id, and why it was the one.

        Args:
            prediction_id: The id that the reply gave.

        Examples:
            mlprod who-served 0198a5c2-7d11-7c3a-9d57-0242ac120002
        """
        from mlprod_nb.lifecycle import history

        return history.who_served(self.context, prediction_id)

    def compact(self) -> CompactResult:
        """Put the prediction log's full segments into Parquet files; a running gateway does so by itself.

        Examples:
            mlprod compact
        """
        from mlprod_nb.lifecycle import history

        return history.compact(self.context)

    def verify(self) -> VerifyLogResult:
        """Check every checksum of the prediction log and every digest of the bundles and the audit trail.

        Examples:
            mlprod verify
        """
        from mlprod_nb.lifecycle import history

        return history.verify(self.context)

    # -- evidence -------------------------------------------------------------------------------------------------

    def monitor(
        self,
        endpoint: str,
        *,
        since: str = "",
        until: str = "",
        pinned: str = "",
        alibi: bool = False,
        alibi_with: str = "",
        joint: bool = False,
        online: bool = False,
        performance: bool = False,
        drill: str = "",
        detectors: str = "",
    ) -> MonitorResult | DrillResult:
        """Compare live traffic with the reference: drift, data quality and accuracy.

        Args:
            endpoint: The endpoint's name.
            since: From this event time on: a date, a time, or an age such as 7d.
            until: Before this event time.
            pinned: A pinned log range, as a report passes it; excludes since and until.
            alibi: Run alibi-detect's detectors too; production use needs a licence from Seldon.
            alibi_with: Names of its detectors, divided by commas, as KSDrift,FETDrift; turns alibi on.
            joint: Test all columns together too, on a sample of the rows: takes some seconds more.
            online: Watch the rows in the order of their event times too, to say when a change began.
            performance: Look thoroughly at the model too: the worst segments, trials of estimates on earlier windows.
            drill: A drift to inject into a copy of the window, to see what would find it: amount+0.3sd, amount*1.5sd,
                "amount missing 5%", carrier=UA+5pts, or amount~distance, which turns a correlation round.
            detectors: Which detectors to run, with commas between their names, instead of the usual ones.

        Examples:
            mlprod monitor flights --since 2013-04-01 --until 2013-05-01
            mlprod monitor flights --since 7d --joint --online
            mlprod monitor flights --since 7d --performance
            mlprod monitor flights --since 7d --drill distance+0.3sd
            mlprod monitor flights --since 7d --alibi-with CVMDrift,FETDrift
            mlprod monitor flights --detectors ks,wasserstein
        """
        from mlprod_nb.lifecycle import alerts, watch

        window = watch.Window(endpoint, since, until, pinned)
        if drill:
            return watch.drill(self.context, window, drill)
        extra = watch.Extra(alibi, alibi_with, joint, online, performance, detectors)
        found = watch.monitor(self.context, window, extra)
        return alerts.watched(self.context, window, found)

    def abtest_plan(
        self, endpoint: str, *, effect: float, metric: str = "", power: float = 0.8, alpha: float = 0.05
    ) -> PlanResult:
        """Say how many units an A/B test needs, and how many days that is at the traffic in the log.

        Args:
            endpoint: The endpoint's name.
            effect: The smallest difference worth finding, in the metric's own units.
            metric: The metric; the task's own where empty.
            power: The chance to find that difference if it is there.
            alpha: The chance to find one that is not there.

        Examples:
            mlprod abtest plan flights --effect 0.01
        """
        from mlprod_nb.lifecycle import experiment

        return experiment.plan(self.context, experiment.Question(endpoint, effect, metric, power, alpha))

    def abtest_start(
        self,
        endpoint: str,
        *,
        design: str = "",
        treatment: str = "",
        primary: str = "",
        guardrails: str = "",
        minimal_effect: float = 0.0,
        maximum_days: float = 0.0,
        method: str = "",
    ) -> ABTestStarted:
        """Start an A/B test of the endpoint's present split, or of a shadow; refuse one that cannot answer.

        Args:
            endpoint: The endpoint's name.
            design: YAML: hypothesis, primary, guardrails, minimal_effect, alpha …; in a notebook the cell's body.
            treatment: The variant that may replace the champion; a shadow is compared request by request.
            primary: The metric that decides; the task's own where empty.
            guardrails: Metrics that must not get worse, divided by commas.
            minimal_effect: The smallest difference worth having, in the primary metric's own units.
            maximum_days: How long the test may run.
            method: always-valid, planned, fixed or paired; what fits the split where empty.

        Examples:
            mlprod abtest start flights
            mlprod abtest start flights --design "primary: brier"
            mlprod abtest start flights --primary brier --guardrails accuracy,latency_ms --minimal-effect 0.01
        """
        from mlprod_nb.lifecycle import starting

        given = {"treatment": treatment, "primary": primary, "guardrails": guardrails, "method": method}
        limits = {"minimal_effect": minimal_effect, "maximum_days": maximum_days}
        return starting.start(self.context, endpoint, design, {**given, **limits})

    def abtest_result(self, endpoint: str, *, since: str = "", until: str = "", pinned: str = "") -> ABTestResult:
        """Compare the variants: health, verdict, lift with interval; valid at every look.

        Args:
            endpoint: The endpoint's name.
            since: From this event time on; the whole test where empty.
            until: Before this event time.
            pinned: A pinned log range, as a report passes it; excludes since and until.

        Examples:
            mlprod abtest result flights
        """
        from mlprod_nb.lifecycle import experiment, watch

        return experiment.result(self.context, watch.Window(endpoint, since, until, pinned))

    def abtest_calibrate(
        self, endpoint: str, *, runs: int = 1000, since: str = "", until: str = "", pinned: str = ""
    ) -> AAResult:
        """Divide the test's units by chance, again and again, and show how often the analysis is wrong here (A/A).

        Args:
            endpoint: The endpoint's name.
            runs: How many divisions.
            since: From this event time on; the whole test where empty.
            until: Before this event time.
            pinned: A pinned log range, as a report passes it; excludes since and until.

        Examples:
            mlprod abtest calibrate flights --runs 1000
        """
        from mlprod_nb.lifecycle import experiment, watch

        return experiment.calibrate(self.context, watch.Window(endpoint, since, until, pinned), runs)

    def abtest_stop(
        self, endpoint: str, *, ship: bool = False, yes: bool = False, reason: str = "", dry_run: bool = False
    ) -> ABTestStopped:
        """End the running A/B test; the split stays, or the treatment gets all traffic and the champion's alias.

        Args:
            endpoint: The endpoint's name.
            ship: Promote the treatment; only where the verdict is to ship.
            yes: Ship whatever the verdict; takes a reason.
            reason: Why, for the journal; in a notebook the cell's body.
            dry_run: Show what would change and change nothing.

        Examples:
            mlprod abtest stop flights --reason "decided"
            mlprod abtest stop flights --ship --dry-run
        """
        from mlprod_nb.lifecycle import shipping

        return shipping.stop(self.context, shipping.Stop(endpoint, ship, yes, reason, dry_run))

    def report(self, endpoint: str, kind: str, *, since: str = "", until: str = "") -> ReportResult:
        """Run a report notebook in a fresh kernel: executed notebook, HTML page and verdict.json.

        Args:
            endpoint: The endpoint's name.
            kind: drift, performance or abtest.
            since: From this event time on: a date, a time, or an age such as 7d.
            until: Before this event time.

        Examples:
            mlprod report flights drift --since 2013-04-01 --until 2013-05-01
            mlprod report flights performance --since 7d
            mlprod report flights abtest
        """
        from mlprod_nb.lifecycle import reporting, watch

        return reporting.report(self.context, watch.Window(endpoint, since, until), kind)

    def approve(self, digest: str, *, reason: str = "") -> ApprovalResult:
        """Record that a reviewer approves a report.

        Args:
            digest: The report's digest, or its first characters.
            reason: Why; in a notebook the cell's body.

        Examples:
            mlprod approve 3fa9c1d2 --reason "drift is seasonal"
        """
        from mlprod_nb.lifecycle import reporting

        return reporting.approve(self.context, digest, reason)

    def replay(self, report: str, *, model: str = "") -> ReplayResult | FlipsResult:
        """Run a report again on the rows it is bound to: it must conclude and show the same.

        Args:
            report: The report's digest, or its first characters.
            model: Another version, as flights/7, to answer those rows instead: which decisions flip, and for whom.

        Examples:
            mlprod replay 3fa9c1d2
            mlprod replay 3fa9c1d2 --model flights/7
        """
        from mlprod_nb.lifecycle import replaying

        return replaying.replay_with(self.context, report, model) if model else replaying.replay(self.context, report)

    def diff(self, before: str, after: str) -> DiffResult:
        """Say in words what changed from one report to another.

        Args:
            before: The first report's digest, or its first characters.
            after: The second report's.

        Examples:
            mlprod diff 3fa9c1d2 9b07e4aa
        """
        from mlprod_nb.lifecycle import replaying

        return replaying.diff(self.context, before, after)

    def site(self) -> SiteResult:
        """Write reports/index.html, which leads to every report, and its Atom feed; every report does so by itself.

        Examples:
            mlprod site
        """
        from mlprod_nb.lifecycle import reporting

        return reporting.site(self.context)

    # -- alerts ---------------------------------------------------------------------------------------------------

    def alerts_list(self, endpoint: str = "", *, every: bool = False) -> AlertsResult:
        """List the alerts that are not over, newest first.

        Args:
            endpoint: An endpoint's name; empty for all.
            every: Those that have recovered too.

        Examples:
            mlprod alerts list
            mlprod alerts list flights --every
        """
        from mlprod_nb.lifecycle import alerts

        return alerts.list_alerts(self.context, endpoint, every=every)

    def alerts_acknowledge(self, alert: int, *, until: str = "", reason: str = "") -> HoldResult:
        """Say that you see to an alert; later looks carry it.

        Args:
            alert: The alert's number.
            until: Until when that holds: a date, a time, or a duration from now; as long as it is open where empty.
            reason: Why; in a notebook the cell's body.

        Examples:
            mlprod alerts acknowledge 1 --reason "storms of June, as every year"
        """
        from mlprod_nb.lifecycle import alerts

        return alerts.acknowledge(self.context, alert, until=until, reason=reason)

    def alerts_snooze(self, alert: int, *, until: str, reason: str = "") -> HoldResult:
        """Keep an alert silent for a while; if it is still open after that, it is sent again.

        Args:
            alert: The alert's number.
            until: Until when: a date, a time, or a duration from now.
            reason: Why; in a notebook the cell's body.

        Examples:
            mlprod alerts snooze 1 --until "3 days" --reason "new data on Monday"
        """
        from mlprod_nb.lifecycle import alerts

        return alerts.snooze(self.context, alert, until=until, reason=reason)

    def alerts_act(self, alert: int, *, dry_run: bool = False) -> ActResult:
        """Do now what the endpoint's on_drift wants done about an alert; done once, it is not done again.

        Args:
            alert: The alert's number.
            dry_run: Show what would change and change nothing.

        Examples:
            mlprod alerts act 1 --dry-run
        """
        from mlprod_nb.lifecycle import adapting

        return adapting.act(self.context, alert, dry_run=dry_run)

    def alerts_test(self) -> TestSent:
        """Send a test message to every address that alerts go to, and say where it arrived.

        Examples:
            mlprod alerts test
        """
        from mlprod_nb.lifecycle import notifying

        return notifying.test(self.context)

    def retrain(
        self,
        endpoint: str,
        *,
        mode: str = "recent",
        since: str = "",
        until: str = "",
        reason: str = "",
        dry_run: bool = False,
    ) -> RetrainResult:
        """Train a challenger on an endpoint's log, by the training notebook; what serves goes on serving.

        Args:
            endpoint: The endpoint's name.
            mode: recent: the window; full: all history; weighted: all history, weighted by how it resembles the window.
            since: Where the window begins: a date, a time, or an age such as 7d; 28 days before its end where empty.
            until: Where it ends; with the newest prediction where empty.
            reason: Why, for note and journal; in a notebook the cell's body.
            dry_run: Show what would be trained and change nothing.

        Examples:
            mlprod retrain flights
            mlprod retrain flights --mode weighted --since 2013-06-01 --until 2013-07-01 --dry-run
        """
        from mlprod_nb.lifecycle import retraining

        wanted = retraining.Retraining(endpoint, mode, since, until, reason=reason, dry_run=dry_run)
        return retraining.retrain(self.context, wanted)

    # -- schedule -------------------------------------------------------------------------------------------------

    def schedule_add(self, cron: str, command: str, *, timezone: str = "UTC", timeout: str = "1h") -> JobAdded:
        """Store a command line to be run on a schedule.

        Args:
            cron: Five cron fields: minute, hour, day, month, weekday.
            command: The command line, without mlprod.
            timezone: An IANA time zone.
            timeout: The longest that one run may take.

        Examples:
            mlprod schedule add "0 6 * * 1" "report flights drift --since 7d"
        """
        from mlprod_nb.lifecycle import scheduling

        return scheduling.add(self.context, cron, command, timezone=timezone, timeout=timeout)

    def schedule_list(self) -> JobList:
        """List the jobs with their last and next runs.

        Examples:
            mlprod schedule list
        """
        from mlprod_nb.lifecycle import scheduling

        return scheduling.list_jobs(self.context)

    def schedule_run(self, job: int) -> JobRan:
        """Run a job now, as the scheduler would.

        Args:
            job: The job's number.

        Examples:
            mlprod schedule run 1
        """
        from mlprod_nb.lifecycle import scheduling

        return scheduling.run(self.context, job)

    def schedule_remove(self, job: int) -> JobRemoved:
        """Remove a job; its past runs stay.

        Args:
            job: The job's number.

        Examples:
            mlprod schedule remove 1
        """
        from mlprod_nb.lifecycle import scheduling

        return scheduling.remove(self.context, job)

    # -- access ---------------------------------------------------------------------------------------------------

    def access_grant(self, name: str, *, role: str = "caller", expires: str = "") -> GrantResult:
        """Make a bearer token and write it to a file that only you can read; it is never printed.

        Args:
            name: Whom or what it is for.
            role: viewer, caller, operator or admin.
            expires: When it ends, as an age such as 90d; never where empty.

        Examples:
            mlprod access grant booking-service --role caller --expires 90d
        """
        from mlprod_nb.lifecycle import access

        return access.grant(self.context, name, role=role, expires=expires)

    def access_revoke(self, name: str) -> RevokeResult:
        """Revoke all of a holder's tokens, at once.

        Args:
            name: Whom or what they were for.

        Examples:
            mlprod access revoke booking-service
        """
        from mlprod_nb.lifecycle import access

        return access.revoke(self.context, name)

    def access_list(self) -> TokensResult:
        """List who holds tokens, with which role, until when.

        Examples:
            mlprod access list
        """
        from mlprod_nb.lifecycle import access

        return access.list_tokens(self.context)

    def audit_show(self, *, limit: int = 20) -> AuditResult:
        """Show the newest entries of the audit trail.

        Args:
            limit: How many entries at most.

        Examples:
            mlprod audit show --limit 50
        """
        from mlprod_nb.lifecycle import access

        return access.audit_show(self.context, limit)

    def audit_verify(self) -> VerifyResult:
        """Verify the audit trail's hash chain.

        Examples:
            mlprod audit verify
        """
        from mlprod_nb.lifecycle import access

        return access.audit_verify(self.context)

    # -- notebooks ------------------------------------------------------------------------------------------------

    def kernel_alibi(self, *, source: str = "", dry_run: bool = False) -> KernelResult:
        """Make a Jupyter kernel that has alibi-detect, so that other notebooks keep the newest numpy.

        alibi-detect is under the Business Source License 1.1: use in production needs a licence from Seldon.

        Args:
            source: What pip installs; this package, from where it was installed itself, where empty.
            dry_run: Only say by which commands.

        Examples:
            mlprod kernel alibi --dry-run
            mlprod kernel alibi
        """
        from mlprod_nb.lifecycle import kernels

        return kernels.make_alibi(self.context, source=source, dry_run=dry_run)
