"""A job's line is looked at when it is scheduled, rather than at six in the morning.

What can never be right is refused. What names something that the workspace does not have may come to be right until
then, so it is scheduled, and said.
"""

from __future__ import annotations

import inspect
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from mlprod_nb.clock import parse_moment, utc_now
from mlprod_nb.commands.door import Door
from mlprod_nb.commands.grammar import Call, parse, split
from mlprod_nb.errors import NotFound, UsageError

if TYPE_CHECKING:
    from mlprod_nb.lifecycle.context import Context
    from mlprod_nb.lifecycle.scheduling import JobAdded


def understood(line: str) -> Call | None:
    """Return what a job's line calls; nothing where it only asks for help.

    Raises:
        UsageError: A verb, an option or a moment in it is wrong.
    """
    door, _, rest = line.strip().partition(" ")
    if door.lstrip("%") == "mlprod":
        raise UsageError(f"the job's line is wrong: it begins with {door!r}.", hint=f"Write it without: {rest.strip()}")
    try:
        call = parse(split(line), Door())
        if not isinstance(call, Call):
            return None
        for moment in filter(None, (call.options.get("since"), call.options.get("until"))):
            parse_moment(moment, now=utc_now())
    except UsageError as error:
        raise UsageError(f"the job's line is wrong: {error}") from None
    return call


def remarked(added: JobAdded, call: Call, context: Context) -> JobAdded:
    """Say of a job which endpoints and kinds of report in its line the workspace does not have yet."""
    from mlprod_nb.reports import kinds
    from mlprod_nb.store import revisions

    # Options name endpoints that the verb makes, as in `deploy flights/2 --endpoint flights-eu`.
    places = [p.name for p in call.verb.parameters if p.kind is inspect.Parameter.POSITIONAL_OR_KEYWORD]
    values = dict(zip(places, call.arguments, strict=False))
    with context.store.read() as connection:
        known = sorted(revisions.active(connection))
    missing = [NotFound("endpoint", name, known) for name in _named(values, "endpoint") if name not in known]
    for kind in _named(values, "kind") if call.verb.name in ("report", "report batch") else []:
        try:
            kinds.source(kind, context.root)
        except NotFound as error:
            missing.append(error)
    return replace(added, remarks=tuple(map(str, missing)))


def _named(values: dict[str, Any], what: str) -> list[str]:
    """Return one name, or those that a batch has with commas between them."""
    text = values.get(what) or values.get(f"{what}s") or ""
    return [name.strip() for name in text.split(",") if name.strip()]
