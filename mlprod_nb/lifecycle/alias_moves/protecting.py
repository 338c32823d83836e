"""Protected aliases: such an alias moves only to a version that passes its gates and that others have approved.

Guarantee: no alias moves without a :class:`~.aliases.Cleared`, and only this module makes one; so the rule holds at
every door, also at one that is yet to come. A rollback is the exception: it takes back what came with revisions that
served, to versions that had the alias before, and an emergency waits for no reviewer. The audit trail tells it apart.

MLflow's own page and client move aliases, too, and ask nobody. So what MLflow has is held against the journal: where a
protected alias differs, it is neither served by its name nor moved on, until it is put back, which needs no approval.

An approval counts while all that it rests on holds:

- it came through a door, so the audit trail knows it;
- its report is, file by file, what was approved, and the report's row in the index says what its digest covers;
- the report is bound to this very bundle;
- a gate report is the newest about the version; of another kind of report, no newer one about the version is an alarm.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mlprod_nb.errors import MlprodError, Refused
from mlprod_nb.lifecycle.alias_moves.aliases import AliasMove, Cleared
from mlprod_nb.lifecycle.context import Context
from mlprod_nb.results import counted
from mlprod_nb.store import approvals, journal, report_index

if TYPE_CHECKING:
    from sqlalchemy.engine import Connection

    from mlprod_nb.lifecycle.checking.gating import Standing
    from mlprod_nb.registry.versions import ModelVersion
    from mlprod_nb.settings import ProtectedAlias
    from mlprod_nb.store.report_index import ReportRecord


@dataclass(frozen=True)
class Clearance:
    """What a protected alias asks of a version, and what is there.

    Attributes:
        alias: As ``flights@champion``.
        version: As ``flights/3``.
        author: Who registered it, and so does not count.
        needed: How many others must have approved.
        given: Who has, and which report, as ``bob (gates 3fa9c1d2aa01)``.
        passed: The digest of the gate report that passes; empty where none does.
        missing: What is missing, each a sentence; nothing: the alias may move.
        lines: What to run, one line each.
    """

    alias: str
    version: str
    author: str
    needed: int
    given: tuple[str, ...]
    passed: str
    missing: tuple[str, ...]
    lines: tuple[str, ...]

    @property
    def next(self) -> str:
        """The lines to run, as one."""
        first, *rest = self.lines or ("",)
        return "; then ".join([first, *(line[0].lower() + line[1:] for line in rest)])


def clear(context: Context, move: AliasMove) -> Cleared:
    """Return the move as one that may be made.

    Raises:
        Refused: The alias is protected, and something is missing.
    """
    if puts_back(context, move):
        return Cleared(move, "put back to where the journal has it")
    found = examine(context, move)
    if found is None:
        return Cleared(move, "")
    if found.missing:
        # Of one that was moved past the verbs, the first of what is missing says where it is.
        is_here = strayed(context, move.alias)[0] in found.missing
        opening = "" if is_here else f"{move.alias} is protected and stays at {move.before or 'nothing'}: "
        raise Refused(f"{opening}{' '.join(found.missing)}", hint=found.next)
    return Cleared(move, f"gate report {found.passed[:12]}; approved by {', '.join(found.given) or 'nobody: 0 needed'}")


def taken_back(context: Context, move: AliasMove) -> Cleared:
    """Return a rollback's move as one that may be made: it needs no approval, and says so."""
    return Cleared(move, "taken back by a rollback, which needs no approval" if _rule(context, move.alias) else "")


def strayed(context: Context, alias: str) -> tuple[str, str]:
    """Return in which way a protected alias differs from the journal, and what to do; empty where it does not."""
    rule, held, found = _rule(context, alias), _held(context, alias), _found(context, alias)
    if rule is None or held == found:
        return "", ""
    sentence = f"{alias} is protected and was moved by none of the verbs: MLflow has {found or 'nothing'}, the journal "
    if held:
        return f"{sentence}{held}.", f"Put it back: mlprod promote {held} --alias {alias.partition('@')[2]}"
    return f"{sentence}nothing.", "Delete the alias in MLflow, and set it by: mlprod promote"


def refuse_strayed(context: Context, version: str) -> None:
    """Refuse to serve a version by the name of a protected alias that no verb has moved there.

    Raises:
        Refused: It is such a one.
    """
    problem, action = strayed(context, version) if "@" in version else ("", "")
    if problem:
        raise Refused(problem, hint=action)


def asks(context: Context, move: AliasMove) -> bool:
    """Return whether a move changes anything, in MLflow or by the journal's account."""
    return move.before != move.after or bool(strayed(context, move.alias)[0])


def puts_back(context: Context, move: AliasMove) -> bool:
    """Return whether a move leads a protected alias back to where the journal has it."""
    return bool(move.after) and bool(strayed(context, move.alias)[0]) and move.after == _held(context, move.alias)


def refuse_new(context: Context, model: str, alias: str) -> None:
    """Refuse an alias for a version that is about to be made, which nobody can have approved.

    Raises:
        Refused: The alias is protected.
    """
    if alias and _rule(context, f"{model}@{alias}") is not None:
        raise Refused(
            f"{model}@{alias} is protected: a version that is only being made has no gate report and no approvals.",
            hint=f"Leave the alias out; then run: mlprod check {model}/N, mlprod approve DIGEST --reason WHY,"
            f" mlprod promote {model}/N --alias {alias}",
        )


def examine(context: Context, move: AliasMove) -> Clearance | None:
    """Return what a protected alias asks of a move and what is there; ``None`` where the alias is not protected."""
    from mlprod_nb.lifecycle.checking import gating

    rule = _rule(context, move.alias)
    if rule is None or not move.after:
        return None
    version = context.registry.resolve(move.after)
    standing = gating.standing(context, version)
    with context.store.read() as connection:
        counts = list(_approvals(context, connection, version, rule, standing))
    given = {actor: report for actor, report, problem in counts if not problem}
    lacking = max(0, rule.approvals - len(given))
    author = version.author or "unknown"
    problem, action = strayed(context, move.alias)
    missing, lines = [problem] if problem else [], [action] if action else []
    if not standing.passes:
        missing.append(standing.sentence.partition(" Run: ")[0].rstrip(".") + ".")
        lines.append(f"Run: mlprod check {version.ref}")
    if lacking:
        missing.append(f"{version.ref} lacks {counted(lacking, 'approval')} by others than its author, {author}.")
        missing += [
            f"The approval by {actor} of {report} does not count: {problem}."
            for actor, report, problem in counts
            if problem
        ]
        digest = standing.digest[: report_index.SHORT] if standing.passes else "DIGEST"
        lines.append(f"Somebody else than {author} runs: mlprod approve {digest} --reason WHY")
    return Clearance(
        alias=move.alias,
        version=version.ref,
        author=author,
        needed=rule.approvals,
        given=tuple(f"{actor} ({report})" for actor, report in sorted(given.items())),
        passed=standing.digest if standing.passes else "",
        missing=tuple(missing),
        lines=tuple(lines),
    )


def _held(context: Context, alias: str) -> str:
    """Return where the journal has an alias; empty where it has it nowhere."""
    with context.store.read() as connection:
        newest = journal.newest_of(connection, alias)
    return newest.after if newest else ""


def _found(context: Context, alias: str) -> str:
    """Return where MLflow has an alias; empty where it has none."""
    model, name = alias.split("@")
    version = context.registry.aliases(model).get(name)
    return f"{model}/{version}" if version else ""


def _rule(context: Context, alias: str) -> ProtectedAlias | None:
    model, name = alias.split("@")
    return context.settings.model(model).protected.get(name)


def _approvals(
    context: Context, connection: Connection, version: ModelVersion, rule: ProtectedAlias, standing: Standing
) -> Iterator[tuple[str, str, str]]:
    """Yield each approval of a report about a version: who, of which, and why it does not count."""
    authors = {version.author, version.origin.author if version.origin else version.author}
    for record in report_index.approved(connection):
        if version.ref not in record.bound_to.get("model_versions", ()):
            continue
        problem = _problem(context, connection, record, version, rule, standing)
        name = f"{record.kind} {record.digest[: report_index.SHORT]}"
        for approval in approvals.approvals_of(connection, record.digest):
            own = "it is the author's own" if approval.actor in authors else ""
            forged = "" if approvals.recorded(connection, approval) else "the audit trail does not know it"
            yield approval.actor, name, own or forged or problem


def _problem(
    context: Context,
    connection: Connection,
    record: ReportRecord,
    version: ModelVersion,
    rule: ProtectedAlias,
    standing: Standing,
) -> str:
    """Return why a report's approvals do not count, or nothing."""
    if record.kind not in rule.reports:
        return f"of reports, {', '.join(rule.reports)} count"
    if record.bound_to.get("bundles", {}).get(version.ref) != version.bundle:
        return "it is bound to another bundle"
    if record.kind == report_index.GATES:
        if record.digest != standing.digest:
            return "the version was checked again since"
    elif "alarm" in (record.status, _newest(connection, record, version.ref).status):
        return "its verdict, or that of a newer one, is an alarm"
    try:
        report_index.verify(context.root, record)
    except MlprodError as error:
        return error.message.rstrip(".")
    return ""


def _newest(connection: Connection, record: ReportRecord, version: str) -> ReportRecord:
    """Return the newest report of the same kind and endpoint about a version."""
    later = report_index.list_reports(connection, endpoint=record.endpoint, kind=record.kind, limit=1000)
    return next((one for one in later if version in one.bound_to.get("model_versions", ())), record)
