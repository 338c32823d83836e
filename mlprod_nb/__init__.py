"""The notebook as the control room of a machine learning production environment.

``%load_ext mlprod_nb`` adds the ``%mlprod`` and ``%%mlprod`` magics. In Python, start from
``mlprod_nb.Workspace.open()``. Importing the package is cheap: every room loads when first used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

    from mlprod_nb.workspace import Workspace as Workspace

__version__ = "0.1.0"
__all__ = ["Workspace", "__version__", "load_ipython_extension", "unload_ipython_extension"]


def __getattr__(name: str) -> Any:
    if name == "Workspace":
        from mlprod_nb.workspace import Workspace

        return Workspace
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def load_ipython_extension(shell: InteractiveShell) -> None:
    """Add the magics to an IPython shell (``%load_ext mlprod_nb``)."""
    from mlprod_nb import magics, widgets

    magics.load(shell)
    widgets.load(shell)


def unload_ipython_extension(shell: InteractiveShell) -> None:
    """Take the magics out again, leaving the shell as it was (``%unload_ext mlprod_nb``)."""
    from mlprod_nb import magics, widgets

    widgets.unload(shell)
    magics.unload(shell)
