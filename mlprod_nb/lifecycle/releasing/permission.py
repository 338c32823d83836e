"""What the last step waits for of people."""

from __future__ import annotations

from contextlib import suppress

from mlprod_nb.errors import MlprodError
from mlprod_nb.lifecycle.alias_moves import aliases, protecting
from mlprod_nb.lifecycle.alias_moves.protecting import Clearance
from mlprod_nb.lifecycle.context import Context
from mlprod_nb.lifecycle.releasing.plan import Plan
from mlprod_nb.results import counted
from mlprod_nb.store.releases import NewRelease, Release


def missing(context: Context, release: Release, plan: Plan) -> str:
    """Return whose approval the alias's move waits for and which line gives it; empty where it may move."""
    found = _asked(context, release.given, plan)
    return " ".join((*found.missing, found.next)) if found and found.missing else ""


def ahead(context: Context, given: NewRelease, plan: Plan) -> str:
    """Say at any step which approvals the last one will wait for; empty where none is lacking.

    A gate report is left to the release's own first step. Where the registry is away, nothing is said.
    """
    found = None
    if plan.alias in context.settings.model(given.version.rsplit("/", 1)[0]).protected:
        with suppress(MlprodError):
            found = _asked(context, given, plan)
    lacking = found.needed - len(found.given) if found else 0
    if found is None or lacking <= 0:
        return ""
    line = f"; {found.lines[-1][0].lower()}{found.lines[-1][1:]}" if found.passed else ""
    return f"{counted(lacking, 'approval')} by others than {found.author}, since {found.alias} is protected{line}"


def _asked(context: Context, given: NewRelease, plan: Plan) -> Clearance | None:
    model, version = given.version.rsplit("/", 1)
    return protecting.examine(context, aliases.planned(context, model, plan.alias, int(version)))
