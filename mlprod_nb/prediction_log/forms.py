"""Records that differ from one that was encoded before in bytes whose places are known."""

from __future__ import annotations

from collections.abc import Sequence

from mlprod_nb.prediction_log.framing import HEAD_BYTES, enclose


class Form:
    """A record with places that are filled in: quicker than to encode another one like it.

    Args:
        record: The record.
        places: Where each place begins and how many bytes it has, in ascending order.
    """

    def __init__(self, record: bytes, places: Sequence[tuple[int, int]]) -> None:
        self._lengths = [length for _, length in places]
        self._pieces: list[bytes] = []
        begin = HEAD_BYTES
        for place, length in places:
            self._pieces += (record[begin:place], b"")
            begin = place + length
        self._pieces.append(record[begin:])

    def fill(self, *parts: bytes) -> bytes:
        """Return the record with other bytes in its places.

        Raises:
            ValueError: A part is not as long as its place.
        """
        if [*map(len, parts)] != self._lengths:
            raise ValueError(f"parts of {[*map(len, parts)]} bytes do not fit places of {self._lengths}.")
        pieces = self._pieces.copy()
        pieces[1::2] = parts
        return enclose(b"".join(pieces))
