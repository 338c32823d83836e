"""What the last step waits for of people."""

from __future__ import annotations

from mlprod_nb.lifecycle.alias_moves import aliases, protecting
from mlprod_nb.lifecycle.context import Context
from mlprod_nb.lifecycle.releasing.plan import Plan
from mlprod_nb.store.releases import Release


def missing(context: Context, release: Release, plan: Plan) -> str:
    """Return whose approval the alias's move waits for and which line gives it; empty where it may move."""
    model, version = release.given.version.rsplit("/", 1)
    found = protecting.examine(context, aliases.planned(context, model, plan.alias, int(version)))
    return " ".join((*found.missing, found.next)) if found and found.missing else ""
