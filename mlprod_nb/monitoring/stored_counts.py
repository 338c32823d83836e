"""Counts as bytes that a catalogue can keep: equal counts give equal bytes, and come back the same to the bit."""

from __future__ import annotations

import json
import math
import struct
import zlib
from dataclasses import fields
from typing import Any

import numpy as np

from mlprod_nb.monitoring.bins import ColumnCounts, WindowCounts
from mlprod_nb.registry.bundles import canonical_json

FORMAT = 3
"""What the bytes mean, and how rows are counted: another number where either changes."""

_LENGTH = struct.Struct("<I")
# The next levels take three times as long for a twentieth less.
_LEVEL = 3
_PLAIN = tuple(field.name for field in fields(ColumnCounts) if field.name not in ("counts", "new", "edges"))


def encode(counted: WindowCounts) -> bytes:
    """Return a window's counts, compressed; a bin takes about a byte."""
    names = list(counted.columns)
    head = canonical_json(
        {
            "format": FORMAT,
            "rows": counted.rows,
            "extra": list(counted.extra),
            "names": names,
            "columns": [_plain(counted.columns[name]) for name in names],
            "pairs": None if counted.pairs is None else list(counted.pairs.shape),
        }
    )
    bins = b"".join(counted.columns[name].counts.astype("<i8").tobytes() for name in names)
    pairs = b"" if counted.pairs is None else counted.pairs.astype("<i8").tobytes()
    return zlib.compress(_LENGTH.pack(len(head)) + head + bins + pairs, _LEVEL)


def decode(content: bytes) -> WindowCounts:
    """Read what :func:`encode` gave.

    Raises:
        ValueError: The bytes are none of this format.
    """
    try:
        plain = zlib.decompress(content)
        (length,) = _LENGTH.unpack_from(plain)
        head = json.loads(plain[_LENGTH.size : _LENGTH.size + length])
        if head["format"] != FORMAT:
            raise ValueError(f"format {head['format']!r} of counts is not {FORMAT}")
        bins = np.frombuffer(plain, dtype="<i8", offset=_LENGTH.size + length).astype(np.int64)
        ends = np.cumsum([column["bins"] for column in head["columns"]])
        end, shape = int(ends[-1] if ends.size else 0), head["pairs"]
        if end + (math.prod(shape) if shape else 0) != bins.size:
            raise ValueError("the bins of counts are cut short")
        parts = np.split(bins[:end], ends[:-1]) if ends.size else []
        pairs = bins[end:].reshape(shape) if shape is not None else None
        columns = [_column(column, part) for column, part in zip(head["columns"], parts, strict=True)]
        return WindowCounts(head["rows"], dict(zip(head["names"], columns, strict=True)), tuple(head["extra"]), pairs)
    except (zlib.error, struct.error, KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"no counts: {error}") from None


def _plain(counts: ColumnCounts) -> dict[str, Any]:
    values = {name: getattr(counts, name) for name in _PLAIN}
    # Numbers with a fraction go as hexadecimal: to the bit, infinity too.
    exact = {name: value.hex() if isinstance(value, float) else value for name, value in values.items()}
    return {**exact, "new": [list(pair) for pair in counts.new], "bins": len(counts.counts)}


_FRACTIONS = ("minimum", "maximum", "total", "squares")


def _column(plain: dict[str, Any], bins: Any) -> ColumnCounts:
    values = {name: plain[name] for name in _PLAIN}
    fractions = {name: None if values[name] is None else float.fromhex(values[name]) for name in _FRACTIONS}
    new = tuple((str(name), int(rows)) for name, rows in plain["new"])
    return ColumnCounts(counts=bins, **{**values, **fractions}, new=new)
