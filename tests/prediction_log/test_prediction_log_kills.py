"""The compaction is killed at every step and at any moment, while a gateway writes: nothing is lost or doubled."""

from __future__ import annotations

import random
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from itertools import count
from pathlib import Path

import pytest

from mlprod_nb.prediction_log.catalogue import Selection
from mlprod_nb.prediction_log.framing import MAGIC
from tests.killed import ROOT, begun_by_lines
from tests.prediction_log.batches import START
from tests.prediction_log.compacting import Site, after_power_loss, open_site

SEED = 20130401


def compactor(site: Site) -> AbstractContextManager[Callable[[str], str]]:
    """Run a process that compacts when it is told to, and is killed in it; yield what tells it."""
    return begun_by_lines("tests.prediction_log.compacting_process", site.folder.parent)


@contextmanager
def gateway(site: Site, ledger: Path) -> Iterator[None]:
    """Run a process that writes predictions and enters each into a ledger when it is acknowledged."""
    with ledger.open("ab") as output:
        command = [sys.executable, "-m", "tests.prediction_log.writing_process", str(site.folder), "gateway"]
        process = subprocess.Popen(command, stdout=output, cwd=ROOT)
    try:
        deadline = time.monotonic() + 60
        while ledger.stat().st_size < 2000:
            assert time.monotonic() < deadline, "nothing was written"
            time.sleep(0.005)
        yield
    finally:
        process.kill()
        process.wait(30)


def check(site: Site, acknowledged: list[str]) -> None:
    """Check that a reader sees each prediction that was acknowledged, and none twice."""
    found = Counter(site.ids())
    assert [prediction_id for prediction_id in acknowledged if prediction_id not in found] == []
    assert [prediction_id for prediction_id, times in found.items() if times > 1] == []


def check_clean(site: Site) -> None:
    """Check that a run that is not killed leaves nothing that does not count."""
    done = site.compact()
    assert done.problems == ()
    assert site.files() == sorted(file.path for file in site.catalogue.files(Selection()))
    # A writer that is killed before its header is written leaves a file that may be a living writer's, for an hour.
    begun = [name for name in site.segments() if (site.folder / name).stat().st_size >= len(MAGIC)]
    assert (site.partial(), begun) == ([], [])
    assert site.log.verify() == []


def kill_at_steps(root: Path, steps: Iterable[int]) -> None:
    site = open_site(root)
    ids: list[str] = []
    with compactor(site) as tell:
        for step in steps:
            new = [f"{step}-first", f"{step}-second"]
            site.add(*new)
            site.label(*new)
            ids += new
            ended = tell(f"step {step}")
            check(site, ids)
            labels = site.log.labelled(site.log.pin("flights"), only=["score"])["label"].to_pylist()
            assert labels == ["1"] * len(ids)
            if ended != "killed":
                break
    assert ended == "done"
    assert step > 30
    check_clean(site)
    check(site, ids)
    site.store.close()


def test_a_compaction_killed_at_any_step_loses_and_doubles_nothing(tmp_path: Path) -> None:
    kill_at_steps(tmp_path, count(0, 3))


@pytest.mark.exhaustive
def test_a_compaction_killed_at_each_step_loses_and_doubles_nothing(tmp_path: Path) -> None:
    kill_at_steps(tmp_path, count())


def lose_power_at(root: Path, seed: int, steps: Iterable[int]) -> None:
    template, chance = open_site(root / "template"), random.Random(seed)
    template.add("a", "b", event_time=[START, START.replace(day=2)])
    template.compact()
    damaged = template.add("c")
    damaged.write_bytes(damaged.read_bytes()[:-30] + b"\1" + damaged.read_bytes()[-29:])
    template.add("d", "e", event_time=[START, START.replace(day=2)])
    template.label("a", "b")
    template.store.close()
    ended = next(step for step in steps if not lose_power(root, step, chance))
    assert ended > 40


def lose_power(root: Path, step: int, chance: random.Random) -> bool:
    """Let the power go at a step and check what is left; return whether the compaction came that far."""
    site = after_power_loss(root, step, chance, least_files=2)
    if site is None:
        return False
    site.compact(least_files=2)
    assert sorted(site.ids()) == ["a", "b", "d", "e"], step
    assert site.log.labelled(site.log.pin("flights"))["label"].null_count == 2, step
    aside = sorted(path.name for path in (site.folder / "damaged").glob("*"))
    assert [line.partition(" ")[0] for line in site.log.verify()] == [f"damaged/{name}" for name in aside], step
    assert site.files() == sorted(file.path for file in site.catalogue.files(Selection()))
    site.store.close()
    return True


def test_a_power_loss_at_any_step_of_a_compaction_loses_and_doubles_nothing(tmp_path: Path) -> None:
    lose_power_at(tmp_path, SEED, count(0, 4))


@pytest.mark.exhaustive
@pytest.mark.parametrize("seed", range(20))
def test_a_power_loss_at_each_step_whatever_it_leaves_loses_and_doubles_nothing(tmp_path: Path, seed: int) -> None:
    lose_power_at(tmp_path, seed, count())


def kill_at_random(root: Path, kills: int, seed: int) -> None:
    site, ledger, chance = open_site(root), root / "ledger", random.Random(seed)
    ended: Counter[str] = Counter()
    with compactor(site) as tell, gateway(site, ledger):
        for _ in range(kills):
            line = f"after {chance.randint(0, 120)}" if chance.random() < 0.5 else f"step {chance.randint(0, 30)}"
            ended[tell(line)] += 1
            check(site, ledger.read_text().rpartition("\n")[0].split())
    assert ended["killed"] > kills / 4, ended
    assert ended["failed"] == 0, ended
    check_clean(site)
    check(site, ledger.read_text().split())
    assert site.catalogue.version() > 0
    site.store.close()


def test_a_compaction_killed_at_any_moment_while_a_gateway_writes_loses_and_doubles_nothing(tmp_path: Path) -> None:
    kill_at_random(tmp_path, 12, SEED)


@pytest.mark.exhaustive
@pytest.mark.parametrize("seed", range(20))
def test_two_hundred_and_forty_kills_lose_and_double_nothing(tmp_path: Path, seed: int) -> None:
    kill_at_random(tmp_path, 12, seed)
