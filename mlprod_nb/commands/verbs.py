"""The verbs: every public method of the façade that documents an example line, once."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from mlprod_nb.commands.docstrings import Explanation, explain
from mlprod_nb.workspace import Workspace

#: Nouns that hold several verbs, as ``abtest start``.
NOUNS = {
    "report": "Run a report notebook; several with batch; with new, make one of your own.",
    "abtest": "Plan, start, read and stop A/B tests.",
    "release": "Release a version by steps: checked, in shadow, a small share, larger ones, promoted.",
    "background": "See to long work that runs as a process of its own; alone, it lists.",
    "ci": "Write workflows for continuous integration.",
    "alerts": "See what is wrong, and say who sees to it; alone, it lists.",
    "schedule": "Run command lines at set times.",
    "access": "Give and take rights to call and to operate.",
    "audit": "Read and verify who did what.",
    "kernel": "Make Jupyter kernels with an environment of their own.",
}
#: Nouns that list what there is where no verb follows.
LISTED = frozenset({"alerts", "background"})
#: Which option the body of a ``%%mlprod`` cell is, by verb.
BODY = {
    "register": "note",
    "route": "reason",
    "promote": "reason",
    "rollback": "reason",
    "erase": "reason",
    "approve": "reason",
    "release": "reason",
    "release pause": "reason",
    "release resume": "reason",
    "release stop": "reason",
    "alerts acknowledge": "reason",
    "alerts snooze": "reason",
    "retrain": "reason",
    "abtest plan": "metrics",
    "abtest start": "design",
    "abtest allocate": "reason",
    "abtest stop": "reason",
}
#: Verbs that a notebook may say while it is executed to reproduce a version: they read, or register a candidate.
REPRODUCED = frozenset(
    {
        "register",
        "status",
        "history",
        "logs",
        "who-served",
        "models",
        "diff",
        "verdict",
        "why",
        "panel",
        "abtest plan",
        "alerts list",
        "schedule list",
        "background list",
        "audit show",
    }
)


@dataclass(frozen=True)
class Verb:
    """One verb.

    Attributes:
        name: As it is typed: ``deploy``, ``abtest start``, ``who-served``.
        method: The façade's method.
        opens: Whether it needs a workspace that exists; ``init`` does not.
        parameters: The method's parameters, without ``self``.
        explanation: Its docstring.
    """

    name: str
    method: str
    opens: bool
    parameters: tuple[inspect.Parameter, ...]
    explanation: Explanation

    @property
    def body(self) -> str:
        """The option that a cell's body is, or empty."""
        return BODY.get(self.name, "")


@functools.cache
def verbs() -> dict[str, Verb]:
    """Return every verb by name, in the façade's order."""
    found = {}
    members = (item for part in Workspace.__mro__ for item in vars(part).items())
    for name, member in members:
        function = member.__func__ if isinstance(member, staticmethod) else member
        if not name.startswith("_") and inspect.isfunction(function):
            verb = _verb(name, function, opens=not isinstance(member, staticmethod))
            found[verb.name] = verb
    return found


def _verb(method: str, function: Callable[..., Any], *, opens: bool) -> Verb:
    noun, _, rest = method.partition("_")
    name = f"{noun} {rest}" if noun in NOUNS and rest else method
    parameters = tuple(inspect.signature(function).parameters.values())[1 if opens else 0 :]
    return Verb(spelled(name), method, opens, parameters, explain(function))


def spelled(name: str) -> str:
    """Return a name of Python's as it is typed: ``dry-run``; ``from`` for ``from_``, which Python keeps for itself."""
    return name.rstrip("_").replace("_", "-")
