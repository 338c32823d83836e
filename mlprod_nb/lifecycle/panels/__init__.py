"""What panels show, as results: in a terminal and on a page they are text and tables, in a notebook they come alive."""

from __future__ import annotations

from dataclasses import dataclass

from mlprod_nb.errors import NotFound, UsageError
from mlprod_nb.lifecycle.context import Context
from mlprod_nb.lifecycle.revise import active, existing
from mlprod_nb.results import Result

#: The panels, and whether each is about one endpoint.
NAMES = {"status": False, "traffic": True, "live": True}


@dataclass(frozen=True)
class Wanted:
    """What :meth:`mlprod_nb.Workspace.panel` takes."""

    name: str
    endpoint: str = ""
    since: str = ""
    until: str = ""


def show(context: Context, wanted: Wanted) -> Result:
    """Return what a panel shows.

    Raises:
        NotFound: There is no such panel, or no such endpoint.
        UsageError: The panel is about one endpoint, and there are several.
    """
    if wanted.name not in NAMES:
        raise NotFound("panel", wanted.name, NAMES, hint=f"There is: {', '.join(NAMES)}.")
    endpoint = _endpoint(context, wanted) if NAMES[wanted.name] else ""
    match wanted.name:
        case "traffic":
            from mlprod_nb.lifecycle.panels import traffic

            return traffic.look(context, endpoint)
        case "live":
            from mlprod_nb.lifecycle.panels import live

            return live.look(context, endpoint)
        case _:
            from mlprod_nb.lifecycle import status

            return status.status(context)


def _endpoint(context: Context, wanted: Wanted) -> str:
    """Return the endpoint that is meant: the one that is named, or the only one there is."""
    known = list(active(context))
    if not wanted.endpoint and len(known) > 1:
        example = f"mlprod panel {wanted.name} {known[0]}"
        raise UsageError(
            f"panel {wanted.name} is about one endpoint, and there are {len(known)}.",
            hint=f"Name one, like: {example}. There is: {', '.join(known)}.",
        )
    name = wanted.endpoint or (known[0] if known else "")
    return existing(context, name).endpoint
