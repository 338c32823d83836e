"""Find and execute one notebook, strictly.

Guarantees:

- Parameters are checked against the notebook's parameters cell before anything starts.
- The kernel runs the interpreter that called, whatever kernels the user has installed.
- A wall-clock limit holds for everything the notebook starts, and nothing of it is left when :func:`execute` returns.
- The notebook is always kept, as far as it came.
"""

from mlprod_nb.notebooks.early import EarlyRunner
from mlprod_nb.notebooks.execution import Execution, NotebookFailed, Reason, Surroundings, execute
from mlprod_nb.notebooks.files import Notebook, find, read, sha256, write
from mlprod_nb.notebooks.nursery import Nursery
from mlprod_nb.notebooks.parameters import Parameter, check, declared, default, parse

__all__ = [
    "EarlyRunner",
    "Execution",
    "Notebook",
    "NotebookFailed",
    "Nursery",
    "Parameter",
    "Reason",
    "Surroundings",
    "check",
    "declared",
    "default",
    "execute",
    "find",
    "parse",
    "read",
    "sha256",
    "write",
]
