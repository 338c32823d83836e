"""Column by column: TabularDrift, KSDrift, CVMDrift, ChiSquareDrift and FETDrift on the values that are present.

A missing value would silently become "no drift" there, so it never meets one: missing values are left out, the result
says how many, and FETDrift tests their rate as well.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mlprod_nb.monitoring.detectors.alibi.door import Shelf
from mlprod_nb.monitoring.detectors.protocol import too_few
from mlprod_nb.monitoring.detectors.rows import MIN_CATEGORY, Samples, commonest, present
from mlprod_nb.monitoring.rows import AlibiRow

MIN_ROWS = 20
#: Which kinds of column each takes; ``"truth"`` is a column, or its lack of values, that is true or not.
KINDS: dict[str, frozenset[str]] = {
    "TabularDrift": frozenset({"number", "category"}),
    "KSDrift": frozenset({"number"}),
    "CVMDrift": frozenset({"number"}),
    "ChiSquareDrift": frozenset({"category"}),
    "FETDrift": frozenset({"truth"}),
}


def compare(name: str, samples: Samples, shelf: Shelf) -> Iterator[AlibiRow]:
    """Run one of them on every column that it takes."""
    if name == "FETDrift":
        yield from _truths(samples, shelf)
        return
    wanted = [column for column, kind in samples.kinds.items() if kind in KINDS[name]]
    for column in wanted:
        yield _column(name, column, samples, shelf)
    for column, problem in samples.problems.items():
        yield untested(name, column, problem)
    if not wanted and not samples.problems:
        yield untested(name, "", f"there is no column of {'s or '.join(sorted(KINDS[name]))}s")


def untested(name: str, column: str, reason: str) -> AlibiRow:
    """Return that nothing was tested, and why."""
    return AlibiRow(name, column, None, None, False, f"not tested: {reason}")


def _column(name: str, column: str, samples: Samples, shelf: Shelf) -> AlibiRow:
    both = (samples.reference[column], samples.window[column])
    before, after = (values[present(values)] for values in both)
    few = min(len(before), len(after))
    if few < MIN_ROWS:
        return untested(name, column, too_few(few, MIN_ROWS))
    options: dict[str, Any] = {}
    if samples.kinds[column] == "category":
        before, after = _codes(before, after)
        options["categories_per_feature"] = {0: int(before.max()) + 1}
        if not before.max():
            return untested(name, column, "the column is constant in both" if _same(*both) else _ONE_GROUP)
    elif len(np.unique(np.concatenate([before, after]))) < 2:
        return untested(name, column, "the column is constant in both")
    detector = shelf.fitted(name, before.reshape(-1, 1), **options)
    p_value = float(_feature_p_value(detector, name, after.reshape(-1, 1)))
    left_out = sum(len(values) for values in both) - len(before) - len(after)
    return AlibiRow(name, column, p_value, None, False, _tell(len(before), len(after), left_out))


_ONE_GROUP = f"the reference's values make no two groups of {MIN_CATEGORY} or more rows"


def _feature_p_value(detector: Any, name: str, after: NDArray[Any]) -> Any:
    options = {"drift_type": "feature"} if name != "ClassifierUncertaintyDrift" else {}
    return detector.predict(after, **options)["data"]["p_val"][0]


def _same(before: NDArray[Any], after: NDArray[Any]) -> bool:
    return len({*before[present(before)], *after[present(after)]}) < 2


def _codes(before: NDArray[Any], after: NDArray[Any]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Number the reference's categories, commonest first. The rest is one, and joins the rarest where it is small.

    Only the reference decides, so that what was fitted to it can be kept; the window's new categories are in the rest.
    """
    common = commonest(before, most=200)
    number = {name: place for place, name in enumerate(common)}
    rest = len(common) if len(before) - int(np.isin(before, common).sum()) >= MIN_CATEGORY else max(len(common) - 1, 0)
    first, second = (np.array([number.get(value, rest) for value in values], np.int64) for values in (before, after))
    return first, second


def _truths(samples: Samples, shelf: Shelf) -> Iterator[AlibiRow]:
    """Test the columns of two values, and the rates of missing ones."""
    name, found = "FETDrift", False
    for column, kind in samples.kinds.items():
        before, after = samples.reference[column], samples.window[column]
        some = present(before), present(after)
        names = sorted({*before[some[0]], *after[some[1]]}, key=str) if kind == "category" else []
        if len(names) == 2:
            found = True
            truths = [(side[known] == names[1]) for side, known in zip((before, after), some, strict=True)]
            yield _truth(column, truths, sum(int((~known).sum()) for known in some), shelf)
        if not (some[0].all() and some[1].all()):
            found = True
            yield _truth(f"{column} missing", [~known for known in some], 0, shelf)
    for column, problem in samples.problems.items():
        found = True
        yield untested(name, column, problem)
    if not found:
        yield untested(name, "", "there is no column of two values, and no value is missing")


def _truth(column: str, truths: list[NDArray[np.bool_]], left_out: int, shelf: Shelf) -> AlibiRow:
    name, few = "FETDrift", min(len(side) for side in truths)
    if few < MIN_ROWS:
        return untested(name, column, too_few(few, MIN_ROWS))
    before, after = (side.astype(np.int64).reshape(-1, 1) for side in truths)
    if len(np.unique(np.concatenate([before, after]))) < 2:
        return untested(name, column, "the column is constant in both")
    detector = shelf.fitted(name, before, alternative="two-sided")
    p_value = float(_feature_p_value(detector, name, after))
    shares = " → ".join(f"{100 * side.mean():.1f} %" for side in truths)
    text = _tell(len(before), len(after), left_out)
    return AlibiRow(name, column, min(p_value, 1.0), None, False, f"{shares}; {text}")


def _tell(before: int, after: int, left_out: int) -> str:
    text = f"{before:,} reference and {after:,} window values"
    return text + (f"; {left_out:,} missing ones left out" if left_out else "")
