"""Approvals: who approved which report, when and why.

An approval belongs to a digest. What changes anything that a report is bound to gives another digest, which nobody
has approved; so an approval needs no revoking.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from mlprod_nb.errors import Refused, UsageError
from mlprod_nb.store import journal, report_index, tables

if TYPE_CHECKING:
    from mlprod_nb.settings import Settings
    from mlprod_nb.store.report_index import ReportRecord

#: What the audit trail calls an approval.
ACTION = "approve"


@dataclass(frozen=True)
class Approval:
    """One approval.

    Attributes:
        digest: The report's whole digest.
        actor: Who approved.
        reason: Why.
        at: When.
    """

    digest: str
    actor: str
    reason: str
    at: datetime


def approve(connection: Connection, root: Path, digest: str, *, actor: str, reason: str, now: datetime) -> Approval:
    """Record an approval of a report that is still as it was written, in the caller's transaction.

    Every door ends here: the verb and the gateway's page.

    Args:
        connection: A writing connection.
        root: The workspace's directory.
        digest: The report's digest or the beginning of it.
        actor: Who approves.
        reason: Why; a reviewer owes one.
        now: The present moment.

    Raises:
        NotFound: There is no such report, or its files were removed.
        UsageError: The digest is ambiguous, or the reason is empty.
        Refused: This actor approved it before.
        Corrupt: A file of it was changed after it was written, or its row in the index says something else.
    """
    report = report_index.find(connection, digest)
    report_index.verify(root, report)
    if not reason.strip():
        raise UsageError("an approval needs a reason.", hint='Add --reason "…".')
    if any(approval.actor == actor for approval in approvals_of(connection, report.digest)):
        raise Refused(f"{actor} approved report {report.digest[: report_index.SHORT]} before.")
    approval = Approval(report.digest, actor, reason.strip(), now)
    connection.execute(
        sa.insert(tables.approvals).values(
            report_digest=approval.digest, actor=approval.actor, reason=approval.reason, at=approval.at
        )
    )
    return approval


def approvals_of(connection: Connection, digest: str) -> list[Approval]:
    """Return a report's approvals, oldest first.

    Raises:
        NotFound: There is no such report.
        UsageError: The digest is ambiguous.
    """
    report = report_index.find(connection, digest)
    return _select(connection, tables.approvals.c.report_digest == report.digest)


def void_by(
    connection: Connection,
    report: ReportRecord,
    actor: str,
    settings: Settings,
    made_elsewhere: Callable[[str], str] = lambda _: "",
) -> str:
    """Say which protected aliases an approval will not count for, since it is of the actor's own version.

    Empty where it may count, and where no alias asks for it. Who approves learns it at once, and not when the alias is
    to be moved.

    Args:
        connection: A connection.
        report: The report.
        actor: Who approves it.
        settings: The workspace's settings.
        made_elsewhere: Returns who made an imported version where it is from, which the journal does not know.
    """
    own, asking = [], []
    for version in report.bound_to.get("model_versions", ()):
        model = version.partition("/")[0]
        rules = settings.model(model).protected
        asked = [f"{model}@{name}" for name, rule in rules.items() if rule.approvals and report.kind in rule.reports]
        if asked and actor in (journal.maker(connection, version), _origin(connection, version, made_elsewhere)):
            own.append(version)
            asking += [alias for alias in asked if alias not in asking]
    if not own:
        return ""
    return f"An approval by {actor} does not count for {', '.join(asking)}: {actor} registered {' and '.join(own)}."


def _origin(connection: Connection, version: str, made_elsewhere: Callable[[str], str]) -> str:
    return made_elsewhere(version) if journal.arrived(connection, version) else ""


def every(connection: Connection) -> list[Approval]:
    """Return all approvals, oldest first, also of reports that the index does not know."""
    return _select(connection, sa.true())


def recorded(connection: Connection, approval: Approval) -> bool:
    """Return whether the audit trail knows an approval: each door writes it there in the same transaction."""
    trail = tables.audit.c
    same = (trail.subject == approval.digest) & (trail.actor == approval.actor) & (trail.detail == approval.reason)
    query = sa.select(trail.id).where(trail.action == ACTION, same)
    return connection.execute(query.limit(1)).first() is not None


def _select(connection: Connection, condition: sa.ColumnElement[bool]) -> list[Approval]:
    query = sa.select(tables.approvals).where(condition).order_by(tables.approvals.c.id)
    return [Approval(row.report_digest, row.actor, row.reason, row.at) for row in connection.execute(query)]
