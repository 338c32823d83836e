"""Verifying: every flipped bit is found, as is every file that is missing, cut short or too many."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from mlprod_nb.prediction_log.segment_files import lease
from mlprod_nb.store import tables
from tests.prediction_log.batches import START
from tests.prediction_log.compacting import Site, open_site
from tests.prediction_log.watched_files import PowerLoss

SEED = 20130401


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    """A log with files of two kinds and two days, and two segments."""
    site = open_site(tmp_path)
    site.add(*"abc", event_time=[START, START, START.replace(day=2)])
    site.label("a", "b")
    site.compact()
    site.add("d")
    site.label("c")
    assert site.log.verify() == []
    yield site
    site.store.close()


def kill_at(site: Site, name: str, times: int = 1) -> None:
    """Let a compaction end where it comes to a step for the nth time, as if it were killed: it cleans nothing up."""
    left = iter(range(times - 1, -1, -1))

    def end(step: str) -> None:
        if step == name and next(left) == 0:
            raise PowerLoss

    with pytest.raises(PowerLoss):
        site.compact(end)


def test_two_hundred_flipped_bits_are_each_found_and_placed(site: Site) -> None:
    chance = random.Random(SEED)
    paths = [site.folder / name for name in site.files() + site.segments()]
    weights = [path.stat().st_size for path in paths]
    for _ in range(200):
        (path,) = chance.choices(paths, weights)
        whole = path.read_bytes()
        flipped = bytearray(whole)
        flipped[chance.randrange(len(whole))] ^= 1 << chance.randrange(8)
        path.write_bytes(flipped)
        (problem,) = site.log.verify()
        assert problem.startswith(path.relative_to(site.folder).as_posix())
        path.write_bytes(whole)
    assert site.log.verify() == []


@pytest.mark.exhaustive
def test_a_flipped_bit_in_every_byte_is_found(site: Site) -> None:
    for path in [site.folder / name for name in site.files()[-1:] + site.segments()[:1]]:
        whole = path.read_bytes()
        for at in range(len(whole)):
            flipped = bytearray(whole)
            flipped[at] ^= 1 << at % 8
            path.write_bytes(flipped)
            (problem,) = site.log.verify()
            assert problem.startswith(path.relative_to(site.folder).as_posix())
        path.write_bytes(whole)


def test_a_file_that_is_gone_or_cut_short_is_named_with_what_was_in_it(site: Site) -> None:
    path = site.folder / site.files()[-1]
    content = path.read_bytes()
    path.write_bytes(content[:-1])
    (problem,) = site.log.verify()
    assert "its bytes are not those that were written" in problem
    path.unlink()
    (problem,) = site.log.verify()
    where = path.relative_to(site.folder).as_posix()
    assert problem == (
        f"{where}: it is gone, with 1 rows of 'flights' from 2013-04-02T06:00:00Z to 2013-04-02T06:00:00Z. "
        "Bring it back from a backup."
    )


@pytest.mark.parametrize("column", ["rows", "digest", "bytes"])
def test_a_catalogue_that_says_something_else_is_found(site: Site, column: str) -> None:
    (name, *_) = site.files()
    wrong: dict[str, object] = {column: "0" * 64 if column == "digest" else 9}
    with site.store.write() as connection:
        connection.execute(sa.update(tables.log_files).where(tables.log_files.c.path == name).values(wrong))
    problems = site.log.verify()
    assert problems[0].startswith(f"{name}: ")
    assert len(problems) == (2 if column == "rows" else 1)


def test_rows_that_no_file_has_are_found(site: Site) -> None:
    with site.store.write() as connection:
        connection.execute(sa.delete(tables.log_files).where(tables.log_files.c.path == site.files()[0]))
    count, unknown = site.log.verify()
    assert count.startswith("catalogue: its files have 3 rows and its segments had 5.")
    assert unknown.startswith(f"{site.files()[0]}: the catalogue does not name it")


@pytest.mark.parametrize(
    ("step", "times", "left"), [("half written", 1, 1), ("written", 2, 2), ("renamed", 1, 2), ("synced", 7, 2)]
)
def test_what_a_killed_compaction_left_is_named_and_the_next_removes_it(
    site: Site, step: str, times: int, left: int
) -> None:
    kill_at(site, step, times)
    problems = site.log.verify()
    assert len(problems) == left
    assert all("a compaction that was killed left it. mlprod compact removes it." in problem for problem in problems)
    assert site.compact().leftovers == left
    assert site.log.verify() == []


def test_segments_that_a_killed_compaction_left_do_not_count_and_are_named(site: Site) -> None:
    kill_at(site, "removing")  # the first that is removed is a segment, after the transaction
    assert sorted(site.ids()) == list("abcd")
    problems = site.log.verify()
    assert [problem.partition(":")[0] for problem in problems] == site.segments()
    assert site.compact().leftovers == 2
    assert (site.log.verify(), site.segments()) == ([], [])


def test_a_compaction_that_runs_is_no_damage(site: Site) -> None:
    found: list[list[str]] = []
    site.compact(lambda _: found.append(site.log.verify()))
    assert len(found) > 5
    assert found == [[]] * len(found)
    with lease(site.folder) as held:
        assert held
