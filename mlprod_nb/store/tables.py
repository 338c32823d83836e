"""The tables of the state database. Moments are aware UTC; what happened is appended, never edited."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa


class Moment(sa.types.TypeDecorator[datetime]):
    """An aware moment, stored as UTC with microseconds in every database."""

    impl = sa.String(32)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Any) -> str | None:  # noqa: ARG002
        """Write a moment as sortable text."""
        return None if value is None else value.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")

    def process_result_value(self, value: Any, dialect: Any) -> datetime | None:  # noqa: ARG002
        """Read a moment back."""
        return None if value is None else datetime.strptime(value, "%Y-%m-%dT%H:%M:%S.%fZ").replace(tzinfo=UTC)


metadata = sa.MetaData()

BYTEWISE = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
"""Text whose order is that of its bytes, as in Python, Arrow and SQLite, whatever language the database speaks."""


def _id() -> sa.Column[int]:
    return sa.Column("id", sa.Integer, primary_key=True, autoincrement=True)


revisions = sa.Table(
    "revisions",
    metadata,
    _id(),
    sa.Column("endpoint", sa.String(200), nullable=False, index=True),
    sa.Column("number", sa.Integer, nullable=False),
    sa.Column("spec", sa.JSON, nullable=True),
    sa.Column("restores", sa.Integer, nullable=True),
    sa.Column("actor", sa.String(200), nullable=False),
    sa.Column("command", sa.Text, nullable=False),
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("created_at", Moment, nullable=False),
    sa.UniqueConstraint("endpoint", "number"),
)
revision_outcomes = sa.Table(
    "revision_outcomes",
    metadata,
    sa.Column("revision_id", sa.Integer, sa.ForeignKey("revisions.id"), primary_key=True),
    sa.Column("outcome", sa.String(20), nullable=False),
    sa.Column("detail", sa.Text, nullable=False),
    sa.Column("decided_at", Moment, nullable=False),
)
gateways = sa.Table(
    "gateways",
    metadata,
    sa.Column("id", sa.String(40), primary_key=True),
    sa.Column("pid", sa.Integer, nullable=False),
    sa.Column("url", sa.String(300), nullable=False),
    sa.Column("started_at", Moment, nullable=False),
    sa.Column("stopped_at", Moment, nullable=True),
)
gateway_workers = sa.Table(
    "gateway_workers",
    metadata,
    sa.Column("id", sa.String(40), primary_key=True),
    sa.Column("gateway_id", sa.String(40), nullable=False, index=True),
    sa.Column("slot", sa.Integer, nullable=False),
    sa.Column("pid", sa.Integer, nullable=False),
    sa.Column("started_at", Moment, nullable=False),
    sa.Column("ended_at", Moment, nullable=True),
)
revision_acknowledgements = sa.Table(
    "revision_acknowledgements",
    metadata,
    sa.Column("revision_id", sa.Integer, sa.ForeignKey("revisions.id"), primary_key=True),
    sa.Column("worker_id", sa.String(40), sa.ForeignKey("gateway_workers.id"), primary_key=True),
    sa.Column("loaded_at", Moment, nullable=True),
    sa.Column("settled_at", Moment, nullable=True),
)
journal = sa.Table(
    "journal",
    metadata,
    _id(),
    sa.Column("at", Moment, nullable=False),
    sa.Column("actor", sa.String(200), nullable=False),
    sa.Column("kind", sa.String(40), nullable=False),
    sa.Column("subject", sa.String(300), nullable=False, index=True),
    sa.Column("before", sa.Text, nullable=False),
    sa.Column("after", sa.Text, nullable=False),
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("command", sa.Text, nullable=False),
    sa.Column("revision_id", sa.Integer, sa.ForeignKey("revisions.id"), nullable=True),
)
audit = sa.Table(
    "audit",
    metadata,
    _id(),
    sa.Column("at", Moment, nullable=False),
    sa.Column("actor", sa.String(200), nullable=False),
    sa.Column("action", sa.String(80), nullable=False),
    sa.Column("subject", sa.String(300), nullable=False),
    sa.Column("detail", sa.Text, nullable=False),
    sa.Column("previous_digest", sa.String(64), nullable=False),
    sa.Column("digest", sa.String(64), nullable=False, unique=True),
)
tokens = sa.Table(
    "tokens",
    metadata,
    _id(),
    sa.Column("name", sa.String(200), nullable=False, index=True),
    sa.Column("role", sa.String(20), nullable=False),
    sa.Column("digest", sa.String(64), nullable=False, unique=True),
    sa.Column("created_at", Moment, nullable=False),
    sa.Column("expires_at", Moment, nullable=True),
    sa.Column("revoked_at", Moment, nullable=True),
)
report_sessions = sa.Table(
    "report_sessions",
    metadata,
    sa.Column("digest", sa.String(64), primary_key=True),
    sa.Column("token_id", sa.Integer, sa.ForeignKey("tokens.id"), nullable=False),
    sa.Column("created_at", Moment, nullable=False),
    sa.Column("expires_at", Moment, nullable=False),
    sa.Column("ended_at", Moment, nullable=True),
)
abtests = sa.Table(
    "abtests",
    metadata,
    _id(),
    sa.Column("endpoint", sa.String(200), nullable=False, index=True),
    sa.Column("design", sa.JSON, nullable=False),
    sa.Column("revision", sa.Integer, nullable=False),
    sa.Column("actor", sa.String(200), nullable=False),
    sa.Column("started_at", Moment, nullable=False),
    sa.Column("stopped_at", Moment, nullable=True),
    sa.Column("stop_reason", sa.Text, nullable=True),
)
reports = sa.Table(
    "reports",
    metadata,
    sa.Column("digest", sa.String(64), primary_key=True),
    sa.Column("kind", sa.String(80), nullable=False),
    sa.Column("endpoint", sa.String(200), nullable=False, index=True),
    sa.Column("status", sa.String(20), nullable=False),
    sa.Column("sentence", sa.Text, nullable=False),
    sa.Column("path", sa.Text, nullable=False),
    sa.Column("bound_to", sa.JSON, nullable=False),
    sa.Column("created_at", Moment, nullable=False),
    sa.Column("files", sa.JSON, nullable=False),
)
approvals = sa.Table(
    "approvals",
    metadata,
    _id(),
    sa.Column("report_digest", sa.String(64), sa.ForeignKey("reports.digest"), nullable=False, index=True),
    sa.Column("actor", sa.String(200), nullable=False),
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("at", Moment, nullable=False),
)
jobs = sa.Table(
    "jobs",
    metadata,
    _id(),
    sa.Column("cron", sa.String(100), nullable=False),
    sa.Column("timezone", sa.String(60), nullable=False),
    sa.Column("command", sa.Text, nullable=False),
    sa.Column("timeout_seconds", sa.Float, nullable=False),
    sa.Column("retries", sa.Integer, nullable=False),
    sa.Column("retry_seconds", sa.Float, nullable=False),
    sa.Column("overlap", sa.String(20), nullable=False),
    sa.Column("catch_up_seconds", sa.Float, nullable=False),
    sa.Column("created_at", Moment, nullable=False),
    sa.Column("removed_at", Moment, nullable=True),
)
job_runs = sa.Table(
    "job_runs",
    metadata,
    _id(),
    sa.Column("job_id", sa.Integer, sa.ForeignKey("jobs.id"), nullable=False),
    sa.Column("slot", Moment, nullable=False),
    sa.Column("attempt", sa.Integer, nullable=False),
    sa.Column("started_at", Moment, nullable=False),
    sa.Column("holder", sa.String(300), nullable=False),
    sa.Column("process", sa.String(60), nullable=False),
    sa.Column("beat", sa.Integer, nullable=False),
    sa.Column("stopping", sa.Boolean, nullable=False),
    sa.Column("finished_at", Moment, nullable=True),
    sa.Column("exit_code", sa.Integer, nullable=True),
    sa.Column("log_path", sa.Text, nullable=False),
    sa.UniqueConstraint("job_id", "slot", "attempt"),
)
log_versions = sa.Table(
    "log_versions",
    metadata,
    sa.Column("version", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("at", Moment, nullable=False),
)
log_files = sa.Table(
    "log_files",
    metadata,
    sa.Column("path", sa.String(500), primary_key=True),
    sa.Column("first_version", sa.Integer, sa.ForeignKey("log_versions.version"), nullable=False, index=True),
    sa.Column("version", sa.Integer, sa.ForeignKey("log_versions.version"), nullable=False, index=True),
    sa.Column("kind", sa.String(20), nullable=False),
    sa.Column("endpoint", sa.Text, nullable=False, index=True),
    sa.Column("rows", sa.Integer, nullable=False),
    sa.Column("shadows", sa.Integer, nullable=False),
    sa.Column("bytes", sa.BigInteger, nullable=False),
    sa.Column("digest", sa.String(64), nullable=False),
    sa.Column("first_at", Moment, nullable=False),
    sa.Column("last_at", Moment, nullable=False),
    sa.Column("first_id", BYTEWISE, nullable=False),
    sa.Column("last_id", BYTEWISE, nullable=False),
    sa.Column("replaced_by", sa.String(500), nullable=True),
)
log_counts = sa.Table(
    "log_counts",
    metadata,
    sa.Column("file", sa.String(64), primary_key=True),
    sa.Column("key", sa.String(64), primary_key=True),
    sa.Column("content", sa.LargeBinary, nullable=False),
    sa.Column("digest", sa.String(64), nullable=False),
)
log_segments = sa.Table(
    "log_segments",
    metadata,
    sa.Column("name", sa.String(120), primary_key=True),
    sa.Column("version", sa.Integer, sa.ForeignKey("log_versions.version"), nullable=False, index=True),
    sa.Column("rows", sa.Integer, nullable=False),
    sa.Column("damaged_at", sa.BigInteger, nullable=True),
    sa.Column("problem", sa.Text, nullable=False),
)
log_removals = sa.Table(
    "log_removals",
    metadata,
    sa.Column("path", sa.String(500), primary_key=True),
    sa.Column("removed_version", sa.Integer, sa.ForeignKey("log_versions.version"), nullable=False),
    sa.Column("at", Moment, nullable=False),
    sa.Column("why", sa.String(20), nullable=False),
    sa.Column("kind", sa.String(20), nullable=False),
    sa.Column("endpoint", sa.Text, nullable=False, index=True),
    sa.Column("rows", sa.Integer, nullable=False),
    sa.Column("first_at", Moment, nullable=False),
    sa.Column("last_at", Moment, nullable=False),
    sa.Column("first_id", BYTEWISE, nullable=False),
    sa.Column("last_id", BYTEWISE, nullable=False),
    sa.Column("first_version", sa.Integer, nullable=False),
    sa.Column("version", sa.Integer, nullable=False),
)
alerts = sa.Table(
    "alerts",
    metadata,
    _id(),
    sa.Column("endpoint", sa.String(200), nullable=False, index=True),
    sa.Column("kind", sa.String(80), nullable=False),
    sa.Column("status", sa.String(20), nullable=False),
    sa.Column("sentence", sa.Text, nullable=False),
    sa.Column("action", sa.Text, nullable=False),
    sa.Column("report", sa.String(64), nullable=False),
    sa.Column("page", sa.Text, nullable=False),
    sa.Column("raised_at", Moment, nullable=False),
)
alert_causes = sa.Table(
    "alert_causes",
    metadata,
    sa.Column("alert_id", sa.Integer, sa.ForeignKey("alerts.id"), primary_key=True),
    sa.Column("cause", sa.String(300), primary_key=True),
    sa.Column("endpoint", sa.String(200), nullable=False),
    sa.Column("recovered_at", Moment, nullable=True),
)
# Of any number of looks at one endpoint that find one cause, one raises the alert.
ALERT_CAUSES_OPEN_ONCE = sa.Index(
    "alert_causes_open_once",
    alert_causes.c.endpoint,
    alert_causes.c.cause,
    unique=True,
    sqlite_where=alert_causes.c.recovered_at.is_(None),
)


def speak_postgres() -> None:
    """Give the index its condition in Postgres; naming it above would load that dialect for everybody (36 ms, 3 MB)."""
    ALERT_CAUSES_OPEN_ONCE.dialect_kwargs["postgresql_where"] = alert_causes.c.recovered_at.is_(None)


alert_holds = sa.Table(
    "alert_holds",
    metadata,
    _id(),
    sa.Column("alert_id", sa.Integer, sa.ForeignKey("alerts.id"), nullable=False, index=True),
    sa.Column("kind", sa.String(20), nullable=False),
    sa.Column("actor", sa.String(200), nullable=False),
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("at", Moment, nullable=False),
    sa.Column("until", Moment, nullable=True),
)
alert_notices = sa.Table(
    "alert_notices",
    metadata,
    _id(),
    sa.Column("alert_id", sa.Integer, sa.ForeignKey("alerts.id"), nullable=False, index=True),
    sa.Column("event", sa.String(20), nullable=False),
    sa.Column("detail", sa.Text, nullable=False),
    sa.Column("at", Moment, nullable=False),
    sa.Column("state", sa.String(20), nullable=False),
    sa.Column("tries", sa.Integer, nullable=False),
    sa.Column("claimed_at", Moment, nullable=True),
    sa.Column("arrived", sa.JSON, nullable=False),
    sa.Column("problem", sa.Text, nullable=False),
)
alert_actions = sa.Table(
    "alert_actions",
    metadata,
    sa.Column("alert_id", sa.Integer, sa.ForeignKey("alerts.id"), primary_key=True),
    sa.Column("kind", sa.String(20), nullable=False),
    sa.Column("wants", sa.String(200), nullable=False),
    sa.Column("mark", sa.String(40), nullable=False),
    sa.Column("state", sa.String(20), nullable=False),
    sa.Column("tries", sa.Integer, nullable=False),
    sa.Column("before", sa.Integer, nullable=False),
    sa.Column("detail", sa.Text, nullable=False),
    sa.Column("changed_at", Moment, nullable=False),
)
releases = sa.Table(
    "releases",
    metadata,
    _id(),
    sa.Column("endpoint", sa.String(200), nullable=False, index=True),
    sa.Column("version", sa.String(300), nullable=False),
    sa.Column("plan", sa.JSON, nullable=False),
    sa.Column("before", sa.Integer, nullable=False),
    sa.Column("actor", sa.String(200), nullable=False),
    sa.Column("command", sa.Text, nullable=False),
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("started_at", Moment, nullable=False),
)
release_events = sa.Table(
    "release_events",
    metadata,
    _id(),
    sa.Column("release_id", sa.Integer, sa.ForeignKey("releases.id"), nullable=False, index=True),
    sa.Column("at", Moment, nullable=False),
    sa.Column("actor", sa.String(200), nullable=False),
    sa.Column("kind", sa.String(20), nullable=False),
    sa.Column("step", sa.Integer, nullable=False),
    sa.Column("detail", sa.Text, nullable=False),
    sa.Column("revision", sa.Integer, nullable=False),
    sa.Column("facts", sa.JSON, nullable=False),
)
version_actions = sa.Table(
    "version_actions",
    metadata,
    sa.Column("model", sa.String(200), primary_key=True),
    sa.Column("version", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("wants", sa.String(20), nullable=False),
    sa.Column("state", sa.String(20), nullable=False),
    sa.Column("tries", sa.Integer, nullable=False),
    sa.Column("detail", sa.Text, nullable=False),
    sa.Column("changed_at", Moment, nullable=False),
)
