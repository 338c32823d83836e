"""The gateway's interface as an OpenAPI 3.1 document, with the endpoints that are served now."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from importlib.metadata import version
from typing import Any

from mlprod_nb.registry.bundles import Column, ColumnType
from mlprod_nb.serving.protocols.feedback import KINDS
from mlprod_nb.serving.routes import LiveEndpoint

Schema = dict[str, Any]

_TYPES: dict[ColumnType, str] = {"double": "number", "long": "integer", "boolean": "boolean", "string": "string"}
_EXAMPLES: dict[ColumnType, Any] = {"double": 1.5, "long": 1, "boolean": True, "string": "a"}
_EXAMPLE_COLUMNS = (Column("distance", "double", nullable=False), Column("carrier", "string", nullable=False))
_PROBLEMS = {
    "400": "The body is not JSON or not of this form.",
    "401": "There is no valid token.",
    "403": "The token's role may not do this.",
    "404": "There is no such endpoint.",
    "413": "The body is too large.",
    "422": "A column or value does not fit; the problem names it.",
    "503": "The gateway cannot answer now, or cannot log what it would answer.",
    "504": "The deadline passed.",
}


def document(endpoints: Iterable[LiveEndpoint]) -> dict[str, Any]:
    """Return the OpenAPI document.

    Args:
        endpoints: The endpoints to describe by name; the general paths are always there.
    """
    paths: dict[str, Any] = {
        "/endpoints/{name}/invocations": {
            "parameters": [_NAME],
            "post": _invocation("predict", "Ask an endpoint for predictions", _EXAMPLE_COLUMNS, ""),
        },
        "/invocations": {
            "post": _invocation("predict_only", "Ask the only endpoint for predictions", _EXAMPLE_COLUMNS, "")
        },
        "/endpoints/{name}/feedback": {"parameters": [_NAME], "post": _feedback()},
        "/endpoints": {"get": _read("endpoints", "List the endpoints", "Every endpoint, and those that did not load.")},
        "/endpoints/{name}": {
            "parameters": [_NAME],
            "get": _read("endpoint", "Describe an endpoint", "Its revision, variants, shares and signature."),
        },
        "/metrics": {"get": _read("metrics", "Read the metrics", "Prometheus's text format.", media="text/plain")},
        "/health/live": {"get": _health("live", "Whether the process answers")},
        "/health/ready": {"get": _health("ready", "Whether everything is loaded and the log can be written")},
    }
    for live in endpoints:
        operation = _invocation(
            f"predict_{live.name}", f"Ask {live.name} for predictions", live.signature.columns, live.spec.unit
        )
        paths[f"/endpoints/{live.name}/invocations"] = {"post": operation}
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "mlprod gateway",
            "version": version("mlprod_nb"),
            "description": "Predictions over HTTP. A reply means that the prediction is logged, on disk.",
        },
        "paths": paths,
        "components": {
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
            "schemas": {"Predictions": _PREDICTIONS, "Problem": _PROBLEM},
        },
    }


_NAME = {
    "name": "name",
    "in": "path",
    "required": True,
    "description": "The endpoint's name.",
    "schema": {"type": "string"},
}
_PREDICTIONS: Schema = {
    "type": "object",
    "description": "Every list has one value a row, in the request's order.",
    "required": ["predictions", "scores", "prediction_ids", "variant", "model_version"],
    "properties": {
        "predictions": {"type": "array", "items": {}, "description": "The predicted labels or values."},
        "scores": {
            "type": "array",
            "items": {"type": "number"},
            "description": "Probability of the last of two classes, or of the predicted one of more; or the value.",
        },
        "prediction_ids": {"type": "array", "items": {"type": "string"}, "description": "Keys for feedback (UUIDv7)."},
        "variant": {"type": "array", "items": {"type": "string"}, "description": "Which variant answered."},
        "model_version": {"type": "array", "items": {"type": "string"}, "description": "As flights/3."},
        "client_ids": {"type": "array", "items": {}, "description": "Echoed where they were sent."},
    },
}
_PROBLEM: Schema = {
    "type": "object",
    "description": "A problem document (RFC 9457).",
    "required": ["type", "title", "status", "detail", "request_id"],
    "properties": {
        "type": {"type": "string"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string", "description": "What is wrong and what to do."},
        "request_id": {"type": "string"},
        "column": {"type": "string"},
        "row": {"type": "integer"},
        "nearest": {"type": "string", "description": "The name that was perhaps meant."},
    },
}


def _invocation(operation_id: str, summary: str, columns: Sequence[Column], unit: str) -> dict[str, Any]:
    return {
        "operationId": operation_id,
        "summary": summary,
        "security": [{"token": []}],
        "requestBody": {"required": True, "content": {"application/json": _invocation_body(columns, unit)}},
        "responses": {
            "200": {
                "description": "The predictions, which are logged.",
                "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Predictions"}}},
            },
            **_problems(),
        },
    }


def _invocation_body(columns: Sequence[Column], unit: str) -> dict[str, Any]:
    rows = {"type": "array", "items": {"type": "object"}}
    values = {column.name: {"type": "array", "items": {"type": _json_type(column)}} for column in columns}
    properties: Schema = {
        "inputs": {"type": "object", "properties": values, "description": "A list of values for each column."},
        "dataframe_split": {
            "type": "object",
            "properties": {"columns": {"type": "array"}, "data": {"type": "array"}},
            "description": "pandas: frame.to_dict(orient='split').",
        },
        "dataframe_records": {**rows, "description": "pandas: frame.to_dict(orient='records')."},
        "instances": {**rows, "description": "Rows as objects, or as lists in the signature's order."},
        "units": {"type": "array", "items": {"type": "string"}, "description": "Who is randomised, one a row."},
        "event_time": {"description": "ISO 8601, one for all rows or a list; the present where left out."},
        "client_ids": {"type": "array", "items": {}, "description": "Echoed, and nothing else."},
    }
    example: dict[str, Any] = {"inputs": {column.name: [_EXAMPLES[column.type]] for column in columns}}
    if unit:
        example["units"] = ["unit-1"]
    schema = {
        "type": "object",
        "properties": properties,
        "additionalProperties": False,
        "oneOf": [{"required": [key]} for key in ("inputs", "dataframe_split", "dataframe_records", "instances")],
    }
    return {"schema": schema, "example": example}


def _feedback() -> dict[str, Any]:
    row: Schema = {
        "type": "object",
        "required": ["prediction_id", "value"],
        "additionalProperties": False,
        "properties": {
            "prediction_id": {"type": "string"},
            "value": {"type": ["string", "number", "boolean"]},
            "kind": {"type": "string", "enum": list(KINDS), "default": "label"},
            "name": {"type": "string", "default": "label"},
            "source": {"type": "string"},
            "event_time": {"type": "string", "format": "date-time"},
        },
    }
    rows: Schema = {"type": "array", "items": row}
    schema: Schema = {"type": "object", "required": ["feedback"], "properties": {"feedback": rows}}
    example = {"feedback": [{"prediction_id": "019ab3a0-7c1e-7a55-8d5e-3f2b1c0d9e8f", "value": 1}]}
    return {
        "operationId": "feedback",
        "summary": "Say what became of predictions",
        "security": [{"token": []}],
        "requestBody": {"required": True, "content": {"application/json": {"schema": schema, "example": example}}},
        "responses": {"200": {"description": "How many were accepted, all on disk."}, **_problems()},
    }


def _read(operation_id: str, summary: str, description: str, *, media: str = "application/json") -> dict[str, Any]:
    return {
        "operationId": operation_id,
        "summary": summary,
        "security": [{"token": []}],
        "responses": {"200": {"description": description, "content": {media: {}}}, **_problems("401", "403", "404")},
    }


def _health(operation_id: str, summary: str) -> dict[str, Any]:
    return {
        "operationId": operation_id,
        "summary": summary,
        "security": [],
        "responses": {"200": {"description": "Yes."}, "503": {"description": "No; the reasons are listed."}},
    }


def _problems(*statuses: str) -> dict[str, Any]:
    content = {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}
    return {status: {"description": _PROBLEMS[status], "content": content} for status in statuses or _PROBLEMS}


def _json_type(column: Column) -> str | list[str]:
    return [_TYPES[column.type], "null"] if column.nullable else _TYPES[column.type]
