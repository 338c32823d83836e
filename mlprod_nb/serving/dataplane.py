"""The request path behind every transport: check, assign, score, log, answer."""

from __future__ import annotations

import asyncio
import logging
import math
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mlprod_nb.columns import Columns, Repeated, take
from mlprod_nb.errors import MlprodError
from mlprod_nb.prediction_log.schema import PredictionBatch
from mlprod_nb.routing import Variant
from mlprod_nb.serving.appending import LogAppender
from mlprod_nb.serving.errors import LogUnavailable, ModelFailed, ModelUnavailable, TooManyRequests
from mlprod_nb.serving.identifiers import Identifiers
from mlprod_nb.serving.models.batching import Scores
from mlprod_nb.serving.models.loaded import Lease, LoadedModel
from mlprod_nb.serving.protocols.mlflow_scoring import ScoringRequest
from mlprod_nb.serving.routes import LiveEndpoint
from mlprod_nb.serving.rows import Call, Rows, choose, read_rows
from mlprod_nb.serving.telemetry.failures import Asked
from mlprod_nb.serving.telemetry.metrics import Telemetry
from mlprod_nb.serving.telemetry.tracing import NoTracing, Tracing
from mlprod_nb.serving.turnstile import Turnstile, VariantLimits

_MOST_SHADOW_ROWS = 50_000

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Answer:
    """What the gateway says of the rows of one request; every sequence has one value a row.

    Attributes:
        predictions: The predicted labels or values.
        scores: The scores.
        prediction_ids: UUIDv7, the keys for feedback.
        variants: The variants that answered.
        logged: Whether the answer is in the prediction log; ``False`` only where the endpoint's policy allows it.
    """

    predictions: list[Any]
    scores: NDArray[np.float64]
    prediction_ids: Sequence[str]
    variants: Sequence[Variant]
    logged: bool = True

    def documents(self, counts: Iterable[int]) -> Iterator[dict[str, Any]]:
        """Yield the members of the replies to requests that follow each other.

        Args:
            counts: How many rows each request has, together as many as there are.
        """
        scores, ids = self.scores.tolist(), [*self.prediction_ids]
        names, versions = [*_each(self.variants, "name")], [*_each(self.variants, "model_version")]
        start = 0
        for count in counts:
            part = slice(start, start + count)
            document: dict[str, Any] = {
                "predictions": self.predictions[part],
                "scores": scores[part],
                "prediction_ids": ids[part],
                "variant": names[part],
                "model_version": versions[part],
            }
            yield document if self.logged else {**document, "logged": False}
            start += count


class DataPlane:
    """Answers requests for predictions, whatever carried them here.

    Guarantee: an answer is in the prediction log, as durable as its endpoint asks, or it says that it is not and is
    counted in ``mlprod_unlogged_answers_total``, once a row. Where the disk failed in the middle of a write, a
    prediction that was refused, or answered unlogged, may be in the log all the same.

    Args:
        log: The prediction log.
        telemetry: Counts and times.
        identifiers: Makes the prediction ids.
        monotonic: Seconds that only grow.
        tracing: Told of the way of a request.
        turnstile: Bounds how many requests are under way.
        variant_limits: Bounds how many rows are with the model of a variant.
    """

    def __init__(
        self,
        log: LogAppender,
        telemetry: Telemetry,
        identifiers: Identifiers,
        monotonic: Callable[[], float] = time.monotonic,
        tracing: Tracing | None = None,
        turnstile: Turnstile | None = None,
        variant_limits: VariantLimits | None = None,
    ) -> None:
        self.log = log
        self.variant_limits = variant_limits or VariantLimits()
        self.turnstile = turnstile or Turnstile()
        self.identifiers = identifiers
        self.monotonic = monotonic
        self._telemetry = telemetry
        self._tracing = tracing or NoTracing()
        self._shadows: set[asyncio.Task[None]] = set()
        self._shadow_rows = 0

    async def predict(self, live: LiveEndpoint, request: ScoringRequest, call: Call) -> Answer:
        """Answer one request; the caller holds the endpoint's lease.

        Raises:
            InvalidInput: The rows do not fit the endpoint's signature.
            NotFound: The call names a variant that is not there.
            ModelFailed: A variant's model fails on these rows.
            ModelUnavailable: A variant's model cannot answer now.
            LogUnavailable: The prediction cannot be logged.
            TooManyRequests: As many requests of this endpoint are under way, or rows of a variant, as may be.
        """
        with self.turnstile.one(live.name):
            return await self.answer(live, read_rows(live, request, call, self.identifiers.take(request.rows)))

    async def answer(
        self,
        live: LiveEndpoint,
        rows: Rows,
        *,
        final: bool = True,
        meanwhile: Callable[[Answer], None] = lambda _: None,
    ) -> Answer:
        """Answer checked rows; the caller holds the endpoint's lease and has passed the turnstile.

        Args:
            live: The endpoint.
            rows: Its rows.
            final: Whether a model's failure is the answer, and so counts; ``False`` where the rows are asked anew.
            meanwhile: Called with what the answer is going to be while the log's disk is at it; must not raise.

        Raises:
            NotFound: The rows ask for a variant that is not there.
            ModelFailed: A variant's model fails on these rows.
            ModelUnavailable: A variant's model cannot answer now.
            LogUnavailable: The prediction cannot be logged.
            TooManyRequests: As many rows are with a variant's model as may be.
        """
        chosen = choose(live.spec, rows)
        met = np.flatnonzero(np.bincount(chosen)).tolist() if len(live.models) > 1 else [0]
        scores = await self._score(live, rows, chosen, met, final=final)
        variants = _variants(live, chosen, met)
        answer = Answer(scores.predictions, scores.scores, rows.ids, variants)
        batch = self._batch(live, rows, variants, scores, shadow=False)
        with self._tracing.span("append", **{"mlprod.rows": rows.count}):
            logged = await self._append(live, rows, batch, partial(meanwhile, answer))
        self._follow_up(live, rows, chosen, met)
        return answer if logged else replace(answer, logged=False)

    async def close(self) -> None:
        """Wait for the shadows that are under way."""
        await asyncio.gather(*self._shadows, return_exceptions=True)

    async def _score(
        self, live: LiveEndpoint, rows: Rows, chosen: NDArray[np.intp], met: list[int], *, final: bool
    ) -> Scores:
        """Let each variant answer its rows, and put the answers into the rows' order."""
        if len(met) == 1:
            variant = live.spec.variants[met[0]]
            try:
                return await self._ask(live, variant, live.models[met[0]], rows.columns, rows.count)
            except (ModelFailed, ModelUnavailable):
                if final:
                    self._telemetry.failed(_asked(live, variant, rows), range(rows.count))
                raise
        places = [np.flatnonzero(chosen == index) for index in met]
        found = await asyncio.gather(
            *(
                self._ask(live, live.spec.variants[index], live.models[index], take(rows.columns, place), len(place))
                for index, place in zip(met, places, strict=True)
            ),
            return_exceptions=True,
        )
        for part, index, place in zip(found, met, places, strict=True):
            if final and isinstance(part, ModelFailed | ModelUnavailable):
                self._telemetry.failed(_asked(live, live.spec.variants[index], rows), place.tolist())
        predictions: list[Any] = [None] * rows.count
        scores = np.empty(rows.count)
        for part, place in zip(found, places, strict=True):
            if isinstance(part, BaseException):
                raise part
            scores[place] = part.scores
            for row, prediction in zip(place.tolist(), part.predictions, strict=True):
                predictions[row] = prediction
        return Scores(predictions, scores)

    async def _ask(
        self, live: LiveEndpoint, variant: Variant, model: LoadedModel, columns: Columns, rows: int
    ) -> Scores:
        version = variant.model_version
        try:
            with (
                self.variant_limits.rows(live.name, variant.name, rows),
                self._tracing.span("score", **{"mlprod.variant": variant.name, "mlprod.model_version": version}),
            ):
                scores = await model.score(columns, rows)
            if not _finite(scores.scores):
                raise ModelFailed("a score is not a finite number.")
            return scores
        except TooManyRequests:
            raise
        except Exception as error:
            who = f"variant {variant.name!r} ({version})"
            if isinstance(error, ModelUnavailable):
                raise ModelUnavailable(f"{who} cannot answer: {error.message}", hint=error.hint) from error
            logger.error("endpoint %s: %s failed: %s", live.name, who, error.__cause__ or error)
            raise ModelFailed(f"{who} failed on these rows.") from error

    async def _append(
        self, live: LiveEndpoint, rows: Rows, batch: PredictionBatch, meanwhile: Callable[[], None] = lambda: None
    ) -> bool:
        """Log rows; return whether they are in the log, where their endpoint wants an answer all the same."""
        try:
            await self.log.predictions(batch, meanwhile)
        except LogUnavailable:
            if self.log.answers_unlogged(live.name) and not batch.shadow[0]:
                self._telemetry.unlogged_answers.labels(live.name).inc(rows.count)
                return False
            self._telemetry.unlogged.labels(live.name).inc(rows.count)
            raise
        return True

    def _batch(
        self, live: LiveEndpoint, rows: Rows, variants: Sequence[Variant], scores: Scores, *, shadow: bool
    ) -> PredictionBatch:
        """Return the rows as the prediction log takes them."""
        count = rows.count
        labels = scores.predictions if live.task == "classification" else None
        return PredictionBatch(
            prediction_id=rows.ids,
            request_id=rows.request_ids,
            endpoint=Repeated(live.name, count),
            revision=Repeated(live.revision, count),
            variant=_each(variants, "name"),
            model=_each(variants, "model"),
            version=_each(variants, "version"),
            shadow=Repeated(shadow, count),
            unit=rows.units,
            event_time=rows.event_time,
            received_at=Repeated(rows.received_at, count),
            latency_ms=Repeated(1000 * (self.monotonic() - rows.began), count),
            prediction=Repeated(None, count) if labels is None else _texts(labels),
            score=scores.scores,
            inputs=rows.columns,
        )

    def _follow_up(self, live: LiveEndpoint, rows: Rows, chosen: NDArray[np.intp], met: list[int]) -> None:
        """Count an answer and begin its shadows.

        The rows are in the log, so whatever fails here must not take the answer back: it would be asked for again.
        """
        try:
            self._observe(live, rows, chosen, met)
            if live.shadows:
                self._begin_shadows(live, rows)
        except Exception:
            logger.exception("endpoint %s: what follows an answer failed", live.name)

    def _observe(self, live: LiveEndpoint, rows: Rows, chosen: NDArray[np.intp], met: list[int]) -> None:
        seconds = self.monotonic() - rows.began
        for index in met:
            count = rows.count if len(met) == 1 else int(np.count_nonzero(chosen == index))
            self._telemetry.answered(live.name, live.spec.variants[index].name, seconds, count)

    def _begin_shadows(self, live: LiveEndpoint, rows: Rows) -> None:
        """Score the same rows by every shadow, after the reply; never so many that requests suffer."""
        if self._shadow_rows + rows.count > _MOST_SHADOW_ROWS:
            self._telemetry.shadows_dropped.labels(live.name).inc(rows.count)
            return
        lease = live.lease()  # taken now, while the request's own lease still keeps the models open
        self._shadow_rows += rows.count
        task = asyncio.get_running_loop().create_task(self._score_shadows(live, rows))
        self._shadows.add(task)
        task.add_done_callback(partial(self._end_shadows, lease, rows.count))

    async def _score_shadows(self, live: LiveEndpoint, rows: Rows) -> None:
        for variant, model in zip(live.spec.shadows, live.shadows, strict=True):
            await self._score_shadow(live, rows, variant, model)

    def _end_shadows(self, lease: Lease, rows: int, task: asyncio.Task[None]) -> None:
        lease.end()
        self._shadow_rows -= rows
        self._shadows.discard(task)

    async def _score_shadow(self, live: LiveEndpoint, rows: Rows, variant: Variant, model: LoadedModel) -> None:
        try:
            scores = await self._ask(live, variant, model, rows.columns, rows.count)
            await self._append(live, rows, self._batch(live, rows, Repeated(variant, rows.count), scores, shadow=True))
        # Counted: a line for each request would slow what a shadow must not slow.
        except (ModelUnavailable, TooManyRequests) as error:
            if isinstance(error, ModelUnavailable):
                self._telemetry.model_errors.labels(live.name, variant.name, "true").inc()
            self._telemetry.shadows_dropped.labels(live.name).inc(rows.count)
        except MlprodError as error:
            if isinstance(error, ModelFailed):
                self._telemetry.model_errors.labels(live.name, variant.name, "true").inc()
            logger.warning("endpoint %s: shadow %s: %s", live.name, variant.name, error)
        else:
            self._telemetry.rows.labels(live.name, variant.name, "true").inc(rows.count)


def _finite(scores: NDArray[np.float64]) -> bool:
    # A sum of squares is finite, or some of them are so large that the scores must be looked at one by one.
    return math.isfinite(np.dot(scores, scores)) or bool(np.isfinite(scores).all())


def _texts(labels: Sequence[Any]) -> Sequence[str]:
    """Return labels as text."""
    if len(labels) == 1:
        return Repeated(str(labels[0]), 1)
    if len(set(map(type, labels))) > 1:  # equal ones may be written differently
        return [str(label) for label in labels]
    known = {label: str(label) for label in set(labels)}
    if len(known) == 1:
        return Repeated(known[labels[0]], len(labels))
    return [known[label] for label in labels]


def _asked(live: LiveEndpoint, variant: Variant, rows: Rows) -> Asked:
    return Asked(live.name, live.revision, variant, rows.units, rows.event_time)


def _variants(live: LiveEndpoint, chosen: NDArray[np.intp], met: list[int]) -> Sequence[Variant]:
    """Return the variant that answered each row."""
    if len(met) == 1:
        return Repeated(live.spec.variants[met[0]], len(chosen))
    return [live.spec.variants[index] for index in chosen.tolist()]


def _each(variants: Sequence[Variant], name: str) -> Sequence[Any]:
    """Return one attribute of each row's variant."""
    if type(variants) is Repeated:
        return Repeated(getattr(variants.value, name), len(variants))
    return [getattr(variant, name) for variant in variants]
