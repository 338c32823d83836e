"""Files are counted after their compaction, so that a look finds them counted; whatever ends that, nothing is wrong."""

from __future__ import annotations

import json
import random
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from itertools import chain, count, repeat
from pathlib import Path

import pytest

from mlprod_nb import Workspace
from mlprod_nb.clock import utc_now
from mlprod_nb.lifecycle.watching import counting_ahead
from mlprod_nb.prediction_log.schema import encode_predictions
from mlprod_nb.store.gateways import GatewayRecord
from mlprod_nb.targets import local
from tests.killed import ROOT, begun_by_lines
from tests.lifecycle.counted_site import CountedSite, inputs, open_counted_site
from tests.monitoring.counted import differences
from tests.prediction_log.batches import predictions, write

SEED = 20261127


@pytest.fixture
def site(tmp_path: Path) -> Iterator[CountedSite]:
    site = open_counted_site(tmp_path / "workspace")
    yield site
    site.site.store.close()


def spoil(site: CountedSite, name: str = "") -> None:
    """Overwrite the files of the log whose path contains a text."""
    for path in site.site.files():
        if name in path:
            (site.site.folder / path).write_bytes(b"nothing")


def test_a_look_reads_no_file_that_was_counted_ahead(site: CountedSite) -> None:
    variant = site.deploy()
    for day in (1, 2, 3):
        site.compacted(day, shadow=[False] * 15 + [True] * 5)
    counter, where = site.counter(variant), site.site.log.pin("flights")
    (expected,) = counter.counts(where)
    site.forget()
    assert site.count() == counting_ahead.CountedAhead(3, 0, {})
    spoil(site)
    assert differences(counter.counts(where)[0], expected) == []


def test_only_what_nobody_counted_is_counted(site: CountedSite) -> None:
    variant = site.deploy()
    site.compacted(1)
    site.counter(variant).counts(site.site.log.pin("flights"))  # a look
    assert site.count().files == 0
    site.compacted(2)
    assert site.count().files == 1
    assert site.count().files == 0


def test_files_that_were_merged_are_counted_as_the_one_that_they_became(site: CountedSite) -> None:
    site.deploy()
    for _ in range(3):
        site.compacted(1)
    assert site.count().files == 3
    site.site.compact(least_files=2)
    assert site.count().files == 1
    assert len(site.stored()) == 1


def test_a_new_main_version_finds_every_file_to_be_counted(site: CountedSite) -> None:
    site.deploy()
    for day in (1, 2):
        site.compacted(day)
    assert site.count().files == 2
    site.deploy(version=4)
    assert site.count().files == 2
    assert len(site.stored()) == 4


def test_the_newest_rows_come_first_and_no_file_is_begun_when_the_time_is_over(site: CountedSite) -> None:
    variant = site.deploy()
    for day in (2, 3, 1):
        site.compacted(day)
    clock = chain([0.0, 0.0, 59.0], repeat(61.0))
    assert site.count(clock=lambda: next(clock)) == counting_ahead.CountedAhead(2, 1, {})
    (left,) = site.counter(variant).uncounted("flights")
    assert "day=2013-04-01" in left.path


def test_a_file_or_an_endpoint_that_cannot_be_counted_keeps_no_other(site: CountedSite) -> None:
    site.deploy()
    site.deploy("delays", bundle="0" * 64)
    for day in (1, 2, 3):
        site.compacted(day)
    site.compacted(1, endpoint="delays")
    spoil(site, "flights/day=2013-04-02")
    done = site.count()
    assert (done.files, done.left, list(done.problems)) == (2, 0, ["delays", "flights"])
    assert "damaged" in done.problems["flights"]
    assert done.problems["delays"].startswith("there is no bundle '000")


def test_a_file_that_went_meanwhile_is_no_problem(site: CountedSite) -> None:
    site.deploy()
    site.compacted(1)
    (site.site.folder / site.site.files()[0]).unlink()
    assert site.count() == counting_ahead.CountedAhead(0, 0, {})


def killed_counting(site: CountedSite) -> AbstractContextManager[Callable[[str], str]]:
    return begun_by_lines("tests.lifecycle.counting_process", site.layout.root)


def test_whatever_kills_the_counting_whole_counts_are_kept_or_none(site: CountedSite) -> None:
    variant = site.deploy()
    for day in (1, 2, 3, 4):
        site.compacted(day)
    site.count()
    whole = site.stored()
    assert len(whole) == 4
    chance, ended = random.Random(SEED), []
    steps = (f"step {step}" for step in count())
    moments = (f"after {chance.randint(0, 60)}" for _ in range(12))
    with killed_counting(site) as tell:
        for line in chain(moments, steps):
            site.forget()
            ended.append((tell(line), len(site.stored())))
            assert site.stored().items() <= whole.items(), line
            if line.startswith("step") and ended[-1][0] != "killed":
                break
    assert ended[-1] == ("done", 4)
    assert {kept for _, kept in ended} == {0, 1, 2, 3, 4}
    site.forget()
    with killed_counting(site) as tell:  # what one run left, the next goes on with, and a look makes up the rest
        assert tell(f"step {len(ended) - 12 - 8}") == "killed"
        left = len(site.counter(variant).uncounted("flights"))
        assert 0 < left < 4
    site.counter(variant).counts(site.site.log.pin("flights"))
    assert site.stored() == whole


def run(site: CountedSite, then: str) -> tuple[int, list[str]]:
    """Run the process that compacts; return its exit code and what it says."""
    command = [sys.executable, "-m", "mlprod_nb.prediction_log", "--root", str(site.layout.root), "--then", then]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False, cwd=ROOT)
    return done.returncode, done.stderr.splitlines()


def test_the_process_that_compacts_counts_what_it_compacted(site: CountedSite) -> None:
    site.deploy()
    for day in (1, 2):
        write(site.site.folder, encode_predictions(predictions([f"p{day}"], inputs=inputs(day, 1))))
    code, lines = run(site, counting_ahead.__name__)
    compacted, counted = map(json.loads, lines)
    assert (code, compacted["body"]) == (0, "2 rows of 2 segments went into 1 file")
    assert (counted["severity"], counted["body"]) == ("INFO", "1 file counted ahead of the next look")
    assert compacted["process"] == counted["process"]
    assert len(site.stored()) == 1
    assert run(site, counting_ahead.__name__) == (0, [])


def test_what_cannot_be_counted_is_one_line_after_a_compaction_that_is_done(site: CountedSite) -> None:
    site.deploy(bundle="0" * 64)
    write(site.site.folder, encode_predictions(predictions(["a"])))
    _, lines = run(site, counting_ahead.__name__)
    compacted, problem = map(json.loads, lines)
    assert compacted["body"] == "1 row of 1 segment went into 1 file"
    assert problem["severity"] == "ERROR"
    assert problem["body"].startswith("not all files of endpoint 'flights' were counted: there is no bundle '000")


def test_a_module_that_is_not_there_is_one_line_after_a_compaction_that_is_done(site: CountedSite) -> None:
    write(site.site.folder, encode_predictions(predictions(["a"])))
    code, lines = run(site, "mlprod_nb.nowhere")
    assert code == 1
    assert json.loads(lines[0])["body"] == "1 row of 1 segment went into 1 file"
    assert "No module named mlprod_nb.nowhere" in lines[1]
    assert len(lines) == 2


def test_up_tells_the_gateway_what_comes_after_a_compaction(site: CountedSite, monkeypatch: pytest.MonkeyPatch) -> None:
    told = []

    def start(root: Path, *, after_compaction: str = "") -> GatewayRecord:
        told.append(after_compaction)
        return GatewayRecord(id="g", url="http://127.0.0.1:1", pid=1, started_at=utc_now())

    monkeypatch.setattr(local, "start", start)
    site.layout.settings_file.write_text("[scheduler]\nenabled = false\n")
    Workspace.open(site.layout.root).up()
    assert told == ["mlprod_nb.lifecycle.watching.counting_ahead"]


def test_the_verb_counts_too(site: CountedSite) -> None:
    site.deploy()
    write(site.site.folder, encode_predictions(predictions(["a"], inputs=inputs(1, 1))))
    assert Workspace.open(site.layout.root).compact().exit_code == 0
    assert len(site.stored()) == 1
