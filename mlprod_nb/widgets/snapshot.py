"""Showing a result as a live panel with its static page: one of the two is always seen, never both.

The panel and the page are two outputs of the cell. JupyterLab keeps both in the file; where the panel cannot come back
to life (a reopened notebook, nbconvert, GitHub), it shows nothing useful, and the page is there. Rules of CSS inside
the page hide the one that is not wanted, so no script looks after it.

The panel's output holds nothing but the panel, and the page is the same wherever the cell runs: so nbval, which has no
front end and compares no widgets, finds in its own run what JupyterLab kept.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    from IPython.core.interactiveshell import InteractiveShell

    from mlprod_nb.results import Result

_VIEW = "application/vnd.jupyter.widget-view+json"
_CHILD = ".jp-OutputArea-child"
#: A live panel hides the page after it; without one, the page hides what stands in the panel's place. What is no widget
#: (a line that was printed before, say) names its MIME type, and stays.
_RULES = (
    f"{_CHILD}:has(.mlprod-panel)+{_CHILD}:has(.mlprod-snapshot),"
    f"{_CHILD}:not(:has(.mlprod-panel,[data-mime-type])):has(+{_CHILD} .mlprod-snapshot){{display:none}}"
)


def show(result: Result, shell: InteractiveShell, panel: Callable[[], Any]) -> None:
    """Show a result: as a panel where a front end can, and always as a page.

    Args:
        result: The result.
        shell: The kernel's shell.
        panel: Makes the widget; only called where a front end can show it.
    """
    if can_show_widgets(shell):
        widget = panel()
        publish(shell, {_VIEW: {"version_major": 2, "version_minor": 0, "model_id": widget.model_id}})
    page = {
        "text/plain": str(result),
        "text/markdown": result._repr_markdown_(),
        "text/html": f'<div class="mlprod-snapshot"><style>{_RULES}</style>{result._repr_html_()}</div>',
    }
    publish(shell, page)


def can_show_widgets(shell: InteractiveShell) -> bool:
    """Tell whether the cell that runs was sent by a JupyterLab or Notebook.

    They name the cell in their request; papermill and nbclient, which show nothing, do not. VS Code would fetch the
    widget's loader from a network, so it gets the page.
    """
    parent = shell.get_parent() if hasattr(shell, "get_parent") else {}
    cell = str(parent.get("metadata", {}).get("cellId", ""))
    return bool(cell) and not cell.startswith("vscode")


def publish(shell: InteractiveShell, bundle: dict[str, Any]) -> None:
    """Show one output of several formats."""
    shell.display_pub.publish(data=bundle, metadata={})
