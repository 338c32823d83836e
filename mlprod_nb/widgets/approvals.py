"""The approvals panel: what waits for whom, and approving it with a reason."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mlprod_nb.widgets import panel, snapshot

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

    from mlprod_nb.lifecycle.panels.approvals import ApprovalsView


class ApprovalsPanel(panel.Panel):
    """What waits for an approval."""

    _esm = panel.module("approvals")
    _css = panel.style("approvals")

    def view(self, result: Any) -> dict[str, Any]:
        """Return what the panel shows of an ``ApprovalsView``."""
        return view(result)


def show(approvals: ApprovalsView, shell: InteractiveShell) -> None:
    """Show what waits for an approval as a panel, or as a page where no panel can be."""
    snapshot.show(approvals, shell, lambda: ApprovalsPanel(approvals))


def view(approvals: ApprovalsView) -> dict[str, Any]:
    """Return what the panel shows: the result as plain data, with the lines that may come next."""
    plain = approvals.to_dict()
    for row in plain["aliases"]:
        line = f"promote {row['version']} --alias {row['alias'].partition('@')[2]}"
        promote = panel.action("Promote", line, about=row["version"], dry=True, reason="optional")
        row["actions"] = [panel.action("Check", f"check {row['version']}", about=row["version"]), promote]
    for row in plain["reports"]:
        approve = panel.action(
            "Approve", f"approve {row['digest']}", about=f"{row['kind']} {row['about']}", reason="needed"
        )
        row["actions"] = [] if row["mine"] else [approve]
    return {**plain, "refresh": "%mlprod panel approvals"}
