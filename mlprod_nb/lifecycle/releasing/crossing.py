"""What becomes of a release that is under way where a person changes its endpoint."""

from __future__ import annotations

import shlex

from mlprod_nb.lifecycle.context import Context
from mlprod_nb.lifecycle.deploying.revise import Change
from mlprod_nb.store import releases


def told(context: Context, change: Change) -> tuple[str, ...]:
    """Say it, with the lines that settle it; nothing where no release is under way, or where the change is its own.

    Args:
        context: The workspace.
        change: What was made of the endpoint, or would be.
    """
    with context.store.read() as connection:
        release = releases.of_endpoint(connection, change.endpoint)
    if release is None or release.ending is not None:
        return ()
    if change.reason and change.reason in {event.detail for event in release.events}:
        return ()
    from mlprod_nb.lifecycle.releasing.evidence import Subject, overtaken
    from mlprod_nb.lifecycle.releasing.plan import Plan
    from mlprod_nb.lifecycle.releasing.standing import of

    subject = Subject(release, Plan.from_dict(release.given.plan), of(release))
    alias = f"{release.given.version.rsplit('/', 1)[0]}@{subject.plan.alias}"
    if change.dry_run:
        ends = change.restores is None and any(move.alias == alias for move in change.moves)
    else:
        ends = bool(overtaken(context, subject))
    state = "paused" if subject.standing.paused else "under way"
    about = f"Release {release.id} of {release.given.version} is {state} at {change.endpoint!r}"
    if ends:
        return (f"{about}: its next look ends it, since {alias} moves with this.",)
    pauses = "" if subject.standing.paused else "its next look pauses it; "
    word = shlex.quote(change.endpoint)
    if change.spec is None:
        return (f"{about}: {pauses}mlprod release stop {word} ends it.",)
    again = f"mlprod release resume {word} makes its step again in place of this"
    return (f"{about}: {pauses}{again}, mlprod release stop {word} ends it and leaves this.",)
