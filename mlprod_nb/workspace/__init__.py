"""The façade: one method a verb, the same words in the shell, in a notebook, in a button and in a scheduled job.

Positional parameters are a verb's arguments, keyword parameters its options. The docstrings are what ``--help`` shows.
"""

from __future__ import annotations

from mlprod_nb.workspace.delivery import Delivery
from mlprod_nb.workspace.evidence import Evidence
from mlprod_nb.workspace.models import Models
from mlprod_nb.workspace.operations import Operations
from mlprod_nb.workspace.serving import Serving

__all__ = ["Workspace"]


class Workspace(Serving, Models, Delivery, Evidence, Operations):
    """A directory with ``mlprod.toml``: its registry, endpoints, prediction log and reports.

    Each verb returns a :class:`mlprod_nb.results.Result`: ``str()``, ``to_dict()``, ``to_frame()``, ``exit_code``.
    What a user can mend is raised as an :class:`mlprod_nb.errors.MlprodError`, whose module draws the tree of errors.

    Args:
        root: The directory.
        caller: Who calls, from where, with which line; by default the operating system's user.
        clock: Gives the present moment.
    """
