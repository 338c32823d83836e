"""What is estimated of rows without labels, and whether to believe it: the same method tried where labels have come."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

import numpy as np

from mlprod_nb.monitoring import performance, scoring, sections
from mlprod_nb.monitoring.estimation import MIN_ROWS, Estimator, Unlabelled
from mlprod_nb.monitoring.performance import Estimate
from mlprod_nb.monitoring.profile import Profile
from mlprod_nb.monitoring.stretches import Stretches, divide
from mlprod_nb.monitoring.traffic import Traffic
from mlprod_nb.results import Section, counted, format_interval

_STRETCHES = 12
_FEWEST_TRIALS = 3
#: So few stretches inside the band come once in a hundred times where the method holds: then it is not believed.
_IMPLAUSIBLE = 0.01
_COVERAGE = 0.95
Belief = Literal["yes", "no", "untried"]


@dataclass(frozen=True)
class EstimateRow:
    """One metric estimated of rows without labels.

    Attributes:
        metric: Its name.
        reference: Its value on the reference's labelled rows; ``None`` where not known.
        value: The estimate.
        lower: Lower end of the band in which 95 of 100 realised values would lie.
        upper: Upper end of that band.
        rows: Rows it is made of.
        worse: Significantly and materially worse than the reference.
    """

    metric: str
    reference: float | None
    value: float
    lower: float
    upper: float
    rows: int
    worse: bool


@dataclass(frozen=True)
class Trial:
    """One stretch whose labels have come, estimated as if they had not.

    Attributes:
        since: Its beginning.
        until: Its end.
        rows: Labelled rows.
        estimated: The main metric as estimated.
        lower: Lower end of the band.
        upper: Upper end of the band.
        realised: The main metric as it came.
        inside: Whether that lies in the band.
    """

    since: datetime
    until: datetime
    rows: int
    estimated: float
    lower: float
    upper: float
    realised: float
    inside: bool


@dataclass(frozen=True)
class Estimation:
    """Performance without labels.

    Attributes:
        of: Which rows were estimated, in words.
        rows: The metrics.
        metric: The metric of the trials.
        trials: Past stretches, oldest first.
        mean_absolute_error: Mean distance of estimate and realised value over the trials; ``None`` without any.
        believed: ``"yes"``, ``"no"``, or ``"untried"`` where too few labels have come.
        statement: Whether to believe it, and why.
        warning: What is worse, as a clause; empty where nothing is.
    """

    of: str
    rows: tuple[EstimateRow, ...]
    metric: str
    trials: tuple[Trial, ...]
    mean_absolute_error: float | None
    believed: Belief
    statement: str
    warning: str


@dataclass(frozen=True)
class Question:
    """What is asked of an estimator.

    Attributes:
        profile: The reference.
        window: The version's rows in the window.
        earlier: The version's rows before it, for trials; ``None`` where there are none.
        alpha: The chance that a metric is called worse where nothing changed.
    """

    profile: Profile
    window: Traffic
    earlier: Traffic | None
    alpha: float


def _warn(rows: Sequence[EstimateRow], of: str) -> str:
    row = next((row for row in rows if row.worse), None)
    if row is None:
        return ""
    text = f"{row.metric.replace('_', ' ')} is estimated at {row.value:.3g} on {of}"
    return f"{text}, {row.reference:.3g} in the reference"


def estimate(question: Question, estimator: Estimator) -> Estimation | None:
    """Estimate the rows without labels, all where fewer than 50 have none; ``None`` for fewer than 50 rows."""
    window = question.window
    finite = np.isfinite(window.labelled.scores)
    unknown = finite & ~window.known
    few = int(unknown.sum()) < MIN_ROWS
    chosen = finite if few else unknown
    found = estimator.expect(_unlabelled(window.take(chosen)))
    if not found:
        return None
    trials = _trials(question, estimator)
    error = sum(abs(t.estimated - t.realised) for t in trials) / len(trials) if trials else None
    belief = _believed(trials)
    counts = counted(int(chosen.sum()), "prediction")
    of = f"all {counts}" if few else f"the {counts} without a label"
    rows = _judged(found, question)
    return Estimation(
        of=of,
        rows=tuple(rows),
        metric=found[0].metric,
        trials=trials,
        mean_absolute_error=error,
        believed=belief,
        statement=_tell(found[0].metric, trials, error, belief),
        warning=_warn(rows, of) if belief != "no" else "",
    )


def tables(found: Estimation | None) -> list[Section]:
    """Return the table of estimates and that of trials."""
    if found is None:
        return []
    estimates = tuple(
        (
            row.metric.replace("_", " "),
            "✗ worse" if row.worse else ("✓ holds" if row.reference is not None else ""),
            sections.short(row.reference, 4),
            sections.short(row.value, 4),
            format_interval(row.lower, row.upper, digits=4, to="…"),
        )
        for row in found.rows
    )
    trials = tuple(
        (
            f"{sections.day(t.since)} to {sections.day(t.until)}",
            t.rows,
            sections.short(t.estimated, 4),
            format_interval(t.lower, t.upper, digits=4, to="…"),
            sections.short(t.realised, 4),
            "✓ inside" if t.inside else "✗ outside",
        )
        for t in found.trials
    )
    head = ("metric", "judgement", "reference", "estimate", "95 % band")
    tried = ("labels of", "rows", f"{found.metric.replace('_', ' ')} estimated", "95 % band", "realised", "in the band")
    return [
        Section(f"estimated performance (of {found.of})", head, estimates),
        Section("is the estimate to be believed", (), (("answer", found.statement),)),
        Section("trials of the estimate", tried, trials),
    ]


def _unlabelled(rows: Traffic) -> Unlabelled:
    return Unlabelled(rows.labelled.scores, rows.labelled.predictions, rows.columns)


def _judged(found: Sequence[Estimate], question: Question) -> list[EstimateRow]:
    """Compare with the reference: one-sided, Holm over the metrics."""
    from scipy.special import ndtr

    from mlprod_nb.monitoring.budget import holm

    before = {estimate.metric: estimate for estimate in question.profile.performance}
    shared = [e for e in found if e.metric in before]
    p_values = []
    for row in shared:
        old = before[row.metric]
        loss = performance.worse_by(row.metric, row.value, old.value)
        # The window's rows are a sample as well; a realised metric varies more than its expectation does.
        sampled = old.standard_error * math.sqrt(1 + old.rows / row.rows)
        p_values.append(float(ndtr(-loss / math.hypot(row.standard_error, sampled))) if sampled else float(loss <= 0))
    corrected = dict(zip((row.metric for row in shared), holm(p_values), strict=True))
    rows = []
    for row in found:
        old_value = before[row.metric].value if row.metric in before else None
        beyond = corrected.get(row.metric, 1.0) <= question.alpha
        worse = beyond and scoring.material(row, before[row.metric])
        rows.append(EstimateRow(row.metric, old_value, row.value, row.lower, row.upper, row.rows, worse))
    return rows


def _trials(question: Question, estimator: Estimator) -> tuple[Trial, ...]:
    found: list[Trial] = []
    for traffic in (question.earlier, question.window):
        if traffic is None or traffic.seconds is None:
            continue
        labelled = traffic.take(traffic.known)
        if labelled.rows and labelled.seconds is not None:
            # Not so many that a stretch has too few rows to be estimated.
            most = min(_STRETCHES, labelled.rows // (2 * MIN_ROWS))
            stretches = divide(labelled.seconds, max(most, 1))
            for place in stretches.present:
                found += _trial(question.profile, labelled.take(stretches.places == place), stretches, place, estimator)
    return tuple(found)


def _trial(profile: Profile, rows: Traffic, stretches: Stretches, place: int, estimator: Estimator) -> list[Trial]:
    expected = estimator.expect(_unlabelled(rows))
    realised = performance.main_estimate(profile.task, rows.labelled)
    if not expected or realised is None:
        return []
    first = expected[0]
    inside = first.lower <= realised.value <= first.upper
    return [
        Trial(
            stretches.starts(place), stretches.ends(place), rows.rows,
            first.value, first.lower, first.upper, realised.value, inside,
        )
    ]  # fmt: skip


def _believed(trials: Sequence[Trial]) -> Belief:
    from scipy.special import bdtr

    if len(trials) < _FEWEST_TRIALS:
        return "untried"
    inside = sum(trial.inside for trial in trials)
    return "no" if bdtr(inside, len(trials), _COVERAGE) < _IMPLAUSIBLE else "yes"


def _tell(metric: str, trials: Sequence[Trial], error: float | None, belief: Belief) -> str:
    blind = "it cannot see a change of what the inputs mean (concept drift)"
    if belief == "untried":
        return (
            f"not tried: labels have come for fewer than {_FEWEST_TRIALS} stretches of {MIN_ROWS} predictions or more;"
            f" do not rely on it alone, since {blind}"
        )
    inside = f"in {sum(t.inside for t in trials)} of {counted(len(trials), 'stretch').replace('stretchs', 'stretches')}"
    tried = f"{inside} whose labels have come {metric.replace('_', ' ')} lay in the band (mean error {error:.3g})"
    if belief == "yes":
        return f"yes, as long as outcomes depend on the inputs as they did there: {tried}; {blind}"
    return f"no: {tried}; in the others outcomes did not depend on the inputs as in the reference"
