"""Records of the log made by hand, and those that the segments of a folder hold."""

from __future__ import annotations

from pathlib import Path

from mlprod_nb.prediction_log.framing import Record, frame, scan


def records(folder: Path) -> list[bytes]:
    found = [record for path in sorted(folder.glob("*.seg")) for record in scan(memoryview(path.read_bytes()))]
    return [bytes(record.payload) for record in found if isinstance(record, Record)]


def record(number: int) -> bytes:
    """Return a record that ends as an Arrow stream does."""
    return frame("predictions", "flights", b"%d " % number * 20 + b"\xff\xff\xff\xff\x00\x00\x00\x00")


def payload(number: int) -> bytes:
    return b"%d " % number * 20 + b"\xff\xff\xff\xff\x00\x00\x00\x00"
