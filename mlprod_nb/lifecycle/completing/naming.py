"""``python -m mlprod_nb.lifecycle.completing.naming ROOT``: read every name and write the file that TAB reads.

What the state database knows is written first; the registry, which may be slow or away, is asked after that, and only
where it may have changed. Until it has answered, and where it does not, the journal tells of models and aliases.
"""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy.engine import Connection

from mlprod_nb import locks
from mlprod_nb.clock import utc_now
from mlprod_nb.errors import MlprodError
from mlprod_nb.lifecycle import background, panels
from mlprod_nb.lifecycle.completing import names
from mlprod_nb.lifecycle.completing.names import Names
from mlprod_nb.lifecycle.context import Caller, Context

if TYPE_CHECKING:
    from mlprod_nb.store.revisions import Revision

_NICENESS = 10


def collect(context: Context) -> Names:
    """Return the names that the state database knows."""
    from mlprod_nb.access import tokens
    from mlprod_nb.reports import kinds
    from mlprod_nb.store import alerts, journal, report_index, revisions

    with context.store.read() as connection:
        deployed = revisions.active(connection)
        served = {name: _served(connection, name) for name in deployed}
        found = Names(
            endpoints=sorted(deployed),
            variants={name: _variants(revision) for name, revision in deployed.items()},
            columns={name: _columns(context, revision) for name, revision in deployed.items()},
            revisions=served,
            alerts={str(a.id): a.said.sentence for a in alerts.list_alerts(connection, only_open=True)},
            jobs=_jobs(context, connection),
            tasks={str(row.task): f"{row.command}: {row.state}" for row in background.tasks(context)},
            reports={
                row.digest[: report_index.SHORT]: f"{row.endpoint} {row.kind}: {row.status}"
                for row in report_index.list_reports(connection)
            },
            holders=sorted({token.name for token in tokens.list_tokens(connection) if token.revoked_at is None}),
            kinds=kinds.names(context.root),
            panels=list(panels.NAMES),
        )
        versions, aliases = journal.names(connection)
    return replace(found, models=versions, aliases=aliases)


def with_registry(context: Context, found: Names) -> Names:
    """Return the names with models, versions and aliases as the registry has them.

    Raises:
        Unavailable: It does not answer.
    """
    registry = context.registry
    known = registry.models()
    return replace(
        found,
        models={model: [version.ref for version in registry.versions(model)] for model in known},
        aliases={model: [f"{model}@{alias}" for alias in sorted(registry.aliases(model))] for model in known},
    )


def main(root: Path) -> int:
    """Write the names, unless another process does; what changes meanwhile leaves them behind, for the next to see."""
    context = Context(root, Caller.current(), utc_now)
    if not context.layout.state.is_dir():
        return 0
    path = context.layout.run / "names.lock"
    with locks.tried(path) as alone:
        if not alone:
            return 0
        path.touch()
        begun = path.stat().st_mtime_ns
        before = names.read(context.layout)
        found = collect(context)
        # Until the registry has answered, what it said last and what the journal says since.
        names.write(context.layout, replace(found, models={**before.models, **found.models}), as_of_ns=begun)
        names.write(context.layout, with_registry(context, found), as_of_ns=begun)
    return 0


def _served(connection: Connection, endpoint: str) -> list[str]:
    from mlprod_nb.store import revisions

    past = revisions.history(connection, endpoint)
    return [str(r.number) for r in reversed(past) if r.outcome and r.outcome.outcome == "active"]


def _variants(revision: Revision) -> list[str]:
    assert revision.spec is not None
    return [variant.name for variant in (*revision.spec.variants, *revision.spec.shadows)]


def _columns(context: Context, revision: Revision) -> list[str]:
    assert revision.spec is not None
    with suppress(MlprodError):
        return list(context.bundle_of(revision.spec.variants[0]).signature.names)
    return []


def _jobs(context: Context, connection: Connection) -> dict[str, str]:
    from mlprod_nb import scheduler

    return {str(job.job): job.command for job in scheduler.list_jobs(connection, now=context.clock()).jobs}


if __name__ == "__main__":
    os.nice(_NICENESS)
    with suppress(MlprodError):
        sys.exit(main(Path(sys.argv[1])))
