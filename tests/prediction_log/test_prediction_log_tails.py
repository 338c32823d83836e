"""The last 64 KiB of a segment, cut off, filled with zeros or with a flipped bit anywhere: what was before is read.

The ordinary run takes a sample of the places, ``-m exhaustive`` takes all.
"""

from __future__ import annotations

import random
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from mlprod_nb.errors import Corrupt
from mlprod_nb.prediction_log.framing import MAGIC, Damage, Record, scan, sealed
from mlprod_nb.prediction_log.keys import LogKeys
from mlprod_nb.prediction_log.schema import encode_feedback, encode_predictions
from tests.prediction_log.batches import feedback, predictions, write
from tests.prediction_log.compacting import open_site

TAIL = 64 * 1024
SEED = 20130401
KEYS = LogKeys(given=["01" * 32], encrypt=True)
NAME = "20130401T060000000000Z-00000000.seg"


@dataclass(frozen=True)
class Segment:
    """A segment's bytes, and where each of its records ends."""

    content: bytes
    ends: tuple[int, ...]

    @property
    def tail(self) -> range:
        return range(len(self.content) - TAIL, len(self.content))

    def kept(self, damaged: bytes) -> list[int]:
        """Return the ends of the records that are as they were."""
        begins = (len(MAGIC), *self.ends)
        return [
            end for begin, end in zip(begins, self.ends, strict=False) if damaged[begin:end] == self.content[begin:end]
        ]


@pytest.fixture(scope="module", params=["in clear", "sealed"])
def segment(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Segment:
    records = []
    for number in range(45):
        ids = [f"{number}-{row}" for row in range(1 + number % 3)]
        records += [encode_predictions(predictions(ids)), encode_feedback(feedback(ids[:1]))]
    if request.param == "sealed":
        sealer = KEYS.sealer()
        assert sealer is not None
        records = [sealed(record, sealer) for record in records]
    content = write(tmp_path_factory.mktemp("log"), *records).read_bytes()
    ends = tuple(found.end for found in scan(memoryview(content)) if isinstance(found, Record))
    assert len(ends) == 90
    assert len(content) > TAIL
    return Segment(content, ends)


def sample(places: range, count: int) -> list[int]:
    """Return some places, the first and the last among them."""
    return [places[0], *random.Random(SEED).sample(places, count), places[-1]]


def flipped(content: bytes, at: int) -> bytes:
    """Return the bytes with one bit of one of them flipped."""
    changed = bytearray(content)
    changed[at] ^= 1 << at % 8
    return bytes(changed)


def read(content: bytes) -> tuple[list[int], list[int]]:
    """Return where whole records end and where damage begins."""
    found = list(scan(memoryview(content)))
    records = [record.end for record in found if isinstance(record, Record)]
    return records, [damage.offset for damage in found if isinstance(damage, Damage)]


def check_cut(segment: Segment, places: Iterable[int]) -> None:
    for cut in places:
        content = segment.content[:cut]
        assert read(content) == (segment.kept(content), []), cut


def check_zeros(segment: Segment, places: Iterable[int]) -> None:
    for cut in places:
        content = segment.content[:cut] + bytes(len(segment.content) - cut)
        records, damage = read(content)
        assert records == segment.kept(content), cut
        # Within the mark that ends the last record, zeros cannot be told from damage; nothing is lost by saying so.
        assert damage == [] or cut > len(segment.content) - 8, cut


def check_flips(segment: Segment, places: Iterable[int]) -> None:
    for at in places:
        content = flipped(segment.content, at)
        records, damage = read(content)
        assert records == segment.kept(content), at
        assert len(records) == len(segment.ends) - 1
        assert len(damage) == 1, at
        assert damage[0] <= at, at


def test_a_segment_cut_off_in_its_tail_loses_only_the_record_that_is_cut(segment: Segment) -> None:
    check_cut(segment, sample(segment.tail, 300))


def test_a_segment_filled_with_zeros_in_its_tail_loses_only_what_is_zeros(segment: Segment) -> None:
    check_zeros(segment, sample(segment.tail, 300))


def test_a_flipped_bit_in_the_tail_is_told_and_costs_one_record(segment: Segment) -> None:
    check_flips(segment, sample(segment.tail, 300))


@pytest.mark.exhaustive
def test_a_segment_cut_off_at_every_byte_of_its_tail(segment: Segment) -> None:
    check_cut(segment, segment.tail)


@pytest.mark.exhaustive
def test_a_segment_filled_with_zeros_from_every_byte_of_its_tail(segment: Segment) -> None:
    check_zeros(segment, segment.tail)


@pytest.mark.exhaustive
def test_a_flipped_bit_in_every_byte_of_the_tail(segment: Segment) -> None:
    check_flips(segment, segment.tail)


@pytest.mark.parametrize("filled", [False, True], ids=["cut", "zeros"])
def test_the_log_goes_on_without_a_torn_tail_and_compacts_what_was_before(
    tmp_path: Path, segment: Segment, filled: bool
) -> None:
    for number, cut in enumerate(sample(segment.tail, 2)):
        site = replace(open_site(tmp_path / str(number)), keys=KEYS)
        site.folder.mkdir()
        content = segment.content[:cut] + bytes(filled * (len(segment.content) - cut))
        (site.folder / NAME).write_bytes(content)
        # Each prediction's record is followed by one of feedback.
        kept = [f"{at}-{row}" for at in range((len(segment.kept(content)) + 1) // 2) for row in range(1 + at % 3)]
        assert sorted(site.ids()) == sorted(kept)
        assert site.compact().problems == ()
        assert sorted(site.ids()) == sorted(kept)
        assert site.log.verify() == []
        site.store.close()


def test_the_log_tells_of_a_flipped_bit_and_goes_on_with_all_other_records(tmp_path: Path, segment: Segment) -> None:
    for number, at in enumerate(sample(segment.tail, 2)):
        site = replace(open_site(tmp_path / str(number)), keys=KEYS)
        site.folder.mkdir()
        content = flipped(segment.content, at)
        (site.folder / NAME).write_bytes(content)
        with pytest.raises(Corrupt, match=f"segment {NAME} of the prediction log is damaged at byte"):
            site.ids()
        assert len(site.log.verify()) == 1
        done = site.compact()
        (problem,) = done.problems
        assert problem.startswith(f"{NAME} at byte ")
        hit = sum(end <= at for end in segment.ends)
        lost = [] if hit % 2 else [f"{hit // 2}-{row}" for row in range(1 + hit // 2 % 3)]
        everything = [f"{number}-{row}" for number in range(45) for row in range(1 + number % 3)]
        assert sorted(site.ids()) == sorted(set(everything) - set(lost))
        assert site.log.verify()[0].startswith(f"damaged/{NAME} at byte ")
        site.store.close()
