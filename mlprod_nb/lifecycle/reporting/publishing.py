"""The page that leads to every report, and its feed, written anew; reports that are older than the settings keep go."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from mlprod_nb.lifecycle.context import Context
from mlprod_nb.results import Result, counted

if TYPE_CHECKING:
    from mlprod_nb.site import SiteResult


@dataclass(frozen=True)
class PruneResult(Result):
    """Which reports the rule of ``[reports]`` would remove.

    Attributes:
        keep_days: After how many days files go; 0: never.
        keep: How many of the newest of each endpoint and kind stay.
        folders: The folders that would go, relative to the workspace, the oldest first.
    """

    keep_days: int
    keep: int
    folders: tuple[str, ...]
    _hidden: ClassVar[tuple[str, ...]] = ("keep_days", "keep")

    def headline(self) -> str:
        """Say how many."""
        if not self.keep_days:
            return "Reports are kept for ever: keep_days is 0 in [reports]."
        age = counted(self.keep_days, "day")
        rule = f"older than {age}, the newest {self.keep} of each kind and what is approved kept"
        return f"{counted(len(self.folders), 'report')} would go ({rule}; dry run, nothing changed)."


def due(context: Context) -> PruneResult:
    """Show which reports the rule would remove."""
    from mlprod_nb.site import retention

    kept = context.settings.reports
    with context.store.read() as connection:
        rule = retention.Rule(kept.keep_days, kept.keep)
        found = retention.due(connection, context.layout.reports, rule, now=context.clock())
    return PruneResult(kept.keep_days, kept.keep, tuple(path.relative_to(context.root).as_posix() for path in found))


def site(context: Context) -> SiteResult:
    """Remove the reports that are due, and write the page that leads to every report anew, and the feed."""
    from mlprod_nb import site
    from mlprod_nb.site import retention

    context.change()
    kept = context.settings.reports
    if kept.keep_days:
        rule = retention.Rule(kept.keep_days, kept.keep)
        gone = retention.prune(context.store, context.layout.reports, rule, now=context.clock())
        if gone:
            with context.store.write() as connection:
                names = ", ".join(path.name for path in gone)
                context.audit(connection, "prune reports", f"{len(gone)} of {context.layout.reports.name}", names)
    title = context.settings.name or context.root.resolve().name
    return site.build(context.store, context.layout.reports, title=title, base=context.settings.alerts.pages)
