"""What panels show, as results: in a terminal and on a page they are text and tables, in a notebook they come alive."""

from __future__ import annotations

import importlib
from dataclasses import dataclass

from mlprod_nb.errors import NotFound, UsageError
from mlprod_nb.lifecycle.context import Context
from mlprod_nb.lifecycle.deploying.revise import active, existing
from mlprod_nb.results import Result

#: The panels, and whether each is about one endpoint.
NAMES = {
    "status": False,
    "registry": False,
    "traffic": True,
    "live": True,
    "drift": True,
    "abtest": True,
    "jobs": False,
    "approvals": False,
}


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
    module = importlib.import_module(f"{__name__}.{wanted.name}")
    times = (wanted.since, wanted.until) if wanted.name == "drift" else ()
    if any((wanted.since, wanted.until)) and not times:
        raise UsageError(f"panel {wanted.name} takes no --since and no --until.", hint="Only panel drift does.")
    result = module.look(context, *([endpoint] if endpoint else []), *times)
    assert isinstance(result, Result)
    return result


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
