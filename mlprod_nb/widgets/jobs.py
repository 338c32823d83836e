"""The jobs panel: what runs when, how it went, and running it now."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mlprod_nb.widgets import panel, snapshot

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

    from mlprod_nb.lifecycle.panels.jobs import JobsView


class JobsPanel(panel.Panel):
    """The jobs of a workspace."""

    _esm = panel.module("jobs")
    _css = panel.style("jobs")

    def view(self, result: Any) -> dict[str, Any]:
        """Return what the panel shows of a ``JobsView``."""
        return view(result)


def show(jobs: JobsView, shell: InteractiveShell) -> None:
    """Show the jobs as a panel, or as a page where no panel can be."""
    snapshot.show(jobs, shell, lambda: JobsPanel(jobs))


def view(jobs: JobsView) -> dict[str, Any]:
    """Return what the panel shows: the result as plain data, with the lines that may come next."""
    plain = jobs.to_dict()
    for row in plain["jobs"]:
        number = row["job"]
        run = panel.action("Run now", f"schedule run {number}", about=f"job {number}")
        row["actions"] = [run, panel.action("Remove", f"schedule remove {number}", about=f"job {number}")]
    start = [panel.action("Start the scheduler", "up")] if jobs.enabled and not jobs.running else []
    return {**plain, "actions": start, "refresh": "%mlprod panel jobs"}
