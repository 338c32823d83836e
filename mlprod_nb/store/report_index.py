"""The index of reports in the state database: by digest, endpoint, kind, verdict and time."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from mlprod_nb.errors import Corrupt, NotFound, UsageError
from mlprod_nb.results import Status
from mlprod_nb.store import evidence, tables

SHORT = 12
#: The kind of the reports on a version's gates.
GATES = "gates"


@dataclass(frozen=True)
class ReportRecord:
    """One report that came to a verdict.

    Attributes:
        digest: SHA-256 over its verdict and all that it is bound to.
        kind: ``drift``, ``abtest`` or the name of a user's own.
        endpoint: The endpoint it is about.
        status: Its verdict.
        sentence: Its verdict in words.
        path: Its folder, relative to the workspace.
        bound_to: Model versions, log range, parameters, notebook and packages.
        created_at: When it was made.
        files: The SHA-256 of each of its files, by name.
        approvals: How many approved it.
    """

    digest: str
    kind: str
    endpoint: str
    status: Status
    sentence: str
    path: str
    bound_to: dict[str, Any]
    created_at: datetime
    files: dict[str, str] = field(default_factory=dict)
    approvals: int = 0


def add(connection: Connection, record: ReportRecord) -> None:
    """Index a report, in the caller's transaction.

    A report that equals an earlier one has its digest, and so its approvals; the index then points to the newer files.
    """
    values = {name: getattr(record, name) for name in tables.reports.columns.keys()}  # noqa: SIM118 (not a dict)
    same = tables.reports.c.digest == record.digest
    if connection.scalar(sa.select(tables.reports.c.digest).where(same)) is None:
        connection.execute(sa.insert(tables.reports).values(**values))
    else:
        newer = {name: values[name] for name in ("path", "created_at", "files")}
        connection.execute(sa.update(tables.reports).where(same).values(**newer))


def list_reports(
    connection: Connection, *, endpoint: str = "", kind: str = "", limit: int | None = 100
) -> list[ReportRecord]:
    """Return the newest reports first, of one endpoint or kind, or of all; all of them where there is no limit."""
    table = tables.reports.c
    conditions = [column == value for column, value in ((table.endpoint, endpoint), (table.kind, kind)) if value]
    return _select(connection, conditions, limit)


def about(connection: Connection, version: str) -> list[ReportRecord]:
    """Return the reports about a version, the newest first."""
    return [one for one in _select(connection, [], limit=None) if version in one.bound_to.get("model_versions", ())]


def at_path(connection: Connection, path: str) -> ReportRecord | None:
    """Return the report whose folder this is, relative to the workspace, or ``None``."""
    return next(iter(_select(connection, [tables.reports.c.path == path], limit=1)), None)


def approved(connection: Connection) -> list[ReportRecord]:
    """Return the reports that somebody approved, the newest first."""
    return _select(connection, [tables.reports.c.digest.in_(sa.select(tables.approvals.c.report_digest))], limit=None)


def digests(connection: Connection) -> set[str]:
    """Return the digest of every report."""
    return set(connection.scalars(sa.select(tables.reports.c.digest)))


def count(connection: Connection) -> int:
    """Return how many reports there are."""
    return connection.scalar(sa.select(sa.func.count()).select_from(tables.reports)) or 0


def find(connection: Connection, digest: str) -> ReportRecord:
    """Return the report whose digest is, or begins with, the given text.

    Raises:
        NotFound: No report's does.
        UsageError: Several reports' do, or the text is too short to mean one.
    """
    prefix = digest.strip().lower()
    if len(prefix) < 4:
        raise UsageError(f"{digest!r} is too short for a digest.", hint="Give at least 4 characters of it.")
    # autoescape: a percent sign in what a user typed is no wildcard.
    found = _select(connection, [tables.reports.c.digest.startswith(prefix, autoescape=True)], limit=2)
    if not found:
        known = [record.digest[:SHORT] for record in list_reports(connection)]
        raise NotFound("report", digest, known)
    if len(found) > 1:
        raise UsageError(f"several reports begin with {digest!r}.", hint="Give more characters of the digest.")
    return found[0]


def verify(root: Path, record: ReportRecord) -> None:
    """Check that a report is what was written: file by file, and its row in the index word by word.

    The row is held against what the digest covers. So who re-points a row at another version, or gives it another
    verdict, takes the report out of force.

    Args:
        root: The workspace's directory.
        record: The report in the index.

    Raises:
        NotFound: The folder, or a file of it, was removed.
        Corrupt: A file was changed after it was written, or the row says what the report does not.
    """
    written = evidence.verify_sealed(root / record.path, record.digest, record.files)
    try:
        stated = _stated(written)
    except (KeyError, TypeError, AttributeError):
        raise Corrupt(f"{record.path} is no report's folder.", hint=evidence.AGAIN) from None
    wrong = [name for name, value in stated.items() if getattr(record, name) != value]
    if wrong:
        raise Corrupt(
            f"the index says something else of report {record.digest[:SHORT]} than its digest covers: "
            f"{', '.join(wrong)}.",
            hint=evidence.AGAIN,
        )


def _stated(written: dict[str, Any]) -> dict[str, Any]:
    """Return what a report's row must say, by what its digest covers."""
    said = {"status": written["verdict"]["status"], "sentence": written["verdict"]["sentence"]}
    if "bound_to" in written:
        return said | {name: written[name] for name in ("kind", "endpoint", "bound_to")}
    version = written["subject"]
    bound = {"model_versions": [version], "bundles": {version: written["bundle"]}}
    return said | {"kind": GATES, "endpoint": version.rpartition("/")[0], "bound_to": bound}


def _select(connection: Connection, conditions: list[sa.ColumnElement[bool]], limit: int | None) -> list[ReportRecord]:
    approved = (
        sa.select(sa.func.count())
        .where(tables.approvals.c.report_digest == tables.reports.c.digest)
        .scalar_subquery()
        .label("approvals")
    )
    query = (
        sa.select(tables.reports, approved)
        .where(*conditions)
        .order_by(tables.reports.c.created_at.desc(), tables.reports.c.digest)
        .limit(limit)
    )
    return [ReportRecord(**row._mapping) for row in connection.execute(query)]
