"""How the model stands: what a look says beyond the metrics, part by part, each from a module of its own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from mlprod_nb.monitoring import (
    calibration,
    error_rate,
    fairness,
    label_delay,
    reaction_sections,
    reactions,
    score_shift,
    segments,
    service,
    trials,
)
from mlprod_nb.results import Section


@dataclass(frozen=True)
class Standing:
    """How the model stands; what is absent has its reason in ``notes``.

    Attributes:
        labels: Which predictions have labels.
        estimation: Performance without labels.
        reliability: Whether probabilities mean what they say.
        segments: The worst segments that a search found, and those that the user named.
        fairness: Groups that the user named.
        service: Response times.
        errors: Error rates.
        reactions: What users did.
        shifts: What each drifted column alone does to the score.
        notes: What was not measured and why, and how the rest was.
    """

    labels: label_delay.LabelDelay | None = None
    estimation: trials.Estimation | None = None
    reliability: calibration.Reliability | None = None
    segments: tuple[segments.SegmentRow, ...] = ()
    fairness: tuple[fairness.FairnessRow, ...] = ()
    service: service.Service | None = None
    errors: error_rate.ErrorRate | None = None
    reactions: reactions.Reactions | None = None
    shifts: score_shift.ScoreShifts | None = None
    notes: Mapping[str, str] = field(default_factory=dict)

    def warnings(self) -> list[str]:
        """Return what a verdict must not be silent about, each as a clause."""
        found = [f"{row.statement}" for row in self.segments if row.fell][:1]
        found += [self.estimation.warning] if self.estimation is not None and self.estimation.warning else []
        found += [self.service.statement] if self.service is not None and self.service.slower else []
        found += [error_rate.warning(self.errors)] if self.errors is not None and self.errors.higher else []
        users = "" if self.reactions is None else reaction_sections.warning(self.reactions)
        return [*found, *([users] if users else [])]

    @property
    def judged(self) -> bool:
        """Whether anything was measured that a verdict would not be silent about."""
        served = any(part is not None and part.p_value is not None for part in (self.service, self.errors))
        users = self.reactions is not None and self.reactions.judged
        return self.estimation is not None or bool(self.segments) or served or users

    @property
    def likely_harm(self) -> bool:
        """Whether a believed estimate says that the model is worse."""
        return self.estimation is not None and bool(self.estimation.warning) and self.estimation.believed == "yes"

    def sections(self) -> list[Section]:
        """Return the tables, empty ones among them."""
        found = tuple(row for row in self.segments if row.found)
        named = tuple(row for row in self.segments if not row.found)
        return [
            score_shift.section(self.shifts),
            label_delay.section(self.labels),
            *trials.tables(self.estimation),
            calibration.section(self.reliability),
            segments.section(found, "worst segments"),
            segments.section(named, "named segments"),
            fairness.section(self.fairness),
            *reaction_sections.sections(self.reactions),
            service.section(self.service),
            error_rate.section(self.errors),
            Section("on these measurements", (), tuple(self.notes.items())),
        ]
