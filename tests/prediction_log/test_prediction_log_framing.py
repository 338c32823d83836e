"""The bytes of a segment: torn tails are passed over, every flipped bit is reported."""

from __future__ import annotations

from pathlib import Path

import pytest

from mlprod_nb.prediction_log.framing import MAGIC, Damage, Record, frame, scan
from mlprod_nb.prediction_log.reader import PredictionLog
from mlprod_nb.prediction_log.schema import encode_feedback, encode_predictions
from tests.prediction_log.batches import feedback, predictions, write

SMALL = {"x": [1.0]}


@pytest.fixture(scope="module")
def segment(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """Three records: two of predictions, one of feedback."""
    log = tmp_path_factory.mktemp("log")
    first, last = (encode_predictions(predictions([name], inputs=SMALL)) for name in ("a", "b"))
    return write(log, first, encode_feedback(feedback(["a"])), last).read_bytes()


def kinds(content: bytes) -> list[str]:
    return ["damage" if isinstance(found, Damage) else found.kind for found in scan(memoryview(content))]


def test_records_come_back_in_order(segment: bytes) -> None:
    assert kinds(segment) == ["predictions", "feedback", "predictions"]


def test_a_tail_torn_at_any_byte_is_passed_over_and_the_records_before_are_read(segment: bytes) -> None:
    ends = [found.end for found in scan(memoryview(segment)) if isinstance(found, Record)]
    for cut in range(ends[1], len(segment)):
        assert kinds(segment[:cut]) == ["predictions", "feedback"], cut


def test_a_tail_filled_with_zeros_from_any_byte_is_passed_over(segment: bytes) -> None:
    ends = [found.end for found in scan(memoryview(segment)) if isinstance(found, Record)]
    for cut in range(ends[1], len(segment) - 8):
        assert kinds(segment[:cut] + bytes(len(segment) - cut)) == ["predictions", "feedback"], cut


def test_a_flipped_bit_at_any_byte_is_reported_and_costs_one_record_only(segment: bytes) -> None:
    for at in range(len(MAGIC), len(segment)):
        damaged = bytearray(segment)
        damaged[at] ^= 1 << at % 8
        found = kinds(bytes(damaged))
        assert found.count("damage") == 1, at
        assert len(found) == 3, at


@pytest.mark.parametrize("at", range(len(MAGIC)))
def test_a_damaged_header_is_reported(segment: bytes, at: int) -> None:
    damaged = bytearray(segment)
    damaged[at] ^= 1
    assert kinds(bytes(damaged)) == ["damage"]


@pytest.mark.parametrize("length", range(len(MAGIC) + 1))
def test_a_segment_that_was_never_begun_is_empty(length: int) -> None:
    assert kinds(MAGIC[:length]) == []
    assert kinds(MAGIC[:length] + bytes(len(MAGIC) - length)) == []


def test_another_file_is_no_segment() -> None:
    assert kinds(b"PAR1 and more") == ["damage"]


def test_verify_names_the_segment_and_the_byte(tmp_path: Path, segment: bytes) -> None:
    damaged = bytearray(segment)
    damaged[-20] ^= 4
    (tmp_path / "20130401T060000000000Z-00000000.seg").write_bytes(damaged)
    (tmp_path / "20130401T060000000001Z-00000000.seg").write_bytes(segment)
    (problem,) = PredictionLog(tmp_path).verify()
    begin = [found.end for found in scan(memoryview(segment)) if isinstance(found, Record)][1]
    assert problem.startswith(f"20130401T060000000000Z-00000000.seg at byte {begin}: ")


def test_a_name_in_any_script_comes_back() -> None:
    (found,) = scan(memoryview(MAGIC + frame("feedback", "vuelos-ñ-航班", b"")))
    assert isinstance(found, Record)
    assert found.endpoint == "vuelos-ñ-航班"
