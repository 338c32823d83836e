"""A drill: a drift is injected into a copy of the window, to see which detector fires, after how many rows and looks.

Rows are drawn from the window with replacement, by a seed, and changed. A detector fires where its p-value is below the
sharpest threshold of the look, the first of Holm's, and its effect above the floor: a little later than in a real look.
What is derived of a changed column is looked at, too; ages are not, since the drawn rows have no event times.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from mlprod_nb.errors import NotFound, Refused, UsageError
from mlprod_nb.monitoring import counting, derived, drift, joint_counts
from mlprod_nb.monitoring.bins import WindowCounts
from mlprod_nb.monitoring.budget import Budget
from mlprod_nb.monitoring.columns import to_numbers, to_texts
from mlprod_nb.monitoring.detectors import Detector
from mlprod_nb.monitoring.drill_result import Already, DrillResult, DrillRow
from mlprod_nb.monitoring.pooling import LOOKS, pools
from mlprod_nb.monitoring.profile import ColumnProfile, Profile
from mlprod_nb.registry.bundles import LABEL_COLUMN

Rows = dict[str, Any]
#: At how many rows detectors are tried, as far as the window has them.
LADDER = (50, 100, 200, 350, 500, 750, 1000, 1500, 2000, 3500, 5000, 7500, 10_000, 20_000)
CORRELATION = "correlation"
_NUMBER = r"(\d+(?:\.\d+)?)"
_EXAMPLES = "amount+0.3sd, amount*1.5sd, 'amount missing 5%', carrier=UA+5pts, or amount~distance, which turns a"


@dataclass(frozen=True)
class Injection:
    """A change of one column, or of how two move together.

    Attributes:
        text: As the user wrote it.
        columns: The column, or the two.
        change: Changes rows; the copy is its own.
    """

    text: str
    columns: tuple[str, ...]
    change: Callable[[np.random.Generator, Rows], Rows]


def parse(text: str, profile: Profile) -> Injection:
    """Understand what is to be injected.

    Raises:
        UsageError: The text is no change, or the column's kind does not allow it.
        NotFound: There is no such column or category; the message names the nearest.
    """
    given = text.strip()
    for pattern, make in _FORMS:
        found = re.fullmatch(pattern, given)
        if found:
            name, *rest = found.groups()
            return make(given, _column(profile, name.strip()), [part.strip() for part in rest], profile)
    bare = re.fullmatch(rf"(.+?[+-]){_NUMBER}", given)
    hint = f"Did you mean '{given}sd'?" if bare else f"Write {_EXAMPLES} correlation round."
    raise UsageError(f"{text!r} is no drift that can be injected.", hint=hint)


def _column(profile: Profile, name: str) -> ColumnProfile:
    column = next((column for column in profile.columns if column.name == name), None)
    if column is None:
        raise NotFound("column", name, [column.name for column in profile.columns])
    return column


def _numeric(column: ColumnProfile) -> tuple[float, float]:
    if column.kind != "number":
        raise UsageError(f"column {column.name!r} holds categories: it has no sd.", hint=f"Write {column.name}=…+5pts.")
    if not column.sd or column.mean is None:
        raise UsageError(f"column {column.name!r} is constant in the reference: its sd is 0.")
    return column.mean, column.sd


def _shift(text: str, column: ColumnProfile, rest: Sequence[str], _: Profile) -> Injection:
    sd = _numeric(column)[1]
    by = float(rest[1]) * sd * (-1 if rest[0] == "-" else 1)
    _check_change(text, by != 0)
    return Injection(text, (column.name,), lambda _, rows: {**rows, column.name: rows[column.name] + by})


def _scale(text: str, column: ColumnProfile, rest: Sequence[str], _: Profile) -> Injection:
    mean, by = _numeric(column)[0], float(rest[0])
    _check_change(text, by != 1)
    return Injection(
        text, (column.name,), lambda _, rows: {**rows, column.name: mean + by * (rows[column.name] - mean)}
    )


def _lose(text: str, column: ColumnProfile, rest: Sequence[str], _: Profile) -> Injection:
    share = _percent(float(rest[0]), text)

    def change(random: np.random.Generator, rows: Rows) -> Rows:
        values = rows[column.name].copy()
        values[random.random(len(values)) < share] = np.nan if column.kind == "number" else None
        return {**rows, column.name: values}

    return Injection(text, (column.name,), change)


def _grow(text: str, column: ColumnProfile, rest: Sequence[str], _: Profile) -> Injection:
    category, points = rest[0], _percent(float(rest[1]), text)
    if column.kind != "category":
        raise UsageError(f"column {column.name!r} holds numbers, not categories.", hint=f"Write {column.name}+0.3sd.")
    if category not in column.categories:
        raise NotFound(f"category of {column.name}", category, column.categories)

    def change(random: np.random.Generator, rows: Rows) -> Rows:
        values = rows[column.name]
        others = (values != category) & np.array([value is not None for value in values], dtype=bool)
        moved = others & (random.random(len(values)) < min(1.0, points * len(values) / max(int(others.sum()), 1)))
        return {**rows, column.name: np.where(moved, category, values)}

    return Injection(text, (column.name,), change)


def _turn(text: str, column: ColumnProfile, rest: Sequence[str], profile: Profile) -> Injection:
    """Mirror the second column's ranks: it keeps its values, and every correlation of it changes its sign."""
    other = _column(profile, rest[0])
    for one in (column, other):
        _numeric(one)
    if other.name == column.name:
        raise UsageError(f"a correlation is of two columns, not of {column.name!r} with itself.")

    def change(_: np.random.Generator, rows: Rows) -> Rows:
        values = rows[other.name].copy()
        known = np.flatnonzero(~np.isnan(values))
        order = known[np.argsort(values[known], kind="stable")]
        values[order] = values[order[::-1]]
        return {**rows, other.name: values}

    return Injection(text, (column.name, other.name), change)


def _check_change(text: str, changes: bool) -> None:
    if not changes:
        raise UsageError(f"{text!r} changes nothing.", hint=f"Write {_EXAMPLES} correlation round.")


def _percent(value: float, text: str) -> float:
    if not 0 < value <= 100:
        raise UsageError(f"{value:g} % in {text!r} is not above 0 and at most 100.")
    return value / 100


_Make = Callable[[str, ColumnProfile, Sequence[str], Profile], Injection]
_FORMS: tuple[tuple[str, _Make], ...] = (
    (rf"(.+?)\s*([+-])\s*{_NUMBER}\s*sd", _shift),
    (rf"(.+?)\s*\*\s*{_NUMBER}\s*sd", _scale),
    (rf"(.+?)\s+missing\s+{_NUMBER}\s*%", _lose),
    (rf"(.+?)=(.+?)\s*\+\s*{_NUMBER}\s*pts", _grow),
    (r"(.+?)\s*~\s*(.+)", _turn),
)


# -- the drill ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Ground:
    """What a drill is held on.

    Attributes:
        profile: The reference.
        columns: The window's input columns, or a sample of its rows.
        rows: Rows of a look.
        budget: How many false alarms are allowed.
        detectors: Which detectors are tried.
        seed: Of the choice of rows, and of what the injection draws.
    """

    profile: Profile
    columns: Mapping[str, Any]
    rows: int
    budget: Budget
    detectors: Sequence[Detector]
    seed: int = 0


def run(endpoint: str, ground: Ground, injection: Injection) -> DrillResult:
    """Hold a drill.

    Raises:
        Refused: The window has no rows, or lacks the column.
    """
    columns = _read(ground)
    for name in injection.columns:
        if name not in columns:
            raise Refused(f"column {name!r} cannot be read in this window, so nothing can be injected into it.")
    known = len(columns[injection.columns[0]])
    if not known:
        raise Refused("the window is empty: there is nothing to inject a drift into.")
    random = np.random.default_rng(ground.seed)

    def draw(rows: int, *, changed: bool) -> WindowCounts:
        chosen = random.integers(0, known, rows)
        some = {name: values[chosen] for name, values in columns.items()}
        return counting.count(ground.profile, injection.change(random, some) if changed else some)

    most = min(ground.rows, LADDER[-1])
    windows = [draw(most, changed=False) for _ in range(max(LOOKS))]
    pooled, alone = _firing(ground, injection, windows), _firing(ground, injection, windows[:1])
    already: dict[str, Already] = {**dict.fromkeys(pooled, "pooled"), **dict.fromkeys(alone, "alone")}
    first = draw(most, changed=True)
    lone: set[str] = _firing(ground, injection, [first])
    by_rows = dict.fromkeys(lone, most)
    for step in reversed([step for step in LADDER if step < most]):  # one that fires on fewer rows only, did by luck
        lone &= _firing(ground, injection, [draw(step, changed=True)])
        by_rows.update(dict.fromkeys(lone, step))
    by_looks: dict[str, int] = {}
    for look in range(1, max(LOOKS) + 1):
        windows = [first if look == 1 else draw(most, changed=True), *windows][: max(LOOKS)]
        for name in _firing(ground, injection, windows):
            by_looks.setdefault(name, look)
    rows = tuple(
        DrillRow(name, by_rows.get(name), by_looks.get(name), already.get(name, ""))
        for name in _names(ground, injection)
    )
    return DrillResult(endpoint, injection.text, known, most, rows)


def _read(ground: Ground) -> Rows:
    found: Rows = {}
    for column in ground.profile.columns:
        if column.name not in ground.columns:
            continue
        try:
            values = ground.columns[column.name]
            found[column.name] = (
                to_numbers(values) if column.kind == "number" else np.array(to_texts(values), dtype=object)
            )
        except ValueError:
            continue
    return found


def _touched(profile: Profile, injection: Injection) -> list[ColumnProfile]:
    """Return the columns that an injection changes, and what is derived of them."""
    every = (*profile.columns, *(profile.derived or ()))
    return [column for column in every if {column.name, column.source} & set(injection.columns)]


def _names(ground: Ground, injection: Injection) -> list[str]:
    touched, dates = _touched(ground.profile, injection), derived.dated(ground.profile)
    found = (d.name for d in ground.detectors if any(drift.judges(d, column, dates) for column in touched))
    return [*found, CORRELATION]


def _firing(ground: Ground, injection: Injection, windows: Sequence[WindowCounts]) -> set[str]:
    """Return the detectors that fire in the newest of some windows, alone or pooled with those before it."""
    profile, dates = ground.profile, derived.dated(ground.profile)
    columns = [column for column in profile.every if column.name != LABEL_COLUMN]
    tests = sum(drift.judges(detector, column, dates) for column in columns for detector in ground.detectors)
    limit = ground.budget.drift / max(len(LOOKS) * (tests + len(profile.pairs)), 1)
    fired: set[str] = set()
    for pool in pools(profile, windows[0], windows[1:]):
        for column in _touched(profile, injection):
            counts = pool.counts.columns[column.name]
            for detector in ground.detectors:
                if drift.judges(detector, column, dates) and not counts.problem:
                    found = detector.compare(column.as_counts(), counts)
                    large = (found.effect or 0.0) >= detector.floor
                    sure = found.p_value is not None and found.p_value <= limit
                    fired |= {detector.name} if sure and large else set()
        fired |= {CORRELATION} if _correlated(profile, injection, pool.counts, limit) else set()
    return fired


def _correlated(profile: Profile, injection: Injection, counts: WindowCounts, limit: float) -> bool:
    if counts.pairs is None:
        return False
    found = joint_counts.compare(profile.columns, profile.pairs, counts.pairs)
    return any(
        one.p_value is not None and one.p_value <= limit and abs(one.after - one.before) >= joint_counts.FLOOR
        for pair, one in zip(profile.pairs, found, strict=True)
        if {pair.first, pair.second} & set(injection.columns)
    )
