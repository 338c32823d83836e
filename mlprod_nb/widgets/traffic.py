"""The traffic panel: shares to be dragged, who would move, and the line that does it."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING, Any

from mlprod_nb.widgets import panel, snapshot

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

    from mlprod_nb.results import Result


class TrafficPanel(panel.Panel):
    """An endpoint's traffic; people compose ``route`` lines of its variants, the model's aliases and its versions."""

    _esm = panel.module("traffic")
    _css = panel.style("traffic")

    def view(self, result: Result) -> dict[str, Any]:
        """Return what the panel shows of a ``TrafficView``."""
        return view(result)

    def allows(self, words: list[str]) -> bool:
        """Allow shares of what the panel offers, tried or with a reason."""
        match panel.trimmed(words, dry=True, reason=True):
            case ["route", endpoint, first, *more] if endpoint == self.state["endpoint"]:
                return all(self._is_share(text) for text in (first, *more))
        return False

    def _is_share(self, text: str) -> bool:
        name, _, weight = text.rpartition("=")
        known = (*(row["variant"] for row in self.state["variants"]), *(row["name"] for row in self.state["choices"]))
        return name in known and (weight == "shadow" or (weight.isascii() and weight.isdigit()))

    def details(self, result: Result) -> dict[str, Any]:
        """Return what a change of the traffic would serve, and who would move."""
        plain = result.to_dict()
        return {key: plain[key] for key in ("traffic", "moves") if key in plain}


def show(traffic: Result, shell: InteractiveShell) -> None:
    """Show an endpoint's traffic as a panel, or as a page where no panel can be."""
    snapshot.show(traffic, shell, lambda: TrafficPanel(traffic))


def view(traffic: Result) -> dict[str, Any]:
    """Return what the panel shows: the result as plain data, with the lines that may come next."""
    plain = traffic.to_dict()
    word = shlex.quote(plain["endpoint"])
    back = panel.action("Undo", f"rollback {word}", about=plain["endpoint"], dry=True, reason="optional")
    return {**plain, "actions": [back] if plain["revision"] > 1 else [], "refresh": f"%mlprod panel traffic {word}"}
