"""Row by row: CVMDriftOnline on numbers and FETDriftOnline on columns of two values.

Their thresholds are simulated, which takes seconds, so they are kept with the version. As with every online detector,
rows that come with a rhythm make them fire: they say when, and raise no alarm by themselves.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mlprod_nb.monitoring.detectors.alibi.columns import untested
from mlprod_nb.monitoring.detectors.alibi.door import Shelf
from mlprod_nb.monitoring.detectors.protocol import too_few
from mlprod_nb.monitoring.detectors.rows import Samples, present
from mlprod_nb.monitoring.rows import AlibiRow

#: The stated run time without change, in rows; the simulations are ten times as many, as alibi-detect advises.
EXPECTED = 1000
SIMULATIONS = 10 * EXPECTED
WINDOW = 50
_REFERENCE_ROWS = 1000
NAMES = ("CVMDriftOnline", "FETDriftOnline")


def compare(name: str, samples: Samples, shelf: Shelf) -> Iterator[AlibiRow]:
    """Run one of them on every column that it takes, in the order of the rows."""
    found = False
    for column, kind in samples.kinds.items():
        before, after = (side[column][present(side[column])] for side in (samples.reference, samples.window))
        if name == "CVMDriftOnline" and kind == "number":
            streams: list[tuple[str, Any, Any, dict[str, Any]]] = [(column, before, after, {})]
        elif name == "FETDriftOnline" and kind == "category" and len({*before, *after}) == 2:
            truth = sorted({*before, *after})[1]
            sides = (before == truth).astype(np.int64), (after == truth).astype(np.int64)
            streams = [(f"{column} {way}", *sides, {"alternative": way}) for way in ("greater", "less")]
        else:
            continue
        found = True
        yield from (_stream(name, *stream, shelf) for stream in streams)
    for column, problem in samples.problems.items():
        found = True
        yield untested(name, column, problem)
    if not found:
        yield untested(name, "", "there is no column of " + ("numbers" if name == NAMES[0] else "two values"))


def _stream(
    name: str, column: str, before: NDArray[Any], after: NDArray[Any], options: dict[str, Any], shelf: Shelf
) -> AlibiRow:
    few = min(len(before), len(after))
    if few < 2 * WINDOW:
        return untested(name, column, too_few(few, 2 * WINDOW))
    if len(np.unique(before)) < 2:
        return untested(name, column, "the reference never varies")
    detector = shelf.fitted(
        name,
        before[:_REFERENCE_ROWS],
        ert=float(EXPECTED),
        window_sizes=[WINDOW],
        n_bootstraps=SIMULATIONS,
        verbose=False,
        **options,
    )
    drifted = (detector.predict(value)["data"]["is_drift"] for value in after.tolist())
    fired = next((row for row, drift in enumerate(drifted, 1) if drift), None)
    law = f"expected once in {EXPECTED:,} rows without change"
    text = f"did not fire in {len(after):,} rows" if fired is None else f"fired after {fired:,} rows"
    return AlibiRow(name, column, None, None, False, f"{text}; {law}")
