"""The Open Inference Protocol v2: tensors, and Triton's own client, unchanged, against a gateway on a socket."""

from __future__ import annotations

import struct
import warnings
from collections.abc import Iterator
from typing import Any

import httpx
import numpy as np
import orjson
import pytest

from mlprod_nb.registry.bundles import Bundle, Column, Signature
from mlprod_nb.serving.errors import MalformedRequest
from mlprod_nb.serving.protocols import open_inference
from tests.serving.workshop import Workshop, logged, make_workshop, on_a_socket

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import tritonclient.http as triton
    from tritonclient.http.auth import BasicAuth
    from tritonclient.utils import InferenceServerException

SIGNATURE = Signature((Column("x", "double", nullable=True), Column("y", "double", nullable=False)))
DISTANCES, CARRIERS = [100.0, 2900.0], ["UA", "AA"]


def tensor(name: str, datatype: str, shape: list[int], data: Any = None, size: int | None = None) -> dict[str, Any]:
    kept = {"data": data} if size is None else {"parameters": {"binary_data_size": size}}
    return {"name": name, "datatype": datatype, "shape": shape, **kept}


def read(*inputs: Any, tail: bytes = b"", **members: Any) -> open_inference.InferRequest:
    text = orjson.dumps({"inputs": list(inputs), **members})
    return open_inference.read(text + tail, str(len(text)) if tail else None, SIGNATURE, MODEL)


MODEL = "flights"
PAIR = tensor("x", "FP64", [2], [1, 3]), tensor("y", "FP64", [2], [2, 4])


@pytest.mark.parametrize(
    ("inputs", "tail"),
    [
        (PAIR, b""),
        ((tensor("y", "INT32", [2, 1], [[2], [4]]), tensor("x", "FP32", [2, 1], [1.0, 3.0])), b""),
        ((tensor("all", "FP64", [2, 2], [[1, 2], [3, 4]]),), b""),
        ((tensor("all", "FP64", [2, 2], [1, 2, 3, 4]),), b""),
        ((tensor("all", "FP32", [2, 2], size=16),), np.array([1, 2, 3, 4], "<f4").tobytes()),
        ((tensor("all", "INT8", [2, 2], size=4),), bytes((1, 2, 3, 4))),
        ((tensor("x", "FP16", [2], size=4), PAIR[1]), np.array([1, 3], "<f2").tobytes()),
    ],
)
def test_one_tensor_a_column_and_one_for_all_read_as_the_same_rows(inputs: Any, tail: bytes) -> None:
    request = read(*inputs, tail=tail).scoring
    assert {name: list(request.columns[name]) for name in ("x", "y")} == {"x": [1, 3], "y": [2, 4]}
    assert request.rows == 2


def test_null_in_json_and_nan_in_binary_are_missing_numbers() -> None:
    assert list(read(tensor("x", "FP64", [2], [None, 1.5])).scoring.columns["x"]) == [None, 1.5]
    (number, _) = read(tensor("x", "FP64", [2], size=16), tail=struct.pack("<dd", float("nan"), 1)).scoring.columns["x"]
    assert np.isnan(number)


def test_a_number_means_the_same_in_json_and_in_binary() -> None:
    in_json = read(tensor("x", "FP32", [1], [0.1])).scoring.columns["x"]
    assert list(in_json) == list(
        read(tensor("x", "FP32", [1], size=4), tail=struct.pack("<f", 0.1)).scoring.columns["x"]
    )


@pytest.mark.parametrize(
    ("inputs", "tail", "words"),
    [
        ([], b"", "list of tensors"),
        ([1], b"", "an input must be an object"),
        ([tensor("x", "FP8", [1], [1])], b"", "no such datatype"),
        ([tensor("x", "FP64", [], [1])], b"", "shape must be a list of one to 8"),
        ([tensor("x", "FP64", [1] * 9, [1])], b"", "shape must be a list of one to 8"),
        ([tensor("x", "FP64", [-1], [1])], b"", "whole numbers"),
        ([tensor("x", "FP64", [10**18], [1])], b"", "has 1 values where its shape has 10"),
        ([tensor("x", "FP64", [2, 3], [[1, 2, 3], [4, 5]])], b"", "not nested as the shape says"),
        ([tensor("x", "FP64", [1, 1, 1], [1])], b"", "a shape that fits no column"),
        ([tensor("all", "FP64", [1, 3], [1, 2, 3])], b"", r"or one of shape \[n, 2\]"),
        ([tensor("x", "FP64", [0], [])], b"", "no rows"),
        ([PAIR[0], tensor("y", "FP64", [1], [1])], b"", "differ in their number of rows"),
        ([PAIR[0], PAIR[0]], b"", "name a column twice"),
        ([PAIR[0], tensor("all", "FP64", [2, 2], [1, 2, 3, 4])], b"", "name a column twice"),
        ([tensor("x", "FP64", [1], ["1"])], b"", "not of its datatype FP64"),
        ([tensor("x", "INT64", [1], [1.5])], b"", "not of its datatype INT64"),
        ([tensor("x", "UINT8", [1], [256])], b"", "not of its datatype UINT8"),
        ([tensor("x", "BOOL", [1], [1])], b"", "not of its datatype BOOL"),
        ([{**PAIR[0], "parameters": {"binary_data_size": 8}}], b"", "either data or binary_data_size"),
        ([{"name": "x", "datatype": "FP64", "shape": [1]}], b"", "either data or binary_data_size"),
        ([{**PAIR[0], "parameters": {"shared_memory_region": "r"}}], b"", "does not read shared memory"),
        ([tensor("x", "FP64", [1], size=8)], b"", "ends before the binary data"),
        ([tensor("x", "FP64", [1], size=8)], b"1" * 9, "more binary data than its tensors"),
        ([tensor("x", "FP64", [2], size=8)], b"1" * 8, "not as many bytes"),
        ([tensor("x", "BOOL", [1], size=1)], b"\x02", "must be the byte 0 or 1"),
        ([tensor("x", "BYTES", [1], size=5)], b"\x02\0\0\0a", "each after its length"),
        ([tensor("x", "BYTES", [1], size=5)], b"\x01\0\0\0\xff", "not UTF-8"),
        ([tensor("x", "BYTES", [1], size=3)], b"\x01\0\0", "each after its length"),
        ([tensor("x", "BYTES", [2], size=5)], b"\x01\0\0\0a", "has 1 values where its shape has 2"),
        ([tensor("x", "FP64", [1], size=-8)], b"", "binary_data_size must be a whole number"),
    ],
)
def test_a_tensor_that_is_none_is_told_what_is_wrong(inputs: Any, tail: bytes, words: str) -> None:
    with pytest.raises(MalformedRequest, match=words):
        read(*inputs, tail=tail)


@pytest.mark.parametrize(
    ("members", "words"),
    [
        ({"output": []}, "unknown key 'output'"),
        ({"model_name": "delay"}, "another than the path's, which is 'flights'"),
        ({"id": 3}, "id must be a text"),
        ({"parameters": []}, "parameters an object"),
        ({"parameters": {"sequence_id": 1}}, "keeps no sequences"),
        ({"parameters": {"binary_data_output": 1}}, "true or false"),
        ({"outputs": {}}, "list of objects"),
        ({"outputs": [{"name": "prediction"}]}, "Did you mean 'predictions'"),
        ({"outputs": [{"name": "scores"}, {"name": "scores"}]}, "name 'scores' twice"),
        ({"outputs": [{"name": "scores", "shape": [1]}]}, "an object with name"),
        ({"outputs": [{"name": "scores", "parameters": {"classification": 1}}]}, "neither the classification"),
    ],
)
def test_a_request_that_is_not_of_the_protocol_is_told_what_is_wrong(members: dict[str, Any], words: str) -> None:
    with pytest.raises(MalformedRequest, match=words):
        read(*PAIR, **members)


def test_the_model_may_be_named_in_the_body_as_kserves_client_does() -> None:
    assert read(*PAIR, model_name=MODEL).scoring == read(*PAIR).scoring


@pytest.mark.parametrize("length", ["", "-1", "1e3", "99999", "٣", "9" * 20])
def test_a_header_length_that_cannot_be_is_refused(length: str) -> None:
    with pytest.raises(MalformedRequest, match="Inference-Header-Content-Length"):
        open_inference.read(b"{}", length, SIGNATURE)


@pytest.mark.parametrize("length", ["40", "400"])
def test_the_length_that_a_client_left_in_headers_that_are_used_again_is_told_with_what_to_do(length: str) -> None:
    body = orjson.dumps({"inputs": [{"name": "distance", "datatype": "FP64", "shape": [1], "data": [1.0]}]})
    with pytest.raises(MalformedRequest, match="give each call a copy"):
        open_inference.read(body, length, SIGNATURE)


@pytest.mark.parametrize(
    ("classes", "datatype"),
    [([0, 1], "INT64"), ([False, True], "BOOL"), ([0.5, 1], "FP64"), (["a", "b"], "BYTES"), ([1, "b"], "BYTES")],
)
def test_predictions_have_the_datatype_of_their_labels(classes: Any, datatype: str) -> None:
    assert open_inference.prediction_datatype("classification", classes) == datatype
    assert open_inference.prediction_datatype("regression", []) == "FP64"


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory, serving_bundles: dict[str, Bundle]) -> Iterator[Any]:
    shop = make_workshop(tmp_path_factory.mktemp("inference") / "workspace", serving_bundles)
    with on_a_socket(shop) as (url, _):
        variants = (shop.variant("champion", version=3), shop.variant("challenger", version=4, weight=0))
        assert shop.outcome(shop.propose("flights", *variants)).outcome == "active"
        assert shop.outcome(shop.propose("delay", shop.variant("regression"))).outcome == "active"
        yield shop, httpx.URL(url)


@pytest.fixture
def client(served: tuple[Workshop, httpx.URL]) -> Iterator[Any]:
    shop, url = served
    with triton.InferenceServerClient(f"{url.host}:{url.port}") as made:
        made.register_plugin(BasicAuth("any", shop.token()))
        yield made


def inputs(*, binary: bool) -> list[Any]:
    distance = triton.InferInput("distance", [2], "FP64")
    distance.set_data_from_numpy(np.array(DISTANCES), binary_data=binary)
    carrier = triton.InferInput("carrier", [2, 1], "BYTES")
    carrier.set_data_from_numpy(np.array(CARRIERS, dtype=object).reshape(2, 1), binary_data=binary)
    return [distance, carrier]


def test_tritons_client_finds_the_server_and_its_models_ready(client: Any) -> None:
    assert client.is_server_live()
    assert client.is_server_ready()
    assert client.is_model_ready("flights")
    assert client.is_model_ready("flights", "4")
    assert not client.is_model_ready("flights", "5")
    assert not client.is_model_ready("trains")
    assert client.get_server_metadata()["extensions"] == ["binary_tensor_data"]


def test_tritons_client_reads_what_a_model_takes_and_gives(client: Any) -> None:
    found = client.get_model_metadata("flights")
    assert found == client.get_model_metadata("flights", "3")
    assert found["versions"] == ["3", "4"]
    assert found["inputs"] == [
        {"name": "distance", "datatype": "FP64", "shape": [-1]},
        {"name": "carrier", "datatype": "BYTES", "shape": [-1]},
    ]
    assert {output["name"]: output["datatype"] for output in found["outputs"]} == {
        "predictions": "INT64",
        "scores": "FP64",
        "prediction_ids": "BYTES",
        "variant": "BYTES",
        "model_version": "BYTES",
    }


@pytest.mark.parametrize("binary_in", [True, False])
@pytest.mark.parametrize("binary_out", [True, False, None])
def test_tritons_client_gets_the_same_answers_in_json_and_in_binary(
    served: tuple[Workshop, httpx.URL], client: Any, binary_in: bool, binary_out: bool | None
) -> None:
    names = ("predictions", "scores", "prediction_ids", "variant", "model_version")
    wanted = [triton.InferRequestedOutput(name, binary_data=binary_out) for name in names if binary_out is not None]
    result = client.infer("flights", inputs(binary=binary_in), request_id="mine", outputs=wanted or None)
    assert result.as_numpy("predictions").tolist() == [0, 1]
    assert result.as_numpy("scores") == pytest.approx([0.0, 1.0], abs=0.2)
    assert set(_texts(result, "variant")) == {"champion"}
    assert set(_texts(result, "model_version")) == {"flights/3"}
    told = result.get_response()
    assert (told["id"], told["model_name"], told["model_version"]) == ("mine", "flights", "3")
    rows = {found["prediction_id"]: found for found in logged(served[0])}
    assert [rows[key]["inputs"] for key in _texts(result, "prediction_ids")] == [
        {"distance": distance, "carrier": carrier} for distance, carrier in zip(DISTANCES, CARRIERS, strict=True)
    ]


def _texts(result: Any, name: str) -> list[str]:
    return [text.decode() if isinstance(text, bytes) else text for text in result.as_numpy(name)]


def test_tritons_client_may_send_one_tensor_for_all_columns(client: Any) -> None:
    matrix = triton.InferInput("input-0", [3, 1], "FP32")
    matrix.set_data_from_numpy(np.array([[1], [2], [3.5]], dtype=np.float32))
    result = client.infer("delay", [matrix])
    assert result.as_numpy("predictions") == pytest.approx([2.0, 4.0, 7.0], abs=1e-3)


def test_tritons_client_sends_units_moments_and_ids_in_headers(served: tuple[Workshop, httpx.URL], client: Any) -> None:
    headers = {"X-Mlprod-Unit": "N7", "X-Mlprod-Event-Time": "2013-04-01T06:00:00Z", "X-Mlprod-Client-Id": "mine"}
    result = client.infer("flights", inputs(binary=True), headers=headers)
    assert _texts(result, "client_ids") == ["mine", "mine"]
    rows = [found for found in logged(served[0]) if found["prediction_id"] in _texts(result, "prediction_ids")]
    assert {(found["unit"], found["event_time"].isoformat()) for found in rows} == {("N7", "2013-04-01T06:00:00+00:00")}
    with pytest.raises(InferenceServerException, match="explain is not available over this protocol"):
        client.infer("flights", inputs(binary=True), headers={"X-Mlprod-Explain": "true"})


def test_a_version_may_be_asked_by_those_who_may_deploy(served: tuple[Workshop, httpx.URL], client: Any) -> None:
    shop, url = served
    assert set(_texts(client.infer("flights", inputs(binary=True), model_version="4"), "variant")) == {"challenger"}
    with triton.InferenceServerClient(f"{url.host}:{url.port}") as caller:
        headers = {"Authorization": f"Bearer {shop.token('caller')}"}
        assert caller.infer("flights", inputs(binary=True), headers=headers)
        with pytest.raises(InferenceServerException, match="may not deploy") as caught:
            caller.infer("flights", inputs(binary=True), model_version="4", headers=headers)
        assert caught.value.status() == "403"
        assert caller.infer("delay", [_distance()], model_version="1", headers=headers)  # it has no other


def _distance() -> Any:
    made = triton.InferInput("distance", [1], "FP64")
    made.set_data_from_numpy(np.array([1.0]))
    return made


def test_tritons_client_shows_what_the_gateway_says(served: tuple[Workshop, httpx.URL], client: Any) -> None:
    for name, given, words, status in (
        ("fligths", inputs(binary=True), "Did you mean 'flights'", "404"),
        ("flights", inputs(binary=True)[:1], "column 'carrier' is missing", "422"),
        ("flights", [_distance(), _distance()], "name a column twice", "400"),
    ):
        with pytest.raises(InferenceServerException, match=words) as caught:
            client.infer(name, given)
        assert caught.value.status() == status
    _, url = served
    with (
        triton.InferenceServerClient(f"{url.host}:{url.port}") as nobody,
        pytest.raises(InferenceServerException, match="bearer token"),
    ):
        nobody.get_model_metadata("flights")
    with pytest.raises(InferenceServerException, match="Not Found"):
        client.get_model_config("flights")


def test_an_output_that_is_not_there_is_refused_before_anything_is_predicted(
    served: tuple[Workshop, httpx.URL], client: Any
) -> None:
    before = len(logged(served[0]))
    with pytest.raises(InferenceServerException, match="there is no output 'probabilities'"):
        client.infer("flights", inputs(binary=True), outputs=[triton.InferRequestedOutput("probabilities")])
    assert len(logged(served[0])) == before
