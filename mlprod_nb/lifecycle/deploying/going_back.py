"""Rolling an endpoint back to a revision by its number, or to what served at a moment."""

from __future__ import annotations

from dataclasses import replace

from mlprod_nb.clock import iso, parse_moment
from mlprod_nb.errors import Refused, UsageError
from mlprod_nb.lifecycle.context import Context
from mlprod_nb.lifecycle.deploying import deploy
from mlprod_nb.lifecycle.deploying.deploy import RevisionResult
from mlprod_nb.lifecycle.deploying.revise import existing
from mlprod_nb.store import revisions
from mlprod_nb.store.revisions import Revision


def rollback(context: Context, endpoint: str, to: str, *, reason: str, dry_run: bool) -> RevisionResult:
    """Make a new revision that equals an earlier one.

    Args:
        context: The workspace.
        endpoint: The endpoint's name.
        to: A revision's number, or a moment; the revision before the present where empty or 0.
        reason: Why, for the journal.
        dry_run: Show only.

    Raises:
        NotFound: The endpoint does not exist.
        UsageError: ``to`` is neither a live revision nor a moment.
        Refused: Nothing served at that moment, or it serves still.
    """
    if not to or to.strip().isdecimal():
        return deploy.rollback(context, endpoint, to=int(to or 0), reason=reason, dry_run=dry_run)
    current = existing(context, endpoint)
    try:
        moment = parse_moment(to, now=context.clock(), besides="Or a revision's number.")
    except UsageError as error:
        raise UsageError(f"--to: {error.message}", hint=error.hint) from None
    with context.store.read() as connection:
        served = [r for r in revisions.history(connection, endpoint) if r.outcome and r.outcome.outcome == "active"]
    before = [revision for revision in served if revision.outcome and revision.outcome.decided_at <= moment]
    _refuse(endpoint, before, current, iso(moment), first=served[0])
    done = deploy.rollback(context, endpoint, to=before[-1].number, reason=reason, dry_run=dry_run)
    return replace(done, as_of=f"revision {before[-1].number} served at {iso(moment)} (UTC)")


def _refuse(endpoint: str, before: list[Revision], current: Revision, when: str, *, first: Revision) -> None:
    if not before:
        began = iso(first.outcome.decided_at) if first.outcome else ""
        raise Refused(f"{endpoint!r} did not serve yet at {when}.", hint=f"Its first revision began at {began}.")
    if before[-1].spec is None:
        raise Refused(f"{endpoint!r} was taken away at {when}.", hint=f"See: mlprod history {endpoint}")
    if before[-1].number == current.number:
        raise Refused(f"revision {current.number} of {endpoint!r} served at {when}, and serves still.")
