"""The gateway's HTTP interface: every route in one list."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import asdict, dataclass, field
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import Route
from starlette.types import Scope

from mlprod_nb import __version__
from mlprod_nb.access.rights import Action
from mlprod_nb.clock import Clock
from mlprod_nb.serving import explaining
from mlprod_nb.serving.admission import admit, authorization
from mlprod_nb.serving.auth import Gatekeeper
from mlprod_nb.serving.dataplane import Answer, DataPlane
from mlprod_nb.serving.errors import encode, speaks_inference, status_problem
from mlprod_nb.serving.inference_routes import InferenceRoutes
from mlprod_nb.serving.middleware import CLIENT_CLOSED, Limits, Problems
from mlprod_nb.serving.mlflow_routes import MlflowRoutes
from mlprod_nb.serving.openapi import docs_page
from mlprod_nb.serving.openapi.document import document as openapi_document
from mlprod_nb.serving.protocols import feedback, invocations
from mlprod_nb.serving.protocols.scoring import ScoringRequest
from mlprod_nb.serving.replies import json_reply
from mlprod_nb.serving.report_site.routes import ReportRoutes
from mlprod_nb.serving.routes import LiveEndpoint, RouteBook
from mlprod_nb.serving.rows import Call, read_rows
from mlprod_nb.serving.telemetry.metrics import CONTENT_TYPE, Telemetry
from mlprod_nb.settings import GatewaySettings

_JSON = invocations.JSON
_PREDICTING = frozenset(("invoke", "invoke_only", "infer"))
_HELD_BODIES = 8  # how many of the largest bodies one worker holds at once

Lifespan = Callable[[Starlette], AbstractAsyncContextManager[None]]


@dataclass
class Health:
    """What ``/health`` tells.

    Attributes:
        gateway_id: Unique for each start.
        version: The version that the gateway was started by; a worker that was replaced since may run by another.
        status: ``"starting"``, ``"serving"`` or ``"draining"``.
        workers: How many worker processes run.
        restarts: How many were replaced since the gateway started.
        troubles: Why workers do not run, each a sentence.
        started: Set when what was active is loaded, or is known not to load.
    """

    gateway_id: str
    version: str = __version__
    status: str = field(default="starting")
    workers: int = 1
    restarts: int = 0
    troubles: tuple[str, ...] = ()
    started: asyncio.Event = field(default_factory=asyncio.Event)


@dataclass(frozen=True)
class Gateway:
    """The parts behind the routes."""

    book: RouteBook
    plane: DataPlane
    gatekeeper: Gatekeeper
    telemetry: Telemetry
    health: Health
    settings: GatewaySettings
    clock: Clock
    reports: ReportRoutes


def create_app(gateway: Gateway, lifespan: Lifespan | None = None) -> Starlette:
    """Return the gateway as an ASGI application."""
    handlers = _Handlers(gateway)
    return Starlette(
        routes=[
            Route("/", handlers.home, methods=["GET"]),
            Route("/invocations", handlers.invoke_only, methods=["POST"]),
            Route("/endpoints", handlers.endpoints, methods=["GET"]),
            Route("/endpoints/{name}", handlers.endpoint, methods=["GET"]),
            Route("/endpoints/{name}/invocations", handlers.invoke, methods=["POST"]),
            Route("/endpoints/{name}/feedback", handlers.feedback, methods=["POST"]),
            Route("/health/live", handlers.live, methods=["GET"]),
            Route("/health/ready", handlers.ready, methods=["GET"]),
            Route("/metrics", handlers.metrics, methods=["GET"]),
            Route("/openapi.json", handlers.openapi, methods=["GET"]),
            Route("/docs", handlers.docs, methods=["GET"]),
            *gateway.reports.routes(),
            *MlflowRoutes(gateway.book, gateway.gatekeeper, handlers.is_ready).routes(),
            *InferenceRoutes(
                gateway.book, gateway.plane, gateway.gatekeeper, handlers.is_ready, gateway.clock
            ).routes(),
        ],
        middleware=[
            Middleware(Problems, identifiers=gateway.plane.identifiers, observe=_observer(gateway)),
            Middleware(
                Limits,
                seconds=gateway.settings.request_timeout_seconds,
                max_body_bytes=gateway.settings.max_body_bytes,
                max_held_bytes=_HELD_BODIES * gateway.settings.max_body_bytes,
            ),
        ],
        exception_handlers={HTTPException: _http_problem},
        lifespan=lifespan,
    )


class _Handlers:
    """One method a route."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway

    async def invoke(self, request: Request) -> Response:
        variant = await admit(self._gateway.gatekeeper, request.headers)
        return await self._predict(request, request.path_params["name"], variant)

    async def invoke_only(self, request: Request) -> Response:
        variant = await admit(self._gateway.gatekeeper, request.headers)
        names = sorted(self._gateway.book.table.endpoints)
        if len(names) != 1:
            detail = f"Call one of {', '.join(f'/endpoints/{name}/invocations' for name in names)}." if names else ""
            raise HTTPException(404, detail or "Nothing is deployed.")
        return await self._predict(request, names[0], variant)

    async def feedback(self, request: Request) -> Response:
        await self._require(request, "feedback")
        invocations.media_type(request.headers, _JSON)
        body = await request.body()
        live = await self._gateway.book.find(request.path_params["name"])
        now = self._gateway.clock()
        models = [model.bundle.manifest for model in (*live.models, *live.shadows)]
        labels = feedback.Labels(live.task, tuple(dict.fromkeys(name for model in models for name in model.classes)))
        rows = await asyncio.to_thread(feedback.read, body, labels, received_at=now)  # they may be a hundred thousand
        if rows:
            await self._gateway.plane.log.feedback(feedback.batch(live.name, rows, received_at=now))
        self._gateway.telemetry.heard(live.name, Counter((row.kind, row.name) for row in rows))
        return json_reply({"accepted": len(rows)})

    async def endpoints(self, request: Request) -> Response:
        await self._require(request, "predict")
        table = self._gateway.book.table
        found = [_describe(live) for _, live in sorted(table.endpoints.items())]
        return json_reply({"endpoints": found, "unavailable": dict(table.unavailable)})

    async def endpoint(self, request: Request) -> Response:
        await self._require(request, "predict")
        return json_reply(_describe(await self._gateway.book.find(request.path_params["name"])))

    async def live(self, request: Request) -> Response:  # noqa: ARG002
        return json_reply({"status": "live", "id": self._gateway.health.gateway_id})

    async def ready(self, request: Request) -> Response:  # noqa: ARG002
        status, reasons = _readiness(self._gateway)
        health = self._gateway.health
        workers = {"running": health.workers, "restarts": health.restarts}
        document: dict[str, Any] = {
            "status": status,
            "id": health.gateway_id,
            "version": health.version,
            "reasons": reasons,
        }
        document |= {"workers": workers, "log": asdict(self._gateway.plane.log.condition_of_all())}
        return json_reply(document, 200 if status == "ready" else 503)

    async def metrics(self, request: Request) -> Response:
        await self._require(request, "read_metrics")
        return Response(self._gateway.telemetry.text(), media_type=CONTENT_TYPE)

    async def openapi(self, request: Request) -> Response:
        live: list[LiveEndpoint] = []
        if request.headers.get("authorization"):  # what is deployed is told only to those who may call it
            await self._require(request, "predict")
            live = [endpoint for _, endpoint in sorted(self._gateway.book.table.endpoints.items())]
        return json_reply(openapi_document(live))

    async def docs(self, request: Request) -> Response:
        page, policy = docs_page.render(openapi_document(()), base_url=str(request.base_url).rstrip("/"))
        return HTMLResponse(page, headers={"content-security-policy": policy, "cache-control": "no-store"})

    async def home(self, request: Request) -> Response:  # noqa: ARG002
        return RedirectResponse("/docs")

    def is_ready(self) -> bool:
        return _readiness(self._gateway)[0] == "ready"

    async def _require(self, request: Request, action: Action) -> None:
        await self._gateway.gatekeeper.require(authorization(request.headers), action)

    async def _predict(self, request: Request, name: str, variant: str) -> Response:
        body = await request.body()
        plane = self._gateway.plane
        call = Call(request.scope["mlprod.request_id"], self._gateway.clock(), plane.monotonic(), variant)
        live = await self._gateway.book.find(name)
        with live.lease():
            scoring = invocations.read(body, request.headers, live.signature)
            if scoring.explain:
                explaining.check(live, scoring.rows)
            answer = await plane.predict(live, scoring, call)
            reply = _reply(scoring, answer)
            if scoring.explain:
                columns = read_rows(live, scoring, call, answer.prediction_ids).columns
                reply |= asdict(await explaining.explain(live, columns, answer))
        return json_reply(reply)


def _reply(request: ScoringRequest, answer: Answer) -> dict[str, Any]:
    (reply,) = answer.documents([len(answer.prediction_ids)])
    if request.client_ids is not None:
        reply["client_ids"] = request.client_ids
    return reply


def _describe(live: LiveEndpoint) -> dict[str, Any]:
    shares = live.spec.shares()
    pairs = [*zip(live.spec.variants, live.models, strict=True), *zip(live.spec.shadows, live.shadows, strict=True)]
    return {
        "name": live.name,
        "revision": live.revision,
        "task": live.task,
        "unit": live.spec.unit,
        "variants": [
            {
                "name": variant.name,
                "model_version": variant.model_version,
                "share": shares.get(variant.name, 0.0),
                "shadow": variant in live.spec.shadows,
                "bundle": variant.bundle,
                "runtime": model.bundle.manifest.runtime,
                "runtime_reason": model.bundle.manifest.runtime_reason,
                "classes": list(model.bundle.manifest.classes),
            }
            for variant, model in pairs
        ],
        "signature": [
            {"name": column.name, "type": column.type, "nullable": column.nullable} for column in live.signature.columns
        ],
    }


def _readiness(gateway: Gateway) -> tuple[str, list[str]]:
    if gateway.health.status != "serving":
        return gateway.health.status, []
    reasons = [f"endpoint {name!r} could not be loaded" for name in sorted(gateway.book.table.unavailable)]
    log = gateway.plane.log.condition_of_all()
    if log.state == "failed":
        reasons.append(f"the prediction log cannot be written: {log.reason}")
    reasons.extend(gateway.health.troubles)
    return ("degraded" if reasons else "ready"), reasons


def _observer(gateway: Gateway) -> Callable[[Scope, int], None]:
    def observe(scope: Scope, status: int) -> None:
        handler = scope.get("endpoint")
        name = scope.get("path_params", {}).get("name", "")
        endpoint = name if name in gateway.book.table.endpoints else ""
        route = getattr(handler, "__name__", "none")
        gateway.telemetry.replied(route, endpoint, str(status))
        if status >= 400 and status != CLIENT_CLOSED and route in _PREDICTING:
            deployed = [endpoint] if endpoint or route != "invoke_only" else list(gateway.book.table.endpoints)
            if len(deployed) == 1 and deployed[0]:
                gateway.telemetry.refused(deployed[0], scope.get("mlprod.problem", f"http-{status}"))

    return observe


def _http_problem(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    document = status_problem(error.status_code, error.detail, request.scope["mlprod.request_id"])
    if speaks_inference(request.url.path):
        document["error"] = document["detail"]
    return Response(encode(document), error.status_code, headers=error.headers, media_type="application/problem+json")
