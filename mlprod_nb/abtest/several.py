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

    Holm's procedure (1979, Scandinavian Journal of Statistics 6) by intervals instead of p-values, so that planned
    looks have it too: all ``m`` treatments are read at ``alpha / m``; those with a difference are done, and the ``k``
    others are read again at ``alpha / k``, until none falls. At the first false call ``k`` is at least the number of
    treatments without a difference, so the chance of any false call is at most alpha, whatever the dependence; where
    each reading is valid at every look, so is the whole. Each interval has the level that its line says.

    Args:
        design: A design with others.
        one: Compares one treatment with the control.
    """
    names = (design.treatment, *design.others)
    found = step_down(design, one)
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


def step_down(design: Design, one: Callable[[Design], ABTestResult]) -> dict[str, ABTestResult]:
    """Analyse every treatment at the level that Holm's procedure gives it."""
    left = [design.treatment, *design.others]
    found: dict[str, ABTestResult] = {}
    while left:
        level = design.alpha / len(left)
        for name in left:
            found[name] = one(replace(design, treatment=name, others=(), alpha=level))
        still = [name for name in left if not found[name].metrics[0].significant]
        if len(still) == len(left):
            break
        left = still
    return found


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
