"""Verbs of operations: panels, alerts, schedule, access, audit, kernels."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mlprod_nb.workspace.base import Base

if TYPE_CHECKING:
    from mlprod_nb.lifecycle.access import AuditResult, GrantResult, RevokeResult, TokensResult, VerifyResult
    from mlprod_nb.lifecycle.alerting.adapting import ActResult
    from mlprod_nb.lifecycle.alerting.alerts import AlertsResult, HoldResult
    from mlprod_nb.lifecycle.alerting.notifying import SentResult, TestSent
    from mlprod_nb.lifecycle.background import TaskResult, TasksResult
    from mlprod_nb.lifecycle.completing.shells import CompletionScript
    from mlprod_nb.lifecycle.faults import WhyResult
    from mlprod_nb.lifecycle.kernels import KernelResult
    from mlprod_nb.lifecycle.scheduling import JobAdded, JobRan, JobRemoved, ScheduleExport
    from mlprod_nb.lifecycle.templates import NotebookMade
    from mlprod_nb.results import Result
    from mlprod_nb.scheduler import JobList


class Operations(Base):
    """See to alerts, jobs, callers and the audit trail."""

    def why(self) -> WhyResult:
        """Show the detail of the last error: what lay beneath it, where, the last request, the end of the log.

        In a notebook it is the notebook's own last error; where it had none, the workspace's.

        Examples:
            mlprod why
        """
        from mlprod_nb.lifecycle import faults

        return faults.why(self.context.layout)

    def panel(self, name: str, endpoint: str = "", *, since: str = "", until: str = "") -> Result:
        """Show a panel: in a notebook to click, elsewhere as a page or text.

        Args:
            name: status, registry, traffic, live, drift, abtest, jobs or approvals.
            endpoint: The endpoint's name; the only one where empty.
            since: From this event time on, for drift: a date, a time, an age such as 7d, or yesterday.
            until: Before this event time.

        Examples:
            mlprod panel traffic flights
            mlprod panel live
            mlprod panel drift flights --since 7d
            mlprod panel registry
        """
        from mlprod_nb.lifecycle import panels

        return panels.show(self.context, panels.Wanted(name, endpoint, since, until))

    def background_list(self) -> TasksResult:
        """List the tasks that were sent to the background by --background, newest first.

        Examples:
            mlprod background list
        """
        from mlprod_nb.lifecycle import background

        return background.list_tasks(self.context)

    def background_show(self, task: int) -> TaskResult:
        """Show how a task in the background stands, and what came of it.

        Args:
            task: The task's number.

        Examples:
            mlprod background show 1
        """
        from mlprod_nb.lifecycle import background

        return background.show(self.context, task)

    def background_stop(self, task: int, *, yes: bool = False) -> TaskResult:
        """Interrupt a task in the background, as Ctrl-C would: nothing is left half done.

        Args:
            task: The task's number.
            yes: Do not ask.

        Examples:
            mlprod background stop 1 --yes
        """
        from mlprod_nb.lifecycle import background

        return background.stop(self.context, task, yes=yes)

    def alerts_list(self, endpoint: str = "", *, every: bool = False) -> AlertsResult:
        """List the alerts that are not over, newest first.

        Args:
            endpoint: An endpoint's name; empty for all.
            every: Those that have recovered too.

        Examples:
            mlprod alerts list
            mlprod alerts list flights --every
        """
        from mlprod_nb.lifecycle.alerting import alerts

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
        from mlprod_nb.lifecycle.alerting import alerts

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
        from mlprod_nb.lifecycle.alerting import alerts

        return alerts.snooze(self.context, alert, until=until, reason=reason)

    def alerts_act(self, alert: int, *, dry_run: bool = False) -> ActResult:
        """Do now what the endpoint's on_drift wants done about an alert; done once, it is not done again.

        Args:
            alert: The alert's number.
            dry_run: Show what would change and change nothing.

        Examples:
            mlprod alerts act 1 --dry-run
        """
        from mlprod_nb.lifecycle.alerting import adapting

        return adapting.act(self.context, alert, dry_run=dry_run)

    def alerts_send(self) -> SentResult:
        """Send what did not arrive yet at every address; every look and the scheduler do so by themselves.

        Examples:
            mlprod alerts send
        """
        from mlprod_nb.lifecycle.alerting import notifying

        return notifying.send_waiting(self.context)

    def alerts_test(self) -> TestSent:
        """Send a test message to every address that alerts go to, and say where it arrived.

        Examples:
            mlprod alerts test
        """
        from mlprod_nb.lifecycle.alerting import notifying

        return notifying.test(self.context)

    def schedule_add(
        self,
        cron: str,
        command: str,
        *,
        timezone: str = "UTC",
        timeout: str = "1h",
        retries: int = 0,
        retry_after: str = "5m",
        overlap: str = "wait",
        catch_up: str = "1d",
    ) -> JobAdded:
        """Store a command line to be run on a schedule.

        Args:
            cron: Five cron fields: minute, hour, day, month, weekday.
            command: The command line, without mlprod.
            timezone: An IANA time zone.
            timeout: The longest that one run may take.
            retries: How often a run that failed is tried again; a verdict that is no is no failure.
            retry_after: The pause before the first retry; it doubles with each.
            overlap: What becomes of a slot that comes while the job runs: wait: run it after; skip: let it go; replace:
                end what runs.
            catch_up: How late a slot that was missed may be run; of several, the newest is. 0s: never.

        Examples:
            mlprod schedule add "0 6 * * 1" "report flights drift --since 7d"
            mlprod schedule add "30 2 * * *" "monitor flights" --timezone Europe/Berlin --retries 2 --overlap skip
        """
        from mlprod_nb.clock import parse_duration as duration
        from mlprod_nb.lifecycle import scheduling
        from mlprod_nb.scheduler import JobSpec

        limit, pause, late = (duration(text).total_seconds() for text in (timeout, retry_after, catch_up))
        spec = JobSpec(cron, command, timezone, limit, retries, pause, overlap, late)
        return scheduling.add(self.context, spec)

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

    def schedule_export(self, kind: str, *, into: str = "") -> ScheduleExport:
        """Write the same jobs for an outside scheduler; what it cannot say is said in a comment.

        Args:
            kind: cron, systemd, github, airflow or kubernetes.
            into: A directory to write the files into; they are only shown where empty.

        Examples:
            mlprod schedule export cron
            mlprod schedule export systemd --into units
        """
        from mlprod_nb.lifecycle import scheduling

        return scheduling.export(self.context, kind, into)

    def access_grant(self, name: str, *, role: str = "caller", expires: str = "") -> GrantResult:
        """Make a bearer token and write it to a file that only you can read; it is never printed.

        Args:
            name: Whom or what it is for.
            role: viewer, reviewer, caller, operator or admin.
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

    def audit_verify(self, *, head: str = "") -> VerifyResult:
        """Verify the audit trail's hash chain.

        Keep the head that it prints elsewhere: with it, a later look tells that nothing was cut off meanwhile.

        Args:
            head: A head that was printed before, and that the chain must still hold.

        Examples:
            mlprod audit verify
            mlprod audit verify --head 3fa9c1d2aa01b76e05d4f7c2e8a91b30c6d5e4f3a2b1908f7e6d5c4b3a291807
        """
        from mlprod_nb.lifecycle import access

        return access.audit_verify(self.context, head=head)

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

    @staticmethod
    def notebook(name: str, *, path: str = "") -> NotebookMade:
        """Copy a notebook to begin with into your folder, as your own file; what is there stays.

        Args:
            name: quickstart, train, report, retrain or triage.
            path: The file; NAME.ipynb here where empty.

        Examples:
            mlprod notebook train
            mlprod notebook triage --path looking.ipynb
        """
        from mlprod_nb.lifecycle import templates

        return templates.make(name, path)

    @staticmethod
    def completion(shell: str) -> CompletionScript:
        """Print the script that makes TAB complete in a shell: verbs, options, models, endpoints, columns and all.

        The shell reads it at each start, by one line. For bash, in ~/.bashrc: eval "$(mlprod completion bash)"

        For zsh, in ~/.zshrc after compinit: eval "$(mlprod completion zsh)"

        For fish, in ~/.config/fish/config.fish: mlprod completion fish | source

        Args:
            shell: bash, zsh or fish.

        Examples:
            mlprod completion bash
        """
        from mlprod_nb.lifecycle.completing import shells

        return shells.script(shell)
