"""Writing Arrow IPC streams (Arrow Columnar Format 1.4, "IPC Streaming Format") without pyarrow.

The gateway writes a small record batch for each group of answers. pyarrow takes 300 µs and 27 MB for that, most of it
for metadata that hardly change. Here a schema's message is made once, and a batch's metadata are a template whose
numbers are filled in. Reading is pyarrow's, and every test of a record goes through it.

The numbers in capitals are field slots and codes of the format's ``Message.fbs`` and ``Schema.fbs``.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal, NamedTuple

import flatbuffers
import numpy as np
from flatbuffers.table import Table
from numpy.typing import NDArray

END_OF_STREAM = b"\xff\xff\xff\xff\x00\x00\x00\x00"

Kind = Literal["string", "double", "float", "int64", "int32", "boolean", "moment"]
Field = tuple[str, Kind]
Buffer = Any
"""Contiguous memory: bytes, an ``array.array`` or a numpy array."""

_CONTINUATION = b"\xff\xff\xff\xff"
_VERSION_5 = 4
_SCHEMA, _RECORD_BATCH = 1, 3
_INT, _FLOATING_POINT, _UTF8, _BOOL, _TIMESTAMP, _STRUCT = 2, 3, 5, 6, 10, 13
_MICROSECOND = 2
_NODE_BYTES = _BUFFER_BYTES = 16
_ALIGNMENT = 8
_PADDING = [bytes(-length % _ALIGNMENT) for length in range(_ALIGNMENT)]


class Encoded(NamedTuple):
    """One column as the format lays it out.

    Attributes:
        kind: Its type.
        nulls: How many values are missing.
        lengths: Bytes of each buffer: validity (0 where none is missing), offsets (of a string), data.
        content: The buffers, each padded.
    """

    kind: Kind
    nulls: int
    lengths: tuple[int, ...]
    content: bytes


class Together(NamedTuple):
    """Columns that follow each other, as the format lays them out.

    Attributes:
        nulls: How many values of each are missing.
        lengths: Bytes of each buffer of each.
        content: The buffers, each padded.
    """

    nulls: tuple[int, ...]
    lengths: tuple[int, ...]
    content: bytes


@dataclass(frozen=True, slots=True)
class EncodedBlock:
    """Columns of double without missing values that lie in one array.

    Attributes:
        count: How many columns.
        data: The bytes of their values, one column after the other, read-only, shape ``(bytes,)``.
    """

    count: int
    data: NDArray[np.uint8]


def padded(length: int) -> int:
    """Return how many bytes a buffer of so many takes, filled up as the format asks."""
    return -(-length // _ALIGNMENT) * _ALIGNMENT


def encode(kind: Kind, nulls: int, *buffers: Buffer) -> Encoded:
    """Return a column of these buffers."""
    lengths, parts = [], []
    for buffer in buffers:
        length = len(buffer) if type(buffer) is bytes else memoryview(buffer).nbytes
        lengths.append(length)
        parts.append(buffer)
        if length % _ALIGNMENT:
            parts.append(_PADDING[length % _ALIGNMENT])
    return Encoded(kind, nulls, tuple(lengths), b"".join(parts))


def together(columns: Sequence[Encoded]) -> Together:
    """Return columns that follow each other as one."""
    return Together(
        tuple(column.nulls for column in columns),
        tuple(length for column in columns for length in column.lengths),
        b"".join(column.content for column in columns),
    )


@lru_cache(maxsize=256)
def schema_message(fields: tuple[Field, ...], inputs: tuple[Field, ...] | None) -> bytes:
    """Return the message that begins a stream.

    Args:
        fields: The columns before the struct.
        inputs: The columns of the struct ``inputs`` that comes last; ``None``: there is no struct.
    """
    builder = flatbuffers.Builder(1024)
    offsets = [_field(builder, name, kind) for name, kind in fields]
    if inputs is not None:
        offsets.append(_struct_field(builder, "inputs", [_field(builder, name, kind) for name, kind in inputs]))
    listed = _vector(builder, offsets)
    builder.StartObject(4)
    builder.PrependUOffsetTRelativeSlot(1, listed, 0)
    return _message(builder, _SCHEMA, builder.EndObject(), 0)


def batch_message(
    rows: int, fields: Sequence[Encoded | Together], inputs: Sequence[Encoded] | EncodedBlock | None
) -> tuple[bytes | NDArray[np.uint8], ...]:
    """Return the message of one record batch, in parts that follow each other; the arguments are in the schema's order.

    Args:
        rows: How many rows.
        fields: The columns before the struct.
        inputs: The columns of the struct; ``None``: there is no struct.
    """
    nulls: list[int] = []
    lengths: list[int] = []
    content = [b""]
    for column in fields:
        if isinstance(column, Together):
            nulls += column.nulls
        else:
            nulls.append(column.nulls)
        lengths += column.lengths
        content.append(column.content)
    block = 0
    if inputs is not None:
        nulls.append(0)
        lengths.append(0)
    if isinstance(inputs, EncodedBlock):
        block = inputs.count
        nulls += [0] * block
    elif inputs is not None:
        nulls += [column.nulls for column in inputs]
        lengths += [length for column in inputs for length in column.lengths]
        content += [column.content for column in inputs]
    content[0] = _head(rows, tuple(nulls), tuple(lengths), block)
    return (b"".join(content), inputs.data) if isinstance(inputs, EncodedBlock) else (b"".join(content),)


# Groups of equal size mostly have texts of equal lengths, since identifiers do.
@lru_cache(maxsize=1024)
def _head(rows: int, nulls: tuple[int, ...], lengths: tuple[int, ...], block: int) -> bytes:
    """Return a batch's metadata; the last ``block`` columns have an empty validity and 8 bytes a row each."""
    of_block = np.tile(np.array([0, 8 * rows], dtype="<i8"), block)
    sizes = np.concatenate((np.array(lengths, dtype="<i8"), of_block))
    filled = (sizes + (_ALIGNMENT - 1)) // _ALIGNMENT * _ALIGNMENT
    nodes = np.column_stack((np.full(len(nulls), rows, dtype="<i8"), np.array(nulls, dtype="<i8")))
    buffers = np.column_stack((np.cumsum(filled) - filled, sizes))
    return _template(len(nodes), len(buffers)).fill(rows, nodes, buffers, int(filled.sum()))


@dataclass(frozen=True)
class _Template:
    """A batch's metadata, and where its numbers stand."""

    content: bytes
    body_length: int
    length: int
    nodes: int
    buffers: int

    def fill(self, rows: int, nodes: NDArray[np.int64], buffers: NDArray[np.int64], size: int) -> bytes:
        content = bytearray(self.content)
        struct.pack_into("<q", content, self.body_length, size)
        struct.pack_into("<q", content, self.length, rows)
        content[self.nodes : self.nodes + nodes.nbytes] = nodes.tobytes()
        content[self.buffers : self.buffers + buffers.nbytes] = buffers.tobytes()
        return bytes(content)


@lru_cache(maxsize=256)
def _template(nodes: int, buffers: int) -> _Template:
    """Return the metadata of a batch with so many nodes and buffers; the numbers stand where the tables say."""
    builder = flatbuffers.Builder(1024)
    offsets = []
    for count, slot_bytes in ((nodes, _NODE_BYTES), (buffers, _BUFFER_BYTES)):
        builder.StartVector(slot_bytes, count, 8)
        for _ in range(2 * count):
            builder.PrependInt64(1)
        offsets.append(builder.EndVector())
    builder.StartObject(3)
    builder.PrependInt64Slot(0, 1, 0)
    builder.PrependUOffsetTRelativeSlot(1, offsets[0], 0)
    builder.PrependUOffsetTRelativeSlot(2, offsets[1], 0)
    content = _message(builder, _RECORD_BATCH, builder.EndObject(), 1)
    begin = 2 * 4
    message = Table(content, begin + struct.unpack_from("<I", content, begin)[0])
    batch = Table(content, message.Indirect(message.Pos + message.Offset(4 + 2 * 2)))
    return _Template(
        content=content,
        body_length=message.Pos + message.Offset(4 + 2 * 3),
        length=batch.Pos + batch.Offset(4),
        nodes=batch.Vector(batch.Offset(4 + 2 * 1)),
        buffers=batch.Vector(batch.Offset(4 + 2 * 2)),
    )


def _message(builder: Any, kind: int, header: int, body_length: int) -> bytes:
    """Return a message's prefix and metadata, padded as the format asks."""
    builder.StartObject(5)
    builder.PrependInt64Slot(3, body_length, 0)
    builder.PrependUOffsetTRelativeSlot(2, header, 0)
    builder.PrependInt16Slot(0, _VERSION_5, 0)
    builder.PrependUint8Slot(1, kind, 0)
    builder.Finish(builder.EndObject())
    metadata = bytes(builder.Output())
    metadata += _PADDING[len(metadata) % _ALIGNMENT]
    return b"".join((_CONTINUATION, len(metadata).to_bytes(4, "little"), metadata))


def _field(builder: Any, name: str, kind: Kind) -> int:
    code, write = _TYPES[kind]
    return _any_field(builder, name, code, write(builder), [])


def _struct_field(builder: Any, name: str, children: list[int]) -> int:
    return _any_field(builder, name, _STRUCT, _plain(builder), children)


def _any_field(builder: Any, name: str, code: int, kind: int, children: list[int]) -> int:
    listed = _vector(builder, children)
    text = builder.CreateString(name)
    builder.StartObject(7)
    builder.PrependUOffsetTRelativeSlot(0, text, 0)
    builder.PrependBoolSlot(1, True, False)
    builder.PrependUint8Slot(2, code, 0)
    builder.PrependUOffsetTRelativeSlot(3, kind, 0)
    builder.PrependUOffsetTRelativeSlot(5, listed, 0)
    return int(builder.EndObject())


def _vector(builder: Any, offsets: Sequence[int]) -> int:
    builder.StartVector(4, len(offsets), 4)
    for offset in reversed(offsets):
        builder.PrependUOffsetTRelative(offset)
    return int(builder.EndVector())


def _plain(builder: Any) -> int:
    builder.StartObject(0)
    return int(builder.EndObject())


def _integer(bits: int) -> Callable[[Any], int]:
    def write(builder: Any) -> int:
        builder.StartObject(2)
        builder.PrependInt32Slot(0, bits, 0)
        builder.PrependBoolSlot(1, True, False)
        return int(builder.EndObject())

    return write


def _floating(precision: int) -> Callable[[Any], int]:
    def write(builder: Any) -> int:
        builder.StartObject(1)
        builder.PrependInt16Slot(0, precision, 0)
        return int(builder.EndObject())

    return write


def _moment(builder: Any) -> int:
    zone = builder.CreateString("UTC")
    builder.StartObject(2)
    builder.PrependInt16Slot(0, _MICROSECOND, 0)
    builder.PrependUOffsetTRelativeSlot(1, zone, 0)
    return int(builder.EndObject())


_TYPES: dict[Kind, tuple[int, Callable[[Any], int]]] = {
    "string": (_UTF8, _plain),
    "double": (_FLOATING_POINT, _floating(2)),
    "float": (_FLOATING_POINT, _floating(1)),
    "int64": (_INT, _integer(64)),
    "int32": (_INT, _integer(32)),
    "boolean": (_BOOL, _plain),
    "moment": (_TIMESTAMP, _moment),
}
