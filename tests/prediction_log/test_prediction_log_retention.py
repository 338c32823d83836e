"""Retention: rows go when they are older than they are kept, whole files at a time, and nothing calls it damage."""

from __future__ import annotations

import os
import random
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from mlprod_nb.clock import Clock
from mlprod_nb.errors import Refused
from mlprod_nb.prediction_log import removals, retention
from mlprod_nb.prediction_log.catalogue import Selection
from mlprod_nb.prediction_log.compaction import Compacted
from mlprod_nb.prediction_log.removals import Removals, Removed
from tests.prediction_log.batches import START
from tests.prediction_log.compacting import Site, after_power_loss, open_site, seen
from tests.prediction_log.watched_files import PowerLoss

DAY = timedelta(days=1)


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    site = open_site(tmp_path)
    yield site
    site.store.close()


def at(moment: datetime) -> Clock:
    return lambda: moment


def fill(site: Site, days: int) -> None:
    """Log two predictions and a label on each of some days, and compact each day."""
    for day in range(days):
        now = START + day * DAY
        site.add(f"{day}a", f"{day}b", at=now)
        site.label(f"{day}a", at=now + timedelta(hours=1))
        site.compact(clock=at(now + timedelta(hours=2)))


def forget(site: Site, keep_days: int, now: datetime, point: Callable[[str], None] | None = None) -> Compacted:
    return site.compact(point, keep_days=keep_days, clock=at(now))


def test_rows_go_when_their_day_ended_longer_ago_than_they_are_kept(site: Site) -> None:
    fill(site, 4)
    midnight = START.replace(hour=0)
    assert forget(site, 2, midnight + 3 * DAY - timedelta(seconds=1)).forgotten.rows == 0
    done = forget(site, 2, midnight + 3 * DAY)
    assert (done.forgotten.rows, done.forgotten.files, done.problems) == (3, 2, ())
    assert site.ids() == ["1a", "1b", "2a", "2b", "3a", "3b"]
    assert site.log.labelled(site.log.pin("flights"))["label"].to_pylist() == ["1", None] * 3
    assert site.files() == sorted(file.path for file in site.catalogue.files(Selection()))
    assert len(site.files()) == 6
    assert site.log.find("0a") is None
    assert site.log.verify() == []


def test_rows_are_kept_for_ever_where_nothing_is_said(site: Site) -> None:
    fill(site, 2)
    assert forget(site, 0, START + 9999 * DAY).forgotten.rows == 0
    assert len(site.ids()) == 4


def test_rows_of_long_ago_that_came_lately_stay_as_long_as_others(site: Site) -> None:
    """Events of 2013 that are replayed today are not removed at the next compaction."""
    now = START + 1000 * DAY
    site.add("old", at=START)
    assert forget(site, 10, now).forgotten.rows == 0
    assert forget(site, 10, now + 10 * DAY).forgotten.rows == 0
    assert forget(site, 10, now + 11 * DAY).forgotten.rows == 1


def test_a_file_that_was_merged_goes_as_one(site: Site) -> None:
    for number in range(3):
        site.add(f"p{number}")
        site.compact(clock=at(START + timedelta(hours=number)))
    site.compact(least_files=2, clock=at(START + timedelta(hours=4)))
    assert forget(site, 1, START + 2 * DAY).forgotten == retention.Forgotten(3, 1)
    assert site.ids() == []
    assert site.log.verify() == []


def test_a_range_that_was_pinned_before_says_what_was_removed_and_why(site: Site) -> None:
    fill(site, 3)
    everything, later = site.log.pin("flights"), site.log.pin("flights", since=START + DAY)
    before = seen(site, later)
    forget(site, 1, START + 2 * DAY)
    told = "rows of 'flights' from 2013-04-01 to 2013-04-01 were removed, the last of them on 2013-04-03, as "
    for read in (site.log.predictions, site.log.labelled, site.log.feedback, site.log.check):
        with pytest.raises(Removed, match=f"{told}.*keep_days says"):
            read(everything)
    with pytest.raises(Removed):
        site.log.outcomes(everything, only=["score"])
    with pytest.raises(Removed):
        site.log.sample(everything, 1, only=["score"])
    with pytest.raises(Removed):  # a window before the range's own
        site.log.tally(
            later, "key", lambda tables, rows: b"", only=["score"], times=((START, START + timedelta(hours=2)),)
        )
    assert seen(site, later)[:-1] == before[:-1]
    site.log.check(later)


def test_a_range_that_is_pinned_after_has_what_is_left(site: Site) -> None:
    fill(site, 3)
    forget(site, 1, START + 2 * DAY)
    pinned = site.log.pin("flights")
    assert pinned.rows == site.log.predictions(pinned).num_rows == 4
    before = seen(site, pinned)
    site.add("another", at=START + 2 * DAY)
    forget(site, 1, START + 2 * DAY)
    assert seen(site, pinned) == before
    site.add("t", endpoint="trains")
    assert site.log.pin("trains").version == 0


def test_a_range_over_a_segment_that_was_compacted_and_removed_says_so(site: Site) -> None:
    site.add("a")
    pinned = site.log.pin("flights")
    assert pinned.version == 0
    site.compact(clock=at(START))
    forget(site, 1, START + 2 * DAY)
    with pytest.raises(Removed):
        site.log.predictions(pinned)


def test_another_endpoint_s_removal_does_not_touch_a_range(site: Site) -> None:
    fill(site, 1)
    site.add("t", endpoint="trains", at=START + 5 * DAY)
    site.compact(clock=at(START + 5 * DAY))
    pinned = site.log.pin("trains")
    assert forget(site, 3, START + 5 * DAY).forgotten.rows == 3
    assert site.log.predictions(pinned).num_rows == 1
    assert site.log.pin("trains") == pinned


def test_feedback_about_removed_predictions_is_not_said_to_name_nothing(site: Site) -> None:
    site.add("a", "b")
    site.compact(clock=at(START))
    pinned = site.log.pin("flights")
    site.label("a", at=START + 2 * DAY)
    forget(site, 1, START + 2 * DAY)
    site.label("b", "zzz", at=START + 2 * DAY)
    found = site.log.unmatched(site.log.pin("flights"))
    assert (found.feedback, found.strays, found.example) == (3, 1, "zzz")
    assert site.log.unmatched(pinned).strays == 0


def test_what_was_counted_of_a_file_goes_with_it(site: Site) -> None:
    fill(site, 1)
    (file,) = site.catalogue.files(Selection(kind="predictions"))
    site.catalogue.keep({file.digest: b"counts"}, "key")
    forget(site, 1, START + 2 * DAY)
    assert site.catalogue.kept([file.digest], "key") == {}


def test_a_damaged_segment_that_was_put_aside_goes_when_it_is_too_old(site: Site) -> None:
    aside = site.folder / "damaged" / "20130401T060000000000Z-00000000.seg"
    aside.parent.mkdir(parents=True)
    aside.write_bytes(b"rows")
    for written, stays in ((START + DAY, True), (START, False)):
        os.utime(aside, (written.timestamp(), written.timestamp()))
        forget(site, 1, START + 2 * DAY)
        assert aside.exists() is stays


def test_only_what_may_be_due_is_looked_for_further(site: Site) -> None:
    """The process that compacts asks this each time, before it has loaded anything."""
    now = datetime.now(UTC)
    assert not retention.waiting(site.folder, 1, now)
    fill(site, 1)
    assert not retention.waiting(site.folder, 1, now), "they were written today"
    assert not retention.waiting(site.folder, 0, now + 9 * DAY)
    assert retention.waiting(site.folder, 1, now + 2 * DAY)


def test_two_that_remove_at_once_against_the_lease_do_it_once(site: Site) -> None:
    fill(site, 1)
    due = removals.due(site.store, START + 2 * DAY)
    removals.remove(site.store, due, "retention", now=START + 2 * DAY)
    with pytest.raises(Refused, match="another process changed files of the prediction log meanwhile"):
        removals.remove(site.store, due, "retention", now=START + 2 * DAY)
    assert site.compact().leftovers == 2
    assert site.log.verify() == []
    assert [removal.rows for removal in Removals(site.store).every()] == [1, 2]


@pytest.mark.parametrize("step", ["removing", "removed", "syncing", "synced"])
def test_a_removal_that_is_killed_is_carried_on_by_the_next(site: Site, step: str) -> None:
    fill(site, 3)

    def end(name: str) -> None:
        if name == step:
            raise PowerLoss

    with pytest.raises(PowerLoss):
        forget(site, 1, START + 2 * DAY, end)
    assert site.ids() == ["1a", "1b", "2a", "2b"]
    assert all("a compaction that was killed left it; it counts no more" in line for line in site.log.verify())
    assert forget(site, 1, START + 2 * DAY).leftovers == 2
    assert len(site.files()) == 4
    assert site.log.verify() == []


def lose_power(root: Path, step: int, chance: random.Random) -> bool:
    """Let the power go at a step of a compaction that removes; check what is left; return whether it came so far."""
    options: dict[str, Any] = {"least_files": 2, "keep_days": 1, "clock": at(START + 3 * DAY)}
    site = after_power_loss(root, step, chance, **options)
    if site is None:
        return False
    # A file counts whole or not at all, whatever the moment.
    assert set(site.ids()) - {"0a", "0b", "1a", "1b"} == {"2a", "2b", "3a", "3b"}, step
    assert len([name for name in site.ids() if name[0] in "01"]) in (0, 4), step
    site.compact(**options)
    assert site.ids() == ["2a", "2b", "3a", "3b"], step
    assert site.log.verify() == [], step
    assert site.files() == sorted(file.path for file in site.catalogue.files(Selection()))
    site.store.close()
    return True


def lose_power_at(root: Path, seed: int, steps: Iterator[int]) -> None:
    template, chance = open_site(root / "template"), random.Random(seed)
    fill(template, 3)
    template.add("3a", "3b", at=START + 3 * DAY)
    template.store.close()
    assert next(step for step in steps if not lose_power(root, step, chance)) > 10


def test_a_power_loss_at_any_step_of_a_removal_leaves_what_is_kept_and_removes_the_rest(tmp_path: Path) -> None:
    lose_power_at(tmp_path, 20130401, count(0, 2))


@pytest.mark.exhaustive
@pytest.mark.parametrize("seed", range(10))
def test_a_power_loss_at_each_step_of_a_removal_whatever_it_leaves_loses_nothing(tmp_path: Path, seed: int) -> None:
    lose_power_at(tmp_path, seed, count())
