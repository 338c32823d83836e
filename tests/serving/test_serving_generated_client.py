"""A client that a generator makes of the OpenAPI document asks, is answered, sends labels and reads what is wrong."""

from __future__ import annotations

import importlib
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import httpx
import pytest

from mlprod_nb.registry.bundles import Bundle
from tests.serving.workshop import make_workshop, on_a_socket

PACKAGE = "mlprod_gateway_client"


class Generated:
    """The generated package, and its client for a gateway that serves ``flights``."""

    def __init__(self, url: str, token: str, said: str) -> None:
        self.said = said
        self.models = importlib.import_module(f"{PACKAGE}.models")
        make = importlib.import_module(f"{PACKAGE}.client").AuthenticatedClient
        self.client = make(base_url=url, token=token, httpx_args={"trust_env": False})

    def operation(self, name: str) -> ModuleType:
        return importlib.import_module(f"{PACKAGE}.api.default.{name}")

    def call(self, name: str, *arguments: str, **options: Any) -> Any:
        return self.operation(name).sync(*arguments, client=self.client, **options)


@pytest.fixture(scope="module")
def generated(tmp_path_factory: pytest.TempPathFactory, serving_bundles: dict[str, Bundle]) -> Iterator[Generated]:
    folder = tmp_path_factory.mktemp("generated")
    shop = make_workshop(folder / "workspace", serving_bundles)
    with on_a_socket(shop) as (url, _):
        assert shop.outcome(shop.propose("flights", shop.variant("champion"), unit="tailnum")).outcome == "active"
        headers = {"Authorization": f"Bearer {shop.token()}"}
        document = httpx.get(f"{url}/openapi.json", headers=headers, trust_env=False).json()
        said = _generate(document, folder)
        with pytest.MonkeyPatch.context() as patch:
            patch.syspath_prepend(str(folder))
            made = Generated(url, shop.token(), said)
            with made.client:
                yield made
        for name in [name for name in sys.modules if name.startswith(PACKAGE)]:
            del sys.modules[name]


def _generate(document: dict[str, Any], folder: Path) -> str:
    (folder / "openapi.json").write_text(json.dumps(document))
    line = [sys.executable, "-m", "openapi_python_client", "generate", "--meta", "none"]
    line += ["--path", str(folder / "openapi.json"), "--output-path", str(folder / PACKAGE)]
    done = subprocess.run(line, capture_output=True, text=True, check=True)
    return done.stdout + done.stderr


def test_a_generator_reads_the_whole_document_but_for_csv(generated: Generated) -> None:
    complaints = [line for line in generated.said.splitlines() if line.startswith(("Unsupported", "Error", "Cannot"))]
    assert set(complaints) <= {"Unsupported content type text/csv"}
    assert generated.said.count("WARNING") == len(complaints)


def test_a_generated_client_asks_by_column_and_sends_labels(generated: Generated) -> None:
    models = generated.models
    columns = models.ColumnsFlights(distance=[940.0, 229.0], carrier=["AA", "UA"])
    reply = generated.call("predict_flights", body=models.InputsFlights(inputs=columns, units=["N1", None]))
    assert len(reply.predictions) == len(reply.scores) == len(reply.prediction_ids) == 2
    rows = [models.FeedbackRow(prediction_id=key, value=1) for key in reply.prediction_ids]
    assert generated.call("feedback", "flights", body=models.FeedbackRows(feedback=rows)).accepted == 2
    assert generated.call("feedback", "flights", body=rows[0]).accepted == 1


@pytest.mark.parametrize(
    ("form", "rows"),
    [
        ("Inputs", {"inputs": [[940.0, "AA"]]}),
        ("Instances", {"instances": [[940.0, "AA"]]}),
        ("DataframeRecords", {"dataframe_records": [{"distance": 940.0, "carrier": "AA"}]}),
        ("DataframeSplit", {"dataframe_split": {"columns": ["carrier", "distance"], "data": [["AA", 940.0]]}}),
    ],
)
def test_a_generated_client_has_each_form_of_a_request(generated: Generated, form: str, rows: dict[str, Any]) -> None:
    body = getattr(generated.models, form).from_dict({**rows, "explain": True, "client_ids": ["mine"]})
    reply = generated.call("predict", "flights", body=body)
    assert reply.client_ids == ["mine"]
    assert reply.contributions[0].additional_properties.keys() == {"distance", "carrier"}


def test_a_generated_client_reads_problems(generated: Generated) -> None:
    models = generated.models
    columns = models.ColumnsFlights(distance=[None], carrier=["AA"])
    problem = generated.call("predict_flights", body=models.InputsFlights(inputs=columns))
    assert (problem.status, problem.column, problem.row) == (422, "distance", 0)


def test_a_generated_client_asks_in_tensors_and_reads_the_state(generated: Generated) -> None:
    models = generated.models
    tensors = [
        models.InputTensor(name="distance", datatype=models.InputTensorDatatype.FP64, shape=[1], data=[940.0]),
        models.InputTensor(name="carrier", datatype=models.InputTensorDatatype.BYTES, shape=[1], data=["AA"]),
    ]
    reply = generated.call("model_infer", "flights", body=models.InferRequest(inputs=tensors))
    assert [output.shape for output in reply.outputs if output.name == "predictions"] == [[1]]
    (endpoint,) = generated.call("endpoints").endpoints
    assert [column.name for column in endpoint.signature] == ["distance", "carrier"]
    assert generated.call("ready").status == "ready"
    assert generated.call("deployments").endpoints[0].name == "flights"
