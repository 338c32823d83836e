"""The status panel: endpoints, versions, traffic, health, reports and jobs, with the lines one may want next."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import anywidget
import traitlets

from mlprod_nb import assets, commands
from mlprod_nb.errors import MlprodError, Refused
from mlprod_nb.widgets import snapshot

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

    from mlprod_nb.results import Result

_REFRESH = "%mlprod status"


class StatusPanel(anywidget.AnyWidget):
    """A status that can be refreshed and acted upon.

    Args:
        status: What to show first, a ``StatusResult``.
        run: Runs a line of the grammar and returns its result.
    """

    _esm = assets.path("widgets", "status.js")
    _css = assets.path("widgets", "status.css")
    state = traitlets.Dict().tag(sync=True)
    message = traitlets.Dict().tag(sync=True)

    def __init__(self, status: Result, run: Callable[[str], Result]) -> None:
        super().__init__(state=view(status))
        self._run = run
        self.on_msg(self._receive)

    def _receive(self, _widget: Any, content: Any, _buffers: Any) -> None:
        """Run the line that was clicked, if it is one that the panel offered."""
        line = content.get("line") if isinstance(content, dict) else None
        kind, text = "ok", ""
        try:
            if not isinstance(line, str) or line not in offered(self.state):
                raise Refused("the panel did not offer this line.", hint="Refresh it and try again.")
            text = self._run(line).headline() if line != _REFRESH else ""
        except MlprodError as error:
            kind, text = "error", str(error)
        except Exception as error:  # noqa: BLE001 (a panel that waits for ever says less)
            kind, text = "error", f"{type(error).__name__}: {error}"
        self._refresh()
        turn = self.message.get("turn", 0) + 1
        self.message = {"turn": turn, "kind": kind, "line": "" if line == _REFRESH else str(line), "text": text}

    def _refresh(self) -> None:
        try:
            self.state = view(self._run(_REFRESH))
        except MlprodError as error:
            verdict = {"status": "alarm", "sentence": str(error), "action": ""}
            self.state = {**self.state, "verdict": verdict}


def show(status: Result, shell: InteractiveShell) -> None:
    """Show a status as a panel, or as a page where no panel can be."""
    snapshot.show(status, shell, lambda: StatusPanel(status, _run))


def view(status: Result) -> dict[str, Any]:
    """Return what the panel shows: the status as plain data, by endpoint, with the lines that may come next."""
    plain = status.to_dict()
    endpoints: dict[str, dict[str, Any]] = {}
    for row in plain["endpoints"]:
        name, revision = row["endpoint"], row["revision"]
        entry = endpoints.setdefault(
            name, {"name": name, "revision": revision, "variants": [], "actions": _actions(name, revision)}
        )
        entry["variants"].append({key: row[key] for key in ("variant", "version", "share", "runtime", "note")})
    start = [] if plain["gateway"]["running"] else [{"label": "Start the gateway", "line": "%mlprod up"}]
    alerts = [{**row, "actions": _acknowledging(row)} for row in plain["alerts"]]
    lists = {"endpoints": list(endpoints.values()), "alerts": alerts}
    return {**plain, **lists, "actions": start, "refresh": _REFRESH}


def offered(state: dict[str, Any]) -> set[str]:
    """Return the lines that a panel in this state may send."""
    entries = (*state["endpoints"], *state["alerts"])
    actions = [*state["actions"], *(action for entry in entries for action in entry["actions"])]
    return {state["refresh"], *(action["line"] for action in actions)}


def _actions(endpoint: str, revision: int) -> list[dict[str, str]]:
    back = [{"label": "Roll back", "line": f"%mlprod rollback {endpoint}"}] if revision > 1 else []
    return [{"label": "Monitor", "line": f"%mlprod monitor {endpoint}"}, *back]


def _acknowledging(alert: dict[str, Any]) -> list[dict[str, str]]:
    waits = alert["state"] == "open"
    return [{"label": "Acknowledge", "line": f"%mlprod alerts acknowledge {alert['alert']}"}] if waits else []


def _run(line: str) -> Result:
    words = commands.split(line.removeprefix("%mlprod"))
    return commands.run(words, commands.Door(command=line))
