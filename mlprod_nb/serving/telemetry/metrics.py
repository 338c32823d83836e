"""What a worker counts and times, and what all of a gateway's workers together tell Prometheus."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Metric, ProcessCollector
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.metrics_core import GaugeMetricFamily
from prometheus_client.registry import Collector

from mlprod_nb.serving.telemetry.failures import Asked, Failures
from mlprod_nb.serving.telemetry.refusals import Refusals
from mlprod_nb.serving.telemetry.shared_numbers import SharedNumbers

CONTENT_TYPE = CONTENT_TYPE_LATEST

#: By so many characters of its digest a bundle is told in a metric.
BUNDLE_CHARACTERS = 12
_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
_SYNC_SECONDS = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)
_MOST_OBSERVED = 4096
#: Callers name feedback as they like: of so many names for an endpoint each is told, the others together.
MOST_NAMES = 20
OTHER_NAMES = "(others)"
_LONGEST_NAME = 64
_ROWS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 4096)


class Telemetry:
    """The gateway's metrics, in a registry of their own.

    Every endpoint and variant that is a label is one of the route table, so callers cannot make labels, but for the
    names of feedback, which are few. What each request counts is told on the event loop only.

    Args:
        shared: Where the workers of this gateway share their numbers; ``None`` where there is one.
        refusals: Where refused requests are counted for good; nowhere where ``None``.
        failures: Where the rows are counted for good that models failed on; nowhere where ``None``.
    """

    def __init__(
        self,
        shared: SharedNumbers | None = None,
        refusals: Refusals | None = None,
        failures: Failures | None = None,
    ) -> None:
        self._shared = shared
        self._refusals = refusals
        self._failures = failures
        self._children: dict[tuple[Any, ...], Any] = {}
        self._counts: defaultdict[Any, float] = defaultdict(float)
        self._observed: list[tuple[Any, float]] = []
        self._registry = CollectorRegistry()
        ProcessCollector(registry=self._registry)
        self.requests = Counter(
            "mlprod_requests", "HTTP requests answered.", ("route", "endpoint", "status"), registry=self._registry
        )
        self.latency = Histogram(
            "mlprod_prediction_seconds",
            "Time from a request's receipt to its answer, once for each variant that it met.",
            ("endpoint", "variant"),
            buckets=_SECONDS,
            registry=self._registry,
        )
        self.rows = Counter(
            "mlprod_predicted_rows", "Rows predicted.", ("endpoint", "variant", "shadow"), registry=self._registry
        )
        self.model_errors = Counter(
            "mlprod_model_errors",
            "Requests that a model failed on or could not take.",
            ("endpoint", "variant", "shadow"),
            registry=self._registry,
        )
        self.batch_rows = Histogram(
            "mlprod_batch_rows",
            "Rows in one micro-batch, by the first characters of the bundle's digest.",
            ("bundle",),
            buckets=_ROWS,
            registry=self._registry,
        )
        self.log_appends = Counter(
            "mlprod_log_appends", "Records synced to the prediction log.", ("kind",), registry=self._registry
        )
        self.unlogged = Counter(
            "mlprod_unlogged_rows",
            "Rows whose prediction was made and not given, since it could not be logged.",
            ("endpoint",),
            registry=self._registry,
        )
        self.unlogged_answers = Counter(
            "mlprod_unlogged_answers",
            "Rows answered although they could not be logged, as their endpoint asks.",
            ("endpoint",),
            registry=self._registry,
        )
        self.log_sync = Histogram(
            "mlprod_log_sync_seconds",
            "Time of one write and sync of the prediction log.",
            buckets=_SYNC_SECONDS,
            registry=self._registry,
        )
        self.log_lag = Gauge(
            "mlprod_log_lag_seconds", "How long the oldest record has waited for its sync.", registry=self._registry
        )
        self.log_queue = Gauge(
            "mlprod_log_queue_depth", "Requests whose rows wait for the log's disk.", registry=self._registry
        )
        self.log_state = Gauge(
            "mlprod_log_state",
            "Whether the log can be written: 0 yes, 1 yes but the disk is full and the reserve in use, 2 no.",
            registry=self._registry,
        )
        self.log_failures = Counter(
            "mlprod_log_failures", "Times at which the log could no longer be written.", registry=self._registry
        )
        self.shadows_dropped = Counter(
            "mlprod_shadow_rows_dropped",
            "Rows that a shadow did not score, since too many waited or it did not answer.",
            ("endpoint",),
            registry=self._registry,
        )
        self.feedback_rows = Counter(
            "mlprod_feedback_rows",
            f"Feedback rows taken; names after the first {MOST_NAMES} of an endpoint are told as one.",
            ("endpoint", "kind", "name"),
            registry=self._registry,
        )
        # A worker that was replaced goes on with the names of the one before.
        self._names: defaultdict[str, set[tuple[str, str]]] = defaultdict(set)
        for labels in [] if shared is None else shared.inherited("mlprod_feedback_rows"):
            self._names[labels["endpoint"]].add((labels["kind"], labels["name"]))
        self.revision = Gauge(
            "mlprod_revision", "The revision that an endpoint serves.", ("endpoint",), registry=self._registry
        )

    def answered(self, endpoint: str, variant: str, seconds: float, rows: int) -> None:
        """Count rows that a variant answered together, and time them."""
        self._observe(self._child(self.latency, endpoint, variant), seconds)
        self._counts[self._child(self.rows, endpoint, variant, "false")] += rows

    def replied(self, route: str, endpoint: str, status: str, requests: int = 1) -> None:
        """Count requests that were replied to."""
        self._counts[self._child(self.requests, route, endpoint, status)] += requests

    def heard(self, endpoint: str, feedback: Mapping[tuple[str, str], int]) -> None:
        """Count feedback rows that were taken, by their kind and name."""
        known = self._names[endpoint]
        for (kind, name), rows in feedback.items():
            if (kind, name) not in known and len(known) < MOST_NAMES and len(name) <= _LONGEST_NAME:
                known.add((kind, name))
            told = name if (kind, name) in known else OTHER_NAMES
            self.feedback_rows.labels(endpoint, kind, told).inc(rows)

    def appended(self, kind: str) -> None:
        """Count a record that is in the prediction log."""
        self._counts[self._child(self.log_appends, kind)] += 1

    def observe_batches(self, digest: str) -> Callable[[int], None]:
        """Return what is told the number of rows of each micro-batch of a bundle."""
        return partial(self._observe, self.batch_rows.labels(digest[:BUNDLE_CHARACTERS]))

    def watch_queues(self, waiting: Callable[[], Mapping[tuple[str, str], int]]) -> None:
        """Tell with the metrics how many rows wait for each model.

        Args:
            waiting: Gives the number of rows by endpoint and variant.
        """
        self._registry.register(_Queues(waiting))

    def serving(self, revisions: Mapping[str, int]) -> None:
        """Record which revision each endpoint serves; endpoints that are gone are forgotten."""
        self.revision.clear()
        for endpoint, number in revisions.items():
            self.revision.labels(endpoint).set(number)

    def expect(self, endpoint: str, variants: Iterable[str], shadows: Iterable[str]) -> None:
        """Tell the counters of what must not happen from 0 on.

        Prometheus takes the first number that it reads of a counter for its beginning. So ``increase`` is blind to the
        event with which a counter appears.
        """
        for counter in (self.unlogged, self.unlogged_answers, self.shadows_dropped):
            counter.labels(endpoint)
        for shadow, names in (("false", variants), ("true", shadows)):
            for variant in names:
                self.model_errors.labels(endpoint, variant, shadow)

    def refused(self, endpoint: str, reason: str, requests: int = 1) -> None:
        """Count requests that were refused, for the monitor."""
        if self._refusals is not None:
            self._refusals.note(endpoint, reason, requests)

    def failed(self, asked: Asked, rows: Iterable[int]) -> None:
        """Count a request that the variant's model failed on, and which of the rows, for A/B tests."""
        self.model_errors.labels(asked.endpoint, asked.variant.name, "false").inc()
        if self._failures is not None:
            self._failures.note(asked, rows)

    def share(self, *, last: bool = False) -> None:
        """Let the other workers know this one's numbers, the monitor what was refused, and A/B tests what failed."""
        for counted in (self._refusals, self._failures):
            if counted is not None:
                counted.write(last=last)
        self._add_up()
        if self._shared is not None:
            self._shared.write(list(self._registry.collect()))

    def log_states(self) -> dict[int, float]:
        """Return what the other workers last told of ``mlprod_log_state``, by their places in the gateway."""
        return {} if self._shared is None else self._shared.others("mlprod_log_state")

    def text(self) -> bytes:
        """Return every metric of all workers in Prometheus's text format."""
        self.share()
        return generate_latest(self._registry if self._shared is None else self._shared)

    def _observe(self, child: Any, value: float) -> None:
        """Note what a histogram is told when the metrics are read."""
        self._observed.append((child, value))
        if len(self._observed) >= _MOST_OBSERVED:
            self._add_up()

    def _add_up(self) -> None:
        """Give the metrics what was counted since: a metric takes a lock and ten times as long for each number."""
        counts, self._counts = self._counts, defaultdict(float)
        observed, self._observed = self._observed, []
        for child, number in counts.items():
            child.inc(number)
        for child, value in observed:
            child.observe(value)

    def _child(self, metric: Counter | Histogram, *labels: str) -> Any:
        """Return a metric of some labels; to ask the metric for it takes longer than to count.

        Never of a metric that is cleared.
        """
        child = self._children.get((metric, *labels))
        if child is None:
            child = self._children[metric, *labels] = metric.labels(*labels)
        return child


class _Queues(Collector):
    def __init__(self, waiting: Callable[[], Mapping[tuple[str, str], int]]) -> None:
        self._waiting = waiting

    def collect(self) -> Iterator[Metric]:
        family = GaugeMetricFamily("mlprod_waiting_rows", "Rows that wait for a model.", labels=("endpoint", "variant"))
        for labels, rows in self._waiting().items():
            family.add_metric(labels, rows)
        yield family
