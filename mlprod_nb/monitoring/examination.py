"""Examining how the model stands, part by part, inside the look's chance of a false alarm."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlprod_nb.errors import UsageError, nearest
from mlprod_nb.monitoring import (
    calibration,
    error_rate,
    estimation,
    fairness,
    label_delay,
    reactions,
    score_shift,
    segments,
    service,
    traffic,
    trials,
)
from mlprod_nb.monitoring.bins import WindowCounts
from mlprod_nb.monitoring.columns import is_arrow
from mlprod_nb.monitoring.conditions import Rows, named, possible
from mlprod_nb.monitoring.profile import Profile
from mlprod_nb.monitoring.reaction_series import Side
from mlprod_nb.monitoring.row_tests import read_reference
from mlprod_nb.monitoring.rows import ColumnDrift, Finding
from mlprod_nb.monitoring.score_shift import ScoreFunction
from mlprod_nb.monitoring.standing import Standing
from mlprod_nb.monitoring.traffic import Traffic
from mlprod_nb.registry.bundles import LABEL_COLUMN, PREDICTION_COLUMN, SCORE_COLUMN

if TYPE_CHECKING:
    import pyarrow as pa

#: What each judged part may spend of a look's chance of a false alarm about performance. ``scoring.REALISED`` is the
#: other half. A union bound, so it holds however the tests depend on each other. Response times, error rates and
#: what users do have a third each of what the service has.
ESTIMATED = LABELS = SEGMENTS = SERVICE = 0.125


@dataclass(frozen=True)
class Request:
    """What is asked about the model beyond its metrics.

    Attributes:
        thorough: Search for segments, and fit what errors a regressor makes.
        earlier: Labelled predictions before the window, for trials of the estimate and for response times; ``None``
            where they were not read.
        score_function: Scores rows by the version's own model; ``None`` where it cannot be called.
        fairness: Input columns whose groups are compared.
        segments: SQL expressions over input columns, whose values are segments.
        refused_before: What was refused in the time of ``earlier``; ``None`` where that was not read.
        reactions_before: What users did with the predictions of ``earlier``; ``None`` where that was not read.
    """

    thorough: bool = False
    earlier: pa.Table | None = None
    score_function: ScoreFunction | None = None
    fairness: tuple[str, ...] = ()
    segments: tuple[str, ...] = ()
    refused_before: error_rate.Refusals | None = None
    reactions_before: pa.Table | None = None

    @property
    def needs_columns(self) -> bool:
        """Whether input columns are read row by row."""
        return self.thorough or bool(self.fairness)


@dataclass(frozen=True)
class Subject:
    """What is examined.

    Attributes:
        profile: The reference profile.
        request: What is asked.
        window: The version's rows in the window.
        inputs: The same rows' input columns as they are in the log, Arrow arrays by name.
        counted: The window's counts.
        drifted: The columns that drifted, what matters most first.
        given_reference: The reference sample as it was given.
        earlier: The version's rows before the window; ``None`` where they were not read.
        alpha: The look's chance of a false alarm about performance.
        refused: Requests that were refused in the window's time; ``None`` where that was not read.
        users: What users did with the window's predictions, whichever version made them; ``None`` where nothing is
            known of it.
        users_before: The same of the time before.
    """

    profile: Profile
    request: Request
    window: Traffic
    inputs: Mapping[str, Any]
    counted: WindowCounts
    drifted: tuple[ColumnDrift, ...]
    given_reference: Mapping[str, Any] | pa.Table | Path | None
    earlier: Traffic | None
    alpha: float
    refused: error_rate.Refusals | None = None
    users: Side | None = None
    users_before: Side | None = None

    @cached_property
    def rows(self) -> Traffic:
        """The window's rows, or an even choice of them where there are very many."""
        return traffic.evenly(self.window)

    @cached_property
    def reference(self) -> Mapping[str, Any] | None:
        """The reference sample's columns; ``None`` where there is none."""
        return read_reference(self.given_reference)

    @cached_property
    def sample(self) -> Traffic | None:
        """The reference sample's rows; ``None`` where there are no scores and labels among them."""
        wanted = (LABEL_COLUMN, PREDICTION_COLUMN, SCORE_COLUMN)
        if self.reference is None or not all(name in self.reference for name in wanted):
            return None
        return traffic.of_reference(self.profile, self.reference)


def examine(subject: Subject) -> tuple[Standing, tuple[Finding, ...]]:
    """Return how the model stands, and what is wrong with labels or with what the user named."""
    window, notes = subject.window, dict[str, str]()
    users, notes["interactions and rewards"] = _reactions(subject)
    if not window.rows:
        notes["performance"] = "not measured: the version made no prediction in this window"
        return Standing(reactions=users, notes=notes), ()
    delay = _labels(subject)
    estimated, notes["estimate"] = _estimate(subject)
    reliable, notes["calibration"] = _calibration(subject)
    found, notes["worst segments"] = _search(subject)
    chosen, strange = _named(subject)
    groups, notes["fairness"] = _fairness(subject)
    strange = (*strange, *_unknown_groups(subject))
    served = service.compare(window, subject.earlier, subject.alpha * SERVICE / 3)
    errors = _errors(subject)
    shifts = _shifts(subject)
    notes |= {
        "response time": served.statement,
        "error rate": "not measured: what was refused was not read" if errors is None else errors.statement,
        "effect on the score": shifts.statement,
    }
    notes |= {"labels": delay.statement} if delay is not None else {}
    if subject.rows.rows < window.rows:
        notes["rows"] = f"estimate and calibration are of {subject.rows.rows:,} predictions, evenly chosen of all"
    standing = Standing(
        labels=delay,
        estimation=estimated,
        reliability=reliable,
        segments=(*found, *chosen),
        fairness=groups,
        service=served,
        errors=errors,
        reactions=users,
        shifts=shifts,
        notes={name: text for name, text in sorted(notes.items()) if text},
    )
    return standing, (*strange, *_selective(delay))


def _errors(subject: Subject) -> error_rate.ErrorRate | None:
    if subject.refused is None:
        return None
    earlier, before = subject.earlier, subject.request.refused_before
    known = None if earlier is None or before is None else error_rate.Side(earlier, before)
    now = error_rate.Side(subject.window, subject.refused)
    return error_rate.compare(now, known, subject.alpha * SERVICE / 3)


def _reactions(subject: Subject) -> tuple[reactions.Reactions | None, str]:
    if subject.users is None:
        return None, "none came"
    found = reactions.compare(subject.users, subject.users_before, subject.alpha * SERVICE / 3)
    return found, "none came" if found is None else found.statement


def _labels(subject: Subject) -> label_delay.LabelDelay | None:
    window = subject.window
    if window.seconds is None:
        return None
    arrivals = label_delay.Arrivals(
        window.known, window.labelled.scores, window.seconds, window.logged_at, window.labelled_at
    )
    return label_delay.describe(arrivals, subject.alpha * LABELS)


def _selective(delay: label_delay.LabelDelay | None) -> Iterator[Finding]:
    if delay is not None and delay.selective and delay.favoured is not None:
        side = "higher" if delay.favoured > 0.5 else "lower"
        text = f"labels come selectively: labelled rows have {side} scores than unlabelled ones of the same time"
        yield Finding("", "labels", "warn", delay.favoured, text)


def _estimate(subject: Subject) -> tuple[trials.Estimation | None, str]:
    estimator, reason = _estimator(subject)
    if estimator is None:
        return None, f"not estimated: {reason}"
    question = trials.Question(subject.profile, subject.rows, subject.earlier, subject.alpha * ESTIMATED)
    found = trials.estimate(question, estimator)
    return found, "" if found else f"not estimated: fewer than {estimation.MIN_ROWS} predictions"


def _estimator(subject: Subject) -> tuple[estimation.Estimator | None, str]:
    profile = subject.profile
    if profile.task == "classification":
        score_map = profile.score_map
        if score_map is None and subject.sample is not None:  # which takes longer to read than all else here
            rows = subject.sample.take(subject.sample.known).labelled
            score_map = calibration.fit(rows.scores, calibration.truths(len(profile.classes), rows))
        if score_map is None:
            return None, "the reference has too few labels"
        return estimation.Confidence(score_map, len(profile.classes)), ""
    if not subject.request.thorough:
        return None, "a regressor's errors are only fitted where performance is asked for"
    sample = subject.sample
    if sample is None:
        return None, "there is no reference sample"
    shared = {name: c for name, c in sample.columns.items() if name in subject.window.columns}
    known = sample.take(sample.known)
    columns = {name: known.columns[name] for name in shared}
    rows_ = estimation.Unlabelled(known.labelled.scores, known.labelled.predictions, columns)
    return estimation.grow(rows_, known.labelled.labels), "the reference sample has fewer than 200 labelled rows"


def _calibration(subject: Subject) -> tuple[calibration.Reliability | None, str]:
    classes = subject.profile.classes
    if not classes:
        return None, "not measured: a regression gives no probabilities"
    rows = subject.rows.take(subject.rows.known).labelled
    of = f"{classes[-1]}" if len(classes) == 2 else "the predicted class"
    found = calibration.reliability(rows.scores, calibration.truths(len(classes), rows), of=of)
    return found, "" if found else "not measured: fewer than 50 labelled rows, or scores that are no probabilities"


def _losses(subject: Subject) -> tuple[segments.Losses, segments.Losses | None]:
    task, sample = subject.profile.task, subject.sample
    return segments.Losses.of(task, subject.window), None if sample is None else segments.Losses.of(task, sample)


def _search(subject: Subject) -> tuple[tuple[segments.SegmentRow, ...], str]:
    if not subject.request.thorough:
        return (), "not searched: performance was not asked for"
    window, reference = _losses(subject)
    if len(window.values) < 2 * segments.MIN_ROWS:
        return (), f"not searched: fewer than {2 * segments.MIN_ROWS} labelled rows"
    if not window.columns:
        return (), "not searched: there are no readable input columns"
    found = segments.search(window, reference, subject.alpha * SEGMENTS / 2)
    text = f"searched {found.tried:,} possible segments of {found.searched:,} labelled rows, all of them corrected for"
    return found.rows, text if found.rows else f"{text}; none is worse than the rest by more than chance and a little"


def _named(subject: Subject) -> tuple[tuple[segments.SegmentRow, ...], tuple[Finding, ...]]:
    from mlprod_nb.monitoring import expressions

    if not subject.request.segments:
        return (), ()
    window, reference = _losses(subject)
    sample = subject.sample
    groups: list[tuple[str, Rows, Rows | None]] = []
    findings = []
    for expression in subject.request.segments:
        try:
            column = _column(expressions.evaluate(subject.inputs, expression))
            before = None
            if sample is not None and subject.reference is not None:
                names = [column.name for column in subject.profile.columns if column.name in subject.reference]
                arrays = {name: _arrow(subject.reference[name]) for name in names}
                before = traffic.some(_column(expressions.evaluate(arrays, expression)), sample.known)
        except UsageError as error:
            findings.append(Finding("", "segment", "warn", 0.0, f"not tested: {error.message} {error.hint}".strip()))
            continue
        groups += _groups(expression, traffic.some(column, subject.window.known), before)
    return segments.named(groups, window, reference, subject.alpha * SEGMENTS / 2), tuple(findings)


def _groups(
    expression: str, column: traffic.Column, before: traffic.Column | None
) -> Iterator[tuple[str, Rows, Rows | None]]:
    """Yield the segments that an expression makes: one for a condition and one for its contrary, else one a value."""
    for condition in possible({expression: column}):
        here = condition.holds({expression: column})
        there = condition.holds({expression: before}) if before is not None else None
        text = str(condition)[len(named(expression)) :]
        simple = expression if expression.isidentifier() else f"({expression})"
        names = {" = 'true'": expression, " = 'false'": f"not ({expression})"}
        if here is not None:
            yield names.get(text, simple + text), here, there


def _column(values: pa.ChunkedArray) -> traffic.Column:
    import pyarrow as pa

    from mlprod_nb.monitoring.columns import to_codes, to_numbers

    kind = values.type
    if pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind):
        return to_numbers(values)
    return to_codes(values)


def _arrow(values: Any) -> Any:
    import pyarrow as pa

    return values if is_arrow(values) else pa.array(list(values), from_pandas=True)


def _fairness(subject: Subject) -> tuple[tuple[fairness.FairnessRow, ...], str]:
    if not subject.request.fairness:
        return (), ""
    if not subject.profile.classes:
        return (), "not compared: groups are compared for classifiers only"
    found = fairness.compare(subject.window, subject.request.fairness, len(subject.profile.classes))
    text = "each group against all others; shown, not judged" if found else "not compared: groups are too small"
    return found, text


def _unknown_groups(subject: Subject) -> Iterator[Finding]:
    known = {column.name for column in subject.profile.columns}
    for name in subject.request.fairness:
        if name not in known:
            near = nearest(name, known)
            text = f"not compared: fairness is asked by {name!r}, which is no input column"
            yield Finding("", "fairness", "warn", 0.0, f"{text}. Did you mean {near!r}?" if near else text)
        elif subject.window.rows and name not in subject.window.columns:
            yield Finding("", "fairness", "warn", 0.0, f"not compared: the window has no readable {name!r}")


def _shifts(subject: Subject) -> score_shift.ScoreShifts:
    if not subject.drifted:
        return score_shift.ScoreShifts((), "")
    if subject.request.score_function is None:
        return score_shift.ScoreShifts((), "not measured: the version's model cannot be called here")
    if subject.reference is None:
        return score_shift.ScoreShifts((), "not measured: there is no reference sample")
    given = (subject.profile, subject.counted, subject.drifted, subject.reference, subject.request.score_function)
    return score_shift.measure(*given)
