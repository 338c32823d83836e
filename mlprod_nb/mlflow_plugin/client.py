"""MLflow's client of one workspace: each of MLflow's methods is right, or refuses in words."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, NoReturn

from mlflow.deployments import BaseDeploymentClient, PredictionsResponse

from mlprod_nb.errors import NotFound, Refused, UsageError
from mlprod_nb.mlflow_plugin import reading
from mlprod_nb.mlflow_plugin.failing import told
from mlprod_nb.workspace import Workspace

if TYPE_CHECKING:
    import pandas as pd

    from mlprod_nb.lifecycle.serving_now import EndpointStatus

_FLAVORS = {"onnx": "onnx", "python": "python_function"}
_ANSWERED = ("predictions", "scores", "prediction_ids", "variant", "model_version")


class MlprodDeploymentClient(BaseDeploymentClient):
    """MLflow's client of one workspace; every error is a :class:`.DeploymentFailed`, whose message says what to do.

    Args:
        target_uri: ``mlprod``, or ``mlprod:/path/to/workspace``.

    Raises:
        DeploymentFailed: There is no workspace.
    """

    def __init__(self, target_uri: str) -> None:
        super().__init__(target_uri)
        with told():
            self._root = Workspace.open(reading.directory(target_uri)).root

    def create_deployment(
        self,
        name: str,
        model_uri: str,
        flavor: str | None = None,
        config: Mapping[str, Any] | None = None,
        endpoint: str | None = None,
    ) -> dict[str, Any]:
        """Serve a version at a new endpoint; ``mlflow deployments help -t mlprod`` tells what ``config`` may hold."""
        with told():
            reading.check(name, endpoint, flavor)
            version, options = reading.version(model_uri), reading.options(config, "reason")
            workspace = self._changing("create", name, config, model_uri)
            if any(row.endpoint == name for row in workspace.status().endpoints):
                hint = f"Change it: mlflow deployments update -t {self.target_uri} --name {name} -m {model_uri}"
                raise Refused(f"there is a deployment {name!r} already.", hint=hint)
            workspace.deploy(version, endpoint=name, **options)
        return self.get_deployment(name)

    def update_deployment(
        self,
        name: str,
        model_uri: str | None = None,
        flavor: str | None = None,
        config: Mapping[str, Any] | None = None,
        endpoint: str | None = None,
    ) -> dict[str, Any]:
        """Let an endpoint serve another version, or split its traffic anew."""
        with told():
            reading.check(name, endpoint, flavor)
            workspace = self._changing("update", name, config, model_uri)
            if model_uri is None:
                options = reading.options(config, "shares", "unit", "reason")
                workspace.route(name, *_shares(name, options), **options)
            else:
                version, options = reading.version(model_uri), reading.options(config, "reason", "alias")
                self._rows(workspace, name)
                change = workspace.promote if "alias" in options else workspace.deploy
                change(version, endpoint=name, **options)
        return self.get_deployment(name)

    def delete_deployment(
        self, name: str, config: Mapping[str, Any] | None = None, endpoint: str | None = None
    ) -> None:
        """Take an endpoint away; one that was taken away stays so, and one that never was is an error."""
        with told():
            reading.check(name, endpoint)
            options = reading.options(config, "reason")
            workspace = self._changing("delete", name, config)
            try:
                workspace.undeploy(name, yes=True, **options)  # MLflow's clients ask nobody
            except NotFound:
                workspace.history(name)

    def list_deployments(self, endpoint: str | None = None) -> list[dict[str, Any]]:
        """Return all endpoints, each as :meth:`get_deployment` does."""
        with told():
            rows = Workspace.open(self._root).status().endpoints
        by_name: dict[str, list[EndpointStatus]] = {}
        for row in rows:
            by_name.setdefault(row.endpoint, []).append(row)
        return [_described(found) for name, found in by_name.items() if endpoint in (None, name)]

    def get_deployment(self, name: str, endpoint: str | None = None) -> dict[str, Any]:
        """Return an endpoint: its ``name``, ``flavor``, ``model_uri``, ``revision`` and ``variants``."""
        with told():
            reading.check(name, endpoint)
            return _described(self._rows(Workspace.open(self._root), name))

    def predict(
        self, deployment_name: str | None = None, inputs: Any = None, endpoint: str | None = None
    ) -> PredictionsResponse:
        """Ask an endpoint; the answer has ``scores``, ``prediction_ids``, ``variant`` and ``model_version``, too."""
        with told():
            name = reading.asked(deployment_name, endpoint)
            answer = Workspace.open(self._root).predict(name, **reading.table(inputs))
        return PredictionsResponse({key: list(getattr(answer, key)) for key in _ANSWERED})

    def predict_stream(
        self,
        deployment_name: str | None = None,  # noqa: ARG002 (MLflow's names, as in the next two lines)
        inputs: Any = None,  # noqa: ARG002
        endpoint: str | None = None,  # noqa: ARG002
    ) -> NoReturn:
        """Refuse: the predictions of a table come at once."""
        with told():
            raise UsageError("mlprod streams nothing: the predictions of a table come at once.", hint="Use predict.")

    def explain(self, deployment_name: str | None = None, df: Any = None, endpoint: str | None = None) -> pd.DataFrame:
        """Return what each column did to each score: the score, less that with the column at its typical value."""
        import pandas as pd

        with told():
            name = reading.asked(deployment_name, endpoint)
            answer = Workspace.open(self._root).predict(name, explain=True, **reading.table(df))
        return pd.DataFrame(list(answer.contributions))

    def create_endpoint(
        self,
        name: str,
        config: Mapping[str, Any] | None = None,  # noqa: ARG002 (MLflow's name)
    ) -> NoReturn:
        """Refuse: an endpoint without a version would answer nobody."""
        with told():
            hint = f"Make both: mlflow deployments create -t {self.target_uri} --name {name} -m models:/MODEL/VERSION"
            raise UsageError("an endpoint comes with its first deployment, by the same name.", hint=hint)

    def update_endpoint(self, endpoint: str, config: Mapping[str, Any] | None = None) -> None:
        """Split an endpoint's traffic anew, as :meth:`update_deployment` does without a model."""
        self.update_deployment(endpoint, config=config)

    def delete_endpoint(self, endpoint: str) -> None:
        """Take an endpoint away, as :meth:`delete_deployment` does."""
        self.delete_deployment(endpoint)

    def list_endpoints(self) -> list[dict[str, Any]]:
        """Return all endpoints, as :meth:`list_deployments` does."""
        return self.list_deployments()

    def get_endpoint(self, endpoint: str) -> dict[str, Any]:
        """Return an endpoint, as :meth:`get_deployment` does."""
        return self.get_deployment(endpoint)

    def _changing(
        self, verb: str, name: str, config: Mapping[str, Any] | None, model_uri: str | None = None
    ) -> Workspace:
        """Open the workspace for a change; the journal has the line that asks for the same in a shell."""
        from mlprod_nb.lifecycle.context import Caller

        words = ["mlflow", "deployments", verb, "-t", self.target_uri, "--name", name]
        words += [] if model_uri is None else ["-m", model_uri]
        for key, value in (config or {}).items():
            words += ["-C", f"{key}={value}"]
        return Workspace.open(self._root, caller=replace(Caller.current(), command=shlex.join(words)))

    def _rows(self, workspace: Workspace, name: str) -> list[EndpointStatus]:
        rows = workspace.status().endpoints
        found = [row for row in rows if row.endpoint == name]
        if not found:
            make = f"mlflow deployments create -t {self.target_uri} --name {name} -m models:/MODEL/VERSION"
            raise NotFound("deployment", name, [row.endpoint for row in rows], hint="" if rows else f"Make it: {make}")
        return found


def _shares(name: str, options: dict[str, Any]) -> list[str]:
    """Take the shares of a split out of a call's options."""
    if "shares" not in options:
        raise UsageError(
            f"nothing is said to change of {name!r}.",
            hint="Give a version, as -m models:/MODEL/VERSION, or a split, as -C shares='champion=90 challenger=10'.",
        )
    return reading.shares(options.pop("shares"))


def _described(rows: Sequence[EndpointStatus]) -> dict[str, Any]:
    """Return one endpoint as MLflow has a deployment; the variant with most traffic gives model and flavor."""
    first = max(rows, key=lambda row: row.share)
    return {
        "name": first.endpoint,
        "flavor": _FLAVORS.get(first.runtime, "unknown"),
        "model_uri": f"models:/{first.version}",
        "revision": first.revision,
        "variants": [
            {"variant": row.variant, "model_uri": f"models:/{row.version}", "share": row.share, "note": row.note}
            for row in rows
        ],
    }
