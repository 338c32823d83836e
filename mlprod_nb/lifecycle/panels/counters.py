"""What a gateway's metrics tell of one endpoint, from moment to moment.

Metrics are counters, so what happened is the difference of two samples. At most 120 are kept, however long a watch
lasts: when they are full, every other one goes and the step between two doubles.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from mlprod_nb.prediction_log.schema import REACTIONS
from mlprod_nb.serving.telemetry.metrics import BUNDLE_CHARACTERS

MOST_SAMPLES = 120
#: How long the time is in which rates of what users do are taken: they do less than a gateway answers.
_MINUTE = 60.0
#: A clock that is asked once a second is a little early at times.
_LEAVE = 0.1
_LEVELS = (0.5, 0.95, 0.99)


@dataclass(frozen=True)
class VariantCount:
    """What a variant has done since the gateway started.

    Attributes:
        requests: Requests that it answered.
        rows: Rows that it predicted.
        errors: Requests that its model failed on.
        batches: Micro-batches of its bundle, whichever endpoint and variant they were for.
        batched: Rows in these.
        buckets: Requests by the longest time that they took, seconds: ascending, each with all faster ones.
    """

    requests: float = 0.0
    rows: float = 0.0
    errors: float = 0.0
    batches: float = 0.0
    batched: float = 0.0
    buckets: tuple[tuple[float, float], ...] = ()


@dataclass(frozen=True)
class Sample:
    """What a gateway has counted of one endpoint up to a moment.

    Attributes:
        at: The moment.
        answered: Requests that were answered.
        refused: Of these, those with an error.
        variants: By variant.
        reactions: Interactions and rewards that came, by kind and name.
    """

    at: datetime
    answered: float
    refused: float
    variants: Mapping[str, VariantCount]
    reactions: Mapping[tuple[str, str], float] = field(default_factory=dict)


@dataclass(frozen=True)
class LiveRow:
    """One variant in one stretch of time.

    Attributes:
        variant: Its name.
        requests: Requests that it answered.
        errors: Requests that its model failed on.
        p50_ms: Half of the requests were faster; ``None`` where there were none.
        p95_ms: 95 in 100 were faster.
        p99_ms: 99 in 100 were faster.
        rows_each: Rows in a request, on average.
        batch_rows: Rows in a micro-batch of its bundle, on average.
    """

    variant: str
    requests: float
    errors: float
    p50_ms: float | None
    p95_ms: float | None
    p99_ms: float | None
    rows_each: float | None
    batch_rows: float | None = None


@dataclass(frozen=True)
class ReactionCount:
    """How often users did something, as the gateway heard of it.

    Attributes:
        kind: ``interaction`` or ``reward``.
        name: What they did.
        since_start: How often since the gateway started.
        a_minute: How often a minute at each of a watch's samples, over the minute before it.
    """

    kind: str
    name: str
    since_start: float
    a_minute: tuple[float, ...] = ()


@dataclass(frozen=True)
class Stretch:
    """What happened between two samples.

    Attributes:
        at: Its end.
        seconds: How long it is.
        requests: Requests that were answered.
        refused: Of these, those with an error.
        variants: By variant.
    """

    at: datetime
    seconds: float
    requests: float
    refused: float
    variants: tuple[LiveRow, ...]


def read(metrics: str, endpoint: str, at: datetime, bundles: Mapping[str, str] | None = None) -> Sample:
    """Read what a gateway's metrics tell of an endpoint.

    Args:
        metrics: The metrics in Prometheus's text format.
        endpoint: The endpoint's name.
        at: When they were asked for.
        bundles: The digest of each variant's bundle.
    """
    from prometheus_client.parser import text_string_to_metric_families

    answered = refused = 0.0
    counts: dict[str, dict[str, float]] = {}
    buckets: dict[str, list[tuple[float, float]]] = {}
    batches: dict[str, dict[str, float]] = {}
    reactions: dict[tuple[str, str], float] = {}
    for family in text_string_to_metric_families(metrics):
        for sample in family.samples:
            labels = sample.labels
            if sample.name in _BATCHES:
                batches.setdefault(labels["bundle"], {})[_BATCHES[sample.name]] = sample.value
            if labels.get("endpoint") != endpoint:
                continue
            if sample.name == "mlprod_requests_total" and labels["route"] in _PREDICTING:
                answered += sample.value
                refused += sample.value if labels["status"] >= "400" else 0.0
            elif sample.name == "mlprod_feedback_rows_total" and labels["kind"] in REACTIONS:
                reactions[labels["kind"], labels.get("name", "")] = sample.value
            elif sample.name == "mlprod_prediction_seconds_bucket":
                buckets.setdefault(labels["variant"], []).append((float(labels["le"]), sample.value))
            elif sample.name in _COUNTS:
                kind = counts.setdefault(labels["variant"], {})
                kind[_COUNTS[sample.name]] = kind.get(_COUNTS[sample.name], 0.0) + sample.value
    shorts = {name: digest[:BUNDLE_CHARACTERS] for name, digest in (bundles or {}).items()}
    variants = {
        name: VariantCount(
            **found, **batches.get(shorts.get(name, ""), {}), buckets=tuple(sorted(buckets.get(name, ())))
        )
        for name, found in counts.items()
    }
    return Sample(at, answered, refused, variants, reactions)


_PREDICTING = ("invoke", "invoke_only", "infer")
_COUNTS = {
    "mlprod_prediction_seconds_count": "requests",
    "mlprod_predicted_rows_total": "rows",
    "mlprod_model_errors_total": "errors",
}
_BATCHES = {"mlprod_batch_rows_count": "batches", "mlprod_batch_rows_sum": "batched"}


def between(before: Sample, after: Sample, names: Sequence[str]) -> Stretch:
    """Return what happened between two samples; a counter that fell began anew with its gateway."""
    return Stretch(
        after.at,
        (after.at - before.at).total_seconds(),
        _more(before.answered, after.answered),
        _more(before.refused, after.refused),
        tuple(_row(name, before.variants.get(name), after.variants.get(name)) for name in names),
    )


def _row(name: str, before: VariantCount | None, after: VariantCount | None) -> LiveRow:
    old, new = before or VariantCount(), after or VariantCount()
    if new.requests < old.requests:
        old = VariantCount()
    requests = new.requests - old.requests
    earlier = dict(old.buckets)
    counts = [(bound, count - earlier.get(bound, 0.0)) for bound, count in new.buckets]
    p50, p95, p99 = (quantile(counts, level) for level in _LEVELS)
    rows = _more(old.rows, new.rows)
    each = rows / requests if requests else None
    batches, batched = _more(old.batches, new.batches), _more(old.batched, new.batched)
    return LiveRow(
        name, requests, _more(old.errors, new.errors), p50, p95, p99, each, batched / batches if batches else None
    )


def quantile(buckets: Sequence[tuple[float, float]], level: float) -> float | None:
    """Return a percentile in milliseconds from counts by longest time, as Prometheus's ``histogram_quantile`` does.

    Inside a bucket the times are taken as even; beyond the last bound it is that bound.
    """
    total = buckets[-1][1] if buckets else 0.0
    if total <= 0:
        return None
    low = below = 0.0
    for bound, count in buckets:
        if count >= level * total and count > below:
            if math.isinf(bound):
                return 1000 * low
            return 1000 * (low + (bound - low) * (level * total - below) / (count - below))
        low, below = (low if math.isinf(bound) else bound), count
    return 1000 * low


def _more(before: float, after: float) -> float:
    return after - before if after >= before else after


@dataclass
class Samples:
    """The samples of a watch: at most 120, over all of its time.

    Attributes:
        step_seconds: The least time between two that are kept; it doubles whenever they are full.
        kept: The samples, oldest first.
    """

    step_seconds: float = 1.0
    kept: list[Sample] = field(default_factory=list)
    newest: Sample | None = None

    def add(self, sample: Sample) -> None:
        """Take a sample; it is kept where the step since the last one has passed."""
        self.newest = sample
        due = not self.kept or (sample.at - self.kept[-1].at).total_seconds() >= self.step_seconds - _LEAVE
        if due:
            self.kept.append(sample)
        if len(self.kept) >= MOST_SAMPLES:
            self.kept = self.kept[::2]
            self.step_seconds *= 2

    def stretches(self, names: Sequence[str]) -> list[Stretch]:
        """Return what happened between the samples that are kept."""
        return [between(a, b, names) for a, b in zip(self.kept, self.kept[1:], strict=False)]

    def last(self, names: Sequence[str], seconds: float) -> Stretch | None:
        """Return what happened in about the last seconds; ``None`` before there are two samples."""
        if self.newest is None or len(self.kept) < 1 or self.kept[0] is self.newest:
            return None
        age = [(self.newest.at - sample.at).total_seconds() for sample in self.kept]
        early = [sample for sample, old in zip(self.kept, age, strict=True) if old >= seconds]
        before = early[-1] if early else self.kept[0]
        return between(before, self.newest, names)

    def reactions(self) -> tuple[ReactionCount, ...]:
        """Return what users did, the most frequent first; one value a stretch of :meth:`stretches`."""
        counts = self.newest.reactions if self.newest else {}
        if not counts:
            return ()
        kept = self.kept
        begins = [self._minute_before(place) for place in range(1, len(kept))]
        found = []
        for key, since_start in sorted(counts.items(), key=_most):
            rates = [
                _MINUTE
                * _more(kept[begin].reactions.get(key, 0.0), kept[end].reactions.get(key, 0.0))
                / max((kept[end].at - kept[begin].at).total_seconds(), 1e-9)
                for end, begin in enumerate(begins, start=1)
            ]
            found.append(ReactionCount(*key, since_start, tuple(rates)))
        return tuple(found)

    def _minute_before(self, place: int) -> int:
        """Return the first sample of the minute before one, at least the one before it."""
        since = self.kept[place].at - timedelta(seconds=_MINUTE + _LEAVE)
        return next(first for first in range(place) if first == place - 1 or self.kept[first].at >= since)


def _most(item: tuple[tuple[str, str], float]) -> tuple[float, tuple[str, str]]:
    return -item[1], item[0]
