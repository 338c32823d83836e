"""What a look needs to judge the model beyond its metrics: earlier rows, the model itself, the settings."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from functools import cache
from typing import TYPE_CHECKING, Any

from mlprod_nb.lifecycle.context import Context
from mlprod_nb.settings import MonitorSettings

if TYPE_CHECKING:
    import pyarrow as pa

    from mlprod_nb.monitoring.error_rate import Refusals
    from mlprod_nb.monitoring.examination import Request
    from mlprod_nb.monitoring.score_shift import ScoreFunction
    from mlprod_nb.prediction_log.ranges import LogRange
    from mlprod_nb.registry.bundles import Bundle
    from mlprod_nb.registry.onnx_runner import OnnxRunner

#: How many windows before the looked-at one are read, to try the estimate and to compare response times.
EARLIER_WINDOWS = 6
#: The columns of a prediction that every look reads row by row.
NARROW = ("event_time", "received_at", "model", "version", "variant", "prediction", "score", "latency_ms")


def columns(settings: MonitorSettings, *, thorough: bool) -> tuple[str, ...]:
    """Return which columns of the window's rows are read beside those that every look reads."""
    return ("inputs",) if thorough or settings.fairness or settings.segments else ()


def request(context: Context, pinned: LogRange, bundle: Bundle, window: pa.Table, *, thorough: bool) -> Request:
    """Return what is asked about the model.

    Args:
        context: The workspace.
        pinned: The window's range; what is before it is read from the same bytes, so that a replay sees the same.
        bundle: The version's bundle.
        window: The window's rows.
        thorough: Search for segments, and look at what came before the window.
    """
    from mlprod_nb.monitoring.examination import Request

    settings = context.settings.endpoint(pinned.endpoint).monitor
    before = _before(pinned, window) if thorough else None
    return Request(
        thorough=thorough,
        earlier=None if before is None else _rows(context, before, bundle),
        refused_before=None if before is None else refused(context, before),
        reactions_before=None if before is None else context.log.reactions(before),
        score_function=_score_function(bundle),
        fairness=settings.fairness,
        segments=settings.segments,
    )


def _before(pinned: LogRange, window: pa.Table) -> LogRange | None:
    """Return the range of the windows before, or ``None`` where the window is open at its beginning."""
    import pyarrow.compute as pc

    if pinned.since is None or not window.num_rows:
        return None
    last: datetime = pinned.until or pc.max(window["event_time"]).as_py()
    return replace(pinned, since=pinned.since - EARLIER_WINDOWS * (last - pinned.since), until=pinned.since, rows=0)


def refused(context: Context, where: LogRange) -> Refusals:
    """Return what an endpoint refused in the time of a range, by minute and reason."""
    from mlprod_nb.serving.telemetry import refusals

    return refusals.minutes(context.layout.refusals, where.endpoint, since=where.since, until=where.until)


def _rows(context: Context, before: LogRange, bundle: Bundle) -> pa.Table:
    inputs = ("inputs",) if bundle.manifest.task == "regression" else ()
    return context.log.outcomes(before, only=[*NARROW, *inputs])


def _score_function(bundle: Bundle) -> ScoreFunction | None:
    """Return what scores rows by the bundle's ONNX model, loaded when first called.

    Any other model runs code from the bundle, which a look does not.
    """
    if bundle.manifest.runtime != "onnx":
        return None

    @cache
    def opened() -> OnnxRunner:
        from mlprod_nb.registry.onnx_runner import OnnxRunner

        return OnnxRunner(bundle)

    def score(columns: dict[str, list[Any]]) -> Any:
        from mlprod_nb.registry import onnx_runner

        output = opened().run(onnx_runner.to_arrays(bundle.signature, columns))
        return onnx_runner.scores(bundle.manifest.task, bundle.manifest.classes, output)

    return score
