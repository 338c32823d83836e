"""Jobs through the façade: added, exported, left to an outside scheduler."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from mlprod_nb import Workspace, commands, scheduler
from mlprod_nb.clock import utc_now
from mlprod_nb.errors import Refused, UsageError
from mlprod_nb.lifecycle.panels.jobs import JobsView
from mlprod_nb.lifecycle.scheduling import JobAdded
from mlprod_nb.routing import EndpointSpec, Variant
from mlprod_nb.scheduler import JobSpec
from mlprod_nb.store import revisions
from mlprod_nb.widgets.jobs import view


@pytest.fixture
def workspace(tmp_path: Path) -> Iterator[Workspace]:
    Workspace.init(str(tmp_path))
    workspace = Workspace.open(tmp_path)
    yield workspace
    workspace.down(yes=True)
    workspace.context.store.close()


def serve(workspace: Workspace, endpoint: str) -> None:
    state = EndpointSpec(endpoint, (Variant("champion", endpoint, 1, "0" * 64, 1.0),))
    with workspace.context.store.write() as connection:
        made = revisions.propose(connection, endpoint, state, actor="ada", command="", reason="", now=utc_now())
        revisions.decide(connection, made.id, "active", detail="", now=utc_now())


def test_up_leaves_the_jobs_to_an_outside_scheduler_where_the_settings_say_so(workspace: Workspace) -> None:
    settings = workspace.root / "mlprod.toml"
    settings.write_text(f"{settings.read_text()}\n[scheduler]\nenabled = false\n")
    assert workspace.up().scheduler_pid is None
    assert scheduler.running(workspace.root) is None
    added = workspace.schedule_add("0 6 * * 1", "status", retries=1, retry_after="90s", overlap="skip", catch_up="2h")
    assert added.scheduler == "turned off in mlprod.toml: see mlprod schedule export"
    assert workspace.schedule_list().headline() == f"1 job is scheduled, and the scheduler is {added.scheduler}."
    assert added.rules == "at most 1h, 1 retry after 1m30s, skips what overlaps, caught up for 2h"
    panel = workspace.panel("jobs")
    assert isinstance(panel, JobsView)
    assert panel.headline() == workspace.schedule_list().headline()
    assert view(panel)["actions"] == [], "there is nothing to start"


def test_the_list_of_jobs_says_whether_anybody_runs_them(workspace: Workspace) -> None:
    assert workspace.schedule_list().headline() == "No job is scheduled."
    workspace.schedule_add("0 6 * * 1", "status")
    idle = "1 job is scheduled, and the scheduler is not running: mlprod up starts it."
    assert workspace.schedule_list().headline() == idle
    scheduler.start(workspace.root)
    assert workspace.schedule_list().headline() == "1 job is scheduled, and the scheduler is running."
    scheduler.stop(workspace.root)
    assert workspace.schedule_list().headline() == idle


def test_a_job_is_told_at_once_which_of_its_names_the_workspace_does_not_have(workspace: Workspace) -> None:
    def remarks(line: str) -> tuple[str, ...]:
        added = commands.run(["schedule", "add", "0 6 * * 1", line], commands.Door(workspace=str(workspace.root)))
        assert isinstance(added, JobAdded)
        return added.remarks

    serve(workspace, "flights")
    assert remarks("report flights drift --since 7d") == ()
    assert remarks("deploy flights/2 --endpoint flights-eu") == ()
    assert remarks("monitor fligths") == ("there is no endpoint 'fligths'. Did you mean 'flights'?",)
    no_kind = "there is no kind of report 'drfit'. Did you mean 'drift'?"
    assert remarks("report flights drfit") == (no_kind,)
    assert remarks("report batch flights,fares drift,drfit") == (
        "there is no endpoint 'fares'. There is: flights.",
        no_kind,
    )


@pytest.mark.parametrize("line", ["monitor flights --since 7dd", "retrain flights --until yesterdya"])
def test_a_job_whose_moment_is_none_is_refused(workspace: Workspace, line: str) -> None:
    with pytest.raises(UsageError, match=r"the job's line is wrong: '[^']+' is not a moment"):
        commands.run(["schedule", "add", "0 6 * * 1", line], commands.Door(workspace=str(workspace.root)))
    assert workspace.schedule_list().jobs == ()


def test_a_run_that_was_ended_by_its_time_out_says_so(workspace: Workspace) -> None:
    with workspace.context.store.write() as connection:  # shorter than Python takes to start
        job = scheduler.add(connection, JobSpec("0 6 * * 1", "status", timeout_seconds=0.01), now=utc_now()).job
    ran = workspace.schedule_run(job)
    assert str(ran.verdict) == f"✗ ALARM: job {job}: it took longer than its time-out of 0.01 s, and was ended."


def test_an_export_is_shown_as_it_is_or_written_and_never_over_another_file(workspace: Workspace) -> None:
    with pytest.raises(Refused, match="no job is scheduled"):
        workspace.schedule_export("cron")
    workspace.schedule_add("0 6 * * 1", "report flights drift --since 7d")
    (file,) = workspace.schedule_export("cron").files
    assert str(workspace.schedule_export("cron")) == file.text.rstrip()
    units = workspace.root / "units"
    for _ in range(2):
        written = workspace.schedule_export("systemd", into=str(units))
        assert sorted(path.name for path in units.iterdir()) == sorted(file.name for file in written.files)
    (units / written.files[1].name).write_text("[Timer]\n")
    (units / written.files[0].name).unlink()
    with pytest.raises(Refused, match=r"is there and differs"):
        workspace.schedule_export("systemd", into=str(units))
    assert [path.name for path in units.iterdir()] == [written.files[1].name]
