"""An endpoint's release as a panel shows it: where it stands, step by step, and what may be said to it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from mlprod_nb.lifecycle.context import Context
from mlprod_nb.results import Section
from mlprod_nb.store import releases

#: How long the end of a release is shown.
_SHOWN = timedelta(hours=1)


@dataclass(frozen=True)
class StepNow:
    """One step.

    Attributes:
        what: check, shadow, the candidate's share of the traffic, or promote.
        state: done, stands, begun, to come, or what it ended with.
        since: When it began to stand.
        rests_on: Why it began.
    """

    what: str
    state: str
    since: datetime | None
    rests_on: str


@dataclass(frozen=True)
class ReleaseNow:
    """The newest release of an endpoint.

    Attributes:
        status: ok, warn or alarm.
        sentence: How it stands.
        state: under way, paused, promoted, rolled back, refused or stopped.
        steps: Its steps.
    """

    status: str
    sentence: str
    state: str
    steps: tuple[StepNow, ...]

    def section(self) -> Section:
        """Return the steps as a table."""
        rows = tuple((s.what, s.state, s.since, s.rests_on) for s in self.steps)
        return Section("release", ("step", "state", "since", "rests on"), rows)


def look(context: Context, endpoint: str) -> ReleaseNow | None:
    """Return the release that is under way, or ended within the hour; ``None`` where there is none.

    Nothing is compared: what the newest look of whoever carries it on found missing is told.
    """
    from mlprod_nb.lifecycle.releasing import shown

    with context.store.read() as connection:
        newest = releases.of_endpoint(connection, endpoint)
    if newest is None or (newest.ending and context.clock() - newest.events[-1].at > _SHOWN):
        return None
    found = shown.result(context, newest.id)
    sentence = found.verdict.sentence
    if found.carried_on.startswith("nobody"):
        sentence += f" It is carried on by {found.carried_on}."
    steps = tuple(StepNow(row.what, row.state, row.since, row.rests_on) for row in found.steps)
    return ReleaseNow(found.verdict.status, sentence[:1].upper() + sentence[1:], found.state, steps)
