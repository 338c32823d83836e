"""What is done about an alert by itself: fall back to a robust version, roll back, or retrain.

Guarantee: an action is done once, whoever is killed in between. It is written down with its alert, before it begins and
after it ended; the lock of who carries it out goes with the process. Whoever then finds an action begun looks for what
it made (a revision by its reason, a version by its mark) and ends it there, or begins anew where nothing was made.

It moves traffic no second time: not where the endpoint was changed since the alert was raised, nor where what serves
is itself what an alert brought. What fails is told, leaves what served, and is tried again by later looks.
"""

from __future__ import annotations

import re
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import ClassVar, Literal
from urllib.parse import quote

from sqlalchemy.engine import Connection

from mlprod_nb import locks
from mlprod_nb.errors import MlprodError, Refused
from mlprod_nb.lifecycle.context import Context
from mlprod_nb.lifecycle.deploying import revise
from mlprod_nb.results import Result
from mlprod_nb.store import actions, alerts, notices, revisions
from mlprod_nb.store.actions import Action
from mlprod_nb.store.alerts import Alert

TRIES = 3
_ALREADY = "done already"
_OURS = re.compile(r"alert \d+: ")


@dataclass(frozen=True)
class ActResult(Result):
    """What was done about an alert, or would be.

    Attributes:
        alert: Its number.
        endpoint: The endpoint it is about.
        action: fallback, rollback or retrain.
        detail: What came of it.
        dry_run: Whether nothing was changed.
    """

    alert: int
    endpoint: str
    action: str
    detail: str
    dry_run: bool
    _hidden: ClassVar[tuple[str, ...]] = ("alert", "endpoint", "action", "detail", "dry_run")

    def headline(self) -> str:
        """Say what."""
        planned = self.dry_run and not self.detail.startswith(_ALREADY)
        state = " would be done (dry run, nothing changed)" if planned else ""
        return f"Alert {self.alert} of {self.endpoint!r}: {self.action}{state}: {self.detail}"


class _LeftAlone(Refused):
    """The action must not be done, now or later."""


def plan(context: Context, connection: Connection, alert: int, endpoint: str) -> None:
    """Write down what the endpoint's settings want done about an alert, in the transaction that raises it."""
    wanted = context.settings.endpoint(endpoint).monitor
    if wanted.on_drift == "alert":
        return
    wants = {"fallback": wanted.fallback, "retrain": wanted.retrain_mode, "rollback": ""}[wanted.on_drift]
    actions.plan(connection, alert, wanted.on_drift, wants, now=context.clock())


def carry_out(context: Context, endpoint: str) -> None:
    """Do what waits to be done about an endpoint's alerts; what fails is kept and told, never raised."""
    with _alone(context, endpoint) as mine:
        if not mine:
            return
        with context.store.read() as connection:
            waiting = actions.unfinished(connection, endpoint)
            held = {action.alert: _held(context, connection, action) for action in waiting}
        for action in waiting:
            given_up = action.state == "failed" and action.tries >= TRIES
            if not given_up and not held[action.alert]:
                _attempt(context, action)


def act(context: Context, alert: int, *, dry_run: bool) -> ActResult:
    """Do now what the endpoint's settings want done about an alert, or show it.

    Raises:
        NotFound: There is no such alert.
        Refused: There is nothing to do, or another process is at it.
    """
    with context.store.read() as connection:
        found = alerts.find(connection, alert)
        action = actions.of(connection, [alert]).get(alert)
    endpoint = found.said.endpoint
    if action is None:
        hint = f"Set on_drift in [endpoints.{endpoint}.monitor]; it holds for alerts to come. Or: {found.said.action}"
        raise Refused(f"nothing was to be done about alert {alert}: on_drift was alert.", hint=hint)
    if action.state == "done":
        return ActResult(alert, endpoint, action.kind, f"{_ALREADY}: {action.detail}", dry_run)
    if dry_run:
        return ActResult(alert, endpoint, action.kind, _do(context, found, action, dry_run=True), dry_run)
    with _alone(context, endpoint) as mine:
        if not mine:
            raise Refused(f"another process acts on {endpoint!r}.", hint="See: mlprod alerts list")
        problem = _attempt(context, action)
    if problem is not None:
        raise problem
    with context.store.read() as connection:
        return ActResult(alert, endpoint, action.kind, actions.of(connection, [alert])[alert].detail, dry_run)


def _held(context: Context, connection: Connection, action: Action) -> bool:
    """Return whether somebody sees to an alert, so that nothing new is begun; what was begun is ended all the same."""
    state = alerts.find(connection, action.alert).state(context.clock())
    return action.state != "begun" and state in ("acknowledged", "snoozed")


def _attempt(context: Context, action: Action) -> MlprodError | None:
    """Carry one action on from where it stands; return what went wrong."""
    with context.store.read() as connection:
        alert = alerts.find(connection, action.alert)
        newest = len(revisions.history(connection, alert.said.endpoint))
    try:
        made = _made(context, alert, action) if action.state == "begun" else ""
        if not made:
            _check(context, alert, action)
            with context.store.write() as connection:
                actions.begin(connection, action, before=newest, now=context.clock())
                context.audit(connection, "adapt", f"alert {action.alert}", f"{action.kind} {action.wants}".strip())
            made = _do(context, alert, action, dry_run=False)
    except MlprodError as error:
        _end(context, action, "left alone" if isinstance(error, _LeftAlone) else "failed", str(error))
        return error
    _end(context, action, "done", made)
    return None


def _end(context: Context, action: Action, state: Literal["done", "failed", "left alone"], detail: str) -> None:
    """Write down how an action ended, and tell it; the same failure is told once."""
    with context.store.write() as connection:
        actions.end(connection, action, state, detail, now=context.clock())
        context.audit(connection, "adapt", f"alert {action.alert}", f"{action.kind} {state}: {detail}")
        if state == "done" or detail != action.detail:
            told = f"{action.kind.capitalize()} {state}: {detail}"
            notices.add(connection, action.alert, state, now=context.clock(), detail=told)


def _check(context: Context, alert: Alert, action: Action) -> None:
    """Refuse what must not be done, or not any more."""
    if not alert.open_causes:
        raise _LeftAlone("the alert had recovered before.")
    broken = all(cause.startswith("quality") for cause in alert.open_causes)
    if broken and action.kind != "fallback":
        raise _LeftAlone("the data are at fault, not the version.", hint=f"See: {alert.said.action}")
    if action.state == "begun" and action.tries >= TRIES:
        raise _LeftAlone(f"it was begun {action.tries} times and never ended.")
    current = revise.existing(context, alert.said.endpoint)
    if action.kind == "retrain":
        return
    if current.created_at > alert.raised_at and not current.reason.startswith(f"alert {alert.id}: "):
        raise _LeftAlone(f"{current.actor} has changed the endpoint since (revision {current.number}).")
    if action.kind == "rollback" and _OURS.match(current.reason):
        raise _LeftAlone(f"revision {current.number}, which serves, is what an alert brought before.")


def _do(context: Context, alert: Alert, action: Action, *, dry_run: bool) -> str:
    """Do an action; return what came of it."""
    from mlprod_nb.lifecycle import retraining  # a look that has nothing to do needs neither
    from mlprod_nb.lifecycle.deploying import deploy

    endpoint, reason = alert.said.endpoint, _reason(alert, action)
    if dry_run:
        _check(context, alert, action)
    if action.kind == "retrain":
        wanted = retraining.Retraining(endpoint, action.wants, mark=action.mark, reason=reason, dry_run=dry_run)
        return retraining.retrain(context, wanted).headline()
    if action.kind == "rollback":
        return deploy.rollback(context, endpoint, to=0, reason=reason, dry_run=dry_run).headline()
    current = revise.existing(context, endpoint).spec
    if current is not None and [variant.model_version for variant in current.variants] == [action.wants]:
        return f"{action.wants} answers everything already."
    return deploy.deploy(context, action.wants, endpoint=endpoint, reason=reason, dry_run=dry_run).headline()


def _made(context: Context, alert: Alert, action: Action) -> str:
    """Return what an action made before its process died; empty where it made nothing.

    Raises:
        Refused: The gateway did not take what it made.
    """
    if action.kind == "retrain":
        from mlprod_nb.lifecycle import retraining

        found = retraining.finish(context, alert.said.endpoint, action.mark, _reason(alert, action))
        return f"{found} was registered." if found else ""
    with context.store.read() as connection:
        history = revisions.history(connection, alert.said.endpoint)
    reason = _reason(alert, action)
    mine = next((r for r in reversed(history) if r.number > action.before and r.reason == reason), None)
    if mine is None:
        return ""
    outcome = mine.outcome or revise.outcome(context, mine)
    return f"revision {mine.number} is live." if outcome.outcome == "active" else ""


def _reason(alert: Alert, action: Action) -> str:
    """Return the reason that journals record, which is also what the action is known by."""
    what = f"{action.kind} to {action.wants}" if action.kind == "fallback" else action.kind
    return f"alert {alert.id}: {what}, since {alert.said.sentence}"


def _alone(context: Context, endpoint: str) -> AbstractContextManager[bool]:
    """Yield whether this process is the only one that acts on an endpoint."""
    return locks.tried(context.layout.run / f"adapting-{quote(endpoint, safe='')}.lock")
