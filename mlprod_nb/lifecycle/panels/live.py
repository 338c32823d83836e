"""The live panel: what a gateway answers now, by variant, from its metrics and the newest rows of the log.

The gateway's metrics are counters, so a look is a difference of two samples. A watch keeps at most 120 samples however
long it lasts: when it is full, every other one goes and the step between two doubles.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, ClassVar

from mlprod_nb.clock import Clock
from mlprod_nb.errors import MlprodError
from mlprod_nb.lifecycle.context import Context
from mlprod_nb.lifecycle.revise import existing
from mlprod_nb.results import Result
from mlprod_nb.serving.telemetry import BUNDLE_CHARACTERS

if TYPE_CHECKING:
    from mlprod_nb.lifecycle.panels.recent import Recent

MOST_SAMPLES = 120
#: What is shown as now: the last so many seconds.
_LAST_SECONDS = 5.0
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
    """

    at: datetime
    answered: float
    refused: float
    variants: Mapping[str, VariantCount]


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


@dataclass(frozen=True)
class LiveView(Result):
    """What an endpoint has answered since its gateway started.

    Attributes:
        endpoint: The endpoint's name.
        revision: Its revision's number.
        at: The moment.
        requests: Requests since the gateway started.
        refused: Of these, those with an error.
        variants: By variant, since the gateway started.
        recent: The newest rows of the log: scores against the reference, and how many predictions came true.
        problem: Why there are no numbers; empty where there are.
    """

    endpoint: str
    revision: int
    at: datetime
    requests: float
    refused: float
    variants: tuple[LiveRow, ...]
    recent: Recent | None
    problem: str = ""

    _frame_field: ClassVar[str] = "variants"
    _hidden: ClassVar[tuple[str, ...]] = ("endpoint", "recent")

    def headline(self) -> str:
        """Say how much was answered."""
        if self.problem:
            return f"Endpoint {self.endpoint!r}: {self.problem}"
        refused = f", {self.refused:,.0f} of them with an error" if self.refused else ""
        return f"Endpoint {self.endpoint!r}: {self.requests:,.0f} requests since the gateway started{refused}."


def look(context: Context, endpoint: str) -> LiveView:
    """Return what an endpoint has answered so far; a gateway that does not answer is said to, never an error."""
    from mlprod_nb.lifecycle.panels import recent
    from mlprod_nb.lifecycle.traffic import client

    revision, now = existing(context, endpoint), context.clock()
    bundles = bundles_of(context, endpoint)
    order = tuple(bundles)
    newest = recent.read(context, endpoint)
    try:
        with client(context) as gateway:
            sample = read(gateway.metrics(), endpoint, now, bundles)
    except MlprodError as error:
        return LiveView(endpoint, revision.number, now, 0, 0, (), newest, str(error))
    whole = between(Sample(now, 0, 0, {}), sample, in_order(sample.variants, order))
    return LiveView(endpoint, revision.number, now, whole.requests, whole.refused, whole.variants, newest)


def bundles_of(context: Context, endpoint: str) -> dict[str, str]:
    """Return the digest of each variant's and shadow's bundle, in the endpoint's order."""
    spec = existing(context, endpoint).spec
    return {variant.name: variant.bundle for variant in (*spec.variants, *spec.shadows)} if spec else {}


def in_order(names: Iterable[str], order: Sequence[str]) -> tuple[str, ...]:
    """Return names in the endpoint's order, so that each has the same colour everywhere; others come after."""
    place = {name: index for index, name in enumerate(order)}
    return tuple(sorted(names, key=lambda name: (place.get(name, len(order)), name)))


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
    return Sample(at, answered, refused, variants)


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
        # A tenth of a second of leave, for a clock that is asked once a second is a little early at times.
        due = not self.kept or (sample.at - self.kept[-1].at).total_seconds() >= self.step_seconds - 0.1
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


@dataclass(frozen=True)
class Now(Result):
    """What a watch knows at one moment.

    Attributes:
        at: The moment.
        problem: Why the gateway does not tell; empty where it does.
        names: The variants.
        last: The last seconds; ``None`` before there are two looks.
        stretches: All of the watch's time.
        recent: The newest rows of the log.
    """

    at: datetime
    problem: str
    names: tuple[str, ...]
    last: Stretch | None
    stretches: tuple[Stretch, ...]
    recent: Recent | None


class Watch:
    """Looks at one endpoint again and again, at its caller's pace.

    The rows of the log are read every tenth look, and no more than a tenth of the time.

    Args:
        clock: Gives the present moment.
        endpoint: The endpoint's name.
        metrics: Gives the gateway's metrics in Prometheus's text format.
        recent: Reads the newest rows of the log.
        bundles: Gives the digest of each variant's bundle, in the endpoint's order; asked when the log is read.
    """

    def __init__(
        self,
        clock: Clock,
        endpoint: str,
        metrics: Callable[[], str],
        recent: Callable[[], Recent | None],
        bundles: Callable[[], Mapping[str, str]],
    ) -> None:
        self._clock = clock
        self._endpoint = endpoint
        self._metrics = metrics
        self._recent = recent
        self._bundles_of = bundles
        self._bundles: Mapping[str, str] = {}
        self._newest: Recent | None = None
        self._rows_after: datetime | None = None
        self.samples = Samples()

    def look(self) -> Now:
        """Return what is known now; a gateway or a log that cannot be read is said to, never an error."""
        problem = ""
        try:
            self._read_rows()
            self.samples.add(read(self._metrics(), self._endpoint, self._clock(), self._bundles))
        except MlprodError as error:
            problem = str(error)
        newest = self.samples.newest
        names = in_order(newest.variants, tuple(self._bundles)) if newest else ()
        last, stretches = self.samples.last(names, _LAST_SECONDS), tuple(self.samples.stretches(names))
        return Now(self._clock(), problem, names, last, stretches, self._newest)

    def _read_rows(self) -> None:
        begun = self._clock()
        if self._rows_after is None or begun >= self._rows_after:
            self._newest, self._bundles = self._recent(), self._bundles_of()
            ended = self._clock()
            self._rows_after = ended + max(timedelta(seconds=10), 9 * (ended - begun))


def watch(context: Context, endpoint: str) -> Watch:
    """Return a watch of an endpoint."""
    from mlprod_nb.lifecycle.panels import recent
    from mlprod_nb.lifecycle.traffic import client

    def metrics() -> str:
        # A gateway that was started again has another address.
        with client(context) as gateway:
            return gateway.metrics()

    rows, bundles = partial(recent.read, context, endpoint), partial(bundles_of, context, endpoint)
    return Watch(context.clock, endpoint, metrics, rows, bundles)
