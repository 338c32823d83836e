"""The routes that MLflow's clients ask for beside ``/invocations``: health, version, and the list of endpoints."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from mlprod_nb import __version__
from mlprod_nb.serving.admission import authorization
from mlprod_nb.serving.auth import Gatekeeper
from mlprod_nb.serving.replies import json_reply
from mlprod_nb.serving.routes import LiveEndpoint, RouteBook


class MlflowRoutes:
    """One method a route.

    Args:
        book: The route table.
        gatekeeper: Checks tokens and rights.
        ready: Tells whether everything is loaded and the log can be written.
    """

    def __init__(self, book: RouteBook, gatekeeper: Gatekeeper, ready: Callable[[], bool]) -> None:
        self._book = book
        self._gatekeeper = gatekeeper
        self._ready = ready

    def routes(self) -> Sequence[Route]:
        """Return the routes."""
        return [
            Route("/ping", self.ping, methods=["GET"]),
            Route("/health", self.ping, methods=["GET"]),
            Route("/version", self.version, methods=["GET"]),
            Route("/api/2.0/endpoints/", self.deployments, methods=["GET"]),
            Route("/api/2.0/endpoints/{name}", self.deployment, methods=["GET"]),
        ]

    async def ping(self, request: Request) -> Response:  # noqa: ARG002
        """Tell whether everything is loaded and the log can be written, as ``/health/ready`` does at length."""
        ready = self._ready()
        return json_reply({"ready": ready}, 200 if ready else 503)

    async def version(self, request: Request) -> Response:  # noqa: ARG002
        """Tell the gateway's version, which is not that on disk once a newer one was installed."""
        return PlainTextResponse(__version__)

    async def deployments(self, request: Request) -> Response:
        """List the endpoints as MLflow's deployments client reads them."""
        await self._gatekeeper.require(authorization(request.headers), "predict")
        return json_reply({"endpoints": [_describe(live) for _, live in sorted(self._book.table.endpoints.items())]})

    async def deployment(self, request: Request) -> Response:
        """Describe one endpoint so."""
        await self._gatekeeper.require(authorization(request.headers), "predict")
        return json_reply(_describe(await self._book.find(request.path_params["name"])))


def _describe(live: LiveEndpoint) -> dict[str, Any]:
    return {
        "name": live.name,
        "endpoint_type": f"mlprod/{live.task}",
        "model": {"name": live.spec.variants[0].model, "provider": "mlprod"},
        "endpoint_url": f"/endpoints/{live.name}/invocations",
        "limit": None,
    }
