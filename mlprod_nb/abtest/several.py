"""More than two variants: each treatment against the control, and one verdict for all."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from mlprod_nb.abtest import multiplicity
from mlprod_nb.abtest.design import Design
from mlprod_nb.abtest.results import ABTestResult, ArmVerdict, Decision

#: Which treatment's result is shown first, and speaks: what asks for an action comes before what does not.
_ORDER: tuple[Decision, ...] = ("invalid", "ship", "roll back", "keep going", "stop")


def analyse(design: Design, one: Callable[[Design], ABTestResult]) -> ABTestResult:
    """Compare every treatment with the control.

    Each comparison has an equal part of alpha (Bonferroni), so that all intervals hold together; the p-values of the
    primary metric are adjusted after Holm over the treatments.

    Args:
        design: A design with others.
        one: Compares one treatment with the control.
    """
    names = (design.treatment, *design.others)
    parts = [replace(design, treatment=name, others=(), alpha=design.alpha / len(names)) for name in names]
    found = dict(zip(names, (one(part) for part in parts), strict=True))
    known = [name for name in names if found[name].metrics[0].p_value is not None]
    p_values = [value for name in known if (value := found[name].metrics[0].p_value) is not None]
    adjusted = dict(zip(known, multiplicity.holm(p_values), strict=True))
    arms = tuple(_arm(name, found[name], adjusted.get(name)) for name in names)
    lead = min(names, key=lambda name: (_ORDER.index(found[name].decision), _rank(found[name])))
    speaks = found[lead]
    if speaks.decision != "invalid":
        others = "; ".join(f"{arm.treatment}: {arm.decision}" for arm in arms if arm.treatment != lead)
        sentence = f"{len(names)} treatments. {lead}: {speaks.verdict.sentence.removesuffix('.')} ({others})."
        verdict = replace(speaks.verdict, sentence=sentence)
        if speaks.decision == "roll back" and any(arm.decision != "roll back" for arm in arms):
            verdict = replace(verdict, action="")  # the others go on, so the control does not get all traffic
        speaks = replace(speaks, verdict=verdict)
    return replace(speaks, design=design.describe(), arms=arms)


def _arm(name: str, found: ABTestResult, adjusted: float | None) -> ArmVerdict:
    lift = found.metrics[0]
    return ArmVerdict(
        name,
        found.decision,
        lift.treatment,
        lift.difference,
        lift.difference_lower,
        lift.difference_upper,
        adjusted,
    )


def _rank(found: ABTestResult) -> float:
    """Return the primary metric's difference so that the best comes first; where it is harm, the worst."""
    lift = found.metrics[0]
    value = lift.difference or 0.0
    return value if (lift.better == "lower") != (found.decision == "roll back") else -value
