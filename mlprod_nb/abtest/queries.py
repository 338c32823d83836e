"""The SQL of a scan."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from mlprod_nb.abtest.outcome import literal
from mlprod_nb.abtest.rows import COVARIATE, VARIANT_CODE

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def of_rows(truths: Sequence[bool], values: str, source: str) -> str:
    """Return the query of the sums where each row is its own unit, three numbers a value.

    Truth values are counted, which takes a third of adding numbers, and grouping by a number half of that by a text.

    Args:
        truths: Which values are truth values.
        values: The SQL of the values, named ``v0``, ``v1`` ….
        source: What to read.
    """
    outer = ", ".join(
        f"count(v{i}), count_if(v{i}), NULL" if truth else f"count(v{i}), sum(v{i}), sum(v{i} * v{i})"
        for i, truth in enumerate(truths)
    )
    return (
        f"SELECT {VARIANT_CODE}, {outer} FROM (SELECT {VARIANT_CODE}, {values} FROM {source}) "  # noqa: S608
        f"GROUP BY {VARIANT_CODE} ORDER BY {VARIANT_CODE}"
    )


def deviations(numbers: Sequence[int], values: str, source: str) -> str:
    """Return the query of the variances of some values, where each row is its own unit."""
    exact = ", ".join(f"var_samp(v{i})" for i in numbers)
    return (
        f"SELECT {VARIANT_CODE}, {exact} FROM (SELECT {VARIANT_CODE}, {values} FROM {source}) "  # noqa: S608
        f"GROUP BY {VARIANT_CODE} ORDER BY {VARIANT_CODE}"
    )


def of_units(count: int, values: str, source: str) -> str:
    """Return the query of the sums over units."""
    inner = ", ".join(
        f"count(v{i}) AS n{i}, coalesce(sum(v{i}), 0) AS s{i}, coalesce(sum(v{i} * v{i}), 0) AS q{i}"
        for i in range(count)
    )
    outer = ", ".join(
        f"count(*) {f}, sum(n{i})::BIGINT, sum(s{i}) {f}, sum(q{i}) {f}, "
        f"var_samp(s{i}) {f}, var_samp(n{i}) {f}, covar_samp(s{i}, n{i}) {f}"
        for i, f in enumerate(f"FILTER (n{i} > 0)" for i in range(count))
    )
    return (
        f"SELECT variant, {outer} FROM (SELECT variant, {inner} FROM (SELECT variant, unit, {values} FROM {source}) "  # noqa: S608
        "GROUP BY variant, unit) GROUP BY variant"
    )


def covariate(column: str) -> str:
    """Return the name of a covariate's column."""
    return quoted(COVARIATE + column)


def quoted(name: str) -> str:
    """Return a name as a SQL identifier."""
    return '"' + name.replace('"', '""') + '"'


def listed(names: Sequence[str]) -> str:
    """Return texts as a list of SQL literals."""
    return ", ".join(literal(name) for name in names)


def micros(moment: datetime) -> int:
    """Return a moment as the scan has it: microseconds since 1970."""
    return (moment - _EPOCH) // timedelta(microseconds=1)


def moment(micros: int | None) -> datetime | None:
    """Return the moment that a number of microseconds is."""
    return None if micros is None else _EPOCH + timedelta(microseconds=micros)
