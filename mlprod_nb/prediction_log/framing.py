"""The bytes of a segment: a header, then records, each with its length and CRC32C.

    segment = "MLPLOG1" LF record*
    record  = length: u32 LE | crc: u32 LE | body            crc = CRC32C(body), length = len(body)
    body    = kind: u8 | n: u16 LE | endpoint: n bytes UTF-8 | payload (an Arrow IPC stream)

A record whose kind has its highest bit set is sealed: its payload is what ``keys`` describes, and then the mark that
ends an Arrow stream, so that its end is found as that of any other.

A power loss leaves of writes that were never acknowledged a torn tail: a record that the file ends within, or zeros.
It is passed over. Everything else that does not match is damage, a damaged length included: the record's true end is
found again by the mark that ends an Arrow stream.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal

import google_crc32c
import numpy as np
from numpy.typing import NDArray

from mlprod_nb.prediction_log.arrow_ipc import END_OF_STREAM, Buffer

MAGIC = b"MLPLOG1\n"
_HEAD = struct.Struct("<II")
HEAD_BYTES = _HEAD.size
_BODY = struct.Struct("<BH")

RecordKind = Literal["predictions", "feedback"]
_CODES: dict[RecordKind, int] = {"predictions": 1, "feedback": 2}
_KINDS = {code: kind for kind, code in _CODES.items()}
_SEALED = 0x80


@dataclass(frozen=True)
class Record:
    """One whole record.

    Attributes:
        kind: ``"predictions"`` or ``"feedback"``.
        endpoint: The endpoint it belongs to.
        payload: An Arrow IPC stream, or what stands for it where the record is sealed.
        end: Offset of the first byte after it.
        context: What the payload was sealed with, the body up to it; ``None`` where it is in clear.
    """

    kind: RecordKind
    endpoint: str
    payload: memoryview
    end: int
    context: bytes | None = None


@dataclass(frozen=True)
class Damage:
    """Bytes that are there and cannot be right.

    Attributes:
        offset: Where the record begins.
        problem: What is wrong with it.
    """

    offset: int
    problem: str


def frame(kind: RecordKind, endpoint: str, *payload: bytes | NDArray[np.uint8]) -> bytes:
    """Return a record's bytes.

    Args:
        kind: What the record holds.
        endpoint: The endpoint that it belongs to.
        payload: An Arrow IPC stream in parts that follow each other; arrays are read-only, of shape ``(bytes,)``.
    """
    name = endpoint.encode()
    return enclose(_BODY.pack(_CODES[kind], len(name)), name, *payload)


def sealed(record: bytes, seal: Callable[[bytes, bytes], bytes]) -> bytes:
    """Return a record with its payload sealed.

    Args:
        record: What :func:`frame` gave.
        seal: Takes the body up to the payload, and the payload; returns what stands for the payload.
    """
    code, length = _BODY.unpack_from(record, HEAD_BYTES)
    begin = HEAD_BYTES + _BODY.size + length
    context = _BODY.pack(code | _SEALED, length) + record[HEAD_BYTES + _BODY.size : begin]
    return enclose(context, seal(context, record[begin:]), END_OF_STREAM)


def enclose(*parts: Buffer) -> bytes:
    """Return a record whose body is of these parts, one after the other; arrays as :func:`frame` takes them."""
    crc = 0
    for part in parts:  # so that what is large is copied once, into the record
        crc = google_crc32c.extend(crc, part)
    return b"".join((_HEAD.pack(sum(map(len, parts)), crc), *parts))


def scan(data: memoryview) -> Iterator[Record | Damage]:
    """Yield a segment's whole records in order, and damage where there is any; stop at a torn tail.

    Behind damage the scan goes on with the next whole record.

    Args:
        data: The segment's bytes.
    """
    if data[: len(MAGIC)] != MAGIC:
        # The header is synced before any record is written, so only a file without records can have a torn one.
        if len(data) > len(MAGIC) or not MAGIC.startswith(bytes(data).rstrip(b"\0")):
            yield Damage(0, "this is no segment of the prediction log")
        return
    offset = len(MAGIC)
    while offset + _HEAD.size <= len(data):
        found = _record_at(data, offset)
        if found is not None:
            yield found
            offset = found.end
            continue
        following = _next_boundary(data, offset)
        if following is None and _is_torn(data, offset):
            return
        yield Damage(offset, "a record does not match its length or checksum")
        if following is None:
            return
        offset = following


def _record_at(data: memoryview, offset: int) -> Record | None:
    """Return the whole record that begins at an offset, or ``None``."""
    if offset + _HEAD.size > len(data):
        return None
    length, crc = _HEAD.unpack_from(data, offset)
    end = offset + _HEAD.size + length
    if end > len(data):
        return None
    body = data[offset + _HEAD.size : end]
    return _parse(body, end) if google_crc32c.value(bytes(body)) == crc else None


def _is_torn(data: memoryview, offset: int) -> bool:
    """Return whether the rest is a write that was cut short, or that a file system filled up with zeros."""
    length, _ = _HEAD.unpack_from(data, offset)
    if offset + _HEAD.size + length > len(data):
        return True
    # Zeros may begin within the mark that ends the last record, too.
    end = bytes(data[-len(END_OF_STREAM) :]).rstrip(b"\0")
    mark = END_OF_STREAM.rstrip(b"\0")
    return end != mark and mark.startswith(end)


def _next_boundary(data: memoryview, offset: int) -> int | None:
    """Return where the damaged record that begins at an offset truly ends, though its length may be wrong, or ``None``.

    A payload ends with Arrow's end-of-stream mark. After the right one either the body matches its checksum, so that
    only the length is damaged, or another whole record begins, or the segment ends as a whole write does.
    """
    content = bytes(data)
    begin = offset + _HEAD.size
    length, crc = _HEAD.unpack_from(data, offset)
    if _record_at(data, begin + length) is not None:
        return begin + int(length)
    at = content.find(END_OF_STREAM, begin)
    while at >= 0:
        end = at + len(END_OF_STREAM)
        if end == begin + length or _record_at(data, end) is not None:
            return end
        if google_crc32c.value(content[begin:end]) == crc:
            return end
        at = content.find(END_OF_STREAM, at + 1)
    return None


def _parse(body: memoryview, end: int) -> Record | None:
    if len(body) < _BODY.size:
        return None
    code, length = _BODY.unpack_from(body)
    begin = _BODY.size + length
    if code & ~_SEALED not in _KINDS or len(body) < begin:
        return None
    name = bytes(body[_BODY.size : begin]).decode("utf-8", "replace")
    if not code & _SEALED:
        return Record(_KINDS[code], name, body[begin:], end)
    return Record(_KINDS[code & ~_SEALED], name, body[begin : -len(END_OF_STREAM)], end, bytes(body[:begin]))
