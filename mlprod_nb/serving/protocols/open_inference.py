"""The Open Inference Protocol v2 over HTTP, as Triton and KServe clients speak it.

An endpoint is a model, and a variant's version is a version of it. A request has one tensor a column, of shape ``[n]``
or ``[n, 1]``, or one tensor of shape ``[n, columns]`` whose values are in the signature's order. Parameters that the
gateway does not know are passed over, as the protocol allows; unknown keys are not.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from mlprod_nb.errors import nearest
from mlprod_nb.registry.bundles import ClassLabel, ColumnType, Signature, Task
from mlprod_nb.routing import Variant
from mlprod_nb.serving.errors import MalformedRequest
from mlprod_nb.serving.protocols import tensors
from mlprod_nb.serving.protocols.scoring import Columns, ScoringRequest
from mlprod_nb.serving.protocols.strict import read_object
from mlprod_nb.serving.protocols.tensors import BYTES, Tail, Tensor

HEADER_LENGTH = "inference-header-content-length"
JSON, BINARY = "application/json", "application/octet-stream"
DATATYPES: dict[ColumnType, str] = {"double": "FP64", "long": "INT64", "boolean": "BOOL", "string": BYTES}
OUTPUTS = ("predictions", "scores", "prediction_ids", "variant", "model_version")
CLIENT_IDS = "client_ids"
"""Sent where the request has client ids, or asks for them by name: then a row without one has an empty text."""
_KEYS = ("id", "parameters", "inputs", "outputs")
_MODEL = "model_name"
"""The path names the model. KServe's client names it in the body, too, which the protocol does not know."""

_OUTPUT_KEYS = ("name", "parameters")
_MOST_SPACE = 16  # most white space that may follow the JSON before its tensors' bytes
_OWN_HEADERS = "tritonclient and kserve write it into the headers that they are given: give each call a copy."
_STATEFUL = ("sequence_id", "sequence_start", "sequence_end")


@dataclass(frozen=True)
class InferRequest:
    """One request.

    Attributes:
        scoring: Its rows.
        id: The caller's id for it, only echoed; empty where it has none.
        outputs: Each output that is wanted, and whether as binary data; ``None`` for all.
        binary: Whether an output that does not say so itself is wanted as binary data.
    """

    scoring: ScoringRequest
    id: str
    outputs: Mapping[str, bool] | None
    binary: bool


def read(body: bytes, header_length: str | None, signature: Signature, model: str = "") -> InferRequest:
    """Read a request.

    Args:
        body: The request's body: JSON, and binary data after it.
        header_length: How many bytes of it are JSON, as the request's header says; ``None`` for all.
        signature: What the endpoint takes.
        model: The model that the path names.

    Raises:
        MalformedRequest: It is not of this protocol.
    """
    text, tail = _divide(body, header_length)
    data = read_object(text)
    if data.pop(_MODEL, model) != model:
        raise MalformedRequest(f"{_MODEL} is another than the path's, which is {model!r}.")
    for key in data:
        if key not in _KEYS:
            raise MalformedRequest(f"the request has the unknown key {key!r}.", hint=f"There is: {', '.join(_KEYS)}.")
    name, parameters = data.get("id", ""), data.get("parameters", {})
    if not isinstance(name, str) or not isinstance(parameters, dict):
        raise MalformedRequest("id must be a text, and parameters an object.")
    if any(key in parameters for key in _STATEFUL):
        raise MalformedRequest("the gateway keeps no sequences of requests.", hint="Leave sequence_id out.")
    binary = _flag(parameters, "binary_data_output", default=False)
    inputs = data.get("inputs")
    if not isinstance(inputs, list) or not inputs:
        raise MalformedRequest("inputs must be a list of tensors.")
    found = [tensors.read(given, tail) for given in inputs]
    tail.finish()
    columns, rows = _columns(found, signature.names)
    return InferRequest(ScoringRequest(columns, rows), name, _outputs(data.get("outputs"), default=binary), binary)


def predictions(values: Sequence[Any], task: Task, classes: Sequence[ClassLabel]) -> Tensor:
    """Return predictions as a tensor."""
    datatype = prediction_datatype(task, classes)
    return Tensor("predictions", datatype, (len(values),), [str(v) for v in values] if datatype == BYTES else values)


def prediction_datatype(task: Task, classes: Sequence[ClassLabel]) -> str:
    """Return the datatype of predictions: that of the labels, and texts where those are of several kinds."""
    if task == "regression":
        return "FP64"
    kinds = set(map(type, classes))
    if kinds == {bool}:
        return "BOOL"
    if kinds == {int}:
        return "INT64"
    return "FP64" if kinds <= {int, float} else BYTES


def reply(request: InferRequest, model: str, version: str, found: Sequence[Tensor]) -> tuple[bytes, dict[str, str]]:
    """Write a reply.

    Args:
        request: What was asked.
        model: The model's name.
        version: The version that answered every row; empty where several did.
        found: All outputs.

    Returns:
        The body and its headers.
    """
    by_name = {tensor.name: tensor for tensor in found}
    usual = OUTPUTS if request.scoring.client_ids is None else (*OUTPUTS, CLIENT_IDS)
    described, tail = [], []
    for name, binary in (request.outputs or dict.fromkeys(usual, request.binary)).items():
        tensor = by_name[name]
        part: dict[str, Any] = {"name": name, "datatype": tensor.datatype, "shape": list(tensor.shape)}
        if binary:
            tail.append(tensors.pack(tensor))
            part["parameters"] = {"binary_data_size": len(tail[-1])}
        else:
            part["data"] = list(tensor.values)
        described.append(part)
    document: dict[str, Any] = {"model_name": model, "outputs": described}
    document |= {"model_version": version} if version else {}
    document |= {"id": request.id} if request.id else {}
    text = orjson.dumps(document)
    if not tail:
        return text, {"content-type": JSON}
    return b"".join((text, *tail)), {"content-type": BINARY, HEADER_LENGTH: str(len(text))}


def metadata(
    model: str, variants: Sequence[Variant], signature: Signature, task: Task, classes: Sequence[ClassLabel]
) -> dict[str, Any]:
    """Return what the protocol tells of a model."""
    kinds = dict.fromkeys(OUTPUTS, BYTES) | {"predictions": prediction_datatype(task, classes), "scores": "FP64"}
    return {
        "name": model,
        "versions": sorted({str(variant.version) for variant in variants}, key=int),
        "platform": "mlprod_bundle",
        "inputs": [
            {"name": column.name, "datatype": DATATYPES[column.type], "shape": [-1]} for column in signature.columns
        ],
        "outputs": [{"name": name, "datatype": datatype, "shape": [-1]} for name, datatype in kinds.items()],
    }


def _divide(body: bytes, header_length: str | None) -> tuple[bytes, Tail]:
    if header_length is None:
        return body, Tail(b"")
    if not (header_length.isascii() and header_length.isdigit() and len(header_length) < 12):
        raise MalformedRequest("Inference-Header-Content-Length must be a whole number.")
    length = int(header_length)
    if length > len(body):
        raise MalformedRequest("Inference-Header-Content-Length is more than the body has.", hint=_OWN_HEADERS)
    if not body[max(0, length - _MOST_SPACE) : length].rstrip().endswith((b"}", b"]")):
        raise MalformedRequest("the JSON does not end where Inference-Header-Content-Length says.", hint=_OWN_HEADERS)
    return body[:length], Tail(body[length:])


def _columns(found: Sequence[Tensor], names: Sequence[str]) -> tuple[Columns, int]:
    rows, width = found[0].shape[0], len(names)
    if rows == 0:
        raise MalformedRequest("the request has no rows.")
    columns: Columns = {}
    for number, tensor in enumerate(found):
        pointer = f"/inputs/{number}"
        if tensor.shape[0] != rows:
            raise MalformedRequest("the inputs differ in their number of rows.", pointer=pointer)
        if tensor.shape[1:] == (width,) and tensor.name not in names:
            parts: Columns = {name: tensor.values[place::width] for place, name in enumerate(names)}
        elif tensor.shape[1:] in {(), (1,)}:
            parts = {tensor.name: tensor.values}
        else:
            raise MalformedRequest(
                f"input {tensor.name!r} has a shape that fits no column.",
                pointer=f"{pointer}/shape",
                hint=f"Send one tensor a column, of shape [n] or [n, 1], or one of shape [n, {width}].",
            )
        if not columns.keys().isdisjoint(parts):
            raise MalformedRequest("the inputs name a column twice.", pointer=pointer)
        columns |= parts
    return columns, rows


def _outputs(given: Any, *, default: bool) -> dict[str, bool] | None:
    if given is None or given == []:
        return None
    if not isinstance(given, list) or not all(isinstance(item, dict) for item in given):
        raise MalformedRequest("outputs must be a list of objects with a name.")
    found: dict[str, bool] = {}
    for item in given:
        name, parameters = item.get("name"), item.get("parameters", {})
        if not isinstance(name, str) or not isinstance(parameters, dict) or not item.keys() <= set(_OUTPUT_KEYS):
            raise MalformedRequest("an output must be an object with name and, perhaps, parameters.")
        if name not in (*OUTPUTS, CLIENT_IDS):
            raise _no_output(name)
        if name in found:
            raise MalformedRequest(f"outputs name {name!r} twice.")
        if "classification" in parameters or "shared_memory_region" in parameters:
            raise MalformedRequest("the gateway knows neither the classification nor the shared memory extension.")
        found[name] = _flag(parameters, "binary_data", default=default)
    return found


def _flag(parameters: Mapping[str, Any], key: str, *, default: bool) -> bool:
    value = parameters.get(key, default)
    if not isinstance(value, bool):
        raise MalformedRequest(f"the parameter {key} must be true or false.")
    return value


def _no_output(name: str) -> MalformedRequest:
    suggestion = nearest(name, OUTPUTS)
    hint = f"Did you mean {suggestion!r}?" if suggestion else f"There is: {', '.join(OUTPUTS)}."
    return MalformedRequest(f"there is no output {name!r}.", hint=hint)
