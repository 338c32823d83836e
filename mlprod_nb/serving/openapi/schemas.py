"""The schemas (JSON Schema 2020-12) that the gateway's OpenAPI document refers to by name.

They keep to what generators of clients read: a choice is between whole schemas, each by its name; no schema is of two
types, save one that may be null; none is a constant.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mlprod_nb.serving.protocols.feedback import KINDS, LATEST
from mlprod_nb.serving.protocols.open_inference import OUTPUTS
from mlprod_nb.serving.protocols.tensors import BYTES, DTYPES

Schema = dict[str, Any]


def reference(name: str) -> Schema:
    """Return a reference to a schema of :data:`SCHEMAS`."""
    return {"$ref": f"#/components/schemas/{name}"}


def members(
    description: str, required: Mapping[str, Schema], optional: Mapping[str, Schema] | None = None, **more: Any
) -> Schema:
    """Return the schema of an object with these members and no others."""
    properties = {**required, **(optional or {})}
    return {
        "type": "object",
        **({"description": description} if description else {}),
        "required": list(required),
        "properties": properties,
        "additionalProperties": False,
        **more,
    }


def array(items: Schema, description: str = "") -> Schema:
    """Return the schema of a list."""
    return {"type": "array", "items": items, **({"description": description} if description else {})}


def text(description: str = "", **more: Any) -> Schema:
    """Return the schema of a text."""
    return {"type": "string", **({"description": description} if description else {}), **more}


def any_of(description: str, *choices: Schema) -> Schema:
    """Return the schema of what fits one of several; generators read ``anyOf`` with fewer surprises than ``oneOf``."""
    return {"anyOf": list(choices), **({"description": description} if description else {})}


_ANY: Schema = {}
_NUMBER: Schema = {"type": "number"}
_COUNT: Schema = {"type": "integer", "minimum": 0}
_YES_OR_NO: Schema = {"type": "boolean"}

_PREDICTIONS = members(
    "Every list has one value a row, in the request's order.",
    {
        "predictions": array(_ANY, "The predicted labels or values."),
        "scores": array(
            _NUMBER, "Probability of the last of two classes, or of the predicted one of more; or the value."
        ),
        "prediction_ids": array(text(format="uuid"), "Keys for feedback (UUIDv7)."),
        "variant": array(text(), "Which variant answered."),
        "model_version": array(text(), "As flights/3."),
    },
    {
        "logged": {**_YES_OR_NO, "description": "False where the log failed and the endpoint answers all the same."},
        "client_ids": array(_ANY, "Echoed where they were sent."),
        "contributions": array(
            {"type": "object", "additionalProperties": _NUMBER},
            "Where explain was asked for, by column: the score, less the score with that column at its typical value.",
        ),
        "typical": {
            "type": "object",
            "additionalProperties": {"type": "object"},
            "description": "Where explain was asked for, by variant: each column's typical value.",
        },
    },
)
_PROBLEM: Schema = {
    "type": "object",
    "description": "A problem document (RFC 9457). Others of its members may come to be.",
    "required": ["type", "title", "status", "detail", "request_id"],
    "properties": {
        "type": text("Which problem it is; it stays the same when the words of detail change."),
        "title": text("The status in words."),
        "status": {"type": "integer"},
        "detail": text("What is wrong and what to do."),
        "request_id": text("Also in the header X-Request-Id, and in the gateway's log."),
        "column": text("The column at fault."),
        "row": {**_COUNT, "description": "The row at fault, counted from 0."},
        "pointer": text("The place at fault in the body, a JSON Pointer (RFC 6901)."),
        "nearest": text("The name that was perhaps meant."),
        "error": text("The detail once more, for clients of the Open Inference Protocol."),
    },
}
_FEEDBACK_ROW = {
    "prediction_id": text(f"As the gateway gave it, at most {LATEST.days} days ago.", format="uuid"),
    "value": any_of("What became of it.", text(), _NUMBER, _YES_OR_NO),
}
_FEEDBACK_OPTIONS = {
    "kind": text("What the value is.", enum=list(KINDS), default="label"),
    "name": text("Which of several feedbacks of a kind.", default="label"),
    "source": text("Who says so; of each source the latest counts.", default=""),
    "event_time": text("ISO 8601; the present where left out."),
}
_VARIANT = members(
    "One variant of an endpoint.",
    {
        "name": text(),
        "model_version": text("As flights/3."),
        "share": {"type": "number", "minimum": 0, "maximum": 1, "description": "Share of the units."},
        "shadow": {**_YES_OR_NO, "description": "Whether it is scored after the reply, and only logged."},
        "bundle": text("The digest of what is loaded."),
        "runtime": text("How it is run: onnx, or python."),
        "runtime_reason": text("Why it is not run as ONNX; else empty."),
        "classes": array(_ANY, "The labels; empty for a regression."),
    },
)
_COLUMN = members(
    "One column that a request must have.",
    {
        "name": text(),
        "type": text(enum=["double", "long", "boolean", "string"]),
        "nullable": {**_YES_OR_NO, "description": "Whether a value may be missing."},
    },
)
_ENDPOINT = members(
    "An endpoint as it is served now.",
    {
        "name": text(),
        "revision": {"type": "integer"},
        "task": text(enum=["classification", "regression"]),
        "unit": text("What a unit is, as tailnum; empty where none is named."),
        "variants": array(reference("Variant")),
        "signature": array(reference("Column")),
    },
)
_TENSOR = {
    "name": text(),
    "datatype": text(enum=[*DTYPES, BYTES]),
    "shape": array(_COUNT),
}
_BINARY_SIZE = members(
    "Of a tensor whose values stand, as bytes, after the JSON.",
    {},
    {"binary_data_size": _COUNT},
    additionalProperties=True,
)
_WANTED_OUTPUT = members("An output that is wanted.", {"name": text()}, {"parameters": {"type": "object"}})
_INFER_REQUEST = members(
    "One tensor a column, of shape [n] or [n, 1]; or one of shape [n, columns], in the signature's order.",
    {"inputs": array(any_of("", reference("InputTensor"), reference("BinaryInputTensor")))},
    {
        "id": text("Echoed."),
        "model_name": text("The model that the path names, or left out."),
        "parameters": {"type": "object", "description": "binary_data_output: true wants every output as bytes."},
        "outputs": array(_WANTED_OUTPUT, f"Which outputs are wanted; all where left out: {', '.join(OUTPUTS)}."),
    },
)
_INFER_REPLY = members(
    "One tensor an output, of shape [n].",
    {"model_name": text(), "outputs": array(reference("OutputTensor"))},
    {"model_version": text("Left out where several versions answered."), "id": text()},
)
_TENSOR_METADATA = members(
    "A tensor that a model takes or gives.",
    {"name": text(), "datatype": text(enum=[*DTYPES, BYTES]), "shape": array({"type": "integer"}, "-1: any size.")},
)
_MODEL_METADATA = members(
    "An endpoint as the Open Inference Protocol tells of a model.",
    {
        "name": text(),
        "versions": array(text()),
        "platform": text(),
        "inputs": array(reference("TensorMetadata")),
        "outputs": array(reference("TensorMetadata")),
    },
)
_MLFLOW_ENDPOINT = members(
    "An endpoint as MLflow's deployments client reads it.",
    {
        "name": text(),
        "endpoint_type": text(),
        "model": members("What it serves.", {"name": text(), "provider": text()}),
        "endpoint_url": text(),
        "limit": {"type": ["object", "null"], "description": "Always null."},
    },
)

SCHEMAS: dict[str, Schema] = {
    "Predictions": _PREDICTIONS,
    "Problem": _PROBLEM,
    "Feedback": any_of("A list of rows, or one row.", reference("FeedbackRows"), reference("FeedbackRow")),
    "FeedbackRows": members("What became of predictions.", {"feedback": array(reference("FeedbackRow"))}),
    "FeedbackRow": members("What became of one prediction.", _FEEDBACK_ROW, _FEEDBACK_OPTIONS),
    "Accepted": members("How many rows were taken, all on disk.", {"accepted": _COUNT}),
    "Endpoint": _ENDPOINT,
    "Endpoints": members(
        "Every endpoint, and why others could not be loaded.",
        {
            "endpoints": array(reference("Endpoint")),
            "unavailable": {"type": "object", "additionalProperties": text()},
        },
    ),
    "Variant": _VARIANT,
    "Column": _COLUMN,
    "Live": members("The process answers.", {"status": text(enum=["live"]), "id": text("Unique for each start.")}),
    "Readiness": members(
        "Whether everything is loaded and the log can be written, and what stands against it.",
        {
            "status": text(enum=["starting", "ready", "degraded", "draining"]),
            "id": text("Unique for each start."),
            "version": text("The version that it was started by; a worker that was replaced since may be newer."),
            "reasons": array(text()),
            "workers": members("The worker processes.", {"running": _COUNT, "restarts": _COUNT}),
            "log": members(
                "The prediction log.", {"state": text(enum=["ok", "on_reserve", "failed"]), "reason": text()}
            ),
        },
    ),
    "Ready": members("Whether everything is loaded and the log can be written.", {"ready": _YES_OR_NO}),
    "InputTensor": members("A tensor with its values, row-major.", {**_TENSOR, "data": array(_ANY)}),
    "BinaryInputTensor": members(
        "A tensor whose values stand, as bytes, after the JSON.", {**_TENSOR, "parameters": reference("BinarySize")}
    ),
    "OutputTensor": members(
        "A tensor of a reply.", _TENSOR, {"data": array(_ANY), "parameters": reference("BinarySize")}
    ),
    "BinarySize": _BINARY_SIZE,
    "InferRequest": _INFER_REQUEST,
    "InferReply": _INFER_REPLY,
    "ServerMetadata": members("What the server is.", {"name": text(), "version": text(), "extensions": array(text())}),
    "ServerLive": members("The process answers.", {"live": _YES_OR_NO}),
    "ModelReady": members("The endpoint is loaded.", {"name": text(), "ready": _YES_OR_NO}),
    "ModelMetadata": _MODEL_METADATA,
    "TensorMetadata": _TENSOR_METADATA,
    "MlflowEndpoint": _MLFLOW_ENDPOINT,
    "MlflowEndpoints": members("Every endpoint.", {"endpoints": array(reference("MlflowEndpoint"))}),
}
