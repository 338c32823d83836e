"""Faults in the last 64 KiB of a segment: cut or filled with zeros at any byte, any bit flipped, are read as they are.

The ordinary run takes a sample; ``pytest -m exhaustive`` takes every byte and bit.
"""

from __future__ import annotations

import random
from collections.abc import Iterable

import pytest

from mlprod_nb.prediction_log.framing import MAGIC, Damage, Record, scan
from mlprod_nb.prediction_log.schema import encode_feedback, encode_predictions
from tests.prediction_log.batches import feedback, predictions, write

SEED = 20130701
LAST = 64 * 1024
SAMPLE = 2000


@pytest.fixture(scope="module")
def segment(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """More than 64 KiB of records of several sizes."""
    chance = random.Random(SEED)
    made: list[bytes] = []
    while sum(map(len, made)) < LAST + 8192:
        ids = [f"{len(made)}-{row}" for row in range(chance.choice([1, 1, 3, 40, 200]))]
        made.append(encode_feedback(feedback(ids)) if chance.random() < 0.2 else encode_predictions(predictions(ids)))
    return write(tmp_path_factory.mktemp("log"), *made).read_bytes()


@pytest.fixture(scope="module")
def ends(segment: bytes) -> list[int]:
    found = list(scan(memoryview(segment)))
    assert all(isinstance(each, Record) for each in found)
    return [each.end for each in found if isinstance(each, Record)]


def outcome(content: bytes | bytearray) -> list[int]:
    """Return where each whole record ends; -1 for damage."""
    return [-1 if isinstance(found, Damage) else found.end for found in scan(memoryview(content))]


def check_cuts(segment: bytes, ends: list[int], cuts: Iterable[int]) -> None:
    for cut in cuts:
        assert outcome(segment[:cut]) == [end for end in ends if end <= cut], cut
        # A record whose last bytes were zero before is whole still.
        kept = [end for end in ends if not any(segment[cut:end])]
        assert outcome(segment[:cut] + bytes(len(segment) - cut)) == kept, cut


def check_flips(segment: bytes, ends: list[int], places: Iterable[tuple[int, int]]) -> None:
    damaged = bytearray(segment)
    for byte, bit in places:
        damaged[byte] ^= 1 << bit
        found = outcome(damaged)
        damaged[byte] ^= 1 << bit
        if byte < len(MAGIC):
            assert found == [-1], (byte, bit)
            continue
        hit = next(end for end in ends if end > byte)
        assert found == [-1 if end == hit else end for end in ends], (byte, bit)


def test_a_tail_that_is_cut_or_zeroed_costs_what_was_not_whole_and_is_no_damage(
    segment: bytes, ends: list[int]
) -> None:
    chance = random.Random(SEED)
    last = range(len(segment) - LAST, len(segment))
    near = {end + step for end in ends[-3:] for step in range(-9, 10)}
    check_cuts(segment, ends, sorted({*chance.sample(last, SAMPLE), *(cut for cut in near if cut in last)}))


@pytest.mark.exhaustive
def test_a_tail_that_is_cut_or_zeroed_at_any_byte_costs_what_was_not_whole(segment: bytes, ends: list[int]) -> None:
    check_cuts(segment, ends, range(len(segment) - LAST, len(segment)))


def test_a_flipped_bit_is_found_and_costs_its_record_alone(segment: bytes, ends: list[int]) -> None:
    chance = random.Random(SEED)
    bytes_ = [*range(32), *chance.sample(range(len(segment)), SAMPLE), *(end - 1 for end in ends)]
    check_flips(segment, ends, [(byte, chance.randrange(8)) for byte in bytes_])


@pytest.mark.exhaustive
def test_any_flipped_bit_of_any_byte_is_found_and_costs_its_record_alone(segment: bytes, ends: list[int]) -> None:
    check_flips(segment, ends, ((byte, bit) for byte in range(len(segment)) for bit in range(8)))
