"""Panels: results that stay alive in JupyterLab, each with a static page for everywhere else.

A panel shows lines of the grammar and sends the one that is clicked; what it can do, a cell can do. Loading registers
how results are shown, by the classes' names, so that it imports neither the results nor ipywidgets.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mlprod_nb.progress import whole_imports

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

#: The result that a panel shows, by module and class, and the panel's own module.
PANELS = {
    ("mlprod_nb.lifecycle.status", "StatusResult"): "mlprod_nb.widgets.status",
    ("mlprod_nb.lifecycle.panels.registry", "RegistryView"): "mlprod_nb.widgets.registry",
    ("mlprod_nb.lifecycle.panels.traffic", "TrafficView"): "mlprod_nb.widgets.traffic",
    ("mlprod_nb.lifecycle.panels.live", "LiveView"): "mlprod_nb.widgets.live",
    ("mlprod_nb.lifecycle.panels.drift", "DriftView"): "mlprod_nb.widgets.drift",
    ("mlprod_nb.lifecycle.panels.abtest", "ABTestView"): "mlprod_nb.widgets.abtest",
    ("mlprod_nb.lifecycle.panels.jobs", "JobsView"): "mlprod_nb.widgets.jobs",
    ("mlprod_nb.lifecycle.panels.approvals", "ApprovalsView"): "mlprod_nb.widgets.approvals",
}


def load(shell: InteractiveShell) -> None:
    """Show results as panels in a shell that is a notebook's kernel; a terminal keeps its text."""
    if getattr(shell, "kernel", None) is None or shell.display_formatter is None:
        return
    for (module, name), panel in PANELS.items():
        shell.display_formatter.ipython_display_formatter.for_type_by_name(module, name, _shower(shell, panel))


def unload(shell: InteractiveShell) -> None:
    """Show results as plain pages again."""
    if shell.display_formatter is not None:
        for module, name in PANELS:
            shell.display_formatter.ipython_display_formatter.pop(f"{module}.{name}", None)


def _shower(shell: InteractiveShell, panel: str) -> Any:
    def show(result: Any) -> None:
        import importlib

        with whole_imports():
            importlib.import_module(panel).show(result, shell)

    return show
