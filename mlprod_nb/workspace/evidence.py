"""Verbs of evidence: monitoring, A/B tests, reports."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mlprod_nb.workspace.base import Base

if TYPE_CHECKING:
    from mlprod_nb.abtest import ABTestResult, PlanResult
    from mlprod_nb.abtest.calibration import AAResult
    from mlprod_nb.lifecycle.abtests.allocating import AllocationResult
    from mlprod_nb.lifecycle.abtests.shipping import ABTestStopped
    from mlprod_nb.lifecycle.abtests.starting import ABTestStarted
    from mlprod_nb.lifecycle.comparing import VersionsDiff
    from mlprod_nb.lifecycle.reporting.approving import ApprovalResult
    from mlprod_nb.lifecycle.reporting.batch import ReportsResult
    from mlprod_nb.lifecycle.reporting.publishing import PruneResult
    from mlprod_nb.monitoring import MonitorResult
    from mlprod_nb.monitoring.drill_result import DrillResult
    from mlprod_nb.reports import ReportResult
    from mlprod_nb.reports.compare import DiffResult
    from mlprod_nb.reports.flips import FlipsResult
    from mlprod_nb.reports.kinds import OwnReport
    from mlprod_nb.reports.replay import ReplayResult
    from mlprod_nb.reports.stated import StatedVerdict
    from mlprod_nb.site import SiteResult


class Evidence(Base):
    """See what changed and which version is better; report it, approve it."""

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
            since: From this event time on: a date, a time, an age such as 7d, or yesterday.
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
        from mlprod_nb.lifecycle.alerting import alerts
        from mlprod_nb.lifecycle.watching import watch

        window = watch.Window(endpoint, since, until, pinned)
        if drill:
            return watch.drill(self.context, window, drill)
        extra = watch.Extra(alibi, alibi_with, joint, online, performance, detectors)
        found = watch.monitor(self.context, window, extra)
        return alerts.watched(self.context, window, found)

    def abtest_plan(
        self,
        endpoint: str,
        *,
        effect: float,
        metric: str = "",
        metrics: str = "",
        power: float = 0.8,
        alpha: float = 0.05,
    ) -> PlanResult:
        """Say how many units an A/B test needs, and how many days that is at the traffic in the log.

        Args:
            endpoint: The endpoint's name.
            effect: The smallest difference worth finding, in the metric's own units.
            metric: The metric; where empty the first of ``metrics``, or the task's own.
            metrics: Metrics of one's own, as a design has them under that key, in YAML; in a notebook the cell's body.
            power: The chance to find that difference if it is there.
            alpha: The chance to find one that is not there.

        Examples:
            mlprod abtest plan flights --effect 0.01
            mlprod abtest plan flights --effect 0.02 --metric sure --metrics "sure: {value: score > 0.9}"
        """
        from mlprod_nb.lifecycle.abtests import reading

        return reading.plan(self.context, reading.Question(endpoint, effect, metric, power, alpha, metrics))

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
        segments: str = "",
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
            segments: Inputs, or expressions over inputs, divided by commas, by which the metric is compared apart, too.

        Examples:
            mlprod abtest start flights
            mlprod abtest start flights --design "primary: brier"
            mlprod abtest start flights --primary brier --guardrails accuracy,latency_ms --minimal-effect 0.01
            mlprod abtest start flights --segments "carrier, hour < 12"
        """
        from mlprod_nb.lifecycle.abtests import starting

        given = {"treatment": treatment, "primary": primary, "guardrails": guardrails, "method": method}
        given["segments"] = segments
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
        from mlprod_nb.lifecycle.abtests import reading
        from mlprod_nb.lifecycle.watching import watch

        return reading.result(self.context, watch.Window(endpoint, since, until, pinned))

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
        from mlprod_nb.lifecycle.abtests import reading
        from mlprod_nb.lifecycle.watching import watch

        return reading.calibrate(self.context, watch.Window(endpoint, since, until, pinned), runs)

    def abtest_allocate(self, endpoint: str, *, reason: str = "", dry_run: bool = False) -> AllocationResult:
        """Move the shares of a running bandit (allocation: thompson) to what has earned more, by a revision.

        Args:
            endpoint: The endpoint's name.
            reason: Why, for the journal; in a notebook the cell's body. What was learned, where empty.
            dry_run: Show what would change and change nothing.

        Examples:
            mlprod abtest allocate flights --dry-run
        """
        from mlprod_nb.lifecycle.abtests import allocating

        return allocating.allocate(self.context, endpoint, reason=reason, dry_run=dry_run)

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
        from mlprod_nb.lifecycle.abtests import shipping

        return shipping.stop(self.context, shipping.Stop(endpoint, ship, yes, reason, dry_run))

    def report(
        self, endpoint: str, kind: str, *, since: str = "", until: str = "", parameters: str = "", kernel: str = ""
    ) -> ReportResult:
        """Run a report notebook in a fresh kernel: executed notebook, HTML page and verdict.json.

        Args:
            endpoint: The endpoint's name.
            kind: drift, performance, abtest, or one of your own, which report new makes.
            since: From this event time on: a date, a time, an age such as 7d, or yesterday.
            until: Before this event time.
            parameters: Values for the notebook's parameters cell, as "alibi=false joint=false".
            kernel: A Jupyter kernel to run it in, as the one that kernel alibi makes; the workspace's setting where
                empty.

        Examples:
            mlprod report flights drift --since 2013-04-01 --until 2013-05-01
            mlprod report flights performance --since 7d
            mlprod report flights abtest
            mlprod report flights drift --parameters "alibi=false joint=false"
        """
        from mlprod_nb.lifecycle.reporting import running
        from mlprod_nb.lifecycle.watching import watch

        asked = running.Asked(watch.Window(endpoint, since, until), kind, parameters, kernel)
        return running.report(self.context, asked)

    def report_batch(self, endpoints: str, kinds: str, *, since: str = "", until: str = "") -> ReportsResult:
        """Run several reports in one go: each kind of each endpoint, in a kernel of its own that starts faster.

        Args:
            endpoints: The endpoints' names, with commas between them.
            kinds: Kinds of report, with commas between them.
            since: From this event time on: a date, a time, an age such as 7d, or yesterday.
            until: Before this event time.

        Examples:
            mlprod report batch flights drift,performance --since 7d
            mlprod report batch flights,boats drift
        """
        from mlprod_nb.lifecycle.reporting import batch, running
        from mlprod_nb.lifecycle.watching import watch

        pairs = [(one, kind) for one in endpoints.split(",") for kind in kinds.split(",")]
        asked = [running.Asked(watch.Window(one.strip(), since, until), kind.strip()) for one, kind in pairs]
        return batch.report(self.context, asked)

    def report_new(self, name: str, *, from_: str = "drift") -> OwnReport:
        """Copy a report's notebook into the workspace as one of your own.

        Args:
            name: What the new kind of report is called.
            from_: The kind to copy.

        Examples:
            mlprod report new latency
            mlprod report new accuracy --from performance
        """
        from mlprod_nb.reports import kinds

        self.context.change()
        return kinds.new(name, from_, self.root)

    @staticmethod
    def verdict(said: Any, sentence: str = "", *, action: str = "") -> StatedVerdict:
        """Conclude a report: a notebook is one if exactly one of its cells does.

        Args:
            said: ok, warn or alarm; in a notebook also $name of a result that has a verdict.
            sentence: The conclusion in one sentence, after ok, warn or alarm.
            action: The exact line to run next.

        Examples:
            mlprod verdict warn "answers take longer than 50 ms" --action "mlprod status"
            mlprod verdict $monitor
        """
        from mlprod_nb.reports import stated

        return stated.state(said, sentence, action)

    def approve(self, digest: str, *, reason: str = "") -> ApprovalResult:
        """Record that a reviewer approves a report.

        Args:
            digest: The report's digest, or its first characters.
            reason: Why; in a notebook the cell's body.

        Examples:
            mlprod approve 3fa9c1d2 --reason "drift is seasonal"
        """
        from mlprod_nb.lifecycle.reporting import approving

        return approving.approve(self.context, digest, reason)

    def replay(self, report: str, *, model: str = "") -> ReplayResult | FlipsResult:
        """Run a report again on the rows it is bound to: it must conclude and show the same.

        Args:
            report: The report's digest, or its first characters.
            model: Another version, as flights/7, to answer those rows instead: which decisions flip, and for whom.

        Examples:
            mlprod replay 3fa9c1d2
            mlprod replay 3fa9c1d2 --model flights/7
        """
        from mlprod_nb.lifecycle.reporting import replaying

        return replaying.replay_with(self.context, report, model) if model else replaying.replay(self.context, report)

    def diff(self, before: str, after: str) -> DiffResult | VersionsDiff:
        """Say in words what changed from one version to another, or from one report to another.

        Args:
            before: The first version, as flights/3 or flights@champion; or a report's digest, or its first characters.
            after: The second version, or the second report's digest.

        Examples:
            mlprod diff flights/3 flights/4
            mlprod diff flights@champion flights@challenger
            mlprod diff 3fa9c1d2 9b07e4aa
        """
        from mlprod_nb.lifecycle import comparing

        return comparing.diff(self.context, before, after)

    def site(self, *, dry_run: bool = False) -> SiteResult | PruneResult:
        """Write reports/index.html, which leads to every report, and its Atom feed; every report does so by itself.

        Reports that are due by [reports] keep_days go first; never an approved one.

        Args:
            dry_run: Show which reports would go, and change nothing.

        Examples:
            mlprod site
            mlprod site --dry-run
        """
        from mlprod_nb.lifecycle.reporting import publishing

        return publishing.due(self.context) if dry_run else publishing.site(self.context)
