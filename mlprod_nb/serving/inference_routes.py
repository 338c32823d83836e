"""The routes of the Open Inference Protocol v2: endpoints as models, variants' versions as their versions."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from mlprod_nb import __version__
from mlprod_nb.clock import Clock
from mlprod_nb.errors import NotFound, Refused
from mlprod_nb.registry.bundles import ClassLabel
from mlprod_nb.routing import Variant
from mlprod_nb.serving.admission import admit, authorization
from mlprod_nb.serving.auth import Gatekeeper
from mlprod_nb.serving.dataplane import Answer, DataPlane
from mlprod_nb.serving.errors import NotAvailable
from mlprod_nb.serving.protocols import open_inference
from mlprod_nb.serving.protocols.invocations import media_type, with_options
from mlprod_nb.serving.protocols.open_inference import BINARY, CLIENT_IDS, HEADER_LENGTH, JSON
from mlprod_nb.serving.protocols.tensors import BYTES, Tensor
from mlprod_nb.serving.replies import json_reply
from mlprod_nb.serving.routes import LiveEndpoint, RouteBook
from mlprod_nb.serving.rows import Call


class InferenceRoutes:
    """One method a route.

    Args:
        book: The route table.
        plane: Answers rows.
        gatekeeper: Checks tokens and rights.
        ready: Tells whether everything is loaded and the log can be written.
        clock: Gives the present moment.
    """

    def __init__(
        self, book: RouteBook, plane: DataPlane, gatekeeper: Gatekeeper, ready: Callable[[], bool], clock: Clock
    ) -> None:
        self._book = book
        self._plane = plane
        self._gatekeeper = gatekeeper
        self._ready = ready
        self._clock = clock

    def routes(self) -> Sequence[Route]:
        """Return the routes."""
        return [
            Route("/v2", self.server, methods=["GET"]),
            Route("/v2/health/live", self.server_live, methods=["GET"]),
            Route("/v2/health/ready", self.server_ready, methods=["GET"]),
            *(
                Route(f"/v2/models/{{name}}{version}{path}", handler, methods=[method])
                for version in ("", "/versions/{version}")
                for path, handler, method in (
                    ("", self.model, "GET"),
                    ("/ready", self.model_ready, "GET"),
                    ("/infer", self.infer, "POST"),
                )
            ),
        ]

    async def server(self, request: Request) -> Response:  # noqa: ARG002
        """Tell what the server is."""
        return json_reply({"name": "mlprod", "version": __version__, "extensions": ["binary_tensor_data"]})

    async def server_live(self, request: Request) -> Response:  # noqa: ARG002
        """Tell that the process answers."""
        return json_reply({"live": True})

    async def server_ready(self, request: Request) -> Response:  # noqa: ARG002
        """Tell whether everything is loaded and the log can be written."""
        ready = self._ready()
        return json_reply({"ready": ready}, 200 if ready else 503)

    async def model(self, request: Request) -> Response:
        """Tell what an endpoint takes and gives."""
        live = await self._find(request)
        return json_reply(
            open_inference.metadata(live.name, live.spec.variants, live.signature, live.task, _classes(live))
        )

    async def model_ready(self, request: Request) -> Response:
        """Tell that an endpoint is loaded; the error of one that is not says why."""
        return json_reply({"name": (await self._find(request)).name, "ready": True})

    async def infer(self, request: Request) -> Response:
        """Answer a request for predictions."""
        variant = await admit(self._gatekeeper, request.headers)
        media_type(request.headers, JSON, BINARY)
        body = await request.body()
        began, received_at = self._plane.monotonic(), self._clock()
        live = await self._book.find(request.path_params["name"])
        with live.lease():
            asked = open_inference.read(body, request.headers.get(HEADER_LENGTH), live.signature, live.name)
            asked = replace(asked, scoring=with_options(asked.scoring, request.headers))
            if asked.scoring.explain:
                raise NotAvailable("explain is not available over this protocol.", hint="Ask /invocations for it.")
            variant = variant or await self._versioned(request, live)
            call = Call(request.scope["mlprod.request_id"], received_at, began, variant)
            answer = await self._plane.predict(live, asked.scoring, call)
        versions = {str(chosen.version) for chosen in answer.variants}
        outputs = _outputs(live, answer, asked.scoring.client_ids)
        content, headers = open_inference.reply(asked, live.name, versions.pop() if len(versions) == 1 else "", outputs)
        return Response(content, headers=headers if answer.logged else {**headers, "x-mlprod-logged": "false"})

    async def _find(self, request: Request) -> LiveEndpoint:
        await self._gatekeeper.require(authorization(request.headers), "predict")
        live = await self._book.find(request.path_params["name"])
        if "version" in request.path_params:
            _of_version(live, request.path_params["version"])
        return live

    async def _versioned(self, request: Request, live: LiveEndpoint) -> str:
        """Return the variant of the version that the path names; empty where it names none.

        To choose among several is to go round the assignment, which only those may who may change it.
        """
        if "version" not in request.path_params:
            return ""
        found = _of_version(live, request.path_params["version"])
        if len(live.spec.variants) > 1:
            await self._gatekeeper.require(authorization(request.headers), "deploy")
        if len(found) > 1:
            raise Refused("several variants have this version.", hint="Choose one with the header X-Mlprod-Variant.")
        return found[0].name


def _of_version(live: LiveEndpoint, version: str) -> list[Variant]:
    found = [variant for variant in live.spec.variants if str(variant.version) == version]
    if not found:
        known = [str(variant.version) for variant in live.spec.variants]
        raise NotFound(f"version of endpoint {live.name!r} called", version, known)
    return found


def _classes(live: LiveEndpoint) -> list[ClassLabel]:
    return [label for model in live.models for label in model.bundle.manifest.classes]


def _outputs(live: LiveEndpoint, answer: Answer, client_ids: Sequence[Any] | None) -> list[Tensor]:
    shape = (len(answer.predictions),)
    texts = {
        "prediction_ids": list(answer.prediction_ids),
        "variant": [variant.name for variant in answer.variants],
        "model_version": [variant.model_version for variant in answer.variants],
        CLIENT_IDS: [""] * len(answer.predictions) if client_ids is None else client_ids,
    }
    return [
        open_inference.predictions(answer.predictions, live.task, _classes(live)),
        Tensor("scores", "FP64", shape, answer.scores.tolist()),
        *(Tensor(name, BYTES, shape, values) for name, values in texts.items()),
    ]
