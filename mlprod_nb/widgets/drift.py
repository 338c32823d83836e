"""The drift panel: features by impact, the reference against a window that is moved through time."""

from __future__ import annotations

import shlex
from datetime import datetime
from typing import TYPE_CHECKING, Any

from mlprod_nb.widgets import panel, snapshot

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

    from mlprod_nb.lifecycle.panels.drift import DriftView


class DriftPanel(panel.Panel):
    """An endpoint's columns in one window; people compose the window."""

    _esm = panel.module("drift")
    _css = panel.style("drift")

    def view(self, result: Any) -> dict[str, Any]:
        """Return what the panel shows of a ``DriftView``."""
        return view(result)

    def allows(self, words: list[str]) -> bool:
        """Allow the panel's own line for any window of time; from then on that is what it reads again."""
        match words:
            case ["panel", "drift", endpoint, "--since", since, "--until", until]:
                return endpoint == self.state["endpoint"] and _is_moment(since) and _is_moment(until)
            case ["panel", "drift", endpoint]:
                return bool(endpoint == self.state["endpoint"])
        return False

    def reads(self, line: str) -> bool:
        """Show another window."""
        return line.startswith(f"{panel.MAGIC}panel drift ")


def show(drift: DriftView, shell: InteractiveShell) -> None:
    """Show an endpoint's drift as a panel, or as a page where no panel can be."""
    snapshot.show(drift, shell, lambda: DriftPanel(drift))


def view(drift: DriftView) -> dict[str, Any]:
    """Return what the panel shows: the result as plain data, with the lines that may come next."""
    plain, word = drift.to_dict(), shlex.quote(drift.endpoint)
    del plain["look"]
    window = ""
    if drift.since and drift.until:
        window = f" --since {plain['since']} --until {plain['until']}"
    report = panel.action("Report", f"report {word} drift{window}", about=drift.endpoint)
    return {
        **plain,
        "whole": f"%mlprod panel drift {word}",
        "actions": [report],
        "refresh": f"%mlprod panel drift {word}{window}",
    }


def _is_moment(text: str) -> bool:
    try:
        datetime.fromisoformat(text)
    except ValueError:
        return False
    return True
