"""Time-ordered identifiers made by the server: UUID version 7 (RFC 9562, section 5.7)."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

_HEX = "0123456789abcdef"
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
        self._lock = threading.Lock()

    def new(self) -> str:
        """Return one identifier."""
        return self.take(1)[0]

    def take(self, count: int) -> list[str]:
        """Return ``count`` identifiers, each greater than every one before it."""
        first = self._reserve(count)
        random = self._random_bytes(8 * count).hex()
        return [_text(first + i, random[16 * i : 16 * i + 16]) for i in range(count)]

    def _reserve(self, count: int) -> int:
        milliseconds, rest = divmod(self._clock_ns(), 1_000_000)
        now = (milliseconds << 12) | ((rest << 12) // 1_000_000)
        with self._lock:
            first = max(now, self._last + 1)
            self._last = first + count - 1
        return first


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


def _text(moment: int, random: str) -> str:
    """Write 60 bits of time (48 of milliseconds, 12 of their fraction) and 16 random digits, of which 62 bits count."""
    digits = f"{moment:015x}"
    return f"{digits[:8]}-{digits[8:12]}-7{digits[12:]}-{_VARIANT[random[0]]}{random[1:4]}-{random[4:]}"
