"""The A/B panel: the confidence sequence over time, whether the test is in order, and how it may end."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING, Any

from mlprod_nb.widgets import panel, snapshot

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

    from mlprod_nb.lifecycle.panels.abtest import ABTestView


class ABTestPanel(panel.Panel):
    """An endpoint's newest A/B test."""

    _esm = panel.module("abtest")
    _css = panel.style("abtest")

    def view(self, result: Any) -> dict[str, Any]:
        """Return what the panel shows of an ``ABTestView``."""
        return view(result)


def show(abtest: ABTestView, shell: InteractiveShell) -> None:
    """Show an A/B test as a panel, or as a page where no panel can be."""
    snapshot.show(abtest, shell, lambda: ABTestPanel(abtest))


def view(abtest: ABTestView) -> dict[str, Any]:
    """Return what the panel shows: the result as plain data, with the lines that may come next."""
    plain, word = abtest.to_dict(), shlex.quote(abtest.endpoint)
    stop = panel.action("Stop", f"abtest stop {word}", about=abtest.endpoint, dry=True, reason="optional")
    ship = panel.action("Ship", f"abtest stop {word} --ship", about=abtest.endpoint, dry=True, reason="optional")
    report = panel.action("Report", f"report {word} abtest", about=abtest.endpoint)
    shipping = [ship] if abtest.result and abtest.result.decision == "ship" else []
    actions = [report, *shipping, stop] if abtest.result and not abtest.stopped else []
    start = panel.action("Start", f"abtest start {word}", about=abtest.endpoint)
    return {
        **plain,
        "actions": actions if abtest.result or abtest.stopped else [start],
        "refresh": f"%mlprod panel abtest {word}",
    }
