"""Where a release stands: a fold over its events, pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any, Literal

from mlprod_nb.store.releases import ENDINGS, Ending, Event, Release

Phase = Literal["idle", "begun", "stands", "reverting", "over"]


@dataclass(frozen=True)
class Standing:
    """Where a release stands.

    Attributes:
        phase: ``idle``: the step before is done and nothing has begun; ``begun``: an action was begun and may have been
            left by a dead process; ``stands``: a step's evidence is gathered; ``reverting``: a rollback was begun;
            ``over``.
        step: The newest step that began, from 0; -1 before the first.
        since: When the step began to stand.
        revision: The newest revision that the release made, or that served before it.
        own: Every revision that the release made.
        reason: The reason of the action that was begun, by which its revision is found.
        newest: The endpoint's newest revision when that action began.
        tries: How often the action failed.
        paused: Why it is paused, and by whom; empty where it is not.
        paused_at: When it was paused.
        rested: How long it was paused since the step began to stand.
        stop: Why somebody wants it ended; empty where nobody does.
        waits: What the newest look that found something new found missing.
        facts: What was written down when the step began to stand.
        ending: How it ended.
    """

    phase: Phase
    step: int
    since: datetime
    revision: int
    own: tuple[int, ...] = ()
    reason: str = ""
    newest: int = 0
    tries: int = 0
    paused: str = ""
    paused_at: datetime | None = None
    rested: timedelta = timedelta()
    stop: str = ""
    waits: str = ""
    facts: Mapping[str, Any] = field(default_factory=dict)
    ending: Ending | None = None

    def stood(self, now: datetime) -> timedelta:
        """Return how long the step stands, without the time in which it was paused."""
        resting = now - self.paused_at if self.paused_at else timedelta()
        return now - self.since - self.rested - resting


def of(release: Release) -> Standing:
    """Return where a release stands."""
    start = Standing("idle", -1, release.started_at, release.given.before)
    return follow(start, release.events)


def follow(standing: Standing, events: Sequence[Event]) -> Standing:
    """Return where a release stands after some events."""
    for event in events:
        standing = _after(standing, event)
    return standing


def _after(now: Standing, event: Event) -> Standing:
    if event.kind in ENDINGS:
        ending = next(ending for ending in ENDINGS if ending == event.kind)
        return replace(now, phase="over", ending=ending, paused="", paused_at=None)
    if event.kind == "begun":
        tries = now.tries if now.step == event.step else 0
        begun = replace(now, phase="begun", step=event.step, reason=event.detail, newest=event.revision)
        return replace(begun, tries=tries, since=event.at, rested=timedelta(), waits="", facts={})
    if event.kind == "stands":
        own = (*now.own, event.revision) if event.revision else now.own
        stands = replace(now, phase="stands", own=own, revision=event.revision or now.revision, tries=0)
        return replace(stands, since=event.at, rested=timedelta(), waits="", facts=event.facts)
    if event.kind == "reverting":
        return replace(now, phase="reverting", reason=event.detail, newest=event.revision, paused="", paused_at=None)
    return _told(now, event)


def _told(now: Standing, event: Event) -> Standing:
    """Follow an event that moves no step."""
    if event.kind == "failed":
        return replace(now, tries=now.tries + 1, waits=event.detail)
    if event.kind == "waits":
        return replace(now, waits=event.detail)
    if event.kind == "stop":
        return replace(now, stop=event.detail)
    if event.kind == "paused":
        return replace(now, paused=event.detail, paused_at=event.at)
    rested = now.rested + (event.at - now.paused_at if now.paused_at else timedelta())
    resumed = replace(now, paused="", paused_at=None, rested=rested, waits="")
    # Somebody else routed meanwhile: the step's own route is made again, from the revision that serves now.
    if event.facts.get("again"):
        return replace(resumed, phase="idle", step=max(-1, now.step - 1), revision=event.revision, tries=0)
    return resumed
