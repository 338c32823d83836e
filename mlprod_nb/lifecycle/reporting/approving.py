"""Approving a report: for its digest alone, and only while it is as it was written."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import ClassVar

from mlprod_nb.errors import MlprodError
from mlprod_nb.lifecycle.context import Context
from mlprod_nb.lifecycle.reporting import publishing
from mlprod_nb.results import Result


@dataclass(frozen=True)
class ApprovalResult(Result):
    """A report is approved.

    Attributes:
        digest: The report's digest.
        actor: Who approved.
        reason: Why.
        at: When.
        void: Which protected aliases it will not count for, and why; empty where it may.
    """

    digest: str
    actor: str
    reason: str
    at: datetime
    void: str = ""
    _hidden: ClassVar[tuple[str, ...]] = ("void",)

    def headline(self) -> str:
        """Say which, and whether it counts."""
        return f"Report {self.digest[:12]} is approved by {self.actor}. {self.void}".rstrip()


def approve(context: Context, digest: str, reason: str) -> ApprovalResult:
    """Record an approval of a report that is still as it was written."""
    from mlprod_nb.store import approvals, report_index

    with context.store.write() as connection:
        given = approvals.approve(
            connection, context.root, digest, actor=context.caller.actor, reason=reason, now=context.clock()
        )
        context.audit(connection, approvals.ACTION, given.digest, given.reason)
        record = report_index.find(connection, given.digest)
    with context.store.read() as connection:
        void = approvals.void_by(connection, record, given.actor, context.settings, partial(_made_elsewhere, context))
    publishing.site(context)
    return ApprovalResult(given.digest, given.actor, given.reason, given.at, void)


def _made_elsewhere(context: Context, version: str) -> str:
    """Return who registered an imported version where it is from; nothing where the registry does not answer."""
    with suppress(MlprodError):
        origin = context.registry.resolve(version).origin
        return origin.author if origin else ""
    return ""
