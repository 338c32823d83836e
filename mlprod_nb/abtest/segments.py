"""The primary metric in each segment: where the treatment is better, and where it is worse, with correction.

Each segment is read as the test is: by the same statistic, at the same look. Holm's procedure (1979, Scandinavian
Journal of Statistics 6) by intervals, as over several treatments (:mod:`mlprod_nb.abtest.several`): all ``m`` segments
of all columns are read at ``alpha / m``, those with a difference are done, the ``k`` others are read again at
``alpha / k``. The number of segments was fixed by the first predictions, so what is valid at every look stays so, and
the chance that any segment is ever called different without being so is at most alpha.

A segment whose units are not divided as the split is cannot be compared: the variant has changed who is in it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from mlprod_nb.abtest import pairs, segmenting, srm
from mlprod_nb.abtest import reading as reading_
from mlprod_nb.abtest.design import Design
from mlprod_nb.abtest.intervals import LEAST_UNITS, Arms, Read
from mlprod_nb.abtest.reading import Lookup, Question, Reading
from mlprod_nb.abtest.results import SegmentLift
from mlprod_nb.abtest.rows import FAILED
from mlprod_nb.abtest.segmenting import Segment
from mlprod_nb.results import percent

_FEWEST_ROWS = 10
Splits = Mapping[int, Mapping[str, float]]


@dataclass(frozen=True)
class Segments:
    """What the segments say.

    Attributes:
        lifts: One a segment.
        notes: What a reader should know of them.
    """

    lifts: tuple[SegmentLift, ...] = ()
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Part:
    """One segment at the look that is read; ``fault`` says why it cannot be compared."""

    segment: Segment
    look: Lookup
    fault: str


def read(question: Question, reading: Reading, splits: Splits, alpha: float) -> Segments:
    """Read every segment that the design names.

    Args:
        question: The test, its scan open.
        reading: What was read of all predictions.
        splits: Each variant's share of the traffic, by period.
        alpha: The type I error of all segments together.
    """
    design = question.design
    if not design.segments:
        return Segments()
    if design.method in ("planned", "fixed") and not reading.moments:
        return Segments(notes=("The segments are read when the test is: at its first look.",))
    # What a model failed on left no inputs to be divided by.
    question = replace(question, scan=question.scan.within(f"NOT {FAILED}"))
    found, notes = _divide(question)
    if not found:
        return Segments(notes=tuple(notes))
    parts = [_part(question, segment, reading, splits, len(found)) for segment in found]
    reads = _holm(parts, alpha)
    lifts = tuple(_lift(question, part, *found) for part, found in zip(parts, reads, strict=True))
    return Segments(
        lifts, (*notes, _tried(design, lifts, alpha), *(() if question.periods else _in_none(reading, lifts)))
    )


def worse_in(lifts: Sequence[SegmentLift]) -> str:
    """Say where the treatment is certainly worse, or return an empty text."""
    return " and where ".join(f"{lift.by} is {lift.segment}" for lift in lifts if lift.reading == "worse")


def _divide(question: Question) -> tuple[list[Segment], list[str]]:
    design = question.design
    types = question.scan.segment_types()
    sql = [segmenting.sql_of(text, types) for text in design.segments]
    planned = design.expected_rows // (design.looks if design.method == "planned" else 1)
    wanted = max(_FEWEST_ROWS, min(segmenting.FIRST_ROWS, planned))
    first = question.scan.first(sql, question.variants, wanted)
    if first.num_rows < wanted:
        return [], [f"Segments are made by the first {wanted:,} predictions; {first.num_rows:,} are there."]
    found: list[Segment] = []
    notes = []
    for at, (text, value) in enumerate(zip(design.segments, sql, strict=True)):
        mine = segmenting.divide(text, value, first[f"x{at}"])
        if len(mine) > 1:
            found += mine
        else:
            notes.append(f"{text} is the same for the first {wanted:,} predictions, so it makes no segments.")
    return found, notes


def _part(question: Question, segment: Segment, reading: Reading, splits: Splits, tried: int) -> _Part:
    design = question.design
    scan = question.scan.within(segment.condition)
    rows = max(_FEWEST_ROWS, round(design.expected_rows * segment.part))
    own = replace(question, scan=scan, design=replace(design, expected_rows=rows))
    if design.method == "paired":
        return _Part(segment, pairs.look(own), "")
    ratio = reading_.sample_ratio(own, splits, question.variants)
    fault = ""
    if ratio.p_value < srm.ALARM_BELOW / tried:
        count = ratio.observed[design.treatment] / sum(ratio.observed.values())
        fault = (
            f"cannot be compared: {design.treatment} has {percent(count)} of its units instead of "
            f"{percent(ratio.expected[design.treatment])}, so the variant changes who is in it"
        )
    return _Part(segment, reading_.look(own, reading.moments), fault)


def _holm(parts: Sequence[_Part], alpha: float) -> list[tuple[Read | None, float]]:
    """Read each part at the level that Holm's procedure gives it; one that cannot be read keeps its share."""
    found: dict[int, tuple[Read | None, float]] = {}
    left = list(range(len(parts)))
    while left:
        level = alpha / len(left)
        for at in left:
            found[at] = (None if parts[at].fault else parts[at].look.at(level), level)
        still = [at for at in left if not _differs(found[at][0])]
        if len(still) == len(left):
            break
        left = still
    return [found[at] for at in range(len(parts))]


def _differs(found: Read | None) -> bool:
    return found is not None and found.interval.excludes_zero


def _lift(question: Question, part: _Part, found: Read | None, level: float) -> SegmentLift:
    arms = part.look.arms
    means = [arms[name].sample.mean if name in arms else None for name in question.variants]
    difference = None if means[0] is None or means[1] is None else means[1] - means[0]
    units = [arms[name].sample.units if name in arms else 0 for name in question.variants]
    return SegmentLift(
        by=part.segment.by,
        segment=part.segment.words,
        control=means[0],
        treatment=means[1],
        difference=difference,
        difference_lower=None if found is None else found.interval.lower,
        difference_upper=None if found is None else found.interval.upper,
        confidence=1 - level,
        significant=_differs(found),
        reading=part.fault or _reading(question, units, difference, found),
        units_control=units[0],
        units_treatment=units[1],
        rows=_rows(arms, question.design),
    )


def _rows(arms: Arms, design: Design) -> int:
    counts = [arm.sample.rows for arm in arms.values()]
    return max(counts, default=0) if design.method == "paired" else sum(counts)


def _reading(question: Question, units: Sequence[int], difference: float | None, found: Read | None) -> str:
    if found is None:
        return f"{LEAST_UNITS} units a variant are needed" if min(units) < LEAST_UNITS else "nothing varies"
    if not found.interval.excludes_zero or not difference:
        return "no certain difference"
    return "better" if (difference > 0) == (question.primary.better == "higher") else "worse"


def _tried(design: Design, lifts: Sequence[SegmentLift], alpha: float) -> str:
    when = {"planned": " over all planned looks", "fixed": " at the one look"}.get(design.method, " at every look")
    return (
        f"{len(lifts)} segments were tried: the chance that any is called different without being so is at most "
        f"{alpha:.3g}{when} (Holm). They decide nothing, and a segment without a certain difference may have one."
    )


def _in_none(reading: Reading, lifts: Sequence[SegmentLift]) -> list[str]:
    primary = reading.lifts[0]
    whole = primary.rows_control + primary.rows_treatment
    whole = primary.rows_control if primary.read_by.find("in pairs") >= 0 else whole
    inside: dict[str, int] = {}
    for lift in lifts:
        inside[lift.by] = inside.get(lift.by, 0) + lift.rows
    return [
        f"{whole - count:,} predictions are in no segment by {by}: their value was not among the first ones."
        for by, count in inside.items()
        if count < whole
    ]
