"""alibi-detect: the only door to it.

Licence: alibi-detect is under the Business Source License 1.1. Use in production needs a licence from Seldon, save for
non-profit education; each release turns Apache-2.0 four years after it ships. Every result that uses it says so.

It takes 4 to 8 seconds to import, so nothing here does so unless asked. A missing value would silently become "no
drift" there, so it never meets one: ``TabularDrift`` looks at the values that are present, column by column, and
``ClassifierDrift`` gets an indicator of missing values beside each column that has any.
"""

from __future__ import annotations

import contextlib
import importlib.util
import logging
import warnings
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mlprod_nb.errors import MissingExtra
from mlprod_nb.monitoring.budget import holm
from mlprod_nb.monitoring.columns import Floats, to_numbers, to_texts
from mlprod_nb.monitoring.rows import AlibiRow

LICENCE = (
    "alibi-detect is under the Business Source License 1.1: use in production needs a licence from Seldon"
    " (free for non-profit education)"
)
MAX_ROWS = 2000
MIN_ROWS = 20
_FOLDS = 5
_MIN_CATEGORY = 20
_LOGGERS = ("alibi_detect", "transformers", "numba")


def available() -> bool:
    """Say whether alibi-detect is installed, without importing it."""
    return importlib.util.find_spec("alibi_detect") is not None


def compare(
    kinds: Mapping[str, str],
    reference: Mapping[str, Any],
    window: Mapping[str, Any],
    alpha: float,
    *,
    seed: int = 0,
) -> tuple[AlibiRow, ...]:
    """Run ``TabularDrift`` on every column and ``ClassifierDrift`` on all of them together.

    Args:
        kinds: ``"number"`` or ``"category"`` for each column.
        reference: The reference sample's columns.
        window: The window's columns.
        alpha: Chance of a false alarm that each of the two may spend.
        seed: Of the choice of at most 2,000 rows a side, and of the classifier.

    Raises:
        MissingExtra: alibi-detect is not installed.
    """
    if not available():
        raise MissingExtra("alibi-detect", "alibi")
    sides, problems = _sides(kinds, reference, window, seed)
    with _quiet():
        tabular = [
            _tabular(name, kind, sides[name]) if name in sides else _untested(name, problems[name])
            for name, kind in kinds.items()
        ]
        together = _classifier({name: kinds[name] for name in sides}, sides, alpha, seed)
    return (*together, *_correct(tabular, alpha))


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep third-party warnings, log lines and hints about torch out of a notebook, and put all back afterwards."""
    import io

    loggers = [logging.getLogger(name) for name in _LOGGERS]
    levels = [logger.level for logger in loggers]
    with warnings.catch_warnings(), contextlib.redirect_stderr(io.StringIO()):
        warnings.simplefilter("ignore")
        for logger in loggers:
            logger.setLevel(logging.CRITICAL)
        try:
            yield
        finally:
            for logger, level in zip(loggers, levels, strict=True):
                logger.setLevel(level)


Pair = tuple[Any, Any]


def _sides(
    kinds: Mapping[str, str], reference: Mapping[str, Any], window: Mapping[str, Any], seed: int
) -> tuple[dict[str, Pair], dict[str, str]]:
    """Read every column on both sides, on one random choice of rows a side, or say why it cannot be read."""
    random = np.random.default_rng(seed)
    chosen = [_choose(random, side, kinds) for side in (reference, window)]
    sides: dict[str, Pair] = {}
    problems: dict[str, str] = {}
    for name, kind in kinds.items():
        gone = next((where for where, side in (("reference", reference), ("window", window)) if name not in side), "")
        if gone:
            problems[name] = f"the {gone} lacks the column"
            continue
        try:
            read = [_read(side[name], kind)[rows] for side, rows in zip((reference, window), chosen, strict=True)]
        except ValueError as error:
            problems[name] = f"the column {error}"
            continue
        sides[name] = (read[0], read[1])
    return sides, problems


def _choose(random: np.random.Generator, side: Mapping[str, Any], kinds: Mapping[str, str]) -> NDArray[np.intp]:
    rows = next((len(side[name]) for name in kinds if name in side), 0)
    return np.sort(random.permutation(rows)[:MAX_ROWS])


def _read(column: Any, kind: str) -> NDArray[Any]:
    if kind == "number":
        values = to_numbers(column)
        return np.where(np.isfinite(values), values, np.nan)
    return np.array(to_texts(column), dtype=object)


def _present(values: NDArray[Any]) -> NDArray[np.bool_]:
    if values.dtype == object:
        return np.array([value is not None for value in values], dtype=bool)
    present: NDArray[np.bool_] = ~np.isnan(values)
    return present


def _tabular(name: str, kind: str, pair: Pair) -> AlibiRow:
    before, after = (values[_present(values)] for values in pair)
    if min(len(before), len(after)) < MIN_ROWS:
        return _untested(name, f"{min(len(before), len(after))} values are too few; it takes {MIN_ROWS}")
    if kind == "category":
        before, after = _codes(before, after)
    if len(np.unique(np.concatenate([before, after]))) < 2:
        return _untested(name, "the column is constant in both")
    from alibi_detect.cd import TabularDrift

    groups = {0: int(max(before.max(), after.max())) + 1} if kind == "category" else None
    detector = TabularDrift(before.reshape(-1, 1), categories_per_feature=groups)
    p_value = float(detector.predict(after.reshape(-1, 1), drift_type="feature")["data"]["p_val"][0])
    left_out = sum(len(values) for values in pair) - len(before) - len(after)
    text = f"{len(before):,} reference and {len(after):,} window values"
    text += f"; {left_out:,} missing ones left out" if left_out else ""
    return AlibiRow("TabularDrift", name, p_value, None, False, text)


def _codes(before: NDArray[Any], after: NDArray[Any]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Number the categories, commonest first; those that fewer than 20 rows share are one."""
    common = [name for name, size in Counter([*before, *after]).most_common() if size >= _MIN_CATEGORY]
    number = {name: index for index, name in enumerate(common)}
    return (
        np.array([number.get(value, len(common)) for value in before], dtype=np.int64),
        np.array([number.get(value, len(common)) for value in after], dtype=np.int64),
    )


def _untested(name: str, reason: str) -> AlibiRow:
    return AlibiRow("TabularDrift", name, None, None, False, f"not tested: {reason}")


def _correct(rows: list[AlibiRow], alpha: float) -> list[AlibiRow]:
    corrected = iter(holm([row.p_value for row in rows if row.p_value is not None]))
    done = []
    for row in rows:
        value = next(corrected) if row.p_value is not None else None
        drifted = value is not None and value <= alpha
        done.append(AlibiRow(row.detector, row.column, row.p_value, value, drifted, row.statement))
    return done


def _classifier(kinds: Mapping[str, str], sides: Mapping[str, Pair], alpha: float, seed: int) -> list[AlibiRow]:
    """Can a classifier tell the window from the reference? Out of fold, 5 folds, a small random forest."""
    rows = [min((len(pair[side]) for pair in sides.values()), default=0) for side in (0, 1)]
    if min(rows) < 2 * MIN_ROWS:
        text = f"not tested: {min(rows)} rows are too few; it takes {2 * MIN_ROWS}"
        return [AlibiRow("ClassifierDrift", "", None, None, False, text)]
    from alibi_detect.cd import ClassifierDrift
    from sklearn.ensemble import RandomForestClassifier

    before, after = _matrix(kinds, sides)
    forest = RandomForestClassifier(n_estimators=50, min_samples_leaf=10, random_state=seed, n_jobs=1)
    detector = ClassifierDrift(
        before, model=forest, backend="sklearn", preds_type="probs", n_folds=_FOLDS, train_size=None, seed=seed
    )
    p_value = float(detector.predict(after)["data"]["p_val"])
    text = f"a random forest on {len(before):,} reference and {len(after):,} window rows, {_FOLDS} folds"
    return [AlibiRow("ClassifierDrift", "", p_value, p_value, p_value <= alpha, text)]


def _matrix(kinds: Mapping[str, str], sides: Mapping[str, Pair]) -> tuple[Floats, Floats]:
    """Return both sides as finite numbers: categories by number, missing ones at the median with an indicator."""
    columns: list[NDArray[np.float32]] = []
    cut = len(next(iter(sides.values()))[0])
    for name, kind in kinds.items():
        both = np.concatenate(sides[name])
        present = _present(both)
        if kind == "category":
            values, _ = _codes(np.where(present, both, ""), both[:0])
            columns.append(values.astype(np.float32))
        elif present.any():
            columns.append(np.where(present, both, np.median(both[present].astype(np.float64))).astype(np.float32))
        if not present.all():
            columns.append((~present).astype(np.float32))
    matrix: Any = np.column_stack(columns)
    return matrix[:cut], matrix[cut:]
