"""A run that a killed registration left as running is ended by the next one; other people's stay."""

from __future__ import annotations

import multiprocessing
import os
import signal
import socket

from mlprod_nb import processes
from mlprod_nb.registry import left_runs, recording
from mlprod_nb.registry.bundles import Bundle
from mlprod_nb.registry.models import Registry
from tests.registry.samples import candidate


def test_the_next_version_ends_the_runs_of_dead_processes_of_this_machine_and_no_others(
    registry: Registry, onnx_bundle: Bundle
) -> None:
    client = registry.client
    home = recording.experiment(client, "left", registry.artifacts)
    child = multiprocessing.get_context("spawn").Process(target=signal.pause)
    child.start()
    assert child.pid is not None
    living = f"{socket.gethostname()}/{processes.identity(child.pid)}"
    holders = {"dies": living, "mine": processes.this_process(), "other machine": f"elsewhere/{os.getpid()}/1.00"}
    runs = {name: client.create_run(home, tags={"mlprod.process": holder}) for name, holder in holders.items()}
    runs["by hand"] = client.create_run(home)

    def states() -> dict[str, str]:
        return {name: client.get_run(run.info.run_id).info.status for name, run in runs.items()}

    left_runs.end(client, home)
    assert set(states().values()) == {"RUNNING"}
    child.kill()
    child.join()
    version = registry.register(candidate("left", onnx_bundle))
    assert states() == {"dies": "KILLED", "mine": "RUNNING", "other machine": "RUNNING", "by hand": "RUNNING"}
    made = client.get_run(version.run_id)
    assert made.info.status == "FINISHED"
    assert made.data.tags["mlprod.process"] == processes.this_process()
