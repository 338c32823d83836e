"""What raises an alarm at an endpoint, and what was then done there, told and left serving."""

from __future__ import annotations

from datetime import datetime, timedelta
from functools import partial

from mlprod_nb import Workspace
from mlprod_nb.clock import utc_now
from mlprod_nb.lifecycle.alerting import alerts
from mlprod_nb.lifecycle.deploying import revise
from mlprod_nb.lifecycle.history import Move
from mlprod_nb.store import actions
from mlprod_nb.store.actions import Action
from tests.lifecycle.alerting.looks import look
from tests.lifecycle.alerting.receivers import Webhook


def revisions_of(workspace: Workspace, endpoint: str) -> list[Move]:
    return [m for m in workspace.history(endpoint).moves if m.what.startswith("revision")][::-1]


def serving(workspace: Workspace, endpoint: str) -> str:
    return revise.describe(revise.existing(workspace.context, endpoint).spec)


def action(workspace: Workspace, endpoint: str) -> Action:
    """Return what was done about the endpoint's newest alert."""
    newest = workspace.alerts_list(endpoint, every=True).alerts[0].alert
    with workspace.context.store.read() as connection:
        return actions.of(connection, [newest])[newest]


def alarm(workspace: Workspace, endpoint: str, *causes: str) -> None:
    alerts.settle(workspace.context, look(*(causes or ("drift=alarm",)), endpoint=endpoint))


def alarms_over_half_an_hour(workspace: Workspace, endpoint: str) -> None:
    now = utc_now()
    for minutes in range(0, 30, 6):
        moment = now + timedelta(minutes=minutes)
        alarm(Workspace(workspace.root, clock=partial(datetime.astimezone, moment)), endpoint)


def about(hook: Webhook, endpoint: str) -> list[dict[str, str]]:
    """What was told of one endpoint: the workspace is shared, and what another test could not send comes here too."""
    return [taken for taken in hook.taken if taken["title"].endswith(f" on {endpoint}")]
