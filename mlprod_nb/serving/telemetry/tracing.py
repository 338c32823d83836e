"""OpenTelemetry traces of requests, sent by OTLP over HTTP where ``[gateway] traces`` names a collector.

A request that carries a sampled ``traceparent`` (W3C Trace Context) is always traced, one that carries an unsampled one
never; of the others, the share that ``[gateway] trace_share`` says. A request's span has a span below it for each part
of its way: ``score``, for each variant, and ``append``, to the prediction log. Span and attribute names follow
OpenTelemetry's semantic conventions for HTTP servers.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any, Protocol

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from mlprod_nb.errors import UsageError
from mlprod_nb.settings import GatewaySettings

CHOSEN = "mlprod.traced"
"""The member of a request's scope that says that chance chose it."""


_UNTIMED = nullcontext()


class Tracing(Protocol):
    """What is told of the way of a request."""

    def choose(self) -> bool:
        """Return whether a request without a ``traceparent`` is to be traced."""

    def span(self, name: str, **attributes: Any) -> AbstractContextManager[None]:
        """Time a part of the request that is under way; nothing where it is not traced."""

    def close(self) -> None:
        """Send what waits."""


class NoTracing:
    """No traces."""

    def choose(self) -> bool:
        """Return ``False``."""
        return False

    def span(self, name: str, **attributes: Any) -> AbstractContextManager[None]:  # noqa: ARG002
        """Do nothing."""
        return _UNTIMED

    def close(self) -> None:
        """Do nothing."""


class OpenTelemetry:
    """Traces for a collector.

    Args:
        url: The collector's OTLP endpoint for traces.
        share: The share of the requests without a ``traceparent`` that is traced, 0 to 1.
        gateway_id: Names this gateway to the collector, as ``service.instance.id``.
    """

    def __init__(self, url: str, share: float, gateway_id: str) -> None:
        from opentelemetry import trace
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
        from opentelemetry.sdk.trace.sampling import ALWAYS_ON
        from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

        resource = Resource.create({"service.name": "mlprod-gateway", "service.instance.id": gateway_id})
        self._provider = TracerProvider(sampler=ALWAYS_ON, resource=resource)  # what is traced is decided here
        self._provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(endpoint=url)))
        self._tracer = self._provider.get_tracer("mlprod_nb")
        self._propagator = TraceContextTextMapPropagator()
        self._api = trace
        self.error = trace.StatusCode.ERROR
        self._share = share

    def choose(self) -> bool:
        """Return whether chance chooses the next request."""
        return random.random() < self._share  # noqa: S311 (no secret)

    @contextmanager
    def request(self, scope: Scope) -> Iterator[Any]:
        """Trace one request where its caller or chance says so; give its span, or ``None``."""
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        parent = self._propagator.extract(headers)
        given = self._api.get_current_span(parent).get_span_context()
        wanted = given.trace_flags.sampled if given.is_valid else scope.get(CHOSEN) or self.choose()
        if not wanted:
            yield None
            return
        attributes = {
            "http.request.method": scope["method"],
            "url.path": scope["path"],
            "url.scheme": scope["scheme"],
        }
        kind = self._api.SpanKind.SERVER
        with self._tracer.start_as_current_span(scope["method"], parent, kind=kind, attributes=attributes) as span:
            yield span

    @contextmanager
    def span(self, name: str, **attributes: Any) -> Iterator[None]:
        """Time a part of the request that is under way."""
        if not self._api.get_current_span().get_span_context().is_valid:
            yield
            return
        with self._tracer.start_as_current_span(name, attributes=attributes):
            yield

    def close(self) -> None:
        """Send what waits."""
        self._provider.shutdown()


class Traced:
    """Traces the requests of an application.

    Args:
        app: What is traced.
        tracing: Where the traces go.
    """

    def __init__(self, app: ASGIApp, tracing: OpenTelemetry) -> None:
        self._app = app
        self._tracing = tracing

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        with self._tracing.request(scope) as span:

            async def sending(message: Message) -> None:
                if span is not None and message["type"] == "http.response.start":
                    self._tell(span, scope, message["status"])
                await send(message)

            await self._app(scope, receive, sending)

    def _tell(self, span: Any, scope: Scope, status: int) -> None:
        # Known only now that the application, which is inside, has looked at the request.
        span.set_attribute("mlprod.request_id", scope.get("mlprod.request_id", ""))
        span.set_attribute("http.response.status_code", status)
        if "endpoint" in scope:
            name = scope["path_params"].get("name")
            route = scope["path"].replace(f"/{name}", "/{name}", 1) if name else scope["path"]
            span.set_attribute("http.route", route)
            span.update_name(f"{scope['method']} {route}")
        if status >= 500:
            span.set_status(self._tracing.error)


def tracing(settings: GatewaySettings, gateway_id: str) -> Tracing:
    """Return what the settings ask for.

    Raises:
        UsageError: A collector is named and OpenTelemetry is not installed.
    """
    if not settings.traces:
        return NoTracing()
    try:
        return OpenTelemetry(settings.traces, settings.trace_share, gateway_id)
    except ImportError as error:
        raise UsageError(
            f"[gateway] traces is set, and {error.name} is not installed.", hint='Run: pip install "mlprod_nb[traces]"'
        ) from None
