"""The door to jupyter-scheduler: its jobs run by the strict runner.

Named in a Jupyter server's configuration, and imported by jupyter-scheduler only::

    c.Scheduler.execution_manager_class = "mlprod_nb.lab.execution_manager.StrictExecutionManager"
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from jupyter_scheduler.executors import ExecutionManager
from jupyter_scheduler.models import JobFeature

from mlprod_nb.lab import scheduled

_SUPPORTED = (
    JobFeature.job_name,
    JobFeature.parameters,
    JobFeature.output_formats,
    JobFeature.stop_job,
    JobFeature.delete_job,
)


class StrictExecutionManager(ExecutionManager):
    """Runs a job's notebook as :func:`mlprod_nb.lab.scheduled.run` does.

    What that raises ends the job as failed, with the error's one line as its message; a verdict that is no is no
    failure.
    """

    def execute(self) -> None:
        """Run the job's notebook, in a process that jupyter-scheduler has started for it."""
        paths = {form: Path(path) for form, path in self.staging_paths.items()}
        notebook = paths.pop("input")
        root = Path(self.root_dir)
        job = scheduled.Job(
            notebook=notebook,
            root=root,
            cwd=notebook.parent if self.model.package_input_folder else root,
            parameters=self.model.parameters or {},
            outputs=paths,
        )
        scheduled.run(job)

    @classmethod
    def supported_features(cls, *_: Any) -> dict[JobFeature, bool]:
        """Say what a job may ask for."""
        return {feature: feature in _SUPPORTED for feature in JobFeature}

    @classmethod
    def validate(cls, *arguments: Any) -> bool:
        """Accept every notebook: it runs in the workspace's kernel, so it need not name one."""
        return Path(arguments[-1]).suffix == ".ipynb"
