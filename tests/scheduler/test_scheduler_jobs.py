"""Jobs in the state database: claiming, catching up, listing."""

from __future__ import annotations

import subprocess
import sys
from datetime import UTC, datetime, timedelta

import pytest
import sqlalchemy as sa

from mlprod_nb import scheduler
from mlprod_nb.errors import NotFound, Refused, UsageError
from mlprod_nb.scheduler import JobSpec
from mlprod_nb.scheduler.failures import TIMED_OUT
from mlprod_nb.store import Store
from mlprod_nb.store.tables import job_runs

NOON = datetime(2025, 5, 5, 12, 0, 30, tzinfo=UTC)
HOURLY = JobSpec("0 * * * *", "monitor flights")


def add(store: Store, spec: JobSpec = HOURLY, now: datetime = NOON) -> int:
    with store.write() as connection:
        return scheduler.add(connection, spec, now=now).job


def claim(store: Store, now: datetime, limit: int = 100) -> list[scheduler.DueSlot]:
    with store.write() as connection:
        return scheduler.claim_due(connection, now, limit=limit)


def finish(store: Store, due: scheduler.DueSlot, exit_code: int, now: datetime) -> None:
    with store.write() as connection:
        scheduler.finish(connection, due.id, exit_code, now=now)


def listed(store: Store, now: datetime = NOON) -> scheduler.JobRow:
    with store.read() as connection:
        (row,) = scheduler.list_jobs(connection, now=now).jobs
    return row


def test_a_job_runs_at_its_first_slot_after_it_was_added(store: Store) -> None:
    job = add(store)
    assert claim(store, NOON) == []
    (due,) = claim(store, NOON + timedelta(hours=1))
    assert (due.job, due.slot, due.command) == (job, datetime(2025, 5, 5, 13, tzinfo=UTC), "monitor flights")


def test_a_slot_is_claimed_once(store: Store) -> None:
    add(store)
    later = NOON + timedelta(hours=1)
    (due,) = claim(store, later)
    finish(store, due, 0, later)
    assert claim(store, later) == []
    assert claim(store, later + timedelta(seconds=1)) == []


def test_a_clock_that_steps_back_runs_nothing_twice(store: Store) -> None:
    add(store)
    (due,) = claim(store, NOON + timedelta(hours=1))
    finish(store, due, 0, NOON + timedelta(hours=1))
    assert claim(store, due.slot - timedelta(seconds=10)) == []
    assert claim(store, due.slot + timedelta(seconds=1)) == []
    assert claim(store, due.slot - timedelta(minutes=59)) == []


def test_after_a_clock_that_was_hours_ahead_jobs_run_at_the_true_time(store: Store) -> None:
    add(store)
    (ahead,) = claim(store, NOON + timedelta(hours=5))
    finish(store, ahead, 0, NOON + timedelta(hours=5))
    slots = []
    for hours in (1, 2, 3, 4, 5, 6):
        for due in claim(store, NOON + timedelta(hours=hours)):
            finish(store, due, 0, NOON + timedelta(hours=hours))
            slots.append(due.slot.hour)
    # 17 o'clock ran already, by the clock that was wrong.
    assert slots == [13, 14, 15, 16, 18]


def test_only_the_newest_missed_slot_is_caught_up(store: Store) -> None:
    add(store)
    (due,) = claim(store, NOON + timedelta(hours=7))
    assert due.slot == datetime(2025, 5, 5, 19, tzinfo=UTC)
    finish(store, due, 0, NOON + timedelta(hours=7))
    assert claim(store, NOON + timedelta(hours=7, minutes=1)) == []


def test_a_slot_missed_by_more_than_a_day_is_let_go(store: Store) -> None:
    add(store, JobSpec("0 6 5 * *", "status"), now=NOON - timedelta(days=3))
    assert claim(store, NOON + timedelta(days=2)) == []
    assert len(claim(store, datetime(2025, 6, 5, 6, 0, 1, tzinfo=UTC))) == 1


def test_a_job_that_still_runs_is_not_started_again(store: Store) -> None:
    add(store)
    (due,) = claim(store, NOON + timedelta(hours=1))
    assert claim(store, NOON + timedelta(hours=1, minutes=59)) == []
    assert listed(store).last == "running"
    finish(store, due, 0, NOON + timedelta(hours=2, minutes=5))
    (after,) = claim(store, NOON + timedelta(hours=2, minutes=5))
    assert after.slot == datetime(2025, 5, 5, 14, tzinfo=UTC)


def test_an_end_is_recorded_once(store: Store) -> None:
    add(store)
    (due,) = claim(store, NOON + timedelta(hours=1))
    finish(store, due, TIMED_OUT, NOON + timedelta(hours=1))
    finish(store, due, 0, NOON + timedelta(hours=2))
    assert listed(store).last == "timed out"


@pytest.mark.parametrize(
    ("exit_code", "words"), [(0, "ok"), (1, "verdict: no"), (3, "failed, exit code 3"), (143, "stopped")]
)
def test_the_list_says_how_the_last_run_ended_and_when_the_next_is(store: Store, exit_code: int, words: str) -> None:
    job = add(store, JobSpec("0 6 * * *", "mlprod status", "Europe/Berlin"))
    now = datetime(2025, 5, 6, 4, 0, 1, tzinfo=UTC)
    (due,) = claim(store, now)
    finish(store, due, exit_code, now)
    row = listed(store, now)
    assert (row.job, row.command, row.timezone, row.last) == (job, "status", "Europe/Berlin", words)
    assert row.last_at == datetime(2025, 5, 6, 4, tzinfo=UTC)
    assert row.next_at == datetime(2025, 5, 7, 4, tzinfo=UTC)
    assert row.log_path.startswith(f".mlprod/run/jobs/{job}-")


def test_a_run_that_was_caught_up_says_how_late_it_is_and_what_was_missed(store: Store) -> None:
    add(store)
    now = NOON + timedelta(hours=3, minutes=51)
    (due,) = claim(store, now)
    finish(store, due, 0, now)
    assert listed(store).last == "ok (51m late, 2 missed before it)"
    (due,) = claim(store, NOON + timedelta(hours=4))
    assert listed(store).last == "running"
    finish(store, due, 0, NOON + timedelta(hours=4, minutes=1))
    (late,) = claim(store, NOON + timedelta(hours=5, minutes=2))
    finish(store, late, 1, NOON + timedelta(hours=5, minutes=3))
    assert listed(store).last == "verdict: no (2m late)"


def test_an_empty_list_says_so(store: Store) -> None:
    with store.read() as connection:
        found = scheduler.list_jobs(connection, now=NOON)
    assert str(found) == "No job is scheduled."


def test_a_removed_job_runs_no_more_and_keeps_its_past(store: Store) -> None:
    job = add(store)
    claim(store, NOON + timedelta(hours=1))
    with store.write() as connection:
        scheduler.remove(connection, job, now=NOON)
    assert claim(store, NOON + timedelta(hours=9)) == []
    with store.read() as connection:
        assert scheduler.list_jobs(connection, now=NOON).jobs == ()
        assert connection.scalar(sa.select(sa.func.count()).select_from(job_runs)) == 1


def test_an_unknown_job_is_one_clear_line(store: Store) -> None:
    add(store)
    for call in (scheduler.remove, lambda c, job, now: scheduler.claim_now(c, job, now)):
        with store.write() as connection, pytest.raises(NotFound, match="there is no job '7'"):
            call(connection, 7, now=NOON)


def test_a_job_can_be_run_at_once_unless_it_runs(store: Store) -> None:
    job = add(store)
    with store.write() as connection:
        due = scheduler.claim_now(connection, job, NOON)
    assert (due.slot, due.command) == (NOON, "monitor flights")
    with store.write() as connection, pytest.raises(Refused, match="still runs"):
        scheduler.claim_now(connection, job, NOON + timedelta(seconds=5))


def test_the_limit_leaves_the_rest_for_later(store: Store) -> None:
    for _ in range(3):
        add(store)
    later = NOON + timedelta(hours=1)
    assert len(claim(store, later, limit=0)) == 0
    assert [due.job for due in claim(store, later, limit=2)] == [1, 2]
    assert [due.job for due in claim(store, later, limit=2)] == [3]


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        (JobSpec("0 6 * *", "status"), "needs 5"),
        (JobSpec("0 6 * * *", "status", "Mars/Base"), "no time zone 'Mars/Base'"),
        (JobSpec("0 6 * * *", "status", timeout_seconds=0), "time-out is 0 s"),
        (JobSpec("0 6 * * *", "status", timeout_seconds=float("inf")), "time-out is inf s"),
        (JobSpec("0 6 * * *", "mlprod"), "the command line is empty"),
        (JobSpec("0 6 * * *", 'report "flights'), "cannot be read: No closing quotation"),
    ],
)
def test_a_wrong_job_is_refused_before_anything_is_stored(store: Store, spec: JobSpec, message: str) -> None:
    with pytest.raises(UsageError, match=message.replace("'", ".")), store.write() as connection:
        scheduler.add(connection, spec, now=NOON)
    with store.read() as connection:
        assert scheduler.list_jobs(connection, now=NOON).jobs == ()


def test_the_table_itself_refuses_a_slot_twice(store: Store) -> None:
    from mlprod_nb.scheduler import claims, jobs

    job = add(store)
    with store.write() as connection:
        row = jobs.find(connection, job)
        assert claims._claim(connection, row, NOON, 1, NOON, "here") is not None
        assert claims._claim(connection, row, NOON, 1, NOON, "here") is None
        # The transaction goes on after the refusal.
        assert claims._claim(connection, row, NOON + timedelta(hours=1), 1, NOON, "here") is not None


CLAIMER = """
import sys
from datetime import datetime, timedelta
from mlprod_nb import scheduler
from mlprod_nb.store import Store

store, now = Store(sys.argv[1]), datetime.fromisoformat(sys.argv[2])
sys.stdin.readline()
for minute in range(40):
    with store.write() as connection:
        for due in scheduler.claim_due(connection, now + timedelta(minutes=minute)):
            scheduler.finish(connection, due.id, 0, now=now)
            sys.stdout.write(f"{due.job} {due.slot.isoformat()}\\n")
"""


def test_two_schedulers_at_once_claim_every_slot_once_between_them(store: Store) -> None:
    for _ in range(3):
        add(store, JobSpec("* * * * *", "status"))
    start = (NOON + timedelta(minutes=1)).isoformat()
    command = [sys.executable, "-c", CLAIMER, store.url, start]
    both = [subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    for process in both:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    claimed = [line for process in both for line in process.communicate(timeout=60)[0].splitlines()]
    assert [process.returncode for process in both] == [0, 0]
    assert len(claimed) == len(set(claimed))
    with store.read() as connection:
        assert connection.scalar(sa.select(sa.func.count()).select_from(job_runs)) == len(claimed)
        last = scheduler.list_jobs(connection, now=NOON).jobs
    assert {row.last_at for row in last} == {datetime(2025, 5, 5, 12, 40, tzinfo=UTC)}
