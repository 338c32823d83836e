"""Time-ordered identifiers made by the server: UUID version 7 (RFC 9562, section 5.7)."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import numpy as np

from mlprod_nb.columns import Texts

_HEX = "0123456789abcdef"
_LENGTH = 36
_DIGITS = [at for at in range(_LENGTH) if at not in {8, 13, 18, 23}]
_MANY = 64
_POOL_BYTES = 4096
_U64 = np.uint64
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_VARIANT = dict(zip(_HEX, 4 * "89ab", strict=True))
"""Which digit stands for each random one where the variant, binary 10, takes the upper two of its four bits."""


class Identifiers:
    """Makes UUIDv7 identifiers that grow within one process, also when the clock stands still or steps back.

    The 12 bits after the millisecond hold the fraction of the millisecond (RFC 9562, section 6.2, method 3); where the
    clock did not move on, the last value plus one is taken.

    Args:
        clock_ns: Nanoseconds since the Unix epoch.
        random_bytes: A source of unpredictable bytes.
    """

    def __init__(
        self, clock_ns: Callable[[], int] = time.time_ns, random_bytes: Callable[[int], bytes] = os.urandom
    ) -> None:
        self._clock_ns = clock_ns
        self._random_bytes = random_bytes
        self._last = 0
        self._pool = b""
        self._drawn = 0
        self._lock = threading.Lock()

    def new(self) -> str:
        """Return one identifier."""
        return self.take(1)[0]

    def take(self, count: int) -> Texts:
        """Return ``count`` identifiers, each greater than every one before it."""
        first, random = self._reserve(count)
        return (_few if count < _MANY else _many)(first, count, random)

    def take_two(self, one: int, other: int) -> tuple[Texts, Texts]:
        """Return so many identifiers, and so many others that are greater."""
        text, cut = self.take(one + other).text, one * _LENGTH
        return Texts(text[:cut], one), Texts(text[cut:], other)

    def _reserve(self, count: int) -> tuple[int, bytes]:
        """Return the first of so many moments, and random bytes for each, of which many are drawn at once."""
        milliseconds, rest = divmod(self._clock_ns(), 1_000_000)
        now = (milliseconds << 12) | ((rest << 12) // 1_000_000)
        with self._lock:
            first = max(now, self._last + 1)
            self._last = first + count - 1
            begin = self._drawn
            self._drawn = begin + 8 * count
            if self._drawn > len(self._pool):
                self._pool = self._random_bytes(max(8 * count, _POOL_BYTES))
                begin, self._drawn = 0, 8 * count
            return first, self._pool[begin : self._drawn]


def is_identifier(text: str) -> bool:
    """Return whether a text is a UUIDv7 as :class:`Identifiers` writes them."""
    return (
        len(text) == 36
        and text[8] == text[13] == text[18] == text[23] == "-"
        and text[14] == "7"
        and text[19] in "89ab"
        and all(character in _HEX for character in text.replace("-", ""))
    )


def moment_of(identifier: str) -> datetime:
    """Return when an identifier was made, to the millisecond."""
    milliseconds = int(identifier[:8] + identifier[9:13], 16)
    return _EPOCH + timedelta(milliseconds=milliseconds)


def _few(first: int, count: int, random: bytes) -> Texts:
    """Write identifiers of moments that follow each other.

    Args:
        first: The first moment: 48 bits of milliseconds, 12 of their fraction.
        count: How many.
        random: Eight bytes for each, of which 62 bits count.
    """
    digits, made, known, prefix = random.hex(), [], -1, ""
    for at, moment in zip(range(0, 16 * count, 16), range(first, first + count), strict=True):
        if moment >> 12 != known:
            known = moment >> 12
            prefix = f"{known >> 16:08x}-{known & 0xFFFF:04x}-7"
        variant = _VARIANT[digits[at]]
        made.append(f"{prefix}{moment & 0xFFF:03x}-{variant}{digits[at + 1 : at + 4]}-{digits[at + 4 : at + 16]}")
    return Texts("".join(made), count)


def _many(first: int, count: int, random: bytes) -> Texts:
    """Do what :func:`_few` does, at 0.2 µs each instead of 0.6, for 15 µs more."""
    moments = np.arange(first, first + count, dtype=np.uint64)
    raw = np.empty((count, 2), dtype=">u8")
    raw[:, 0] = ((moments >> _U64(12)) << _U64(16)) | _U64(0x7000) | (moments & _U64(0xFFF))
    raw[:, 1] = (np.frombuffer(random, dtype=">u8") & _U64((1 << 62) - 1)) | _U64(1 << 63)
    written = np.full((count, _LENGTH), ord("-"), dtype=np.uint8)
    written[:, _DIGITS] = np.frombuffer(raw.tobytes().hex().encode(), dtype=np.uint8).reshape(count, 32)
    return Texts(written.tobytes().decode(), count)
