"""The one table of rights: which role may do what."""

from __future__ import annotations

from typing import Literal, get_args

Role = Literal["viewer", "caller", "operator", "admin"]
Action = Literal["predict", "feedback", "read_metrics", "read_reports", "deploy", "approve", "administer"]

ROLES: tuple[Role, ...] = get_args(Role)
ACTIONS: tuple[Action, ...] = get_args(Action)

_CALLERS: frozenset[Role] = frozenset({"caller", "operator", "admin"})
_VIEWERS: frozenset[Role] = frozenset({"viewer", "operator", "admin"})
_OPERATORS: frozenset[Role] = frozenset({"operator", "admin"})

RIGHTS: dict[Action, frozenset[Role]] = {
    "predict": _CALLERS,
    "feedback": _CALLERS,
    "read_metrics": _VIEWERS,
    "read_reports": _VIEWERS,
    "deploy": _OPERATORS,
    "approve": _OPERATORS,
    "administer": frozenset({"admin"}),
}


def allowed(role: str, action: Action) -> bool:
    """Return whether a role may do something; a role that is unknown may do nothing."""
    return role in RIGHTS[action]
