"""What users do with an endpoint's answers, as the live panel shows it: how often now, and by variant."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mlprod_nb.lifecycle.panels.counters import ReactionCount
from mlprod_nb.results import Section, format_value, percent

if TYPE_CHECKING:
    import pyarrow as pa

#: So many names are shown, the most frequent ones.
MOST_SHOWN = 8


@dataclass(frozen=True)
class ReactionShare:
    """What users did with a variant's newest predictions.

    Attributes:
        kind: ``interaction`` or ``reward``.
        name: What they did.
        title: The same as a reader wants it.
        variant: The variant's name.
        value: The share of its predictions with the interaction, or the mean reward of one.
        lower: Lower end of its 95 % interval; ``None`` for a single reward.
        upper: Upper end.
        rows: Its predictions.
    """

    kind: str
    name: str
    title: str
    variant: str
    value: float
    lower: float | None
    upper: float | None
    rows: int


@dataclass(frozen=True)
class ReactionNow:
    """One thing that users do.

    Attributes:
        title: What it is called.
        kind: ``interaction`` or ``reward``.
        since_start: How often it came since the gateway started.
        a_minute: How often a minute at each of a watch's moments, over the minute before it; empty without a watch.
        shares: Of the newest predictions, by variant.
    """

    title: str
    kind: str
    since_start: float
    a_minute: tuple[float, ...]
    shares: tuple[ReactionShare, ...]


def shares(predictions: pa.Table, reactions: pa.Table) -> tuple[ReactionShare, ...]:
    """Return what users did with predictions, by variant; of those that it is known of by now, where there are any.

    Args:
        predictions: Rows of the log.
        reactions: What users did with them, as the log's ``reactions`` gives it.
    """
    from mlprod_nb.monitoring import reaction_series
    from mlprod_nb.monitoring import reactions as monitored

    side = reaction_series.side_of(predictions, reactions) if reactions.num_rows else None
    found = monitored.compare(side, None, 0.0) if side is not None else None
    return tuple(
        ReactionShare(
            row.kind,
            row.name,
            row.title,
            one.variant,
            one.value,
            one.lower if math.isfinite(one.lower) else None,
            one.upper if math.isfinite(one.upper) else None,
            one.rows,
        )
        for row in (found.rows if found is not None else ())
        if row.text is None
        for one in row.variants
    )


def together(counts: Sequence[ReactionCount], newest: Sequence[ReactionShare]) -> tuple[ReactionNow, ...]:
    """Put what the gateway heard beside what the log knows; of what the gateway heard nothing, it is 0."""
    titles = {(share.kind, share.name): share.title for share in newest}
    known = {(count.kind, count.name): count for count in counts}
    silent = [ReactionCount(*key, 0.0) for key in titles if key not in known]
    return tuple(
        ReactionNow(
            titles.get((one.kind, one.name)) or title(one),
            one.kind,
            one.since_start,
            one.a_minute,
            tuple(share for share in newest if (share.kind, share.name) == (one.kind, one.name)),
        )
        for one in [*counts, *silent][:MOST_SHOWN]
    )


def section(rows: Sequence[ReactionNow], order: Sequence[str]) -> Section:
    """Return the table: what came, and of how many of the newest predictions.

    Args:
        rows: What users do.
        order: The endpoint's variants in their order; others come after.
    """
    known = {share.variant for row in rows for share in row.shares}
    variants = [*(name for name in order if name in known), *sorted(known - set(order))]
    table = tuple((row.title, round(row.since_start), *(_share(row, variant) for variant in variants)) for row in rows)
    return Section("interactions and rewards", ("name", "since the start", *variants), table)


def _share(row: ReactionNow, variant: str) -> str | None:
    found = next((share for share in row.shares if share.variant == variant), None)
    if found is None:
        return None
    return percent(found.value) if row.kind == "interaction" else format_value(found.value)


def title(one: ReactionCount) -> str:
    """Return what a reader wants it to be called."""
    from mlprod_nb.monitoring.reaction_series import Key

    return str(Key(one.kind, one.name))
