"""The analysis of an A/B test, from labelled predictions to a verdict."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from mlprod_nb.abtest import balance, health, metrics, multiplicity, pairs, periods, segments, several, srm
from mlprod_nb.abtest.design import Design
from mlprod_nb.abtest.estimate import UnitSums
from mlprod_nb.abtest.facts import Facts
from mlprod_nb.abtest.intervals import Arms
from mlprod_nb.abtest.metrics import Better, Metric, Outcome, Task
from mlprod_nb.abtest.outcome import Statistic, of_answers
from mlprod_nb.abtest.reading import Question, Reading, read, sample_ratio, variance_kept
from mlprod_nb.abtest.results import ABTestResult, MetricLift, PeriodLift
from mlprod_nb.abtest.rows import PERIOD
from mlprod_nb.abtest.scan import Scan, open_scan
from mlprod_nb.abtest.verdict import Evidence, decide, power_left
from mlprod_nb.results import percent

if TYPE_CHECKING:
    import pyarrow as pa

#: Of so many first rows the quantile is taken at which values are cut.
_CAP_ROWS = 1_000


@dataclass(frozen=True)
class _Labelled:
    """Whether a prediction has feedback; a health check, not for users."""

    name: str = "labelled"
    better: Better = "same"
    needs_labels: bool = False
    tolerance: float = 0.0

    def value(self, outcome: Outcome) -> str:  # noqa: ARG002 (fits every task)
        return of_answers("(label_known IS NOT NULL)::DOUBLE")


def analyse(
    table: pa.Table,
    design: Design,
    *,
    shares: Mapping[str, float] | Sequence[Mapping[str, float]],
    task: Task,
    classes: Sequence[Any],
    inputs: pa.Table | None = None,
) -> ABTestResult:
    """Analyse an A/B test.

    Args:
        table: Labelled predictions of the test's range, one row a prediction, as the prediction log's ``labelled``
            gives them; the order does not matter.
        design: What is asked.
        shares: Each variant's share of the traffic while the rows came in; where the split was changed, of each split
            by the number in the table's column ``period``.
        task: What the endpoint does.
        classes: The model's classes in its order; empty for regression.
        inputs: Some of the predictions with ``inputs``, by chance, to compare what the variants were asked; with a
            column ``period`` where the table has one.

    Returns:
        The verdict, whose exit code is 1 for harm and for an invalid test, and all that led to it. Data that cannot
        answer (no feedback, one unit, no variance) are a verdict too, not an error.

    Raises:
        UsageError: A metric does not fit what the endpoint predicts.
        InvalidInput: The table lacks a column.
    """
    outcome = Outcome(task, tuple(str(name) for name in classes))
    given = _Given(table, [shares] if isinstance(shares, Mapping) else shares, outcome, inputs)
    if design.others:
        of_segments = design.alpha / (1 + len(design.others))
        return several.analyse(design, lambda part: _one(given, part, of_segments))
    return _one(given, design, design.alpha)


@dataclass(frozen=True)
class _Given:
    """The data of a test."""

    table: pa.Table
    splits: Sequence[Mapping[str, float]]
    outcome: Outcome
    inputs: pa.Table | None


@dataclass(frozen=True)
class _Read:
    """What one comparison's scan gave."""

    question: Question
    facts: Facts
    ratio: srm.SampleRatioCheck
    labelled: Arms
    reading: Reading
    divided: segments.Segments
    periods: tuple[PeriodLift, ...]
    notes: tuple[str, ...]


def _one(given: _Given, design: Design, of_segments: float) -> ABTestResult:
    """Compare one treatment with the control; the segments together have a type I error of their own."""
    found = _scanned(given, design, of_segments)
    facts, reading, divided = found.facts, found.reading, found.divided
    needs_labels = any(metric.needs_labels for metric in found.question.metrics.values())
    compared = None if given.inputs is None else _balance(given.inputs, found.question)
    examined = health.Examined(design, facts, found.ratio, found.labelled, needs_labels, compared, found.question.share)
    checks = health.checks(examined)
    evidence = Evidence(design, facts, reading, health.fault(checks), segments.worse_in(divided.lifts))
    decision, verdict = decide(evidence)
    mine = {name: part for name, part in facts.variants.items() if name in (design.control, design.treatment)}
    return ABTestResult(
        verdict=verdict,
        decision=decision,
        design=design.describe(),
        method=design.method,
        metrics=_adjusted(design, reading.lifts),
        health=checks,
        sample_ratio=found.ratio,
        labelled_share={name: part.labelled / max(1, part.rows) for name, part in mine.items() if needs_labels},
        notes=(*_notes(design, facts), *found.notes, *_mid_p(reading.lifts[0]), *divided.notes),
        started_at=facts.first,
        until=facts.last,
        rows=sum(part.rows for part in mine.values()),
        path=reading.path,
        power_left=power_left(evidence),
        periods=found.periods,
        segments=divided.lifts,
    )


def _balance(inputs: pa.Table, question: Question) -> balance.Balance:
    """Compare what the variants were asked, of the periods that count."""
    if PERIOD in inputs.column_names:
        return balance.compare_within(inputs, question.periods or (0,), *question.variants)
    return balance.compare(inputs, *question.variants)


def _scanned(given: _Given, design: Design, of_segments: float) -> _Read:
    chosen = {name: design.metric(name) for name in (design.primary, *(g.metric for g in design.guardrails))}
    labelled: Metric = _Labelled()
    found = periods.usable(given.table, given.splits, design, given.outcome)
    in_pairs, splits = design.method == "paired", found.splits
    numbers = tuple(splits) if len(splits) > 1 else ()
    table = pairs.prepare(found.table, design) if in_pairs else found.table
    with open_scan(table, given.outcome) as scan:
        facts = pairs.facts_of_pairs(scan.facts()) if in_pairs else scan.facts()
        if not (in_pairs or numbers or design.allocation != "fixed"):  # those are read in pairs, or split by split
            scan.read_ahead([*chosen.values(), labelled], (design.control, design.treatment), design.covariates)
        sums = scan.sums({**chosen, labelled.name: labelled})
        chosen, cuts = _capped(scan, design, chosen, sums)
        sums = scan.sums({**chosen, labelled.name: labelled}) if cuts else sums
        question = Question(scan, design, chosen, _share(design, given.splits[0]), numbers)
        arms = {name: _arms(question, metric, sums[name]) for name, metric in chosen.items()}
        with_labels = question.plain(labelled) if numbers else _of_sums(sums[labelled.name])
        reading = pairs.read(question) if in_pairs else read(question, arms)
        divided = segments.read(question, reading, splits, of_segments)
        ratio = pairs.no_split(design, facts) if in_pairs else _ratio(question, splits, facts)
        lines = tuple(_periods(question, splits))
        notes = (*found.notes, *cuts, *_kept(question))
    return _Read(question, facts, ratio, with_labels, reading, divided, lines, notes)


def _kept(question: Question) -> Iterator[str]:
    kept = variance_kept(question)
    if kept is not None:
        yield f"The covariates leave {percent(kept, 0)} of the variance of {question.design.primary}."


def _periods(question: Question, splits: Mapping[int, Mapping[str, float]]) -> Iterator[PeriodLift]:
    if not question.periods:
        return
    for shares, arms in zip(splits.values(), question.by_period(question.primary), strict=True):
        parts = [arms[name].sample if name in arms else None for name in question.variants]
        means = [None if part is None else part.mean for part in parts]
        units = [0 if part is None else part.units for part in parts]
        difference = None if means[0] is None or means[1] is None else means[1] - means[0]
        yield PeriodLift(periods.words(shares, question.design), means[0], means[1], difference, *units)


def _capped(
    scan: Scan, design: Design, chosen: Mapping[str, Metric], sums: Mapping[str, Mapping[str, UnitSums]]
) -> tuple[dict[str, Metric], list[str]]:
    """Cut the values of means at the design's quantile of the first rows; proportions and statistics stay."""
    found, notes = dict(chosen), []
    for name, metric in chosen.items() if design.cap else ():
        # v * v = v only for 0 and 1.
        if isinstance(metric, Statistic) or all(part.squares == part.total for part in sums[name].values()):
            continue
        limit = scan.cap(metric, (design.control, design.treatment), design.cap, _CAP_ROWS)
        if limit == 0:  # most predictions have no reward: to cut the rest down to 0 would leave nothing to compare
            notes.append(
                f"the {design.cap:.4g} quantile of the first {_CAP_ROWS:,} values of {name} is 0, so none is cut."
            )
        elif limit is not None:
            found[name] = metrics.Capped(metric, limit)
            notes.append(
                f"values of {name} above {limit:.4g}, the {design.cap:.4g} quantile of the first {_CAP_ROWS:,}, "
                "are cut down to it."
            )
    return found, notes


def _arms(question: Question, metric: Metric, sums: Mapping[str, UnitSums]) -> Arms:
    """Return a metric per variant over all rows; means of one split are in the sums already."""
    with_covariates = question.design.covariates and question.design.method != "paired"
    moving = question.periods or question.design.allocation != "fixed"
    if moving or with_covariates or isinstance(metric, Statistic):
        return question.now(metric)
    return _of_sums(sums)


def _of_sums(sums: Mapping[str, UnitSums]) -> Arms:
    return {variant: part.arm() for variant, part in sums.items()}


def _adjusted(design: Design, lifts: Sequence[MetricLift]) -> tuple[MetricLift, ...]:
    """Fill in the design's correction: the intervals hold on their own, the p-values together."""
    known = [lift.p_value for lift in lifts if lift.p_value is not None]
    correct = multiplicity.holm if design.correction == "holm" else multiplicity.benjamini_hochberg
    adjusted = iter(correct(known))
    return tuple(lift if lift.p_value is None else replace(lift, p_adjusted=next(adjusted)) for lift in lifts)


def _ratio(question: Question, splits: Mapping[int, Mapping[str, float]], facts: Facts) -> srm.SampleRatioCheck:
    crossing = facts.units_in_two_variants
    if question.periods:
        names = list(dict.fromkeys(name for split in splits.values() for name in split))
        return sample_ratio(question, splits, names, crossing)
    units = {name: found.units for name, found in facts.variants.items()}
    (shares,) = splits.values()
    return srm.check(shares, units, units_in_two_variants=crossing)


def _share(design: Design, shares: Mapping[str, float]) -> float:
    """Return the treatment's share of the units of both variants; a half where the split gives one of them nothing."""
    control, treatment = (shares.get(name, 0.0) for name in (design.control, design.treatment))
    return treatment / (control + treatment) if control > 0 and treatment > 0 else 0.5


def _mid_p(primary: MetricLift) -> tuple[str, ...]:
    if primary.mid_p is None:
        return ()
    return (f"Were this the only look, McNemar's mid-p of {primary.metric} would be {primary.mid_p:.2g}.",)


def _notes(design: Design, facts: Facts) -> tuple[str, ...]:
    notes = []
    if facts.repeated_rows:
        notes.append(f"{facts.repeated_rows:,} rows repeat a prediction id; each prediction counts once.")
    if facts.units_in_two_variants:
        notes.append(f"{facts.units_in_two_variants:,} units met more than one variant; they count in each.")
    for name in (design.control, design.treatment):
        found = facts.variants.get(name)
        if found is not None and found.strange_labels:
            notes.append(f"{found.strange_labels:,} labels of {name} cannot be used, as {found.strange_label!r}.")
    return tuple(notes)
