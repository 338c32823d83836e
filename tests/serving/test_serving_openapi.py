"""The OpenAPI document says what the gateway does: every operation is called, every reply held against its schema."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import httpx
import jsonschema
import openapi_spec_validator
import orjson
import pytest

from mlprod_nb.registry.bundles import Bundle
from mlprod_nb.serving.appending import LogAppender, LogCondition
from tests.serving.workshop import Workshop, make_workshop, on_a_socket

INVOCATIONS = "/endpoints/{name}/invocations"
Operation = tuple[str, str, dict[str, Any]]


class Interface:
    """A gateway, its document, and calls whose replies are held against it."""

    def __init__(self, shop: Workshop, url: str, app: Any) -> None:
        self.shop = shop
        self.app = app
        headers = {"Authorization": f"Bearer {shop.token()}"}
        self.client = httpx.Client(base_url=url, headers=headers, trust_env=False, timeout=20)
        self.document: dict[str, Any] = self.client.get("/openapi.json").json()

    def operations(self) -> Iterator[Operation]:
        for path, item in self.document["paths"].items():
            for verb in item.keys() - {"parameters"}:
                yield verb, path, item[verb]

    def call(self, verb: str, path: str, **options: Any) -> httpx.Response:
        """Call an operation; check that the document knows the reply's status, media type and form."""
        operation = self.document["paths"][path][verb]
        url = path.format(name=options.pop("name", "flights"), version=options.pop("version", "1"))
        reply = self.client.request(verb, url, **options)
        documented = operation["responses"].get(str(reply.status_code), operation["responses"]["default"])
        kind = reply.headers["content-type"].partition(";")[0]
        assert kind in documented["content"], f"{verb} {url}: {reply.status_code} {kind}"
        if kind.endswith("json"):
            self.check(reply.json(), documented["content"][kind]["schema"])
        if kind == "application/problem+json":
            assert reply.json().keys() <= self.document["components"]["schemas"]["Problem"]["properties"].keys()
            assert reply.json()["status"] == reply.status_code
            assert str(reply.status_code) in operation["responses"], f"{verb} {url}: {reply.status_code}"
        assert reply.headers["x-request-id"]
        return reply

    def check(self, value: Any, schema: dict[str, Any]) -> None:
        validator = jsonschema.Draft202012Validator({**schema, "components": self.document["components"]})
        validator.validate(value)

    def example(self, operation: dict[str, Any], kind: str = "application/json") -> Any:
        """Return an operation's example; a prediction id in it becomes one that the gateway gave a moment ago."""
        example = operation["requestBody"]["content"][kind]["example"]
        if "feedback" not in example:
            return example
        key = self.client.post("/endpoints/flights/invocations", json=FLIGHT).json()["prediction_ids"][0]
        return {"feedback": [{**row, "prediction_id": key} for row in example["feedback"]]}


FLIGHT = {"inputs": {"distance": [1], "carrier": ["AA"]}}


@pytest.fixture(scope="module")
def interface(tmp_path_factory: pytest.TempPathFactory, serving_bundles: dict[str, Bundle]) -> Iterator[Interface]:
    shop = make_workshop(tmp_path_factory.mktemp("openapi") / "workspace", serving_bundles)
    with on_a_socket(shop) as (url, app):
        assert shop.outcome(shop.propose("flights", shop.variant("champion"), unit="tailnum")).outcome == "active"
        made = Interface(shop, url, app)
        yield made
        made.client.close()


def test_the_document_is_valid_with_and_without_endpoints(interface: Interface) -> None:
    openapi_spec_validator.validate(interface.document)
    nobody = httpx.get(f"{interface.client.base_url}/openapi.json", trust_env=False).json()
    openapi_spec_validator.validate(nobody)
    assert nobody["paths"].keys() < interface.document["paths"].keys()


def test_every_route_is_in_the_document_and_every_operation_has_its_name(interface: Interface) -> None:
    routes = {(verb.lower(), route.path) for route in interface.app.routes for verb in route.methods - {"HEAD"}}
    described = {(verb, path) for verb, path, _ in interface.operations() if "flights" not in path}
    pages = {(verb, path) for verb, path in routes if path.startswith("/reports")}  # which people read in a browser
    assert routes - described - pages == {("get", path) for path in ("/", "/docs", "/openapi.json")}
    assert described <= routes
    names = [operation["operationId"] for _, _, operation in interface.operations()]
    assert len(set(names)) == len(names)


def test_every_operation_answers_its_example_as_its_schema_says(interface: Interface) -> None:
    for verb, path, operation in interface.operations():
        given = {"json": interface.example(operation)} if "requestBody" in operation else {}
        reply = interface.call(verb, path, **given)
        assert reply.status_code == 200, f"{verb} {path}: {reply.text}"


def test_every_example_is_as_its_own_schema_says(interface: Interface) -> None:
    for _, _, operation in interface.operations():
        for kind, content in operation.get("requestBody", {}).get("content", {}).items():
            if "example" in content:
                interface.check(interface.example(operation, kind), content["schema"])


def test_a_csv_example_is_answered_too(interface: Interface) -> None:
    for verb, path, operation in interface.operations():
        if "text/csv" in operation.get("requestBody", {}).get("content", {}):
            example = interface.example(operation, "text/csv")
            reply = interface.call(verb, path, content=example, headers={"Content-Type": "text/csv"})
            assert reply.status_code == 200, reply.text


@pytest.mark.parametrize(
    "body",
    [
        {"dataframe_split": {"columns": ["distance", "carrier"], "data": [[1, "AA"]], "index": [0]}},
        {"dataframe_split": {"data": [[1, "AA"]]}, "units": ["N1"], "event_time": "2013-04-01"},
        {"dataframe_records": [{"distance": 1, "carrier": "AA"}], "client_ids": [{"any": "thing"}]},
        {"instances": [[1, "AA"], [2, "UA"]], "units": [None, 7], "event_time": ["2013-04-01", None]},
        {"inputs": [[1, "AA"]], "params": {}, "explain": True},
        {**FLIGHT, "params": None, "units": None, "event_time": None, "client_ids": None, "explain": False},
    ],
)
def test_what_the_schema_of_a_request_allows_is_answered_as_the_schema_of_the_reply_says(
    interface: Interface, body: Any
) -> None:
    content = interface.document["paths"]["/endpoints/flights/invocations"]["post"]["requestBody"]["content"]
    interface.check(body, content["application/json"]["schema"])
    assert interface.call("post", INVOCATIONS, json=body).status_code == 200


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({}, 400),
        ({**FLIGHT, "instances": [[1, "AA"]]}, 400),
        ({**FLIGHT, "unit": ["N1"]}, 400),
        ({**FLIGHT, "explain": "yes"}, 400),
        ({**FLIGHT, "params": {"alpha": 1}}, 422),
        ({**FLIGHT, "units": [1.5]}, 422),
        ({"inputs": {"distance": ["far"], "carrier": ["AA"]}}, 422),
    ],
)
def test_what_the_schema_of_a_request_forbids_is_refused(interface: Interface, body: Any, status: int) -> None:
    content = interface.document["paths"]["/endpoints/flights/invocations"]["post"]["requestBody"]["content"]
    with pytest.raises(jsonschema.ValidationError):
        interface.check(body, content["application/json"]["schema"])
    assert interface.call("post", INVOCATIONS, json=body).status_code == status


def test_every_problem_of_every_operation_is_one_of_those_that_it_names(interface: Interface) -> None:
    deep = b"[" * 100
    for verb, path, operation in interface.operations():
        if operation["security"]:
            assert interface.call(verb, path, headers={"Authorization": ""}).status_code == 401
            assert interface.call(verb, path, headers={"Authorization": "Bearer wrong"}).status_code == 401
            token = "caller" if path == "/metrics" else "viewer"
            headers = {"Authorization": f"Bearer {interface.shop.token(token)}"}
            denied = interface.call(verb, path, headers=headers).status_code
            assert denied == 403
        if "{name}" in path:
            given = {"json": interface.example(operation)} if verb == "post" else {}
            assert interface.call(verb, path, name="fligths", **given).json()["nearest"] == "flights"
        if "{version}" in path:
            given = {"json": interface.example(operation)} if verb == "post" else {}
            assert interface.call(verb, path, version="7", **given).status_code == 404
        if verb == "post":
            for content, kind, status in (
                (b"{", "application/json", 400),
                (deep, "application/json", 400),
                (b'{"a": 1, "a": 2}', "application/json", 400),
                (b"<a/>", "text/xml", 415),
                (b" " * (8 * 2**20 + 1), "application/json", 413),
            ):
                reply = interface.call(verb, path, content=content, headers={"Content-Type": kind})
                assert reply.status_code == status, f"{verb} {path}"


def test_a_binary_reply_is_of_a_media_type_that_is_named(interface: Interface) -> None:
    path = "/v2/models/{name}/infer"
    example = interface.example(interface.document["paths"][path]["post"])
    reply = interface.call("post", path, json={**example, "parameters": {"binary_data_output": True}})
    assert reply.headers["content-type"] == "application/octet-stream"
    length = int(reply.headers["inference-header-content-length"])
    interface.check(orjson.loads(reply.content[:length]), {"$ref": "#/components/schemas/InferReply"})


def test_a_gateway_that_is_not_ready_says_so_as_its_schema_says(
    interface: Interface, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(LogAppender, "condition", LogCondition("failed", "Input/output error"))
    for path in ("/health/ready", "/health", "/ping", "/v2/health/ready"):
        assert interface.call("get", path).status_code == 503


def test_names_in_the_document_are_such_as_a_generator_can_use(interface: Interface) -> None:
    names = [operation["operationId"] for _, _, operation in interface.operations()]
    assert all(re.fullmatch(r"[A-Za-z][A-Za-z0-9_-]*", name) for name in names)
