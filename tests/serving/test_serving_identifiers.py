"""UUID version 7 (RFC 9562)."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from datetime import UTC, datetime

from mlprod_nb.serving.identifiers import Identifiers, is_identifier, moment_of

# The example of RFC 9562, appendix A.6: 2022-02-22T19:22:22Z, rand_a 0xCC3, rand_b 0x18C4DC0C0C07398F.
RFC_EXAMPLE = "017f22e2-79b0-7cc3-98c4-dc0c0c07398f"


def test_the_example_of_the_standard_is_written_bit_for_bit() -> None:
    fraction_ns = (0xCC3 * 1_000_000 + 0xFFF) >> 12  # the nanoseconds whose 12-bit fraction is 0xCC3
    made = Identifiers(
        clock_ns=lambda: 0x017F22E279B0 * 1_000_000 + fraction_ns,
        random_bytes=lambda count: (0x18C4DC0C0C07398F).to_bytes(8, "big") * (count // 8),
    ).new()
    assert made == RFC_EXAMPLE


def test_version_variant_and_moment_are_in_their_bits() -> None:
    made = uuid.UUID(Identifiers(clock_ns=lambda: 1_700_000_000_123_456_789).new())
    assert made.version == 7
    assert made.variant == uuid.RFC_4122
    assert made.int >> 80 == 1_700_000_000_123


def test_many_at_once_are_written_as_one_by_one() -> None:
    clock_ns = 1_700_000_000_123_999_000  # so late in its millisecond that the next one begins among them
    bits = bytes(range(256)) * 8

    def one_after_the_other() -> Iterator[str]:
        taken = iter(range(0, len(bits), 8))
        identifiers = Identifiers(lambda: clock_ns, lambda count: bits[(at := next(taken)) : at + count])
        yield from (identifiers.new() for _ in range(256))

    made = Identifiers(lambda: clock_ns, lambda count: bits[:count]).take(256)
    assert list(made) == list(one_after_the_other())
    assert [made[at] for at in (0, 17, -1)] == [list(made)[at] for at in (0, 17, -1)]
    assert made[3:5] == list(made)[3:5]


def test_identifiers_grow_while_the_clock_stands_still_or_steps_back() -> None:
    moments = iter([5_000_000_000, 5_000_000_000, 4_000_000_000, 5_000_000_001])
    identifiers = Identifiers(clock_ns=lambda: next(moments))
    made = [*identifiers.take(3000), *identifiers.take(3000), *identifiers.take(2000), *identifiers.take(1)]
    assert made == sorted(made)
    assert len(set(made)) == len(made)


def test_random_bits_differ_between_processes_that_share_a_moment() -> None:
    made = {Identifiers(clock_ns=lambda: 1).new() for _ in range(100)}
    assert len(made) == 100


def test_only_what_the_server_makes_is_taken_for_an_identifier() -> None:
    assert is_identifier(Identifiers().new())
    assert is_identifier(RFC_EXAMPLE)
    for other in ("", "x" * 36, str(uuid.uuid4()), RFC_EXAMPLE.upper(), RFC_EXAMPLE[:-1] + "g", RFC_EXAMPLE + "0"):
        assert not is_identifier(other)


def test_an_identifier_tells_when_it_was_made() -> None:
    made = datetime(2013, 4, 1, 12, 30, 0, 123_000, tzinfo=UTC)
    key = Identifiers(clock_ns=lambda: int(made.timestamp() * 1000) * 1_000_000 + 999_999).new()
    assert moment_of(key) == made
