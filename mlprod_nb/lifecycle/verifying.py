"""Verifying: every checksum and digest that the workspace holds, and whether approvals and tokens are what was given.

The database's rows are held against what has digests of its own: reports against their files, approvals and tokens
against the audit trail, which is a chain. Where somebody wrote to the database beside the doors, the two disagree.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mlprod_nb.errors import MlprodError
from mlprod_nb.lifecycle.alias_moves import protecting
from mlprod_nb.lifecycle.context import Context
from mlprod_nb.results import Result, Verdict, counted
from mlprod_nb.store import approvals, report_index, revisions

if TYPE_CHECKING:
    from sqlalchemy.engine import Connection

    from mlprod_nb.access.audit import AuditEntry


@dataclass(frozen=True)
class VerifyLogResult(Result):
    """Whether log, bundles and audit trail are whole.

    Attributes:
        verdict: Whether all checksums and digests match.
        problems: What does not.
        unmatched: Feedback that names no prediction of its endpoint: nothing is damaged, and it counts for nothing.
    """

    verdict: Verdict
    problems: tuple[str, ...]
    unmatched: tuple[str, ...] = ()


def verify(context: Context) -> VerifyLogResult:
    """Check every checksum and digest that the workspace holds."""
    from mlprod_nb.access import audit

    problems = [*context.log.verify(), *_bundles(context)]
    with context.store.read() as connection:
        trail = audit.verify(connection)
        problems += [] if trail.ok else [trail.problem]
        entries = audit.show(connection, limit=None)[::-1]
        problems += [*_reports(context, connection), *_approvals(connection), *_tokens(connection, entries)]
        endpoints = revisions.newest_active(connection)
    problems += _aliases(context)
    if problems:
        return VerifyLogResult(Verdict("alarm", f"{counted(len(problems), 'problem')} found."), tuple(problems))
    # Of a log that is whole alone: what cannot be read matches nothing.
    found = (context.log.unmatched(context.log.pin(name)).told() for name in sorted(endpoints))
    unmatched = tuple(filter(None, found))
    sentence = "every checksum and digest matches" + "".join(f"; {told}" for told in unmatched)
    return VerifyLogResult(Verdict("warn" if unmatched else "ok", f"{sentence}."), (), unmatched)


def _bundles(context: Context) -> Iterator[str]:
    for folder in sorted(context.layout.bundles.iterdir()) if context.layout.bundles.is_dir() else []:
        try:
            context.bundles.get(folder.name)
        except MlprodError as error:
            yield str(error)


def _reports(context: Context, connection: Connection) -> Iterator[str]:
    """Yield what is wrong with reports; the files of one that nobody approved may be gone, by the rule of retention."""
    for record in report_index.list_reports(connection, limit=None):
        if not record.approvals and not (context.root / record.path).is_dir():
            continue
        try:
            report_index.verify(context.root, record)
        except MlprodError as error:
            void = f"{counted(record.approvals, 'approval')} {'does' if record.approvals == 1 else 'do'} not count"
            yield f"{error.message} Its {void}." if record.approvals else error.message


def _aliases(context: Context) -> Iterator[str]:
    """Yield the protected aliases that no verb has moved to where MLflow has them."""
    for model, settings in context.settings.models.items():
        for name in settings.protected:
            problem, _ = protecting.strayed(context, f"{model}@{name}")
            if problem:
                yield problem


def _approvals(connection: Connection) -> Iterator[str]:
    """Yield the approvals that no door gave, and those of no report."""
    known = report_index.digests(connection)
    for one in approvals.every(connection):
        what = f"the approval by {one.actor} of report {one.digest[: report_index.SHORT]}"
        if not approvals.recorded(connection, one):
            yield f"{what} is not in the audit trail: it came through none of the doors."
        if one.digest not in known:
            yield f"{what} is of a report that is not in the index."


def _tokens(connection: Connection, entries: list[AuditEntry]) -> Iterator[str]:
    """Yield the holders whose tokens in force are not those that the audit trail has granted and not revoked."""
    from mlprod_nb.access import tokens

    granted: dict[str, list[str]] = {}
    for entry in entries:
        if entry.action == "grant":
            granted.setdefault(entry.subject, []).append(entry.detail)
        elif entry.action == "revoke":
            granted[entry.subject] = []
    for held in tokens.list_tokens(connection):
        if held.revoked_at is not None:
            continue
        if held.role in granted.get(held.name, []):
            granted[held.name].remove(held.role)
        else:
            what = f"a token of {held.name!r} with the role {held.role} is in force"
            yield f"{what}, which the audit trail did not grant or has revoked."
