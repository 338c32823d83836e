"""What a release will do, and how long that takes at today's traffic: shown before anything changes."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import ClassVar

from mlprod_nb.errors import MlprodError
from mlprod_nb.lifecycle.abtests import reading
from mlprod_nb.lifecycle.context import Context
from mlprod_nb.lifecycle.releasing import permission
from mlprod_nb.lifecycle.releasing.deciding import span
from mlprod_nb.lifecycle.releasing.plan import Plan, Step
from mlprod_nb.results import Result, Section, counted, format_value, percent
from mlprod_nb.store.releases import NewRelease

_DAY = 86_400.0


@dataclass(frozen=True)
class PlannedStep:
    """One step as it is planned.

    Attributes:
        step: Its number, from 1.
        what: check, shadow, the candidate's share of the traffic, or promote.
        needs: What it is held for, in words.
        days: How long that takes at today's traffic; ``None`` where nothing is known of it.
        rolled_back_by: What ends it and brings back what serves.
    """

    step: int
    what: str
    needs: str
    days: float | None
    rolled_back_by: str


@dataclass(frozen=True)
class ReleasePlan(Result):
    """A release as it would go; nothing has changed.

    Attributes:
        version: The candidate.
        endpoint: The endpoint's name.
        back_to: The revision to which a rollback goes.
        predictions_per_day: Today's traffic, by the log; ``None`` where it has none.
        alpha: The chance that a version that is no worse is rolled back.
        longest: How long a step may stand before it is rolled back.
        steps: The steps.
        end_waits_for: The approvals that the last step will wait for; empty where none is lacking.
    """

    version: str
    endpoint: str
    back_to: int
    predictions_per_day: float | None
    alpha: float
    longest: str
    steps: tuple[PlannedStep, ...]
    end_waits_for: str = ""
    _frame_field: ClassVar[str] = "steps"
    _hidden: ClassVar[tuple[str, ...]] = ("version", "endpoint", "predictions_per_day", "steps")

    def headline(self) -> str:
        """Say how many steps it takes, and how long."""
        known = [step.days for step in self.steps if step.days is not None]
        whole = all(step.days is not None for step in self.steps)
        time = f" in about {span(timedelta(days=sum(known)))}" if whole else ""
        return (
            f"{self.version} would be released to {self.endpoint!r} in {counted(len(self.steps), 'step')}{time} "
            "(a plan, nothing changed)."
        )

    def sections(self) -> list[Section]:
        """Show one row a step."""
        facts = list(super().sections())
        a_day = self.predictions_per_day
        traffic = (
            "not known: too little has been answered" if a_day is None else f"{format_value(a_day)} predictions a day"
        )
        rows = tuple((s.step, s.what, s.needs, _lasts(s.days), s.rolled_back_by) for s in self.steps)
        return [
            Section("", (), (*facts[0].rows, ("traffic today", traffic))),
            Section("steps", ("step", "what", "needs", "takes", "rolled back by"), rows),
        ]


def _lasts(days: float | None) -> str | None:
    return None if days is None else span(timedelta(days=days)) if days else "no time"


def plan(context: Context, given: NewRelease, wanted: Plan) -> ReleasePlan:
    """Return a release as it would go."""
    a_day = per_day(context, given.endpoint)
    return ReleasePlan(
        version=given.version,
        endpoint=given.endpoint,
        back_to=given.before,
        predictions_per_day=a_day,
        alpha=wanted.alpha,
        longest=span(wanted.longest_wait()),
        steps=tuple(_planned(wanted, at, step, a_day, _proof(context, given, wanted, at)) for at, step in
                    enumerate(wanted.steps)),
        end_waits_for=permission.ahead(context, given, wanted),
    )  # fmt: skip


def per_day(context: Context, endpoint: str) -> float | None:
    """Return an endpoint's predictions a day by their event times, over its last four weeks; ``None``: too few."""
    from datetime import datetime

    import pyarrow.compute as pc

    times = context.log.predictions(context.log.pin(endpoint), only=["event_time"])["event_time"]
    newest: datetime | None = pc.max(times).as_py()
    if newest is None:
        return None
    recent = times.filter(pc.greater(times, newest - timedelta(days=28)))
    first: datetime = pc.min(recent).as_py()
    days = (newest - first).total_seconds() / _DAY
    return len(recent) / days if days > 0 else None


def _planned(wanted: Plan, at: int, step: Step, a_day: float | None, proof: float | None) -> PlannedStep:
    if step.kind == "check":
        return PlannedStep(at + 1, "check", "every gate passes", 0.0, "a gate that says no: nothing changes then")
    if step.kind == "promote":
        moved = f"all traffic, and @{wanted.alias}"
        return PlannedStep(at + 1, "promote", f"nothing more: {moved}", 0.0, "by hand: mlprod rollback")
    needs = [f"{wanted.min_predictions:,} predictions"]
    needs += [f"{wanted.min_labels:,} with feedback"] if wanted.min_labels else []
    needs += [span(timedelta(seconds=wanted.hold))] if wanted.hold else []
    if wanted.proves(at):
        needs += [f"proof that {name} is within {worse:g}" for name, worse in wanted.metrics.items()]
    share = 1.0 if step.share in (0.0, 100.0) else step.share / 100
    days: float | None = None
    if a_day is not None and (proof is not None or not wanted.proves(at)):
        rows = max(wanted.min_predictions, wanted.min_labels)
        days = max(rows / (a_day * share), wanted.hold / _DAY, proof or 0.0)
    return PlannedStep(at + 1, str(step), ", ".join(needs), days, _harms(wanted, step))


def _harms(wanted: Plan, step: Step) -> str:
    allowed = [f"{percent(wanted.errors, 2)} more errors"]
    if step.share not in (0.0, 100.0):
        allowed.append(f"{wanted.latency_ms:g} ms slower")
    allowed += [f"scores {wanted.shift:g} apart"] if wanted.shift < 1 else []
    allowed += [f"{name} worse" + (f" by {worse:g}" if worse else "") for name, worse in wanted.metrics.items()]
    return f"more than {', '.join(allowed)}, for certain"


def _proof(context: Context, given: NewRelease, wanted: Plan, at: int) -> float | None:
    """Return the days that a proof takes for two versions that are alike; ``None`` where none is asked or known."""
    from mlprod_nb import abtest

    if not wanted.proves(at):
        return None
    _, manifest = reading.serving(context, given.endpoint)
    rows = reading.labelled(context, context.log.pin(given.endpoint))
    share, days = wanted.steps[at].share / 100 or 0.5, []
    for name, worse in wanted.metrics.items():
        try:
            today = abtest.baseline(rows, name, reading.outcome(manifest))
            found = abtest.plan(today, abtest.Aim(worse, alpha=wanted.step_alpha / 4, treatment_share=share))
        except MlprodError:
            return None
        days.append(found.days or 0.0)
    return max(days, default=None)
