"""Retries, overlaps, catching up, lost holders, and what people are told."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
import sqlalchemy as sa

from mlprod_nb import processes, scheduler
from mlprod_nb.errors import NotFound, Refused, UsageError
from mlprod_nb.scheduler import DueSlot, JobSpec, Leases, claims, holders
from mlprod_nb.scheduler.failures import LOST, REPLACED, STOPPED, TIMED_OUT
from mlprod_nb.store import Fence, Store, alerts, notices
from mlprod_nb.store.tables import job_runs
from tests.clocks import Steady

NOON = datetime(2025, 5, 5, 12, 0, 30, tzinfo=UTC)
ONE = NOON + timedelta(hours=1)
MINUTE = timedelta(minutes=1)


def add(store: Store, spec: JobSpec) -> int:
    with store.write() as connection:
        return scheduler.add(connection, spec, now=NOON).job


def hourly(**rules: object) -> JobSpec:
    return JobSpec("0 * * * *", "monitor flights", **rules)  # type: ignore[arg-type]


def claim(store: Store, now: datetime, leases: Leases | None = None) -> list[DueSlot]:
    with store.write() as connection:
        return scheduler.claim_due(connection, now, leases=leases)


def finish(store: Store, due: DueSlot, exit_code: int, now: datetime) -> bool:
    with store.write() as connection:
        return scheduler.finish(connection, due.id, exit_code, now=now)


def endings(store: Store) -> list[int | None]:
    with store.read() as connection:
        return list(connection.scalars(sa.select(job_runs.c.exit_code).order_by(job_runs.c.id)))


def open_alerts(store: Store) -> list[alerts.Alert]:
    with store.read() as connection:
        return alerts.list_alerts(connection, only_open=True)


# Retries


@pytest.mark.parametrize("exit_code", [3, TIMED_OUT, LOST, 137])
def test_a_run_that_failed_is_tried_again_after_pauses_that_double(store: Store, exit_code: int) -> None:
    add(store, hourly(retries=2, retry_seconds=300))
    found = []
    for minute in range(60):
        now = ONE + minute * MINUTE
        for due in claim(store, now):
            found.append((due.slot.hour, due.attempt, minute))
            finish(store, due, exit_code, now)
    assert found == [(13, 1, 0), (13, 2, 5), (13, 3, 15)]
    assert [due.slot.hour for due in claim(store, ONE + timedelta(hours=1))] == [14]


@pytest.mark.parametrize("exit_code", [0, 1, 2, STOPPED])
def test_a_yes_a_no_a_wrong_line_and_a_stop_are_not_tried_again(store: Store, exit_code: int) -> None:
    add(store, hourly(retries=3, retry_seconds=1))
    (due,) = claim(store, ONE)
    finish(store, due, exit_code, ONE)
    assert claim(store, ONE + timedelta(minutes=30)) == []


def test_the_next_slot_takes_the_place_of_a_retry(store: Store) -> None:
    add(store, hourly(retries=3, retry_seconds=7200))
    (due,) = claim(store, ONE)
    finish(store, due, 3, ONE)
    (after,) = claim(store, ONE + timedelta(hours=3))
    assert (after.slot.hour, after.attempt) == (16, 1)


def test_a_run_by_hand_is_not_tried_again(store: Store) -> None:
    job = add(store, hourly(retries=3, retry_seconds=1))
    with store.write() as connection:
        due = scheduler.claim_now(connection, job, NOON)
    finish(store, due, 3, NOON)
    assert claim(store, NOON + timedelta(minutes=20)) == []


def test_the_list_counts_attempts_and_says_the_rules(store: Store) -> None:
    add(store, hourly(retries=2, retry_seconds=90, overlap="skip", catch_up_seconds=0))
    (due,) = claim(store, ONE)
    finish(store, due, 3, ONE)
    (again,) = claim(store, ONE + 2 * MINUTE)
    finish(store, again, 3, ONE + 2 * MINUTE)
    with store.read() as connection:
        (row,) = scheduler.list_jobs(connection, now=ONE).jobs
    assert row.last == "failed, exit code 3 (attempt 2 of 3)"
    assert row.rules == "at most 1h, 2 retries after 1m30s, skips what overlaps, never caught up"


# Overlaps and catching up


def test_a_slot_that_comes_while_the_job_runs_waits_or_is_let_go(store: Store) -> None:
    waiting, skipping = add(store, hourly()), add(store, hourly(overlap="skip"))
    first = claim(store, ONE)
    later = ONE + timedelta(hours=2, minutes=10)
    assert claim(store, later) == []
    for due in first:
        finish(store, due, 0, later)
    assert [(due.job, due.slot.hour) for due in claim(store, later)] == [(waiting, 15)]
    assert skipping in [due.job for due in claim(store, later + timedelta(hours=1))]


def test_a_run_is_asked_to_end_for_the_next_slot_and_then_that_is_run(store: Store) -> None:
    add(store, hourly(overlap="replace"))
    (due,) = claim(store, ONE)
    with store.write() as connection:
        assert claims.beat(connection, due.id) == ""
    assert claim(store, ONE + timedelta(hours=1)) == []
    with store.write() as connection:
        assert claims.beat(connection, due.id) == "replaced"
    finish(store, due, REPLACED, ONE + timedelta(hours=1))
    assert [found.slot.hour for found in claim(store, ONE + timedelta(hours=1))] == [14]
    assert open_alerts(store) == []


@pytest.mark.parametrize(("catch_up", "hours"), [(0.0, []), (3600.0, [18]), (86_400.0, [18])])
def test_a_missed_slot_is_run_as_late_as_the_job_says(store: Store, catch_up: float, hours: list[int]) -> None:
    add(store, JobSpec("0 18 * * *", "status", catch_up_seconds=catch_up))
    found = claim(store, datetime(2025, 5, 5, 18, 59, tzinfo=UTC))
    assert [due.slot.hour for due in found] == hours


def test_a_job_that_is_never_caught_up_runs_when_the_scheduler_is_a_little_late(store: Store) -> None:
    add(store, JobSpec("0 18 * * *", "status", catch_up_seconds=0))
    assert len(claim(store, datetime(2025, 5, 5, 18, 0, 50, tzinfo=UTC))) == 1


# Holders


def test_a_silent_holder_loses_its_run_by_our_own_steady_clock_whatever_the_time_of_day(store: Store) -> None:
    add(store, hourly())
    (due,) = claim(store, ONE, Leases("elsewhere/7/1.00"))
    steady = Steady()
    mine = Leases("here/8/1.00", steady)
    # The time of day leaps by a day: that alone ends nothing.
    assert claim(store, ONE + timedelta(days=1), mine) == []
    steady.seconds = holders.LEASE_SECONDS - 1
    assert claim(store, ONE + timedelta(days=1), mine) == []
    with store.write() as connection:
        assert claims.beat(connection, due.id) == ""
    steady.seconds += 2
    assert claim(store, ONE + timedelta(days=1), mine) == []
    steady.seconds += holders.LEASE_SECONDS + 1
    (after,) = claim(store, ONE + timedelta(days=1), mine)
    assert after.slot > due.slot
    assert endings(store) == [LOST, None]


def test_who_lost_a_run_is_told_by_the_next_beat_and_its_end_counts_no_more(store: Store) -> None:
    add(store, hourly())
    (due,) = claim(store, ONE)
    assert finish(store, due, LOST, ONE)
    with store.write() as connection:
        assert claims.beat(connection, due.id) == "lost"
    assert not finish(store, due, 0, ONE + MINUTE)
    assert endings(store) == [LOST]


def test_a_run_that_was_given_up_writes_nothing_any_more(store: Store) -> None:
    add(store, hourly())
    (due,) = claim(store, ONE)
    fenced = Store(store.url, fence=Fence(due.id))
    try:
        with fenced.write() as connection:
            connection.execute(sa.text("UPDATE jobs SET command = 'status'"))
        finish(store, due, LOST, ONE)
        with pytest.raises(Refused, match=f"run {due.id} was given up"), fenced.write() as connection:
            connection.execute(sa.text("UPDATE jobs SET command = 'down'"))
    finally:
        fenced.close()
    with store.read() as connection:
        assert connection.scalar(sa.text("SELECT command FROM jobs")) == "status"


@pytest.fixture
def dead() -> str:
    """A holder on this machine that has died."""
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE, text=True) as process:
        name = f"{socket.gethostname()}/{processes.identity(process.pid)}"
        process.communicate("\n", 60)
    return name


@pytest.fixture
def orphan() -> Iterator[subprocess.Popen[bytes]]:
    """A process that goes on by itself."""
    process = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"], start_new_session=True)
    yield process
    process.kill()
    process.wait(30)


def left(store: Store, due: DueSlot, process: str) -> None:
    with store.write() as connection:
        claims.started(connection, due.id, process)


def test_a_dead_holders_run_is_not_begun_again_before_what_it_left_has_ended(
    store: Store, dead: str, orphan: subprocess.Popen[bytes]
) -> None:
    add(store, hourly())
    (due,) = claim(store, ONE, Leases(dead))
    left(store, due, processes.identity(orphan.pid))
    assert claim(store, ONE + timedelta(hours=1)) == []
    assert endings(store) == [None]
    scheduler.end_orphans(store, Leases())
    assert orphan.wait(30) < 0
    assert len(claim(store, ONE + timedelta(hours=1))) == 1
    assert endings(store) == [LOST, None]


def test_a_silent_holders_process_is_ended_on_its_own_machine(store: Store, orphan: subprocess.Popen[bytes]) -> None:
    add(store, hourly())
    # The holder lives, and says nothing: a scheduler that was stopped.
    (due,) = claim(store, ONE, Leases(f"{socket.gethostname()}/{processes.identity(os.getpid())}"))
    left(store, due, processes.identity(orphan.pid))
    steady = Steady()
    mine = Leases("here/8/1.00", steady)
    scheduler.end_orphans(store, mine)
    assert orphan.poll() is None
    steady.seconds = holders.LEASE_SECONDS + 1
    scheduler.end_orphans(store, mine)
    assert orphan.wait(30) < 0
    assert len(claim(store, ONE + timedelta(hours=1), mine)) == 1


def test_a_process_that_only_has_the_number_is_left_alone(
    store: Store, dead: str, orphan: subprocess.Popen[bytes]
) -> None:
    add(store, hourly())
    (due,) = claim(store, ONE, Leases(dead))
    left(store, due, f"{orphan.pid}/1.00")
    scheduler.end_orphans(store, Leases())
    assert len(claim(store, ONE + timedelta(hours=1))) == 1
    assert orphan.poll() is None


def test_whoever_ends_an_orphan_keeps_nobody_from_writing(store: Store, dead: str) -> None:
    """The orphan does not hear the polite signal, so its end takes seconds; others write meanwhile."""
    add(store, hourly())
    (due,) = claim(store, ONE, Leases(dead))
    deaf = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print(1, flush=True); time.sleep(600)"
    command = [sys.executable, "-c", deaf]
    with subprocess.Popen(command, stdout=subprocess.PIPE, start_new_session=True) as process:
        assert process.stdout is not None
        process.stdout.readline()
        left(store, due, processes.identity(process.pid))
        other = threading.Thread(target=scheduler.end_orphans, args=(store, Leases()))
        other.start()
        written, deadline = 0, time.monotonic() + 60
        while process.poll() is None and time.monotonic() < deadline:
            with store.write() as connection:
                connection.execute(sa.text("UPDATE jobs SET retries = retries"))
            written += process.poll() is None
        other.join(30)
    assert written > 10


def test_a_run_whose_end_could_not_be_recorded_is_given_up_by_its_own_scheduler(store: Store) -> None:
    add(store, hourly())
    leases = Leases("here/8/1.00")
    leases.executing = set()
    (due,) = claim(store, ONE, leases)
    leases.executing.add(due.id)
    assert claim(store, ONE + timedelta(hours=1), leases) == []
    leases.executing.clear()
    assert len(claim(store, ONE + timedelta(hours=1), leases)) == 1
    assert endings(store) == [LOST, None]


# What people are told


def test_a_job_that_fails_for_good_raises_one_alert_which_is_over_when_it_works_again(store: Store) -> None:
    add(store, hourly(retries=1, retry_seconds=60))
    (due,) = claim(store, ONE)
    finish(store, due, 3, ONE)
    assert open_alerts(store) == []
    (again,) = claim(store, ONE + MINUTE)
    finish(store, again, TIMED_OUT, ONE + 2 * MINUTE)
    (alert,) = open_alerts(store)
    assert alert.said.endpoint == "job 1"
    assert alert.said.sentence.startswith("monitor flights: timed out at the last of 2 attempts; it wrote .mlprod/run/")
    assert alert.said.action == "%mlprod schedule run 1"
    (next_one,) = claim(store, ONE + timedelta(hours=1))
    finish(store, next_one, 2, ONE + timedelta(hours=1))
    assert len(open_alerts(store)) == 1
    (works,) = claim(store, ONE + timedelta(hours=2))
    finish(store, works, 1, ONE + timedelta(hours=2))
    assert open_alerts(store) == []
    with store.read() as connection:
        assert [notice.event for notice in notices.waiting(connection)] == ["raised", "recovered"]
        assert len(notices.untried(connection)) == 2


@pytest.mark.parametrize(
    ("rules", "message"),
    [
        ({"retries": 11}, "11 retries are not possible; 0 to 10 are"),
        ({"retries": -1}, "-1 retries are not possible"),
        ({"retry_seconds": 0}, "pause before a retry is 0 s; it is more than 0"),
        ({"catch_up_seconds": -1}, "catch-up is -1 s; it is 0 or more"),
    ],
)
def test_rules_that_cannot_be_are_refused(store: Store, rules: dict[str, object], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        add(store, hourly(**rules))


def test_an_unknown_overlap_rule_names_the_nearest(store: Store) -> None:
    with pytest.raises(NotFound, match=r"no overlap rule 'skp'\. Did you mean 'skip'"):
        add(store, hourly(overlap="skp"))
