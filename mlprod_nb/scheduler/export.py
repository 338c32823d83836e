"""The same jobs for an outside scheduler: cron, systemd, GitHub Actions, Airflow, Kubernetes.

What is written runs the same command lines at the same times. Everywhere a run has the job's time-out (coreutils'
``timeout``), and a verdict that is no (exit code 1) is a run that went well: what concluded it tells of it. What a
scheduler cannot say is said in a comment of its file.
"""

from __future__ import annotations

import json
import math
import shlex
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from mlprod_nb.clock import spell_duration
from mlprod_nb.errors import NotFound, Refused
from mlprod_nb.scheduler.jobs import JobSpec
from mlprod_nb.scheduler.runs import COMMAND

_DAY_NAMES = ("Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat")
#: What cronsim understands and most others do not: the last day, the nth weekday.
_OURS_ALONE = ("L", "#")


@dataclass(frozen=True)
class Place:
    """Where the jobs run.

    Attributes:
        root: The workspace's directory.
        program: The words that start mlprod.
        name: The workspace's name, for files and titles.
    """

    root: Path
    program: tuple[str, ...] = COMMAND
    name: str = "mlprod"


@dataclass(frozen=True)
class File:
    """One file for an outside scheduler.

    Attributes:
        name: What it is called.
        text: What it holds.
    """

    name: str
    text: str


@dataclass(frozen=True)
class Numbered:
    """A job and its number.

    Attributes:
        number: The job's number.
        spec: What runs, when, by which rules.
    """

    number: int
    spec: JobSpec


def export(kind: str, jobs: Sequence[Numbered], place: Place) -> tuple[File, ...]:
    """Write jobs for an outside scheduler.

    Raises:
        NotFound: There is no such kind.
        Refused: There is no job, or one's times cannot be said there.
    """
    if kind not in KINDS:
        raise NotFound("outside scheduler", kind, KINDS)
    if not jobs:
        raise Refused("no job is scheduled, so there is nothing to write.", hint="See: mlprod schedule add --help")
    for job in jobs:
        fields = job.spec.cron.upper()
        if kind != "airflow" and any(word in fields.split(maxsplit=2)[2].replace("JUL", "") for word in _OURS_ALONE):
            raise Refused(f"job {job.number} is due at {job.spec.cron!r}, which {kind} cannot say.")
    return KINDS[kind](jobs, place)


def _cron(jobs: Sequence[Numbered], place: Place) -> tuple[File, ...]:
    lines = [
        "# Jobs of mlprod for cron. CRON_TZ is cronie's; Debian's cron takes the times as the system's own, so there a",
        "# job's time zone must be that of the machine. A % is written \\%.",
    ]
    for job in jobs:
        lock = f".mlprod/run/job-{job.number}.lock"
        wait = "-n " if job.spec.overlap == "skip" else ""
        command = f"cd {shlex.quote(str(place.root))} && {{ flock {wait}{lock} {_shell(job.spec, place.program)}; }}"
        lost = _lost(job.spec, retries=False, replace=False, catch_up=False)
        lines += ["", *lost, f"CRON_TZ={job.spec.timezone}", f"{job.spec.cron} {command.replace('%', chr(92) + '%')}"]
    return (File(f"{place.name}.crontab", "\n".join(lines) + "\n"),)


def _systemd(jobs: Sequence[Numbered], place: Place) -> tuple[File, ...]:
    files = []
    for job in jobs:
        spec, name = job.spec, f"{place.name}-job-{job.number}"
        attempts = spec.retries + 1
        window = attempts * (spec.timeout_seconds + spec.retry_seconds)
        again = [f"Restart=on-failure\nRestartSec={spec.retry_seconds:g}"] if spec.retries else []
        bounds = [f"StartLimitBurst={attempts}\nStartLimitIntervalSec={window:g}"] if spec.retries else []
        service = [
            *_lost(spec, doubling=False, replace=False),
            "[Unit]",
            f"Description={_systemd_text(f'mlprod: {spec.command}')}",
            *bounds,
            "",
            "[Service]",
            "Type=oneshot",
            f"WorkingDirectory={_systemd_text(str(place.root))}",
            f"ExecStart={' '.join(_systemd_word(word) for word in (*place.program, *shlex.split(spec.command)))}",
            "# The verdict is no: the run went well.",
            "SuccessExitStatus=1",
            f"TimeoutStartSec={spec.timeout_seconds:g}",
            *again,
        ]
        timer = [
            "[Unit]",
            f"Description={_systemd_text(f'mlprod: when to {spec.command}')}",
            "",
            "[Timer]",
            *(f"OnCalendar={moment}" for moment in on_calendar(spec.cron, spec.timezone)),
            "AccuracySec=1s",
            f"Persistent={'true' if spec.catch_up_seconds else 'false'}",
            "",
            "[Install]",
            "WantedBy=timers.target",
        ]
        files += [File(f"{name}.service", "\n".join(service) + "\n"), File(f"{name}.timer", "\n".join(timer) + "\n")]
    return tuple(files)


def on_calendar(cron: str, timezone: str) -> list[str]:
    """Return systemd's calendar events for a cron expression (systemd.time(7)); two where cron means "either day"."""
    from cronsim import CronSim

    due: Any = CronSim(cron, datetime(2024, 1, 1, tzinfo=UTC))
    _, _, day_field, _, weekday_field = cron.split()
    hours, minutes = _numbers(due.hours, 24), _numbers(due.minutes, 60)
    months = _numbers(due.months, 12)
    days, weekdays = f"*-{months}-{_numbers(due.days, 31)}", f"*-{months}-*"
    names = ",".join(_DAY_NAMES[day] for day in sorted({day % 7 for day in due.weekdays}))
    at = f"{hours}:{minutes}:00 {timezone}"
    both = not day_field.startswith("*") and not weekday_field.startswith("*")
    if both:
        return [f"{days} {at}", f"{names} {weekdays} {at}"]
    return [f"{names} {days} {at}" if len({day % 7 for day in due.weekdays}) < len(_DAY_NAMES) else f"{days} {at}"]


def _github(jobs: Sequence[Numbered], place: Place) -> tuple[File, ...]:
    for job in jobs:
        if job.spec.timezone != "UTC":
            hint = f'Add it with --timezone UTC, or move "{job.spec.cron}" to UTC yourself.'
            raise Refused(f"job {job.number} is in {job.spec.timezone}; GitHub's schedules are in UTC.", hint=hint)
    steps = {
        f"job-{job.number}": {
            "if": f"github.event.schedule == '{job.spec.cron}' || github.event_name == 'workflow_dispatch'",
            "runs-on": "ubuntu-latest",
            "timeout-minutes": math.ceil(job.spec.timeout_seconds / 60) + 10,
            "concurrency": {
                "group": f"{place.name}-job-{job.number}",
                "cancel-in-progress": job.spec.overlap == "replace",
            },
            "steps": [
                {"uses": "actions/checkout@v4"},
                {"uses": "actions/setup-python@v5", "with": {"python-version": "3.12"}},
                {"run": "pip install mlprod_nb"},
                {
                    "run": _shell(job.spec, ("mlprod",)),
                    "env": {
                        "MLPROD_STORE__URL": "${{ secrets.MLPROD_STORE_URL }}",
                        "MLPROD_REGISTRY__TRACKING_URI": "${{ secrets.MLFLOW_TRACKING_URI }}",
                    },
                },
            ],
        }
        for job in jobs
    }
    schedule = [{"cron": cron} for cron in dict.fromkeys(job.spec.cron for job in jobs)]
    workflow = {"name": f"{place.name} jobs", "on": {"schedule": schedule, "workflow_dispatch": None}, "jobs": steps}
    head = [
        "# Jobs of mlprod for GitHub Actions. The workspace's mlprod.toml is in the repository; the state database and",
        "# the registry are reached by the two secrets. GitHub may be late, and is never early.",
        *_all_lost(jobs, retries=False, catch_up=False, wait=False),
    ]
    return (File(f"{place.name}-jobs.yml", "\n".join(head) + "\n" + _yaml(workflow)),)


def _airflow(jobs: Sequence[Numbered], place: Place) -> tuple[File, ...]:
    rows = [
        {
            "dag_id": f"{place.name}_job_{job.number}",
            "description": job.spec.command,
            "cron": job.spec.cron,
            "timezone": job.spec.timezone,
            "command": _plain(_shell(job.spec, place.program, limited=False)),
            "timeout_seconds": job.spec.timeout_seconds,
            "retries": job.spec.retries,
            "retry_seconds": job.spec.retry_seconds,
        }
        for job in jobs
    ]
    lost = "\n".join(_all_lost(jobs, replace=False, catch_up=False))
    return (File(f"{place.name}_jobs.py", _AIRFLOW.format(rows=_python(rows), root=str(place.root), lost=lost)),)


def _kubernetes(jobs: Sequence[Numbered], place: Place) -> tuple[File, ...]:
    documents = []
    for job in jobs:
        spec, name = job.spec, f"{place.name}-job-{job.number}".lower().replace("_", "-")
        container = {
            "name": "mlprod",
            "image": "mlprod",
            "command": ["sh", "-c", _shell(spec, ("mlprod",))],
            "envFrom": [{"secretRef": {"name": f"{place.name.lower().replace('_', '-')}-settings"}}],
        }
        pod = {"restartPolicy": "Never", "containers": [container]}
        run = {"backoffLimit": spec.retries, "template": {"spec": pod}}
        documents.append(
            {
                "apiVersion": "batch/v1",
                "kind": "CronJob",
                "metadata": {"name": name, "annotations": {"mlprod/command": spec.command}},
                "spec": {
                    "schedule": spec.cron,
                    "timeZone": "Etc/UTC" if spec.timezone == "UTC" else spec.timezone,
                    "concurrencyPolicy": "Replace" if spec.overlap == "replace" else "Forbid",
                    "startingDeadlineSeconds": max(60, round(spec.catch_up_seconds)),
                    "jobTemplate": {"spec": run},
                },
            }
        )
    head = [
        "# Jobs of mlprod for Kubernetes. The image holds mlprod_nb and the workspace's mlprod.toml in its working",
        "# directory; the secret holds MLPROD_STORE__URL and MLPROD_REGISTRY__TRACKING_URI.",
        *_all_lost(jobs, doubling=False, wait=False),
    ]
    return (File(f"{place.name}-jobs.yaml", "\n".join(head) + "\n" + "---\n".join(_yaml(one) for one in documents)),)


KINDS: dict[str, Callable[[Sequence[Numbered], Place], tuple[File, ...]]] = {
    "cron": _cron,
    "systemd": _systemd,
    "github": _github,
    "airflow": _airflow,
    "kubernetes": _kubernetes,
}
"""What writes for each outside scheduler, by its name."""

_AIRFLOW = '''"""Jobs of mlprod for Airflow 3."""
{lost}

from datetime import datetime, timedelta, timezone

from airflow.providers.standard.operators.bash import BashOperator
from airflow.sdk import DAG
from airflow.timetables.trigger import CronTriggerTimetable

JOBS = {rows}

for job in JOBS:
    with DAG(
        job["dag_id"],
        description=job["description"],
        schedule=CronTriggerTimetable(job["cron"], timezone=job["timezone"]),
        start_date=datetime(2024, 1, 1, tzinfo=timezone.utc),
        catchup=False,
        max_active_runs=1,
        tags=["mlprod"],
    ) as dag:
        BashOperator(
            task_id="run",
            bash_command=job["command"],
            cwd={root!r},
            append_env=True,
            execution_timeout=timedelta(seconds=job["timeout_seconds"]),
            retries=job["retries"],
            retry_delay=timedelta(seconds=job["retry_seconds"]),
            retry_exponential_backoff=True,
        )
    globals()[job["dag_id"]] = dag
'''


def _shell(spec: JobSpec, program: Iterable[str], *, limited: bool = True) -> str:
    """Return a job as a line of a shell, in which a verdict that is no went well."""
    limit = f"timeout {spec.timeout_seconds:g} " if limited else ""
    return f"{limit}{shlex.join([*program, *shlex.split(spec.command)])} || [ $? -eq 1 ]"


def _plain(text: str) -> str:
    """Return text that Airflow's templates leave as it is."""
    return "{% raw %}" + text + "{% endraw %}" if "{" in text else text


def _lost(spec: JobSpec, **can: bool) -> list[str]:
    """Return a comment for each rule that the outside scheduler cannot follow."""
    late = spell_duration(spec.catch_up_seconds)
    rules = {
        "retries": (spec.retries > 0, f"it is tried again {spec.retries} times"),
        "doubling": (spec.retries > 0, "the pause between its attempts doubles"),
        "replace": (spec.overlap == "replace", "its next slot ends what still runs"),
        "wait": (spec.overlap == "wait", "a slot that comes while it runs is run after"),
        "catch_up": (spec.catch_up_seconds > 0, f"a missed slot is caught up for {late}"),
    }
    return [f"# Not so here: {words}." for rule, (asked, words) in rules.items() if asked and not can.get(rule, True)]


def _all_lost(jobs: Sequence[Numbered], **can: bool) -> list[str]:
    return [f"# Job {job.number}: {line[2:]}" for job in jobs for line in _lost(job.spec, **can)]


def _numbers(values: Iterable[int], whole: int) -> str:
    found = sorted(values)
    return "*" if len(found) == whole else ",".join(f"{number:02d}" for number in found)


def _systemd_text(text: str) -> str:
    return text.replace("%", "%%")


def _systemd_word(word: str) -> str:
    """Return a word of a command line as systemd reads it (systemd.service(5), "Command lines")."""
    escaped = word.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%").replace("$", "$$")
    return f'"{escaped}"' if not escaped or set(escaped) & set(" \t'\"\\;") else escaped


def _python(rows: list[dict[str, Any]]) -> str:
    lines = ["["]
    for row in rows:
        lines += ["    {", *(f"        {json.dumps(key)}: {value!r}," for key, value in row.items()), "    },"]
    return "\n".join([*lines, "]"])


def _yaml(document: dict[str, Any]) -> str:
    import yaml

    text: str = yaml.safe_dump(document, sort_keys=False, width=1000, allow_unicode=True)
    return text
