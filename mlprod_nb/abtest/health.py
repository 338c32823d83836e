"""Health first: a test whose data came in crooked is invalid, whatever its lift.

Each check says in words what it found. Those that test something hold their level at any number of looks, as the
intervals do: a chi-square test read a thousand times at 0.001 gives ten to thirty times as many alarms.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from mlprod_nb.abtest import intervals
from mlprod_nb.abtest.balance import Balance
from mlprod_nb.abtest.design import Design
from mlprod_nb.abtest.estimate import Arm
from mlprod_nb.abtest.facts import Facts
from mlprod_nb.abtest.srm import MOST_IN_TWO_VARIANTS, SampleRatioCheck
from mlprod_nb.results import percent

#: More than this share of the feedback that cannot be used makes a test invalid.
MOST_STRANGE_LABELS = 0.01
#: More than this share of predictions that happened after they were received makes a test invalid.
MOST_IN_FUTURE = 0.01
#: The chance that a healthy test ever fails a check that tests something.
ALARM_BELOW = 0.001
#: Shares of feedback that differ by less than this cannot move an average far enough to matter.
LEAST_FEEDBACK_GAP = 0.005


@dataclass(frozen=True)
class HealthCheck:
    """One thing that must be in order before any lift is read.

    Attributes:
        check: What was looked at.
        ok: Whether it is in order.
        found: What there is, in words.
    """

    check: str
    ok: bool
    found: str


@dataclass(frozen=True)
class Examined:
    """What the checks look at.

    Attributes:
        design: The design.
        facts: What the table holds.
        ratio: The sample-ratio check.
        labelled: "Has a label" as a metric per variant.
        needs_labels: Whether a metric needs labels. What came as rewards and interactions is the effect itself, and
            may differ.
        balance: How the inputs of the variants compare; ``None`` where nobody read them.
        share: The treatment's share of the units of both variants.
    """

    design: Design
    facts: Facts
    ratio: SampleRatioCheck
    labelled: Mapping[str, Arm]
    needs_labels: bool
    balance: Balance | None
    share: float


def checks(examined: Examined) -> tuple[HealthCheck, ...]:
    """Return every check, in the order in which a fault is reported."""
    found = [_sample_ratio(examined), _two_variants(examined)]
    found += [*_versions(examined), *(_labels(examined) if examined.needs_labels else [])]
    if examined.balance is not None and examined.design.method != "paired":
        found.append(HealthCheck("inputs alike", not examined.balance.differ, examined.balance.sentence()))
    if examined.needs_labels and examined.labelled:
        found.append(_feedback(examined))
    found += [_clock(examined.facts), _repeats(examined.facts)]
    return tuple(found)


def fault(found: Sequence[HealthCheck]) -> str:
    """Return what the first failing check found, or an empty text."""
    return next((check.found for check in found if not check.ok), "")


def _sample_ratio(examined: Examined) -> HealthCheck:
    design, ratio = examined.design, examined.ratio
    if design.method == "paired":
        return HealthCheck(
            "sample ratio", True, "every request has both answers, so there is no split to come out wrong"
        )
    for name in (design.control, design.treatment):
        if name not in ratio.expected:
            return HealthCheck("sample ratio", False, f"the split gives variant {name!r} no traffic")
    total = sum(ratio.observed.values())
    if not total:
        return HealthCheck("sample ratio", True, "no unit has come yet")
    shares = ", ".join(
        f"{name} has {percent(ratio.observed[name] / total)} of the units instead of {percent(share)}"
        for name, share in ratio.expected.items()
    )
    if ratio.p_value < ALARM_BELOW:
        return HealthCheck("sample ratio", False, f"sample ratio mismatch: {shares} (p = {ratio.p_value:.1g})")
    return HealthCheck(
        "sample ratio", True, f"{shares.replace(' instead of ', ', designed ')} (p = {ratio.p_value:.2g})"
    )


def _two_variants(examined: Examined) -> HealthCheck:
    crossing, total = examined.ratio.units_in_two_variants, sum(examined.ratio.observed.values())
    ok = crossing <= MOST_IN_TWO_VARIANTS * max(1, total)
    return HealthCheck("units in one variant", ok, f"{crossing:,} of {total:,} units met more than one variant")


def _versions(examined: Examined) -> list[HealthCheck]:
    found = []
    for name in (examined.design.control, examined.design.treatment):
        versions = examined.facts.variants[name].versions if name in examined.facts.variants else ()
        if len(versions) > 1:
            words = f"variant {name!r} was answered by {' and '.join(versions)}; choose a range with one of them"
            found.append(HealthCheck("one version each", False, words))
    return found or [HealthCheck("one version each", True, "each variant was answered by one version")]


def _labels(examined: Examined) -> list[HealthCheck]:
    found = []
    for name in (examined.design.control, examined.design.treatment):
        part = examined.facts.variants.get(name)
        if part is not None and part.strange_labels > MOST_STRANGE_LABELS * (part.strange_labels + part.labelled):
            words = f"{part.strange_labels:,} labels of {name} cannot be used, as {part.strange_label!r}"
            found.append(HealthCheck("labels", False, words))
    return found or [HealthCheck("labels", True, "labels are of the right type")]


def _feedback(examined: Examined) -> HealthCheck:
    """Compare the shares of predictions with feedback as metrics are compared, at the health checks' level."""
    design = examined.design
    names = [name for name in (design.control, design.treatment) if name in examined.labelled]
    shares = {name: examined.labelled[name].sample.mean for name in names}
    words = (
        ", ".join(f"{name} has feedback on {percent(share)}" for name, share in shares.items()) or "no prediction yet"
    )
    always = replace(design, method="always-valid", interval="formula")
    read = intervals.always_valid(always, examined.labelled, alpha=ALARM_BELOW, share=examined.share)
    gap = abs(shares[names[0]] - shares[names[1]]) if len(names) == 2 else 0.0
    if read is not None and read.interval.excludes_zero and gap >= LEAST_FEEDBACK_GAP:
        return HealthCheck("missing feedback", False, f"the variants differ in how much feedback came in: {words}")
    return HealthCheck("missing feedback", True, words)


def _clock(facts: Facts) -> HealthCheck:
    rows = sum(part.rows for part in facts.variants.values())
    if facts.in_future is None:
        return HealthCheck("clocks", True, "not judged: the rows do not say when they were received")
    ok = facts.in_future <= MOST_IN_FUTURE * max(1, rows)
    return HealthCheck("clocks", ok, f"{facts.in_future:,} of {rows:,} predictions happened after they were received")


def _repeats(facts: Facts) -> HealthCheck:
    return HealthCheck("repeats", True, f"{facts.repeated_rows:,} rows repeat a prediction id; each counts once")
