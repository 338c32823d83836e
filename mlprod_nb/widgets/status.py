"""The status panel: endpoints, versions, traffic, health, reports and jobs, with the lines one may want next."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING, Any

from mlprod_nb.lifecycle.status import same_alert
from mlprod_nb.widgets import panel, snapshot

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

    from mlprod_nb.lifecycle.status import StatusResult


class StatusPanel(panel.Panel):
    """A status that can be refreshed and acted upon."""

    _esm = panel.module("status")
    _css = panel.style("status")

    def view(self, result: Any) -> dict[str, Any]:
        """Return what the panel shows of a ``StatusResult``."""
        return view(result)

    def _refresh(self, line: str) -> str:
        lost = super()._refresh(line)
        if lost:
            self.state = {**self.state, "verdict": {"status": "alarm", "sentence": lost, "action": ""}}
        return ""


def show(status: StatusResult, shell: InteractiveShell) -> None:
    """Show a status as a panel, or as a page where no panel can be."""
    snapshot.show(status, shell, lambda: StatusPanel(status))


def view(status: StatusResult) -> dict[str, Any]:
    """Return what the panel shows: the status as plain data, by endpoint, with the lines that may come next."""
    plain = status.to_dict()
    endpoints: dict[str, dict[str, Any]] = {}
    for row in plain["endpoints"]:
        name, revision = row["endpoint"], row["revision"]
        entry = endpoints.setdefault(
            name, {"name": name, "revision": revision, "variants": [], "actions": _actions(name, revision)}
        )
        entry["variants"].append({key: row[key] for key in ("variant", "version", "share", "runtime", "note")})
    start = [] if plain["gateway"]["running"] else [panel.action("Start the gateway", "up")]
    alerts = [{**row, "actions": _acknowledging(row)} for row in plain["alerts"]]
    reports = [
        {**row, "alert": same_alert(report, status.alerts)}
        for row, report in zip(plain["reports"], status.reports, strict=True)
    ]
    lists = {"endpoints": list(endpoints.values()), "alerts": alerts, "reports": reports}
    return {**plain, **lists, "actions": start, "refresh": "%mlprod status"}


def _actions(endpoint: str, revision: int) -> list[dict[str, Any]]:
    word = shlex.quote(endpoint)
    back = panel.action("Roll back", f"rollback {word}", about=endpoint, dry=True, reason="optional")
    return [panel.action("Monitor", f"monitor {word}", about=endpoint), *([back] if revision > 1 else [])]


def _acknowledging(alert: dict[str, Any]) -> list[dict[str, Any]]:
    number = alert["alert"]
    line = f"alerts acknowledge {number}"
    waits = alert["state"] == "open"
    return [panel.action("Acknowledge", line, about=f"alert {number}", reason="optional")] if waits else []
