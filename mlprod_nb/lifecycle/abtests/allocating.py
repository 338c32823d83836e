"""A look at a running bandit: the route's shares move to what has earned more, by an ordinary revision."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from mlprod_nb.errors import Refused
from mlprod_nb.lifecycle.abtests import reading
from mlprod_nb.lifecycle.context import Context
from mlprod_nb.lifecycle.deploying import deploy
from mlprod_nb.lifecycle.deploying.revise import existing
from mlprod_nb.lifecycle.watching.watch import Window
from mlprod_nb.results import Result

if TYPE_CHECKING:
    from mlprod_nb.abtest import bandit

#: Shares that would move by less than this stay: a revision is not for nothing.
_LEAST_MOVE = 0.01


@dataclass(frozen=True)
class ArmShare:
    """One variant of a bandit.

    Attributes:
        variant: The variant's name.
        hits: Predictions whose value of the primary metric is the better one.
        rows: Predictions that have one.
        before: Its share of the traffic, percent.
        after: Its share from now on.
    """

    variant: str
    hits: int
    rows: int
    before: float
    after: float


@dataclass(frozen=True)
class AllocationResult(Result):
    """What a look moved.

    Attributes:
        endpoint: The endpoint's name.
        shares: One row a variant.
        reason: Why they moved, or stayed.
        revision: The revision that serves them; 0 where they stayed.
        dry_run: Whether nothing was changed.
    """

    endpoint: str
    shares: tuple[ArmShare, ...]
    reason: str
    revision: int
    dry_run: bool

    _frame_field: ClassVar[str] = "shares"
    _hidden: ClassVar[tuple[str, ...]] = ("endpoint", "revision", "dry_run")

    def headline(self) -> str:
        """Say what the look moved."""
        if not self.revision:
            return f"The shares of {self.endpoint!r} stay: {self.reason}."
        state = "would move (dry run, nothing changed)" if self.dry_run else "have moved"
        return f"The shares of {self.endpoint!r} {state}: revision {self.revision}."


def allocate(context: Context, endpoint: str, *, reason: str, dry_run: bool) -> AllocationResult:
    """Move the shares of a running bandit's variants.

    Raises:
        Refused: No bandit runs, its metric is no proportion, or the test is invalid.
    """
    from mlprod_nb.abtest import bandit

    data = reading.read(context, Window(endpoint))
    design = data.test.design
    if data.test.stopped or design.allocation != "thompson":
        raise Refused(
            f"no A/B test with allocation thompson runs on {endpoint!r}.",
            hint=f"Start one: mlprod abtest start {endpoint} --design 'allocation: thompson'",
        )
    found = reading.result(context, Window(endpoint))
    if found.decision == "invalid":
        raise Refused(f"the shares stay, since the test is {found.verdict.sentence}")
    spec = existing(context, endpoint).spec
    assert spec is not None
    rewards = _rewards(data)
    before = spec.shares()
    gone = [name for name in rewards if not before.get(name)]
    if gone:
        raise Refused(f"variant {gone[0]!r} has no traffic any more.", hint=f"mlprod abtest stop {endpoint}")
    fewest = min(rewards, key=lambda name: rewards[name].units)
    if rewards[fewest].units < bandit.LEAST_UNITS:
        few = f"{rewards[fewest].units} predictions with {design.primary}"
        why = f"{fewest} has {few}, and {bandit.LEAST_UNITS} are needed"
        return AllocationResult(endpoint, _rows(rewards, before, before), why, 0, dry_run)
    total = sum(reward.units for reward in rewards.values())
    whole = sum(before.get(name, 0.0) for name in rewards)
    drawn = bandit.allocate(rewards, floor=design.floor, seed=total)
    after = {**before, **{name: round(whole * share, 4) for name, share in drawn.items()}}
    if max(abs(after[name] - before.get(name, 0.0)) for name in after) < _LEAST_MOVE:
        return AllocationResult(
            endpoint, _rows(rewards, before, before), "they would move by less than a point", 0, dry_run
        )
    why = reason or f"A/B test: Thompson's shares after {total:,} predictions with {design.primary}"
    weights = {name: 100 * share for name, share in after.items()}
    moved = deploy.reshare(context, endpoint, weights, reason=why, dry_run=dry_run)
    return AllocationResult(endpoint, _rows(rewards, before, after), why, moved.revision, dry_run)


def _rewards(data: reading.Data) -> dict[str, bandit.Reward]:
    from mlprod_nb.abtest import bandit
    from mlprod_nb.abtest.outcome import Statistic
    from mlprod_nb.abtest.scan import open_scan

    design = data.test.design
    metric = design.metric(design.primary)
    if isinstance(metric, Statistic):
        raise Refused(f"Thompson sampling is for proportions, and {metric.name} is none.")
    with open_scan(data.rows, reading.outcome(data.manifest)) as scan:
        sums = scan.sums({metric.name: metric})[metric.name]
    found = {}
    for name in (design.control, design.treatment, *design.others):
        part = sums.get(name)
        if part is not None and (part.squares != part.total or part.units != part.rows):
            raise Refused(f"Thompson sampling is for proportions, and {metric.name} has other values than 0 and 1.")
        rows, total = (part.rows, round(part.total)) if part is not None else (0, 0)
        found[name] = bandit.Reward(rows - total if metric.better == "lower" else total, rows)
    return found


def _rows(rewards: dict[str, bandit.Reward], before: dict[str, float], after: dict[str, float]) -> tuple[ArmShare, ...]:
    return tuple(
        ArmShare(name, reward.hits, reward.units, round(100 * before.get(name, 0.0), 2), round(100 * after[name], 2))
        for name, reward in rewards.items()
    )
