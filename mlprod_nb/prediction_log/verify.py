"""Reading every byte of the log: each checksum, digest and count, and what is there or missing beside them."""

from __future__ import annotations

from pathlib import Path

from mlprod_nb.prediction_log import framing
from mlprod_nb.prediction_log.catalogue import Catalogue
from mlprod_nb.prediction_log.framing import Damage
from mlprod_nb.prediction_log.segments import SUFFIX


def problems(folder: Path, catalogue: Catalogue | None) -> list[str]:
    """Return one line for each damage: which file, what is wrong and what to do."""
    return [
        f"{path.name} at byte {found.offset}: {found.problem}."
        for path in sorted(folder.glob(f"*{SUFFIX}"))
        for found in framing.scan(memoryview(path.read_bytes()))
        if isinstance(found, Damage)
    ]
