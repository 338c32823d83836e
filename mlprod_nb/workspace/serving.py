"""Verbs of the gateway, endpoints and traffic."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlprod_nb.workspace.base import Base

if TYPE_CHECKING:
    from mlprod_nb.lifecycle.deploying.deploy import RevisionResult, UndeployResult
    from mlprod_nb.lifecycle.deploying.previewing import PromotionPreview
    from mlprod_nb.lifecycle.erasing import EraseResult
    from mlprod_nb.lifecycle.gateway import DownResult, InitResult, UpResult
    from mlprod_nb.lifecycle.history import HistoryResult
    from mlprod_nb.lifecycle.logs import CompactResult, LogsResult, WhoServedResult
    from mlprod_nb.lifecycle.status import StatusResult
    from mlprod_nb.lifecycle.traffic import FeedbackResult, PredictResult
    from mlprod_nb.lifecycle.verifying import VerifyLogResult


class Serving(Base):
    """Run the gateway, say what its endpoints serve, ask them, and read what they answered."""

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
        from mlprod_nb.lifecycle.deploying import deploy

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
        from mlprod_nb.lifecycle.deploying import deploy

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
        from mlprod_nb.lifecycle.deploying import deploy

        return deploy.route(self.context, endpoint, shares, unit=unit, reason=reason, dry_run=dry_run)

    def promote(
        self, version: str, *, alias: str = "champion", endpoint: str = "", reason: str = "", dry_run: bool = False
    ) -> RevisionResult | PromotionPreview:
        """Make a version the champion: all traffic of the endpoint, and the alias.

        Args:
            version: A version, as flights/3 or flights@challenger.
            alias: The alias that moves to it.
            endpoint: The endpoint's name; the model's name where empty.
            reason: Why, for the journal; in a notebook the cell's body.
            dry_run: Show gates, approvals, decisions that flip and response times, and change nothing.

        Examples:
            mlprod promote flights@challenger --reason "better Brier score in April"
            mlprod promote flights@challenger --dry-run
        """
        from mlprod_nb.lifecycle.deploying import deploy, previewing

        request = deploy.Promotion(version, alias, endpoint, reason, dry_run)
        return previewing.preview(self.context, request) if dry_run else deploy.promote(self.context, request)

    def rollback(self, endpoint: str, *, to: int | str = 0, reason: str = "", dry_run: bool = False) -> RevisionResult:
        """Bring an endpoint back to an earlier revision, and the aliases that its moves had changed.

        Args:
            endpoint: The endpoint's name.
            to: The revision's number, or a moment (last tuesday, yesterday 14:30, 2013-04-01, 7d; in UTC) to go back to
                what served then; the revision before the present where 0.
            reason: Why, for the journal; in a notebook the cell's body.
            dry_run: Show what would change and change nothing.

        Examples:
            mlprod rollback flights
            mlprod rollback flights --to 2 --reason "errors since noon"
            mlprod rollback flights --to "last tuesday" --dry-run
        """
        from mlprod_nb.lifecycle.deploying import going_back

        return going_back.rollback(self.context, endpoint, str(to), reason=reason, dry_run=dry_run)

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

    def predict(
        self, endpoint: str, *, data: Any, units: Any = None, event_time: Any = None, explain: bool = False
    ) -> PredictResult:
        """Ask an endpoint for predictions, over HTTP as any client would.

        Args:
            endpoint: The endpoint's name.
            data: The rows ($name, or a CSV or Parquet file).
            units: One unit a row ($name, or a column of the data).
            event_time: One moment a row, UTC ($name, or a column of the data).
            explain: What each column did to each score, too: the score, less the score with that column at its typical
                value.

        Examples:
            mlprod predict flights --data $april --event-time $when
            mlprod predict flights --data $april --explain
        """
        from mlprod_nb.lifecycle import traffic

        return traffic.predict(self.context, traffic.Question(endpoint, data, units, event_time, explain))

    def feedback(
        self,
        endpoint: str,
        *,
        ids: Any,
        values: Any,
        kind: str = "label",
        name: str = "label",
        source: str = "",
        event_time: Any = None,
    ) -> FeedbackResult:
        """Send what really happened, by prediction id.

        Args:
            endpoint: The endpoint's name.
            ids: Prediction ids, as a prediction's reply gave them ($name).
            values: One value an id ($name).
            kind: label, reward or interaction.
            name: What the value is called, where there are several kinds of it.
            source: Where the values come from; the latest value of each source counts.
            event_time: When each happened, one moment an id, UTC ($name); now where empty.

        Examples:
            mlprod feedback flights --ids $ids --values $arrived_late
            mlprod feedback flights --ids $ids --values $booked --kind interaction --name booked --event-time $when
        """
        from mlprod_nb.lifecycle import traffic

        rows = traffic.Feedback(endpoint, ids, values, kind, name, source, event_time)
        return traffic.feedback(self.context, rows)

    def logs(
        self,
        endpoint: str,
        *,
        since: str = "",
        until: str = "",
        where: str = "",
        limit: int = 20,
        shadows: bool = False,
    ) -> LogsResult:
        """Read the prediction log.

        Args:
            endpoint: The endpoint's name.
            since: From this event time on: a date, a time, an age such as 7d, or yesterday.
            until: Before this event time.
            where: A SQL condition over the log's columns and the model's inputs.
            limit: How many rows at most.
            shadows: What shadows answered, too; a shadow's row has the id of the prediction that it shadows.

        Examples:
            mlprod logs flights --since 2013-04-01 --where "variant = 'challenger' and carrier = 'UA'"
        """
        from mlprod_nb.lifecycle import logs

        query = logs.LogQuery(endpoint, since, until, where, limit, shadows)
        return logs.logs(self.context, query)

    def who_served(self, prediction_id: str) -> WhoServedResult:
        """Tell which version answered a request, by prediction id, and why it was the one.

        Args:
            prediction_id: The id that the reply gave.

        Examples:
            mlprod who-served 0198a5c2-7d11-7c3a-9d57-0242ac120002
        """
        from mlprod_nb.lifecycle import logs

        return logs.who_served(self.context, prediction_id)

    def compact(self) -> CompactResult:
        """Put the prediction log's full segments into Parquet files; a running gateway does so by itself.

        Rows that are older than [log] keep_days are removed.

        Examples:
            mlprod compact
        """
        from mlprod_nb.lifecycle import logs

        return logs.compact(self.context)

    def erase(
        self,
        endpoint: str,
        *,
        unit: str = "",
        prediction_ids: str = "",
        reason: str = "",
        yes: bool = False,
        dry_run: bool = False,
    ) -> EraseResult:
        """Erase a person's rows from the prediction log, with the feedback about them.

        Args:
            endpoint: The endpoint's name.
            unit: Whose rows.
            prediction_ids: Or which predictions: ids with commas between them.
            reason: Why; the audit trail keeps it; in a notebook the cell's body.
            yes: Do not ask.
            dry_run: Show how many rows would go, of those in files; nothing is changed.

        Examples:
            mlprod erase flights --unit N14228 --reason "request 17" --yes
            mlprod erase flights --unit N14228 --dry-run
        """
        from mlprod_nb.lifecycle import erasing

        return erasing.erase(self.context, erasing.Erasure(endpoint, unit, prediction_ids, reason, yes, dry_run))

    def verify(self) -> VerifyLogResult:
        """Check every checksum of the prediction log, every digest of bundles, reports and the audit trail.

        Approvals and tokens are held against the audit trail, too.

        Examples:
            mlprod verify
        """
        from mlprod_nb.lifecycle import verifying

        return verifying.verify(self.context)
