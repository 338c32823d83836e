"""MLflow's own client and command line, unchanged, against a workspace whose gateway runs."""

from __future__ import annotations

import inspect
import json
import os
import shlex
import subprocess
import sys
import tomllib
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from click.testing import CliRunner, Result

from mlprod_nb import Workspace
from mlprod_nb.errors import AccessDenied
from tests.lifecycle.conftest import Site, make_site

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # MLflow warns of its own type hints when it is imported
    from mlflow.deployments import BaseDeploymentClient, get_deploy_client, interface
    from mlflow.deployments.cli import commands
    from mlflow.exceptions import MlflowException

    from mlprod_nb.mlflow_plugin import DeploymentFailed, MlprodDeploymentClient

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")

PROJECT = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text(encoding="utf-8"))["project"]
ENTRY_POINT = PROJECT["entry-points"]["mlflow.deployments"]["mlprod"]
METHODS = {
    name: inspect.signature(method)
    for name, method in inspect.getmembers(BaseDeploymentClient, inspect.isfunction)
    if not name.startswith("_")
}


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    interface.plugin_store.register("mlprod", ENTRY_POINT)  # as MLflow does where the package was installed like this
    site = make_site(tmp_path_factory.mktemp("a shop"))
    site.workspace.up()
    yield site
    site.workspace.down(yes=True)
    site.workspace.context.store.close()


@pytest.fixture
def client(site: Site) -> Iterator[MlprodDeploymentClient]:
    """A client of a workspace in which nothing is deployed."""
    yield get_deploy_client(f"mlprod:{site.workspace.root}")
    for row in {row.endpoint for row in site.workspace.status().endpoints}:
        site.workspace.undeploy(row, yes=True)


def mlflow(*words: str, workspace: Path | None = None) -> Result:
    """Run ``mlflow deployments``."""
    return CliRunner(env={"MLPROD_WORKSPACE": str(workspace)} if workspace else {}).invoke(commands, words)


def test_a_deployment_is_made_asked_updated_and_deleted_from_a_shell(
    site: Site, client: MlprodDeploymentClient, tmp_path: Path
) -> None:
    target = ["-t", "mlprod", "--name", "flights"]
    rows = tmp_path / "rows.json"
    site.data[:3].to_json(rows, orient="records")

    def done(*words: str) -> str:
        result = mlflow(*words, workspace=site.workspace.root)
        assert result.exit_code == 0, result.output
        return result.output.strip()

    assert done("create", *target, "-m", "models:/flights/1") == "onnx deployment flights is created"
    assert (
        done("update", *target, "-m", "models:/flights@challenger")
        == "Deployment flights is updated (with flavor onnx)"
    )
    assert "model_uri: models:/flights/2" in done("get", *target)
    assert "'name': 'flights'" in done("list", "-t", "mlprod")
    answer = json.loads(done("predict", *target, "-I", str(rows)))
    assert answer["model_version"] == ["flights/2"] * 3
    logged = site.workspace.log("flights").to_frame()["prediction_id"]
    assert set(answer["prediction_ids"]) == set(logged)
    assert [set(row) for row in json.loads(done("explain", *target, "-I", str(rows)))] == [{"distance", "hour"}] * 3
    assert done("delete", *target) == "Deployment flights is deleted"
    assert client.list_deployments() == []


def test_the_journal_tells_who_did_it_why_and_by_which_line_of_mlflows(
    site: Site, client: MlprodDeploymentClient
) -> None:
    client.create_deployment("flights", "models:/flights/1", config={"reason": "a first one"})
    move = site.workspace.history("flights").moves[0]
    assert move.reason == "a first one"
    line = ["mlflow", "deployments", "create", "-t", f"mlprod:{site.workspace.root}", "--name", "flights"]
    assert shlex.split(move.command) == [*line, "-m", "models:/flights/1", "-C", "reason=a first one"]


def test_an_update_without_a_model_splits_the_traffic(site: Site, client: MlprodDeploymentClient) -> None:
    client.create_deployment("flights", "models:/flights@champion")
    split = {"shares": "champion=50 challenger=50", "unit": "tailnum"}
    client.update_deployment("flights", config=split)
    assert [row["share"] for row in client.get_deployment("flights")["variants"]] == [50.0, 50.0]
    units = [f"N{i}" for i in range(40)]
    by_verb = site.workspace.predict("flights", data=site.data[:40], units=units).variant
    table = {"dataframe_split": site.data[:40].to_dict(orient="split"), "units": units}
    assert client.predict("flights", table)["variant"] == list(by_verb)
    assert client.predict(endpoint="flights", inputs=site.data[:40].assign(tailnum=units))["variant"] == list(by_verb)
    client.update_endpoint("flights", {"shares": ["champion=100", "challenger=shadow"]})
    assert [row["note"] for row in client.get_endpoint("flights")["variants"]] == ["", "shadow"]
    assert client.list_endpoints() == client.list_deployments(endpoint="flights") == client.list_deployments()
    client.delete_endpoint("flights")


def test_an_alias_that_is_to_move_moves_by_its_rules(site: Site, client: MlprodDeploymentClient) -> None:
    client.create_deployment("flights", "models:/flights@champion")
    client.update_deployment("flights", "models:/flights/2", config={"alias": "latest-try"})
    assert site.workspace.models("flights").versions[0].aliases == ("challenger", "latest-try")
    settings = site.workspace.root / "mlprod.toml"
    before = settings.read_text(encoding="utf-8")
    settings.write_text(f"{before}\n[models.flights.protected.champion]\napprovals = 1\n", encoding="utf-8")
    with pytest.raises(MlflowException, match="approv"):
        client.update_deployment("flights", "models:/flights/2", config={"alias": "champion"})
    settings.write_text(before, encoding="utf-8")


def test_every_kind_of_rows_gets_the_same_predictions(site: Site, client: MlprodDeploymentClient) -> None:
    client.create_deployment("flights", "models:/flights/latest")
    rows = site.data[:4]
    expected = client.predict("flights", rows).get_predictions()
    assert len(expected) == 4
    for given in (
        rows.to_dict(orient="records"),
        rows.to_dict(orient="list"),
        {"dataframe_records": rows.to_dict(orient="records")},
        {"dataframe_split": rows.to_dict(orient="split"), "event_time": ["2013-04-01T06:00"] * 4},
        {"inputs": rows.to_dict(orient="list")},
        {"instances": rows.to_dict(orient="records")},
    ):
        pd.testing.assert_frame_equal(client.predict("flights", given).get_predictions(), expected)


def test_taking_away_twice_is_taking_away_once(client: MlprodDeploymentClient) -> None:
    client.create_deployment("flights", "models:/flights/1")
    client.delete_deployment("flights")
    client.delete_deployment("flights")


@pytest.mark.parametrize(
    ("call", "code", "said"),
    [
        (lambda c: c.create_deployment("flights", "models:/flights/2"), "INVALID_STATE", "update -t mlprod:"),
        (lambda c: c.create_deployment("new", "models:/flihgts/2"), "RESOURCE_DOES_NOT_EXIST", "'flights'"),
        (lambda c: c.create_deployment("new", "runs:/0a1b/model"), "INVALID_PARAMETER_VALUE", "mlprod register"),
        (lambda c: c.create_deployment("new", "models:/flights"), "INVALID_PARAMETER_VALUE", "models:/MODEL/VERSION"),
        (lambda c: c.create_deployment("new", "models:/flights/1", "sklearn"), "INVALID_PARAMETER_VALUE", "flavor"),
        (lambda c: c.create_deployment("a", "models:/flights/1", endpoint="b"), "INVALID_PARAMETER_VALUE", "'b' out"),
        (
            lambda c: c.create_deployment("new", "models:/flights/1", config={"reasn": "x"}),
            "RESOURCE_DOES_NOT_EXIST",
            "there is no configuration key 'reasn'. Did you mean 'reason'?",
        ),
        (lambda c: c.update_deployment("fligths", "models:/flights/1"), "RESOURCE_DOES_NOT_EXIST", "'flights'"),
        (lambda c: c.update_deployment("flights"), "INVALID_PARAMETER_VALUE", "nothing is said to change"),
        (lambda c: c.delete_deployment("fligths"), "RESOURCE_DOES_NOT_EXIST", "Did you mean 'flights'?"),
        (lambda c: c.get_deployment("fligths"), "RESOURCE_DOES_NOT_EXIST", "Did you mean 'flights'?"),
        (lambda c: c.predict("flights", [{"distnace": 1.0, "hour": 3}]), "INVALID_PARAMETER_VALUE", "distance"),
        (lambda c: c.predict("flights", {"inputs": {}, "unit": ["a"]}), "RESOURCE_DOES_NOT_EXIST", "'units'"),
        (lambda c: c.predict(inputs=[{}]), "INVALID_PARAMETER_VALUE", "no deployment is named"),
        (lambda c: c.predict_stream("flights", {}), "INVALID_PARAMETER_VALUE", "Use predict."),
        (lambda c: c.create_endpoint("new"), "INVALID_PARAMETER_VALUE", "deployments create -t mlprod:"),
        (
            lambda c: interface.run_local("mlprod", "new", "models:/flights/1"),
            "INVALID_PARAMETER_VALUE",
            "deployments create -t mlprod --name new -m models:/flights/1",
        ),
        (lambda c: get_deploy_client("mlprod:/no/such/place"), "RESOURCE_DOES_NOT_EXIST", "mlprod init"),
        (lambda c: get_deploy_client("mlprod://host/shop"), "INVALID_PARAMETER_VALUE", "another machine"),
    ],
)
def test_what_cannot_be_done_is_said_in_one_line_by_mlflows_exception(
    client: MlprodDeploymentClient, call: Any, code: str, said: str
) -> None:
    client.create_deployment("flights", "models:/flights/1")
    with pytest.raises(MlflowException) as caught:
        call(client)
    assert caught.value.error_code == code
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_shell_shows_the_line_alone_with_the_verbs_exit_code(client: MlprodDeploymentClient, site: Site) -> None:
    client.create_deployment("flights", "models:/flights/1")
    result = mlflow("get", "-t", "mlprod", "--name", "fligths", workspace=site.workspace.root)
    assert (result.exit_code, result.output) == (
        2,
        "Error: there is no deployment 'fligths'. Did you mean 'flights'?\n",
    )


def test_a_right_that_is_missing_is_a_permission_denied() -> None:
    error = DeploymentFailed(AccessDenied("a viewer may not deploy.", hint="Ask: mlprod access list"))
    assert (error.error_code, error.exit_code) == ("PERMISSION_DENIED", 3)
    assert error._render_traceback_() == ["mlprod: a viewer may not deploy. Ask: %mlprod access list"]


def test_a_fault_of_ours_is_one_line_and_keeps_its_cause(
    client: MlprodDeploymentClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(workspace: Workspace) -> None:
        raise KeyError("oops")

    monkeypatch.setattr(Workspace, "status", broken)
    with pytest.raises(MlflowException, match="please report it: KeyError: 'oops'") as caught:
        client.list_deployments()
    assert isinstance(caught.value.__cause__, KeyError)


@pytest.mark.parametrize("name", METHODS)
def test_every_method_that_mlflow_has_is_our_own_and_takes_what_mlflow_passes(name: str) -> None:
    ours = getattr(MlprodDeploymentClient, name)
    assert ours is not getattr(BaseDeploymentClient, name)
    assert list(inspect.signature(ours).parameters) == list(METHODS[name].parameters)
    assert ours.__doc__


def test_the_installed_package_is_found_by_mlflow_and_helps(tmp_path: Path) -> None:
    info = tmp_path / "installed-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: installed\nVersion: 1.0\n", encoding="utf-8")
    (info / "entry_points.txt").write_text(f"[mlflow.deployments]\nmlprod = {ENTRY_POINT}\n", encoding="utf-8")
    path = os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")])
    words = [sys.executable, "-m", "mlflow", "deployments", "help", "-t", "mlprod"]
    shown = subprocess.run(
        words,
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert "mlprod:/home/ann/shop" in shown.stdout
