"""MLflow's door: ``mlflow deployments … -t mlprod`` and ``mlflow.deployments.get_deploy_client("mlprod")``.

Each call is one of :class:`mlprod_nb.Workspace`, so rights, gates and journal are those of the verbs. A deployment is
an endpoint, by the same name. MLflow finds this module by its entry point, and asks one class and two functions of it
(https://mlflow.org/docs/latest/ml/plugins/, "Deployment Plugins").
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NoReturn

from mlprod_nb.errors import UsageError
from mlprod_nb.mlflow_plugin.client import MlprodDeploymentClient
from mlprod_nb.mlflow_plugin.failing import DeploymentFailed, told
from mlprod_nb.mlflow_plugin.reading import TARGET

__all__ = ["DeploymentFailed", "MlprodDeploymentClient", "run_local", "target_help"]

_HELP = """\
The target mlprod is a workspace of mlprod_nb: a deployment is an endpoint of its gateway, by the same name.

Target URI
  mlprod                  the workspace that MLPROD_WORKSPACE names, or the one at or above the current directory
  mlprod:/home/ann/shop   the workspace in that directory

Models
  models:/flights/3, models:/flights@champion, models:/flights/latest: a version of the workspace's own registry.

Configuration, as -C key=value
  create              reason: why, for the journal
  update with -m      reason; alias: promote, that is move this alias to the version as well, by the alias's rules
  update without -m   shares: the split, as "champion=90 challenger=10" or "champion=100 challenger=shadow";
                      unit: what is randomised, a column of the requests; reason
  delete              reason

predict takes a table, or from Python MLflow's JSON (dataframe_split, …) with units and event_time beside it; explain
says what each column did to each score. To see a change first: mlprod deploy, route or promote with --dry-run.
"""


def run_local(
    name: str, model_uri: str, _flavor: str | None = None, _config: Mapping[str, Any] | None = None
) -> NoReturn:
    """Refuse: a gateway runs on this machine as it is, and MLflow does not tell for which workspace this should be."""
    with told():
        raise UsageError(
            "mlprod has no run-local of its own, since its gateway runs on this machine.",
            hint=f"Use: mlprod up; mlflow deployments create -t {TARGET} --name {name} -m {model_uri}",
        )


def target_help() -> str:
    """Return what ``mlflow deployments help -t mlprod`` shows."""
    return _HELP
