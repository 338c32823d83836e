"""MLflow runs that a killed process left as running: the next version of the model ends them as ``KILLED``.

A run names the process that makes it. Only a run of this machine whose process has ended is ended here; one of another
machine, or one that somebody else began in the same experiment, is nobody's to judge.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mlprod_nb.processes import died_here, this_process

if TYPE_CHECKING:
    from mlflow import MlflowClient

_TAG = "mlprod.process"


def mark() -> dict[str, str]:
    """Return the tag that says whose a run is."""
    return {_TAG: this_process()}


def end(client: MlflowClient, experiment: str) -> None:
    """End the runs of an experiment that dead processes of this machine left as running."""
    for run in client.search_runs([experiment], "attributes.status = 'RUNNING'"):
        if died_here(run.data.tags.get(_TAG, "")):
            client.set_terminated(run.info.run_id, "KILLED")
