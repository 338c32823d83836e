"""Performance of a window against the reference: which metrics, of which rows, and whether one is worse."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from mlprod_nb.monitoring import performance
from mlprod_nb.monitoring.budget import Budget, holm
from mlprod_nb.monitoring.columns import Coded, Floats, to_codes, to_numbers
from mlprod_nb.monitoring.performance import HIGHER_IS_BETTER, Estimate, Labelled
from mlprod_nb.monitoring.plots import Point
from mlprod_nb.monitoring.profile import Profile
from mlprod_nb.monitoring.rows import MetricRow

if TYPE_CHECKING:
    import pyarrow as pa

#: The part of what a look may spend on performance that realised metrics may; ``examination`` has the rest.
REALISED = 0.5
#: Fewer labelled rows than this are shown, and not judged.
MIN_LABELLED = 50
STRETCHES = 30
#: A material loss: this much of a share, of R², or of an error relative to the reference's.
SHARE_MARGIN = 0.01
R2_MARGIN = 0.02
ERROR_MARGIN = 0.05


@dataclass(frozen=True)
class Outcomes:
    """A window's rows as the metrics need them, all of one length.

    Attributes:
        labelled: Labels, predictions and scores; class indices for a classification, -1 where unknown.
        known: Rows with a label that can be judged.
        versions: The rows' model versions, as ``flights/3``.
        variants: The rows' variants.
    """

    labelled: Labelled
    known: NDArray[np.bool_]
    versions: Coded
    variants: Coded

    def of(self, version: str) -> NDArray[np.bool_]:
        """Return which rows a version predicted; every row where the version is not named."""
        return self.versions.equals(version) if version else np.ones(len(self.known), dtype=bool)


def read(profile: Profile, window: pa.Table) -> Outcomes:
    """Read labels, predictions, scores, versions and variants from labelled predictions."""
    scores = to_numbers(window.column("score"))
    labels: NDArray[Any]
    predictions: NDArray[Any]
    if profile.task == "regression":
        labels, predictions = _numeric_labels(window), scores
        known = np.isfinite(labels)
    else:
        labels = _classes(window, "label", profile)
        predictions = _classes(window, "prediction", profile)
        known = labels >= 0
    known &= np.isfinite(scores)
    return Outcomes(Labelled(labels, predictions, scores), known, _versions(window), _encoded(window, "variant"))


def compare(profile: Profile, outcomes: Outcomes, version: str, budget: Budget) -> tuple[MetricRow, ...]:
    """Return the version's metrics against the reference, then those of every version and variant if there are more.

    A variant whose rows are those of one version is not shown a second time.
    """
    own = outcomes.of(version) & outcomes.known
    estimates = performance.evaluate(profile.task, profile.classes, outcomes.labelled.take(own))
    scope = f"version {version}" if version else "all"
    rows = list(judge(profile.performance, estimates, scope, budget))
    versions, variants = outcomes.versions, outcomes.variants
    rows += _others(profile, outcomes, "version", versions, {version})
    same = {
        name for name in variants.present() if any(_same_rows(variants, name, versions, v) for v in versions.present())
    }
    rows += _others(profile, outcomes, "variant", variants, same)
    return tuple(rows)


def series(
    profile: Profile, outcomes: Outcomes, version: str, moments: NDArray[np.datetime64]
) -> tuple[str, tuple[Point, ...]]:
    """Return the main metric's name, and its value in equal stretches of the window's time, at most 30.

    Args:
        profile: The reference.
        outcomes: The window's rows.
        version: The version to judge.
        moments: Each row's event time, in UTC.
    """
    main = "mae" if profile.task == "regression" else "accuracy"
    chosen = outcomes.of(version) & outcomes.known
    if not chosen.any():
        return main, ()
    seconds = moments[chosen].astype("datetime64[s]").astype(np.int64)
    rows = outcomes.labelled.take(chosen)
    stretch = max(-(-int(np.ptp(seconds) + 1) // STRETCHES), 86400 if np.ptp(seconds) > 2 * 86400 else 1)
    place = (seconds - seconds.min()) // stretch
    points = []
    for index in np.unique(place).tolist():
        here = place == index
        found = performance.main_estimate(profile.task, rows.take(here))
        if found is not None:
            moment = datetime.fromtimestamp(float(seconds.min() + (index + 0.5) * stretch), UTC)
            points.append(Point(moment, found.value, found.lower, found.upper, found.rows))
    return main, tuple(points)


def judge(reference: Sequence[Estimate], window: Sequence[Estimate], scope: str, budget: Budget) -> Iterator[MetricRow]:
    """Compare estimates: one-sided tests of the difference, both errors counted, Holm over the metrics.

    A metric is worse if its test is significant at half of the look's alpha for performance and the loss is material.
    """
    from scipy.special import stdtr

    before = {estimate.metric: estimate for estimate in reference}
    shared = [estimate for estimate in window if estimate.metric in before and estimate.rows >= MIN_LABELLED]
    p_values = []
    for estimate in shared:
        old = before[estimate.metric]
        error = math.hypot(estimate.standard_error, old.standard_error)
        loss = performance.worse_by(estimate.metric, estimate.value, old.value)
        p_values.append(float(stdtr(min(estimate.rows, old.rows) - 1, -loss / error)) if error else float(loss <= 0))
    corrected = dict(zip((estimate.metric for estimate in shared), holm(p_values), strict=True))
    for estimate in window:
        old = before[estimate.metric] if estimate.metric in corrected else None  # type: ignore[assignment]
        beyond = corrected.get(estimate.metric, 1.0) <= REALISED * budget.performance
        worse = old is not None and beyond and material(estimate, old)
        yield _row(estimate, scope, old.value if old is not None else None, worse)


def material(window: Estimate, reference: Estimate) -> bool:
    """Say whether a loss is large enough to matter."""
    loss = performance.worse_by(window.metric, window.value, reference.value)
    if window.metric == "r2":
        return loss >= R2_MARGIN
    if window.metric in HIGHER_IS_BETTER:
        return loss >= SHARE_MARGIN
    return loss >= ERROR_MARGIN * abs(reference.value)


def _row(estimate: Estimate, scope: str, reference: float | None, worse: bool) -> MetricRow:
    return MetricRow(
        estimate.metric, scope, reference, estimate.value, estimate.lower, estimate.upper, estimate.rows, worse
    )


def _same_rows(one: Coded, name: str, other: Coded, of: str) -> bool:
    return np.array_equal(one.equals(name), other.equals(of))


def _others(
    profile: Profile, outcomes: Outcomes, kind: str, groups: Coded, skip: Collection[str]
) -> Iterator[MetricRow]:
    names = groups.present()
    if len(names) < 2:
        return
    for name in names:
        if name not in skip:
            rows = outcomes.labelled.take(groups.equals(name) & outcomes.known)
            for estimate in performance.evaluate(profile.task, profile.classes, rows):
                yield _row(estimate, f"{kind} {name}", None, False)


def _numeric_labels(window: pa.Table) -> Floats:
    if "label_number" in window.column_names:
        numbers = to_numbers(window.column("label_number"))
        if np.isfinite(numbers).any() or "label" not in window.column_names:
            return numbers
    texts = _encoded(window, "label")
    found: Floats = np.array([*(_float(name) for name in texts.names), math.nan], dtype=np.float64)[texts.codes]
    return found


def _float(text: str | None) -> float:
    try:
        return float(text) if text is not None else math.nan
    except ValueError:
        return math.nan


def _classes(window: pa.Table, name: str, profile: Profile) -> NDArray[np.int32]:
    """Return the class index of each row's text, -1 where it is missing or no class."""
    texts = _encoded(window, name)
    if not texts.names:
        return np.broadcast_to(np.int32(-1), window.num_rows)
    table = performance.class_codes([*texts.names, None], profile.classes).astype(np.int32)
    codes: NDArray[np.int32] = table[texts.codes]
    return codes


def _versions(window: pa.Table) -> Coded:
    models, versions = _encoded(window, "model"), _encoded(window, "version")
    if len(models.names) == len(versions.names) == 1 and not any(
        window.column(name).null_count for name in ("model", "version")
    ):
        only = f"{models.names[0]}/{versions.names[0]}"
        return Coded(np.broadcast_to(np.int32(0), window.num_rows), (only,))
    known = (models.codes >= 0) & (versions.codes >= 0)
    names = tuple(f"{model}/{version}" for model in models.names for version in versions.names)
    return Coded(np.where(known, models.codes * len(versions.names) + versions.codes, -1), names)


def _encoded(window: pa.Table, name: str) -> Coded:
    if name not in window.column_names or window.column(name).null_count == window.num_rows:
        return Coded(np.broadcast_to(np.int32(-1), window.num_rows), ())  # takes no memory
    return to_codes(window.column(name))
