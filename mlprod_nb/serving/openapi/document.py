"""The gateway's interface as an OpenAPI 3.1 document, with the endpoints that are served now."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from mlprod_nb import __version__
from mlprod_nb.registry.bundles import Column
from mlprod_nb.serving.admission import VARIANT_HEADER
from mlprod_nb.serving.openapi.requests import EXAMPLE_COLUMNS, EXAMPLES, FORMS, by_column, csv_body, json_body
from mlprod_nb.serving.openapi.schemas import SCHEMAS, Schema, reference, text
from mlprod_nb.serving.protocols import invocations
from mlprod_nb.serving.protocols.open_inference import BINARY, DATATYPES, HEADER_LENGTH
from mlprod_nb.serving.routes import LiveEndpoint

_JSON = invocations.JSON
_EXAMPLE_FEEDBACK = {"feedback": [{"prediction_id": "019ab3a0-7c1e-7a55-8d5e-3f2b1c0d9e8f", "value": 1}]}
_PROBLEMS = {
    "400": "The body is not JSON or not of this form; the problem names the place.",
    "401": "There is no valid token.",
    "403": "The token's role may not do this.",
    "404": "There is no such endpoint, variant or version.",
    "408": "The request did not come in time.",
    "413": "The body is too large.",
    "414": "The request line is too long.",
    "415": "The body is of a media type that is not read here.",
    "422": "A column or value does not fit; the problem names it.",
    "431": "The headers are too many or too long.",
    "429": "More is asked at once than can be answered; send the same again after Retry-After seconds.",
    "500": "The model failed on these rows, or the gateway did; its log tells why under the request id.",
    "503": "The gateway cannot answer now, or cannot log what it would answer.",
    "504": "The deadline passed.",
}
_READING = ("401", "403", "404")
_SECURITY: list[dict[str, list[str]]] = [{"token": []}, {"password": []}]


def document(endpoints: Iterable[LiveEndpoint]) -> dict[str, Any]:
    """Return the OpenAPI document.

    Args:
        endpoints: The endpoints to describe by name; the general paths are always there.
    """
    paths, schemas = {**_own_paths(), **_health_paths(), **_mlflow_paths(), **_inference_paths()}, {**SCHEMAS, **FORMS}
    for live in endpoints:
        columns, what = live.signature.columns, f"Ask {live.name} for predictions"
        schemas |= by_column(columns, live.name)
        body = json_body(columns, live.spec.unit, live.name)
        predict = _invocation(f"predict_{live.name}", what, body, csv_body(columns))
        paths[f"/endpoints/{live.name}/invocations"] = {"post": predict}
        infer = _inference(f"infer_{live.name}", f"{what} in tensors", columns)
        paths[f"/v2/models/{live.name}/infer"] = {"post": infer}
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "mlprod gateway",
            "version": __version__,
            "description": "Predictions over HTTP. A reply means that the prediction is logged, on disk.",
        },
        "servers": [{"url": "/"}],
        "paths": paths,
        "components": {
            "securitySchemes": {
                "token": {"type": "http", "scheme": "bearer"},
                "password": {"type": "http", "scheme": "basic", "description": "The token as password, any user."},
            },
            "schemas": schemas,
        },
    }


def _own_paths() -> dict[str, Any]:
    bodies = json_body(()), csv_body(())
    predict = _invocation("predict", "Ask an endpoint for predictions", *bodies)
    only = _invocation("invoke_only", "Ask the only endpoint for predictions", *bodies)
    feedback = {
        **_operation("feedback", "Say what became of predictions", reference("Accepted"), _but_not("500")),
        "requestBody": _content({_JSON: {"schema": reference("Feedback"), "example": _EXAMPLE_FEEDBACK}}),
    }
    return {
        "/endpoints/{name}/invocations": {"parameters": [_NAME], "post": predict},
        "/invocations": {"post": only},
        "/endpoints/{name}/feedback": {"parameters": [_NAME], "post": feedback},
        "/endpoints": {"get": _operation("endpoints", "List the endpoints", reference("Endpoints"), ("401", "403"))},
        "/endpoints/{name}": {
            "parameters": [_NAME],
            "get": _operation("endpoint", "Describe an endpoint", reference("Endpoint"), (*_READING, "503")),
        },
        "/metrics": {
            "get": _operation("metrics", "Read the metrics", text("Prometheus."), ("401", "403"), media="text/plain")
        },
    }


def _health_paths() -> dict[str, Any]:
    ready = "Whether everything is loaded and the log can be written"
    return {
        "/health/live": {"get": _health("live", "Whether the process answers", "Live")},
        "/health/ready": {"get": _health("ready", ready, "Readiness")},
        "/health": {"get": _health("health", f"{ready}, for MLflow's clients", "Ready")},
        "/ping": {"get": _health("ping", f"{ready}, for MLflow's clients", "Ready")},
        "/v2/health/live": {
            "get": _health("server_live", "Whether the process answers, in tensors' terms", "ServerLive")
        },
        "/v2/health/ready": {"get": _health("server_ready", f"{ready}, in tensors' terms", "Ready")},
    }


def _mlflow_paths() -> dict[str, Any]:
    listing = _operation("deployments", "List the endpoints for MLflow", reference("MlflowEndpoints"), ("401", "403"))
    one = _operation("deployment", "Describe an endpoint for MLflow", reference("MlflowEndpoint"), (*_READING, "503"))
    about = _operation("version", "Tell the gateway's version", text(), (), media="text/plain")
    return {
        "/version": {"get": {**about, "security": []}},
        "/api/2.0/endpoints/": {"get": listing},
        "/api/2.0/endpoints/{name}": {"parameters": [_NAME], "get": one},
    }


def _inference_paths() -> dict[str, Any]:
    server = _operation("server", "Tell what the server is", reference("ServerMetadata"), ())
    paths: dict[str, Any] = {"/v2": {"get": {**server, "security": []}}}
    for prefix, path, parameters in (
        ("", "/v2/models/{name}", [_NAME]),
        ("version_", "/v2/models/{name}/versions/{version}", [_NAME, _VERSION]),
    ):
        problems = (*_READING, "503")
        model = _operation(f"{prefix}model", "Tell what a model takes and gives", reference("ModelMetadata"), problems)
        ready = _operation(f"{prefix}model_ready", "Whether a model is loaded", reference("ModelReady"), problems)
        infer = _inference(f"{prefix}model_infer", "Ask a model for predictions in tensors", EXAMPLE_COLUMNS)
        paths[path] = {"parameters": parameters, "get": model}
        paths[f"{path}/ready"] = {"parameters": parameters, "get": ready}
        paths[f"{path}/infer"] = {"parameters": parameters, "post": infer}
    return paths


def _parameter(name: str, description: str, schema: Schema, *, where: str = "header") -> dict[str, Any]:
    required = where == "path"
    return {"name": name, "in": where, "required": required, "description": description, "schema": schema}


_NAME = _parameter("name", "The endpoint's name.", text(), where="path")
_VERSION = _parameter("version", "The version of a variant.", text(), where="path")
_UNIT = _parameter(invocations.UNIT_HEADER, "Who is randomised, for every row.", text())
_MOMENT = _parameter(invocations.EVENT_TIME_HEADER, "When the rows happened, ISO 8601.", text())
_CLIENT_ID = _parameter(invocations.CLIENT_ID_HEADER, "Echoed for every row, and nothing else.", text())
_VARIANT = _parameter(VARIANT_HEADER, "The variant that must answer; needs the right to deploy.", text())
_EXPLAIN = _parameter(invocations.EXPLAIN_HEADER, "Whether to explain each row's score.", {"type": "boolean"})
_HEADER_LENGTH = _parameter(HEADER_LENGTH, "How many bytes of the body are JSON; all where left out.", text())


def _operation(
    operation_id: str, summary: str, reply: Schema, problems: Iterable[str], *, media: str = _JSON
) -> dict[str, Any]:
    return {
        "operationId": operation_id,
        "summary": summary,
        "security": _SECURITY,
        "responses": {
            "200": {
                "description": SCHEMAS.get(reply.get("$ref", "").rpartition("/")[2], {}).get("description", summary),
                "headers": {
                    "x-request-id": {"description": "Under which the gateway's log tells more.", "schema": text()}
                },
                "content": {media: {"schema": reply}},
            },
            **{status: _problem(_PROBLEMS[status], status) for status in sorted(problems)},
            "default": _problem("Any other problem.", ""),
        },
    }


def _problem(description: str, status: str) -> dict[str, Any]:
    content = {"application/problem+json": {"schema": reference("Problem")}}
    if status not in {"429", "503"}:
        return {"description": description, "content": content}
    seconds = {"description": "Seconds to wait.", "schema": {"type": "integer"}}
    return {"description": description, "headers": {"retry-after": seconds}, "content": content}


def _but_not(*statuses: str) -> list[str]:
    return [status for status in _PROBLEMS if status not in statuses]


def _content(content: dict[str, Any]) -> dict[str, Any]:
    return {"required": True, "content": content}


def _health(operation_id: str, summary: str, schema: str) -> dict[str, Any]:
    operation = _operation(operation_id, summary, reference(schema), ())
    if "Live" not in schema:
        content = {_JSON: {"schema": reference(schema)}}
        operation["responses"]["503"] = {"description": "Not now.", "content": content}
    return {**operation, "security": []}


def _invocation(operation_id: str, summary: str, in_json: dict[str, Any], in_csv: dict[str, Any]) -> dict[str, Any]:
    return {
        **_operation(operation_id, summary, reference("Predictions"), _PROBLEMS),
        "parameters": [_UNIT, _MOMENT, _CLIENT_ID, _EXPLAIN, _VARIANT],
        "requestBody": _content({_JSON: in_json, invocations.CSV: in_csv}),
    }


def _inference(operation_id: str, summary: str, columns: Sequence[Column]) -> dict[str, Any]:
    example = {
        "inputs": [
            {"name": column.name, "datatype": DATATYPES[column.type], "shape": [1], "data": [EXAMPLES[column.type]]}
            for column in columns
        ]
    }
    binary = {"schema": {"type": "string", "contentMediaType": BINARY, "description": "JSON, then the tensors' bytes."}}
    operation = _operation(operation_id, summary, reference("InferReply"), _PROBLEMS)
    operation["responses"]["200"]["content"][BINARY] = binary
    return {
        **operation,
        "parameters": [_UNIT, _MOMENT, _CLIENT_ID, _VARIANT, _HEADER_LENGTH],
        "requestBody": _content({_JSON: {"schema": reference("InferRequest"), "example": example}, BINARY: binary}),
    }
