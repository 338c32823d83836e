"""What users did, by stretch of time and by variant, and whether they do less than before.

Events come late, so a stretch is complete once its predictions are as old as the round time by which 99 % of the
series' events had come; one that is not is shown, and not judged. Users' habits change from day
to day, so whole stretches are compared, as error rates are, by the Mann–Whitney test (Mann and Whitney 1947), exact,
equal values counted against a difference. The predictions themselves are compared, too, interactions by Fisher's exact
test, rewards by their means: where there are few predictions, stretches differ by chance alone. The larger p-value
counts, after Holm's correction over all series, and only where a fifth is missing.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

import numpy as np

from mlprod_nb.monitoring import reaction_counts, reaction_series
from mlprod_nb.monitoring.budget import holm
from mlprod_nb.monitoring.detectors.hypergeometric import tails
from mlprod_nb.monitoring.reaction_counts import Counts, Grid, Sums
from mlprod_nb.monitoring.reaction_series import Key, Side
from mlprod_nb.monitoring.sections import day
from mlprod_nb.results import counted

#: A fifth of what users did before must be missing.
LESS = 0.2


@dataclass(frozen=True)
class ReactionStretch:
    """One series in one stretch.

    Attributes:
        since: Its beginning.
        until: Its end.
        rows: Predictions.
        value: Share of them with the interaction, or the mean reward of one.
        lower: Lower end of its 95 % interval.
        upper: Upper end.
        in_window: Of the window; ``False`` of the time before it.
        complete: Whether no more is to come.
    """

    since: datetime
    until: datetime
    rows: int
    value: float
    lower: float
    upper: float
    in_window: bool
    complete: bool


@dataclass(frozen=True)
class ReactionVariant:
    """One series of one variant's predictions in the window.

    Attributes:
        variant: Its name.
        rows: Its predictions.
        value: As of a stretch.
        lower: Lower end of its 95 % interval.
        upper: Upper end.
    """

    variant: str
    rows: int
    value: float
    lower: float
    upper: float


@dataclass(frozen=True)
class Reaction:
    """One series: an interaction, an interaction with one value, or a reward.

    Attributes:
        kind: ``interaction`` or ``reward``.
        name: What users did.
        text: The interaction's value; ``None``: any.
        wait_s: A prediction of this age is complete, seconds: 99 % of the events had come by then.
        rows: The window's predictions of which no more is to come; all of them where there is none yet.
        value: Share of them with the interaction, or the mean reward of one.
        lower: Lower end of its 95 % interval.
        upper: Upper end.
        complete: Whether no more is to come.
        before: The value in the time before; ``None`` where nothing is known of it.
        p_value: That it is no less than before; ``None`` where that cannot be tested.
        p_value_corrected: The same after correction over all series.
        less: Significantly less, and by a fifth or more.
        stretches: By stretch, oldest first.
        variants: The same predictions by variant.
    """

    kind: str
    name: str
    text: str | None
    wait_s: float
    rows: int
    value: float
    lower: float
    upper: float
    complete: bool
    before: float | None
    p_value: float | None
    p_value_corrected: float | None
    less: bool
    stretches: tuple[ReactionStretch, ...]
    variants: tuple[ReactionVariant, ...]

    @property
    def title(self) -> str:
        """What it is called, as a reader wants it."""
        return str(Key(self.kind, self.name, self.text))


@dataclass(frozen=True)
class Reactions:
    """What users did.

    Attributes:
        rows: The series, the most frequent names first.
        others: How many names there are beside them.
        statement: In words.
    """

    rows: tuple[Reaction, ...]
    others: int
    statement: str

    @property
    def judged(self) -> bool:
        """Whether any series was tested."""
        return any(row.p_value is not None for row in self.rows)


def compare(now: Side, before: Side | None, alpha: float) -> Reactions | None:
    """Compare what users do in a window with the time before it; ``None`` where nothing is known of what they did.

    Args:
        now: The window.
        before: The time before it; ``None`` where that was not read.
        alpha: The chance that any series is said to be less where none is.
    """
    sides = [side for side in (now, before) if side is not None and len(side.seconds)]
    keys, others = reaction_series.listed(sides)
    if not keys or not len(now.seconds):
        return None
    grid = Grid.of(now.seconds)
    known_until = max(side.known_until for side in sides)
    cells = [(side, reaction_counts.cells_of(side, grid)) for side in sides]
    rows = []
    for key in keys:
        waits = (reaction_series.wait_of(side.events, key) for side in reversed(sides))
        wait = next(each for each in waits if each is not None)
        counts = [reaction_counts.counts_of(side, some, key, grid, (wait, known_until)) for side, some in cells]
        rows.append(_row(key, grid, wait, counts))
    found = _corrected(rows, alpha)
    return Reactions(found, others, _tell(found, reaction_series.unusable(sides)))


def _row(key: Key, grid: Grid, wait: float, counts: Sequence[Counts]) -> Reaction:
    """Return a series' row from the window's counts, and those of the time before where there are any."""
    here, *before = counts
    whole = here.together
    low, high = whole.interval(key.kind)
    p_value = _p_value(key, here, before[0]) if before else None
    earlier = before[0].together.mean if before and before[0].done else None
    stretches = [one for some in before for one in _stretches(key, grid, some, in_window=False)]
    return Reaction(
        kind=key.kind,
        name=key.name,
        text=key.text,
        wait_s=wait,
        rows=whole.rows,
        value=whole.mean,
        lower=low,
        upper=high,
        complete=here.done,
        before=earlier,
        p_value=p_value,
        p_value_corrected=None,
        less=p_value is not None and _much_less(whole, before[0].together),
        stretches=(*stretches, *_stretches(key, grid, here, in_window=True)),
        variants=tuple(_variants(key, here)),
    )


def _p_value(key: Key, here: Counts, there: Counts) -> float | None:
    """Return the larger p-value of stretches and of predictions; ``None`` where there is nothing to compare."""
    if not here.judged or not there.judged:
        return None
    from scipy.special import ndtr
    from scipy.stats import mannwhitneyu  # not before it is needed: it takes a second to import

    # Of equal values the window's rank higher, so that no two are equal and the exact law holds.
    marks = np.array([*there.judged, *here.judged])
    ranks = np.empty(len(marks))
    ranks[np.argsort(marks, kind="stable")] = np.arange(len(marks))
    earlier, later = ranks[: len(there.judged)], ranks[len(there.judged) :]
    by_stretch = float(mannwhitneyu(later, earlier, alternative="less", method="exact").pvalue)
    now, then = here.together, there.together
    if key.kind == "interaction":
        marked, drawn = round(now.total), now.rows
        return max(by_stretch, tails(now.rows + then.rows, marked + round(then.total), drawn, marked)[0])
    spread = math.sqrt(now.variance / now.rows + then.variance / then.rows)
    away = (now.mean - then.mean) / spread if spread else math.copysign(math.inf, now.mean - then.mean)
    return max(by_stretch, float(ndtr(away)))


def _much_less(now: Sums, then: Sums) -> bool:
    """Say whether a fifth is missing; of rewards a fifth of what they come to without their signs."""
    return then.mean - now.mean >= LESS * then.size / max(then.rows, 1)


def _corrected(rows: Sequence[Reaction], alpha: float) -> tuple[Reaction, ...]:
    tested = [row.p_value for row in rows if row.p_value is not None]
    corrected = iter(holm(tested))
    found = []
    for row in rows:
        p_value = None if row.p_value is None else next(corrected)
        found.append(
            replace(row, p_value_corrected=p_value, less=row.less and p_value is not None and p_value <= alpha)
        )
    return tuple(found)


def _stretches(key: Key, grid: Grid, counts: Counts, *, in_window: bool) -> Iterator[ReactionStretch]:
    for place, one in enumerate(counts.sums):
        if one.rows:
            since = datetime.fromtimestamp(grid.begin + (counts.cells.first + place) * grid.length, UTC)
            low, high = one.interval(key.kind)
            until = since + timedelta(seconds=grid.length)
            complete = bool(counts.complete[place])
            yield ReactionStretch(since, until, one.rows, one.mean, low, high, in_window, complete)


def _variants(key: Key, counts: Counts) -> Iterator[ReactionVariant]:
    for name in sorted(counts.variants):
        one = counts.variant(name)
        if one.rows:
            yield ReactionVariant(name, one.rows, one.mean, *one.interval(key.kind))


def _tell(rows: Sequence[Reaction], unusable: int) -> str:
    parts = []
    less = [row.title for row in rows if row.less]
    if any(row.p_value is not None for row in rows):
        parts.append(f"less than before: {', '.join(less)}" if less else "none is less than before")
    else:
        parts.append("not compared: nothing that is complete is known of the window and of the time before it")
    open_since = [one.since for row in rows for one in row.stretches if one.in_window and not one.complete]
    if open_since:
        parts.append(f"since {day(min(open_since))} more may come, which is shown and not judged")
    if unusable:
        parts.append(f"{counted(unusable, 'reward')} not counted, for want of a number")
    return "; ".join(parts)
