"""The approvals panel: which protected aliases wait for what, and which reports wait for whom."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar

from sqlalchemy.engine import Connection

from mlprod_nb.lifecycle.alias_moves import aliases, protecting
from mlprod_nb.lifecycle.context import Context
from mlprod_nb.registry.versions import ModelVersion
from mlprod_nb.results import Result, counted
from mlprod_nb.store import approvals, report_index

_REPORTS = 20
#: Of a model's newer versions so many are asked for what they lack.
_NEWER = 3


@dataclass(frozen=True)
class Waiting:
    """A version that a protected alias could move to.

    Attributes:
        alias: As ``flights@champion``.
        now: Where it points now, as ``flights/2``; empty where it does not exist yet.
        version: As ``flights/3``.
        author: Who registered it, and so does not count.
        needed: How many others must have approved.
        given: Who has, and which report.
        missing: What is missing, each a sentence; nothing: the alias may move.
        lines: What to run, one line each.
    """

    alias: str
    now: str
    version: str
    author: str
    needed: int
    given: tuple[str, ...]
    missing: tuple[str, ...]
    lines: tuple[str, ...]


@dataclass(frozen=True)
class Reviewed:
    """The newest report of its kind.

    Attributes:
        digest: Its digest's first characters.
        kind: gates, drift, abtest …
        about: The endpoint or version.
        status: Its verdict.
        sentence: Its verdict in words.
        created_at: When it was made.
        approved_by: Who approved it.
        path: Its folder, relative to the workspace.
        mine: Whether the caller has approved it.
    """

    digest: str
    kind: str
    about: str
    status: str
    sentence: str
    created_at: datetime
    approved_by: tuple[str, ...]
    path: str
    mine: bool


@dataclass(frozen=True)
class ApprovalsView(Result):
    """What waits for an approval.

    Attributes:
        actor: Who looks.
        aliases: Protected aliases and the newer versions that they could move to.
        reports: The newest report of each kind, and who approved it.
    """

    actor: str
    aliases: tuple[Waiting, ...]
    reports: tuple[Reviewed, ...]

    _frame_field: ClassVar[str] = "reports"

    def headline(self) -> str:
        """Say how much waits."""
        waiting = sum(1 for row in self.aliases if row.missing)
        unseen = sum(1 for row in self.reports if not row.approved_by)
        found = [counted(number, thing) for number, thing in ((waiting, "version"), (unseen, "report")) if number]
        verb = "wait" if waiting + unseen > 1 else "waits"
        return f"{' and '.join(found) or 'Nothing'} {verb} for an approval."


def look(context: Context) -> ApprovalsView:
    """Return what waits for whom."""
    waiting = [row for name in _protected(context) for row in _waiting(context, name)]
    with context.store.read() as connection:
        reports = _newest(connection, context.caller.actor)
    return ApprovalsView(context.caller.actor, tuple(waiting), tuple(reports))


def _protected(context: Context) -> list[str]:
    known = context.registry.models() if context.registry.begun() else ()
    return [f"{model}@{alias}" for model in known for alias in context.settings.model(model).protected]


def _waiting(context: Context, subject: str) -> list[Waiting]:
    """Return what a protected alias asks of the versions after the one that has it."""
    model, alias = subject.split("@")
    has = context.registry.aliases(model).get(alias, 0)
    newer = [version for version in context.registry.versions(model) if version.version > has]
    return [row for version in newer[:_NEWER] if (row := _asked(context, version, alias))]


def _asked(context: Context, version: ModelVersion, alias: str) -> Waiting | None:
    move = aliases.planned(context, version.model, alias, version.version)
    found = protecting.examine(context, move)
    if found is None:
        return None
    facts = (found.author, found.needed, found.given, found.missing, found.lines)
    return Waiting(found.alias, move.before, found.version, *facts)


def _newest(connection: Connection, actor: str) -> list[Reviewed]:
    """Return the newest report of each kind about each thing."""
    found: dict[tuple[str, str], Reviewed] = {}
    for record in report_index.list_reports(connection, limit=10 * _REPORTS):
        if (record.kind, record.endpoint) in found:
            continue
        by = tuple(approval.actor for approval in approvals.approvals_of(connection, record.digest))
        found[record.kind, record.endpoint] = Reviewed(
            digest=record.digest[: report_index.SHORT],
            kind=record.kind,
            about=record.endpoint,
            status=record.status,
            sentence=record.sentence,
            created_at=record.created_at,
            approved_by=by,
            path=record.path,
            mine=actor in by,
        )
    return list(found.values())[:_REPORTS]
