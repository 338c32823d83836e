"""The one table of rights."""

from __future__ import annotations

from typing import Literal, get_args

from mlprod_nb.errors import NotFound

Role = Literal["viewer", "reviewer", "caller", "operator", "admin"]
Action = Literal[
    "predict", "feedback", "read_metrics", "read_reports", "deploy", "approve", "acknowledge", "administer"
]

ROLES: tuple[Role, ...] = get_args(Role)

RIGHTS: dict[Action, frozenset[Role]] = {
    "read_metrics": frozenset({"viewer", "reviewer", "operator", "admin"}),
    "read_reports": frozenset({"viewer", "reviewer", "operator", "admin"}),
    "predict": frozenset({"caller", "operator", "admin"}),
    "feedback": frozenset({"caller", "operator", "admin"}),
    "deploy": frozenset({"operator", "admin"}),
    "approve": frozenset({"reviewer", "operator", "admin"}),
    "acknowledge": frozenset({"reviewer", "operator", "admin"}),
    "administer": frozenset({"admin"}),
}


def allowed(role: Role, action: Action) -> bool:
    """Return whether a role may do something."""
    return role in RIGHTS[action]


def check_role(role: str) -> Role:
    """Return a role by its name.

    Raises:
        NotFound: There is no such role.
    """
    found = next((known for known in ROLES if known == role), None)
    if found is None:
        raise NotFound("role", role, ROLES)
    return found
