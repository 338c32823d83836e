"""The plan of a release: its steps and what each needs, fixed when it begins."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import timedelta
from typing import Any, Literal

from mlprod_nb.clock import parse_duration
from mlprod_nb.settings import ReleaseSettings

StepKind = Literal["check", "shadow", "canary", "promote"]


@dataclass(frozen=True)
class Step:
    """One step.

    Attributes:
        kind: ``check``: the gates; ``shadow``: it answers unheard; ``canary``: it answers a share; ``promote``: it has
            all traffic and the alias.
        share: The candidate's share of the traffic, percent.
    """

    kind: StepKind
    share: float = 0.0

    @property
    def measured(self) -> bool:
        """Whether it stands until evidence has come in."""
        return self.kind in ("shadow", "canary")

    def __str__(self) -> str:
        return f"{self.share:g} %" if self.kind == "canary" else self.kind


@dataclass(frozen=True)
class Plan:
    """What a release does, and what it asks for.

    Attributes:
        steps: The steps, in order.
        alias: The alias that moves at the end.
        min_predictions: Predictions of the candidate that each measured step needs.
        min_labels: How many of them must have feedback.
        hold: How long each measured step stands at least, seconds.
        longest: How long it may stand, seconds.
        alpha: Chance that a version that is no worse is ever rolled back.
        errors: By how much its share of failed requests may be higher.
        latency_ms: By how much longer its answers may take on average.
        shift: How far its scores' distribution may lie from the champion's.
        metrics: Metrics and by how much each may be worse, the first deciding.
        proof: Whether the last split must show that each metric is within that.
    """

    steps: tuple[Step, ...]
    alias: str
    min_predictions: int
    min_labels: int
    hold: float
    longest: float
    alpha: float
    errors: float
    latency_ms: float
    shift: float
    metrics: Mapping[str, float]
    proof: bool

    @property
    def step_alpha(self) -> float:
        """Each measured step's share of alpha (Bonferroni)."""
        return self.alpha / max(1, sum(step.measured for step in self.steps))

    def proves(self, step: int) -> bool:
        """Return whether a step must show that each metric is within what it may be worse."""
        splits = [at for at, part in enumerate(self.steps) if part.measured and part.share < 100]
        return self.proof and bool(splits) and step == splits[-1]

    def longest_wait(self) -> timedelta:
        """Return how long a step may stand."""
        return timedelta(seconds=self.longest)

    def to_dict(self) -> dict[str, Any]:
        """Return the plan as plain data, as the store keeps it."""
        return {**asdict(self), "metrics": dict(self.metrics)}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Plan:
        """Read what :meth:`to_dict` gave."""
        return cls(**{**data, "steps": tuple(Step(**step) for step in data["steps"])})

    @classmethod
    def of(cls, wanted: ReleaseSettings, *, alias: str, default_metric: str) -> Plan:
        """Return the plan that a model's settings ask for.

        Args:
            wanted: ``[models.NAME.release]``.
            alias: The alias that moves at the end.
            default_metric: The metric of the endpoint's task, where the settings name none.
        """
        shadow = (Step("shadow"),) if wanted.shadow else ()
        return cls(
            steps=(Step("check"), *shadow, *(Step("canary", share) for share in wanted.steps), Step("promote", 100.0)),
            alias=alias,
            min_predictions=wanted.min_predictions,
            min_labels=wanted.min_labels,
            hold=parse_duration(wanted.hold).total_seconds(),
            longest=parse_duration(wanted.longest).total_seconds(),
            alpha=wanted.alpha,
            errors=wanted.errors,
            latency_ms=wanted.latency_ms,
            shift=wanted.shift,
            metrics=dict(wanted.metrics) or {default_metric: 0.0},
            proof=wanted.proof,
        )
