"""The same jobs for outside schedulers: read back, and held against ours where their program is here."""

from __future__ import annotations

import ast
import re
import shlex
import shutil
import subprocess
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml

from mlprod_nb.errors import NotFound, Refused
from mlprod_nb.scheduler import JobSpec, cron
from mlprod_nb.scheduler.export import KINDS, File, Numbered, Place, export, on_calendar

WEEKLY = JobSpec("0 6 * * 1", "report flights drift --since 7d", retries=2, overlap="skip")
ODD = JobSpec("*/15 8-18 1,15 * MON-FRI", "logs flights --where \"carrier = 'U%A' and x > $1\"", "Europe/Berlin", 90.0)
JOBS = [Numbered(1, WEEKLY), Numbered(2, ODD)]


def written(kind: str, jobs: list[Numbered] | None = None, root: Path = Path("/srv/flights")) -> tuple[File, ...]:
    return export(kind, JOBS if jobs is None else jobs, Place(root, ("/opt/bin/mlprod",), "flights"))


def test_a_crontab_line_runs_the_command_and_takes_a_no_for_a_yes(tmp_path: Path) -> None:
    """The very line is run by a shell, with programs that say yes, no, and that they failed."""
    for exit_code, expected in ((0, 0), (1, 0), (3, 1)):
        program = tmp_path / f"mlprod{exit_code}"
        program.write_text(f'#!/bin/sh\nprintf "%s\\n" "$@" > said\nexit {exit_code}\n')
        program.chmod(0o755)
        (tmp_path / ".mlprod" / "run").mkdir(parents=True, exist_ok=True)
        (file,) = export("cron", JOBS, Place(tmp_path, (str(program),), "flights"))
        lines = [line for line in file.text.splitlines() if line and not line.startswith("#")]
        assert lines[::2] == ["CRON_TZ=UTC", "CRON_TZ=Europe/Berlin"]
        for line, spec in zip(lines[1::2], (WEEKLY, ODD), strict=True):
            assert line.startswith(spec.cron + " ")
            command = line.removeprefix(spec.cron).replace("\\%", "%")
            assert not re.search(r"(?<!\\)%", line)
            assert subprocess.run(["sh", "-c", command], cwd="/", timeout=60).returncode == expected
            assert (tmp_path / "said").read_text().splitlines() == shlex.split(spec.command)


def test_what_an_outside_scheduler_cannot_say_is_said_in_a_comment() -> None:
    (file,) = written("cron")
    assert "# Not so here: it is tried again 2 times." in file.text
    assert "# Not so here: a missed slot is caught up for 1d." in file.text
    (file,) = written("kubernetes")
    assert "# Job 2: Not so here: a slot that comes while it runs is run after." in file.text


@pytest.mark.parametrize(
    ("expression", "timezone", "expected"),
    [
        ("0 6 * * 1", "UTC", ["Mon *-*-* 06:00:00 UTC"]),
        ("30 2 * * *", "Europe/Berlin", ["*-*-* 02:30:00 Europe/Berlin"]),
        ("0 12 13 * 5", "UTC", ["*-*-13 12:00:00 UTC", "Fri *-*-* 12:00:00 UTC"]),
        ("*/30 * 1 1,7 *", "UTC", ["*-01,07-01 *:00,30:00 UTC"]),
    ],
)
def test_cron_is_put_into_systemds_words(expression: str, timezone: str, expected: list[str]) -> None:
    assert on_calendar(expression, timezone) == expected


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd is not on this machine")
@pytest.mark.parametrize("timezone", ["UTC", "Europe/Berlin", "America/New_York"])
@pytest.mark.parametrize("expression", ["0 6 * * 1", "30 5 * * *", "*/20 8-9 1 * *", "0 12 13 * 5", "0 0 29 2 *"])
def test_systemd_itself_gives_the_moments_that_are_ours(expression: str, timezone: str) -> None:
    start = datetime(2025, 2, 3, 4, 5, tzinfo=UTC)
    theirs: set[datetime] = set()
    for event in on_calendar(expression, timezone):
        command = ["systemd-analyze", "calendar", "--iterations=12", "--base-time=2025-02-03 04:05:00 UTC", event]
        shown = subprocess.run(
            command, capture_output=True, text=True, timeout=60, env={"TZ": "UTC", "PATH": "/usr/bin"}
        )
        assert shown.returncode == 0, shown.stderr
        found = re.findall(r"(?:Next elapse|Iter\. #\d+): \w+ ([\d-]+ [\d:]+) UTC", shown.stdout)
        theirs |= {datetime.fromisoformat(text).replace(tzinfo=UTC) for text in found}
    ours = []
    for moment in cron.slots(expression, timezone, start):
        ours.append(moment)
        if len(ours) == 8:
            break
    assert sorted(theirs)[:8] == ours


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd is not on this machine")
def test_systemd_finds_nothing_wrong_with_the_units(tmp_path: Path) -> None:
    names = []
    for file in export("systemd", JOBS, Place(tmp_path, ("/bin/true",), "flights")):
        (tmp_path / file.name).write_text(file.text)
        names.append(str(tmp_path / file.name))
    checked = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", *names], capture_output=True, text=True, timeout=60
    )
    assert "flights-job" not in checked.stderr
    assert checked.returncode == 0, checked.stderr


def test_units_quote_what_systemd_would_expand() -> None:
    service = next(file.text for file in written("systemd") if file.name == "flights-job-2.service")
    line = next(line for line in service.splitlines() if line.startswith("ExecStart="))
    assert line == "ExecStart=/opt/bin/mlprod logs flights --where \"carrier = 'U%%A' and x > $$1\""


def test_github_takes_utc_alone_and_runs_each_job_at_its_own_times() -> None:
    with pytest.raises(Refused, match="job 2 is in Europe/Berlin; GitHub's schedules are in UTC"):
        written("github")
    (file,) = written("github", [Numbered(1, WEEKLY), Numbered(3, JobSpec("30 2 * * *", "monitor flights"))])
    # "on" is true to a reader of YAML 1.1; GitHub's takes the word.
    workflow: dict[Any, Any] = yaml.safe_load(file.text)
    assert workflow["on"]["schedule"] == [{"cron": "0 6 * * 1"}, {"cron": "30 2 * * *"}]
    job = workflow["jobs"]["job-3"]
    assert "'30 2 * * *'" in job["if"]
    assert job["steps"][-1]["run"] == "timeout 3600 mlprod monitor flights || [ $? -eq 1 ]"


def test_kubernetes_gets_one_cron_job_each() -> None:
    (file,) = written("kubernetes")
    first, second = yaml.safe_load_all(file.text)
    assert (first["kind"], first["metadata"]["name"]) == ("CronJob", "flights-job-1")
    assert (first["spec"]["timeZone"], second["spec"]["timeZone"]) == ("Etc/UTC", "Europe/Berlin")
    assert first["spec"]["jobTemplate"]["spec"]["backoffLimit"] == 2
    container = second["spec"]["jobTemplate"]["spec"]["template"]["spec"]["containers"][0]
    words = shlex.split(container["command"][2].removesuffix(" || [ $? -eq 1 ]"))
    assert words == ["timeout", "90", "mlprod", *shlex.split(ODD.command)]


def test_the_file_for_airflow_is_python_that_names_every_job() -> None:
    (file,) = written("airflow")
    rows = next(
        ast.literal_eval(node.value)
        for node in ast.parse(file.text).body
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name) and node.targets[0].id == "JOBS"
    )
    assert [row["dag_id"] for row in rows] == ["flights_job_1", "flights_job_2"]
    assert [(row["cron"], row["timezone"]) for row in rows] == [("0 6 * * 1", "UTC"), (ODD.cron, "Europe/Berlin")]
    assert "Not so here" in file.text


@pytest.mark.parametrize("kind", sorted(set(KINDS) - {"airflow"}))
@pytest.mark.parametrize("expression", ["0 6 L * *", "0 6 * * 1#2", "0 6 * * L5"])
def test_days_that_others_cannot_say_are_refused(kind: str, expression: str) -> None:
    with pytest.raises(Refused, match=f"job 7 is due at .*which {kind} cannot say"):
        written(kind, [Numbered(7, JobSpec(expression, "status"))])


def test_july_is_no_last_day() -> None:
    assert written("cron", [Numbered(7, JobSpec("0 6 1 JUL *", "status"))])


def test_an_unknown_kind_and_an_empty_schedule_are_one_clear_line() -> None:
    with pytest.raises(NotFound, match=r"no outside scheduler 'kron'\. Did you mean 'cron'"):
        written("kron")
    with pytest.raises(Refused, match="no job is scheduled"):
        written("cron", [])
