"""From evidence to a decision in words: health first, then harm, then gain."""

from __future__ import annotations

from dataclasses import dataclass

from mlprod_nb.abtest.design import Design
from mlprod_nb.abtest.facts import Facts
from mlprod_nb.abtest.futility import LEAST_CONDITIONAL_POWER
from mlprod_nb.abtest.reading import Reading
from mlprod_nb.abtest.results import Decision, MetricLift
from mlprod_nb.results import Verdict, duration, format_interval, format_value, percent


@dataclass(frozen=True)
class Evidence:
    """All that a decision looks at.

    Attributes:
        design: The design.
        facts: What the table holds.
        reading: The intervals.
        fault: What makes the test invalid, or empty.
        worse_in: In which segments the treatment is certainly worse, in words, or empty.
    """

    design: Design
    facts: Facts
    reading: Reading
    fault: str
    worse_in: str = ""


def decide(evidence: Evidence) -> tuple[Decision, Verdict]:
    """Return the decision and say it in words."""
    design, primary = evidence.design, evidence.reading.lifts[0]
    if evidence.fault:
        return "invalid", Verdict("alarm", f"invalid: {evidence.fault}.")
    harmed = _harmed(design, evidence.reading.lifts)
    if harmed is not None:
        sentence = f"roll back {design.treatment}: {_words(harmed)}."
        return "roll back", Verdict("alarm", sentence, f"%mlprod route {design.endpoint} {design.control}=100")
    if evidence.reading.obstacle and primary.difference_lower is None:
        return "keep going", Verdict("warn", f"keep going: {evidence.reading.obstacle}.")
    if primary.significant:
        return "ship", _ship(evidence)
    chance = evidence.reading.conditional_power
    if chance is not None and chance < LEAST_CONDITIONAL_POWER and evidence.reading.look < design.looks:
        sentence = (
            f"stop for futility: were the {design.minimal_effect:g} in {primary.metric} there, the plan would still "
            f"find it with a chance of {percent(chance)} ({_interval(primary)}); {design.control} may stay."
        )
        return "stop", Verdict("ok", sentence, f"%mlprod abtest stop {design.endpoint}")
    if _futile(design, primary):
        sentence = (
            f"stop: any difference in {primary.metric} is smaller than the {design.minimal_effect:g} that would matter "
            f"({_interval(primary)}); {design.control} may stay."
        )
        return "stop", Verdict("ok", sentence, f"%mlprod abtest stop {design.endpoint}")
    doubt = _doubt(design, evidence.reading.lifts)
    return "keep going", Verdict("warn" if doubt else "ok", _keep_going(evidence) + doubt)


def _harmed(design: Design, lifts: tuple[MetricLift, ...]) -> MetricLift | None:
    allowed = {guardrail.metric: guardrail.tolerance for guardrail in design.guardrails}
    return next((lift for lift in lifts if _worse_than(lift, allowed.get(lift.metric, 0.0))), None)


def _doubt(design: Design, lifts: tuple[MetricLift, ...]) -> str:
    """Say which guardrail is certainly worse, where that it is worse by no more than is allowed is not certain."""
    allowed = {guardrail.metric: guardrail.tolerance for guardrail in design.guardrails}
    for lift in lifts[1:]:
        if _worse_than(lift, 0.0) and not _within(lift, allowed[lift.metric]):
            return f" Guardrail {_words(lift)}: worse, and maybe by more than the allowed {allowed[lift.metric]:g}."
    return ""


def _within(lift: MetricLift, tolerance: float) -> bool:
    """Return whether the whole interval lies within the tolerance, on the worse side."""
    if lift.difference_lower is None or lift.difference_upper is None:
        return False
    low = lift.difference_lower >= -tolerance or lift.better == "lower"
    return low and (lift.difference_upper <= tolerance or lift.better == "higher")


def _worse_than(lift: MetricLift, tolerance: float) -> bool:
    """Return whether the whole interval lies beyond the tolerance, on the worse side."""
    if lift.difference_lower is None or lift.difference_upper is None:
        return False
    down = lift.difference_upper < -tolerance
    up = lift.difference_lower > tolerance
    return (down and lift.better != "lower") or (up and lift.better != "higher")


def _ship(evidence: Evidence) -> Verdict:
    design, primary = evidence.design, evidence.reading.lifts[0]
    sentence = f"ship {design.treatment}: {_words(primary)}"
    # A guardrail that is the same for every unit has no interval, and is not hurt.
    unread = [lift.metric for lift in evidence.reading.lifts[1:] if lift.difference_lower is None and lift.difference]
    unread += [lift.metric for lift in evidence.reading.lifts[1:] if lift.difference is None]
    if unread:
        return Verdict("warn", f"{sentence}; but guardrail {unread[0]} cannot be computed yet.")
    if doubt := _doubt(design, evidence.reading.lifts):
        return Verdict("warn", f"{sentence}.{doubt}")
    sentence += ", and no guardrail is hurt" if design.guardrails else ""
    if evidence.worse_in:
        return Verdict("warn", f"{sentence}; but it is worse where {evidence.worse_in}.")
    sentence += "."
    (version,) = evidence.facts.variants[design.treatment].versions
    model = version.rpartition("/")[0]
    aim = "" if model == design.endpoint else f" --endpoint {design.endpoint}"
    return Verdict("ok", sentence, f"%mlprod promote {version}{aim}")


def _futile(design: Design, primary: MetricLift) -> bool:
    low, high = primary.difference_lower, primary.difference_upper
    if low is None or high is None or design.minimal_effect <= 0:
        return False
    return -design.minimal_effect < low and high < design.minimal_effect


def _keep_going(evidence: Evidence) -> str:
    design, primary, look = evidence.design, evidence.reading.lifts[0], evidence.reading.look
    rows = primary.rows_control + primary.rows_treatment
    if design.method in ("planned", "fixed"):
        looks = design.looks if design.method == "planned" else 1
        if look == 0:
            first = -(-design.expected_rows // looks)
            return f"keep going: the first look is at {first:,} predictions with {primary.metric}; {rows:,} are there."
        if look == looks:
            return f"keep going or stop: the last look found no difference in {primary.metric} ({_interval(primary)})."
        return f"keep going: look {look} of {looks} found no difference in {primary.metric} yet ({_interval(primary)})."
    left = _days_left(evidence)
    time = (
        f" About {duration(86_400 * left)} more at this traffic would tell {design.minimal_effect:g}." if left else ""
    )
    return f"keep going: no difference in {primary.metric} is certain yet ({_interval(primary)}).{time}"


def power_left(evidence: Evidence) -> str:
    """Say what the rest of the test may still find."""
    design, primary = evidence.design, evidence.reading.lifts[0]
    effect, chance = design.minimal_effect, evidence.reading.conditional_power
    if effect <= 0:
        return "How long it will take is not known: the design names no minimal_effect."
    if chance is not None:
        cases = percent(chance, 0)
        return f"Were {effect:g} in {primary.metric} there, the rest of the plan would find it in {cases} of cases."
    if primary.difference_lower is None or primary.difference_upper is None:
        return "How long it will take is not known yet: there is no interval."
    half = (primary.difference_upper - primary.difference_lower) / 2
    left = _days_left(evidence)
    time = f"about {duration(86_400 * left)} more at this traffic" if left else "no more time"
    return f"The interval reaches {half:.3g} to either side; to come down to {effect:g} takes {time}."


def _days_left(evidence: Evidence) -> float:
    """Return the days until the interval is as narrow as the minimal effect; it narrows with the root of the rows."""
    primary, facts, effect = evidence.reading.lifts[0], evidence.facts, evidence.design.minimal_effect
    low, high = primary.difference_lower, primary.difference_upper
    if not effect or low is None or high is None or facts.first is None or facts.last is None:
        return 0.0
    so_far = (facts.last - facts.first).total_seconds() / 86_400
    return max(0.0, so_far * (((high - low) / 2 / effect) ** 2 - 1))


def _words(lift: MetricLift) -> str:
    before, after = format_value(lift.control), format_value(lift.treatment)
    if lift.better == "same":
        return f"{lift.metric} moved from {before} to {after} ({_interval(lift)})"
    return f"{lift.metric} is {after} against {before}, {lift.better} is better ({_interval(lift)})"


def _interval(lift: MetricLift) -> str:
    assert lift.difference is not None
    if lift.difference_lower is None or lift.difference_upper is None:
        return f"difference {lift.difference:+.4g}"
    bounds = format_interval(lift.difference_lower, lift.difference_upper, digits=4, signed=True)
    return f"difference {lift.difference:+.4g}, {100 * lift.confidence:.4g} % interval {bounds}"
