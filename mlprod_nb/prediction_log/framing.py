"""The bytes of a segment: a header, then records, each with its length and CRC32C.

    segment = "MLPLOG1" LF record*
    record  = length: u32 LE | crc: u32 LE | body            crc = CRC32C(body), length = len(body)
    body    = kind: u8 | n: u16 LE | endpoint: n bytes UTF-8 | payload (an Arrow IPC stream)

A process that dies leaves at most one torn record, at the end; whatever follows the last whole record is that, and is
passed over. A record whose bytes are all there and do not match their checksum is damage.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import google_crc32c

MAGIC = b"MLPLOG1\n"
MAX_BODY = 256 * 1024 * 1024
_HEAD = struct.Struct("<II")
_BODY = struct.Struct("<BH")

RecordKind = Literal["predictions", "feedback"]
_CODES: dict[RecordKind, int] = {"predictions": 1, "feedback": 2}
_KINDS = {code: kind for kind, code in _CODES.items()}


@dataclass(frozen=True)
class Record:
    """One whole record.

    Attributes:
        kind: ``"predictions"`` or ``"feedback"``.
        endpoint: The endpoint it belongs to.
        payload: An Arrow IPC stream.
        end: Offset of the first byte after it.
    """

    kind: RecordKind
    endpoint: str
    payload: memoryview
    end: int


@dataclass(frozen=True)
class Damage:
    """Bytes that are there and cannot be right.

    Attributes:
        offset: Where the record begins.
        problem: What is wrong with it.
    """

    offset: int
    problem: str


def frame(kind: RecordKind, endpoint: str, payload: bytes) -> bytes:
    """Return a record's bytes."""
    name = endpoint.encode()
    body = b"".join((_BODY.pack(_CODES[kind], len(name)), name, payload))
    return _HEAD.pack(len(body), google_crc32c.value(body)) + body


def scan(data: memoryview, *, start: int = 0) -> Iterator[Record | Damage]:
    """Yield a segment's whole records in order, and damage where there is any; stop at a torn tail.

    Args:
        data: The segment's bytes.
        start: Offset of a record's first byte, to go on from there; 0 for the whole segment.
    """
    offset = start
    if offset == 0:
        if data[: len(MAGIC)] != MAGIC[: len(data)]:
            yield Damage(0, "this is no segment of the prediction log")
            return
        offset = len(MAGIC)
    while offset + _HEAD.size <= len(data):
        length, crc = _HEAD.unpack_from(data, offset)
        end = offset + _HEAD.size + length
        if end > len(data) or length == 0:
            # Torn, or a hole that a file system filled with zeros; unless whole records follow, which no crash makes.
            if _records_follow(data, offset + 1):
                yield Damage(offset, "a record's length is damaged")
            return
        body = data[offset + _HEAD.size : end]
        found = _parse(body, end) if google_crc32c.value(bytes(body)) == crc else None
        if found is None and end == len(data) and not any(body[-8:]):
            return
        yield found if found is not None else Damage(offset, "a record does not match its checksum")
        offset = end


def _parse(body: memoryview, end: int) -> Record | None:
    if len(body) < _BODY.size:
        return None
    code, length = _BODY.unpack_from(body)
    if code not in _KINDS or len(body) < _BODY.size + length:
        return None
    name = bytes(body[_BODY.size : _BODY.size + length]).decode("utf-8", "replace")
    return Record(_KINDS[code], name, body[_BODY.size + length :], end)


def _records_follow(data: memoryview, start: int) -> bool:
    """Look for a whole record in what seems a torn tail; bounded, since a tail is at most one group of records."""
    limit = min(len(data) - _HEAD.size, start + 65536)
    for offset in range(start, limit):
        length, crc = _HEAD.unpack_from(data, offset)
        end = offset + _HEAD.size + length
        if _BODY.size < length <= len(data) - offset - _HEAD.size and data[offset + _HEAD.size] in _KINDS:
            body = bytes(data[offset + _HEAD.size : end])
            if google_crc32c.value(body) == crc:
                return True
    return False
