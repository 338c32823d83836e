"""MLflow's own clients, unchanged, against a gateway on a socket."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pandas as pd
import pytest

from mlprod_nb.registry.bundles import Bundle
from tests.serving.workshop import Workshop, make_workshop, on_a_socket

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # MLflow warns of its own type hints when it is imported
    import mlflow.deployments
    from mlflow.pyfunc.scoring_server.client import ScoringServerClient

FRAME = pd.DataFrame({"distance": [100.0, 2900.0], "carrier": ["UA", "AA"]})


@pytest.fixture(scope="module")
def only_flights(tmp_path_factory: pytest.TempPathFactory, serving_bundles: dict[str, Bundle]) -> Iterator[Any]:
    shop = make_workshop(tmp_path_factory.mktemp("mlflow") / "workspace", serving_bundles)
    with on_a_socket(shop) as (url, _):
        assert shop.outcome(shop.propose("flights", shop.variant("champion"))).outcome == "active"
        yield shop, httpx.URL(url)


@pytest.fixture(scope="module")
def scoring(only_flights: tuple[Workshop, httpx.URL]) -> ScoringServerClient:
    """A client that knows no tokens: it sends the one in its URL, as the password of any user."""
    shop, url = only_flights
    return ScoringServerClient(f"any:{shop.token('caller')}@{url.host}", url.port)


def test_the_scoring_client_finds_the_gateway_ready(scoring: ScoringServerClient) -> None:
    scoring.wait_server_ready(timeout=20)
    scoring.ping()
    assert scoring.get_version()


@pytest.mark.parametrize(
    "data",
    [
        FRAME,
        FRAME[["carrier", "distance"]],
        FRAME.set_index(pd.Index(["a", "b"])),
        FRAME.to_numpy(),
        FRAME.to_numpy().tolist(),
        {"dataframe_records": FRAME.to_dict(orient="records")},
        {"instances": FRAME.to_dict(orient="records")},
        '{"inputs": {"distance": [100, 2900], "carrier": ["UA", "AA"]}}',
    ],
)
def test_the_scoring_client_gets_predictions_for_whatever_it_sends(scoring: ScoringServerClient, data: Any) -> None:
    if isinstance(data, dict):  # dump_input_data of MLflow 3.17 fails on a dict; as text it is sent as it is
        data = httpx.Request("POST", "http://x", json=data).content.decode()
    reply = scoring.invoke(data)
    assert reply.get_predictions()[0].tolist() == [0, 1]
    assert reply.get_predictions("ndarray").tolist() == [0, 1]
    assert reply["model_version"] == ["flights/1"] * 2


def test_the_scoring_client_may_send_params_if_they_are_empty(scoring: ScoringServerClient) -> None:
    assert scoring.invoke(FRAME, params={})["predictions"] == [0, 1]
    with pytest.raises(Exception, match=r"error code 422.*takes no parameter 'temperature'.*Leave params out"):
        scoring.invoke(FRAME, params={"temperature": 1})


def test_the_scoring_client_is_told_the_place_of_a_nan(scoring: ScoringServerClient) -> None:
    with pytest.raises(Exception, match=r"error code 400.*/dataframe_split/data/0/0 is NaN, which JSON does not have"):
        scoring.invoke(FRAME.assign(distance=[np.nan, 1.0]))


def test_the_deployments_client_lists_describes_and_predicts(
    only_flights: tuple[Workshop, httpx.URL], monkeypatch: pytest.MonkeyPatch
) -> None:
    shop, url = only_flights
    monkeypatch.setenv("MLFLOW_TRACKING_TOKEN", shop.token("caller"))
    client = mlflow.deployments.get_deploy_client(str(url))
    (listed,) = client.list_endpoints()
    assert (listed.name, listed.model.name) == ("flights", "flights")
    assert client.get_endpoint("flights").endpoint_url == f"{url}/endpoints/flights/invocations"
    reply = client.predict(endpoint="flights", inputs={"dataframe_split": FRAME.to_dict(orient="split")})
    assert reply["predictions"] == [0, 1]
    with pytest.raises(Exception, match=r"404 Client Error.*there is no endpoint 'trains'"):
        client.get_endpoint("trains")


def test_a_wrong_token_is_told_to_both(
    only_flights: tuple[Workshop, httpx.URL], monkeypatch: pytest.MonkeyPatch
) -> None:
    _, url = only_flights
    monkeypatch.setenv("MLFLOW_TRACKING_TOKEN", "wrong")
    with pytest.raises(Exception, match=r"401 Client Error.*the token is not valid"):
        mlflow.deployments.get_deploy_client(str(url)).list_endpoints()
    with pytest.raises(Exception, match="error code 401"):
        ScoringServerClient(url.host, url.port).invoke(FRAME)


def test_a_frame_as_csv_is_answered_as_the_same_frame_in_json(
    only_flights: tuple[Workshop, httpx.URL], tmp_path: Path
) -> None:
    shop, url = only_flights
    path = tmp_path / "flights.csv"
    FRAME.to_csv(path, index=False)
    headers = {"Authorization": f"Bearer {shop.token('caller')}"}
    with httpx.Client(base_url=url, headers=headers, trust_env=False) as client:
        csv = client.post("/invocations", content=path.read_bytes(), headers={"Content-Type": "text/csv"})
        json = client.post("/invocations", json={"dataframe_split": FRAME.to_dict(orient="split")})
    assert csv.status_code == 200, csv.text
    assert csv.json()["scores"] == json.json()["scores"]
