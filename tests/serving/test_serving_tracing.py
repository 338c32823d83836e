"""Traces, as a collector receives them from a gateway on a socket."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from mlprod_nb.registry.bundles import Bundle
from mlprod_nb.serving.telemetry.tracing import OpenTelemetry, tracing
from mlprod_nb.settings import GatewaySettings
from tests.serving.workshop import body, make_workshop, on_a_socket, row

TRACE = "0af7651916cd43dd8448eb211c80319c"
PATH = "/endpoints/flights/invocations"


class Collector:
    """A collector of traces on a port of the loopback."""

    def __init__(self) -> None:
        self.spans: list[Any] = []
        self.service = ""
        collector = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                request = ExportTraceServiceRequest.FromString(self.rfile.read(int(self.headers["Content-Length"])))
                for resource in request.resource_spans:
                    collector.service = next(
                        each.value.string_value for each in resource.resource.attributes if each.key == "service.name"
                    )
                    collector.spans += [span for scope in resource.scope_spans for span in scope.spans]
                self.send_response(200)
                self.end_headers()

            def log_message(self, *arguments: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/v1/traces"


@pytest.fixture
def collector() -> Iterator[Collector]:
    made = Collector()
    thread = threading.Thread(target=made.server.serve_forever)
    thread.start()
    yield made
    made.server.shutdown()
    made.server.server_close()
    thread.join(10)


def attributes(span: Any) -> dict[str, Any]:
    return {each.key: getattr(each.value, each.value.WhichOneof("value")) for each in span.attributes}


def ask(tmp_path: Path, bundles: dict[str, Bundle], settings: str, *headers: dict[str, str]) -> list[httpx.Response]:
    """Ask a gateway once with each of the headers; the spans are sent when it has ended."""
    shop = make_workshop(tmp_path / "workspace", bundles, settings)
    with on_a_socket(shop) as (url, _):
        assert shop.outcome(shop.propose("flights", shop.variant("champion"))).outcome == "active"
        known = {"Authorization": f"Bearer {shop.token()}"}
        with httpx.Client(base_url=url, headers=known, trust_env=False, timeout=20) as client:
            client.get(
                "/endpoints"
            )  # the token is known from here on, so that the express lane would take what follows
            return [client.post(PATH, json=body(row()), headers=each) for each in headers]


def test_a_request_with_a_sampled_parent_is_traced_with_its_parts(
    tmp_path: Path, serving_bundles: dict[str, Bundle], collector: Collector
) -> None:
    settings = f'[gateway]\ntraces = "{collector.url}"\ntrace_share = 0\n'
    parent = f"00-{TRACE}-00f067aa0ba902b7-"
    replies = ask(
        tmp_path, serving_bundles, settings, {"traceparent": f"{parent}01"}, {"traceparent": f"{parent}00"}, {}
    )
    assert [reply.status_code for reply in replies] == [200, 200, 200]
    spans = {span.name: span for span in collector.spans}
    assert spans.keys() == {"POST /endpoints/{name}/invocations", "score", "append"}
    assert {span.trace_id.hex() for span in collector.spans} == {TRACE}
    request = spans["POST /endpoints/{name}/invocations"]
    assert request.parent_span_id.hex() == "00f067aa0ba902b7"
    assert {spans[name].parent_span_id for name in ("score", "append")} == {request.span_id}
    found = attributes(request)
    assert found["mlprod.request_id"] == replies[0].headers["x-request-id"]
    assert (found["http.response.status_code"], found["http.request.method"]) == (200, "POST")
    assert attributes(spans["score"])["mlprod.model_version"] == "flights/1"
    assert collector.service == "mlprod-gateway"


def test_the_share_says_how_many_of_the_others_are_traced(
    tmp_path: Path, serving_bundles: dict[str, Bundle], collector: Collector
) -> None:
    settings = f'[gateway]\ntraces = "{collector.url}"\ntrace_share = 1\n'
    replies = ask(tmp_path, serving_bundles, settings, {}, {})
    traced = {attributes(span).get("mlprod.request_id") for span in collector.spans}
    assert {reply.headers["x-request-id"] for reply in replies} <= traced


def test_a_collector_that_is_away_keeps_no_request_waiting(tmp_path: Path, serving_bundles: dict[str, Bundle]) -> None:
    settings = '[gateway]\ntraces = "http://127.0.0.1:9/v1/traces"\ntrace_share = 1\n'
    (reply,) = ask(tmp_path, serving_bundles, settings, {})
    assert reply.status_code == 200


def test_chance_chooses_about_the_share_that_is_asked_for() -> None:
    made = tracing(GatewaySettings(traces="http://127.0.0.1:9/v1/traces", trace_share=0.2), "test")
    assert isinstance(made, OpenTelemetry)
    assert 1_700 < sum(made.choose() for _ in range(10_000)) < 2_300  # 7.5 standard deviations
    made.close()
