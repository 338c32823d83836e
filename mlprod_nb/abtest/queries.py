"""The SQL of a scan."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import combinations_with_replacement

from mlprod_nb.abtest.outcome import Metric, Outcome, Statistic, literal
from mlprod_nb.abtest.paired_rows import SHADOW_MARK
from mlprod_nb.abtest.rows import COVARIATE

#: No number beyond this counts: its square must stay finite.
LARGEST = 1e100
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Number:
    """A number of a row, in SQL.

    Attributes:
        sql: The number; null where the row does not count. It may be infinite, or no number.
        finite: The same; null besides where its square is no finite number.
    """

    sql: str
    finite: str

    @classmethod
    def of(cls, value: str, *, labelled: bool = False) -> Number:
        """Return an expression as a number, of rows with a usable label alone where it says so."""
        value = f"({value})::DOUBLE"
        known = " AND label_known IS NOT NULL" if labelled else ""
        plain = f"CASE WHEN label_known IS NOT NULL THEN {value} END" if labelled else value
        return cls(plain, f"CASE WHEN abs({value}) <= {LARGEST}{known} THEN {value} END")

    @classmethod
    def of_metric(cls, metric: Metric | Statistic, outcome: Outcome) -> Number:
        """Return a metric."""
        return cls.of(metric.value(outcome), labelled=metric.needs_labels)

    @classmethod
    def of_truth(cls, metric: Metric, outcome: Outcome) -> Number:
        """Return a metric that is a truth value."""
        value = f"({metric.value(outcome)})"
        value = f"CASE WHEN label_known IS NOT NULL THEN {value} END" if metric.needs_labels else value
        return cls(value, value)

    @classmethod
    def of_covariate(cls, column: str) -> Number:
        """Return a covariate."""
        return cls.of(quoted(COVARIATE + column))


def step(edges: Sequence[int]) -> str:
    """Return the SQL of how many of these moments, in microseconds and growing, lie before a row's event time.

    It asks as a binary search does: four or five comparisons a row for twenty moments.
    """
    if not edges:
        return "0"
    middle = len(edges) // 2
    late = f"({step(edges[middle + 1 :])}) + {middle + 1}"
    return f"CASE WHEN event_us <= {edges[middle]} THEN {step(edges[:middle])} ELSE {late} END"


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


def unit_moments(covariates: Sequence[str], valued: str) -> str:
    """Return the query of the moments over units of rows, sums of values and mean covariates.

    Args:
        covariates: Columns; where a unit has none, that of all units counts.
        valued: What to read: rows with a value ``v``.
    """
    names = [f"x{i}" for i in range(len(covariates))]
    known = [Number.of_covariate(column).finite for column in covariates]
    means = "".join(f", avg({sql}) AS {name}" for name, sql in zip(names, known, strict=True))
    filled = "".join(f", coalesce({name}, avg({name}) OVER (), 0) AS {name}" for name in names)
    numbers = ["n", "s", *names]
    spread = [f"covar_samp({one}, {other})" for one, other in combinations_with_replacement(numbers, 2)]
    return (
        f"WITH units AS (SELECT variant, count(v)::DOUBLE AS n, sum(v) AS s, sum(v * v) AS q{means} "  # noqa: S608
        f"FROM ({valued}) GROUP BY variant, unit), "
        f"filled AS (SELECT variant, n, s, q{filled} FROM units) SELECT variant, count(*), sum(q), "
        f"{', '.join(f'avg({name})' for name in numbers)}, {', '.join(spread)} FROM filled "
        "GROUP BY variant HAVING count(*) > 1 ORDER BY variant"
    )


def in_pairs(values: Sequence[str], variants: tuple[str, str], source: str) -> str:
    """Return the query of the requests that both a control and its shadow answered.

    Args:
        values: SQL of the metric's value, of both sides ``c`` and ``t``, and of what is read of the control alone.
        variants: The control and its shadow.
        source: What to read.
    """
    value, others = values[0], range(len(values) - 1)
    columns = "".join(f", ({sql})::DOUBLE AS o{i}" for i, sql in enumerate(values[1:]))
    shown, known = "".join(f", c.o{i}" for i in others), "".join(f" AND c.o{i} IS NOT NULL" for i in others)
    control, treatment = (literal(name) for name in variants)
    return (
        f"WITH scored_values AS (SELECT prediction_id, variant, unit, event_us, {value} AS v{columns} FROM {source}) "  # noqa: S608
        f"SELECT dense_rank() OVER (ORDER BY c.unit) AS unit, c.event_us, c.v AS c, t.v AS t{shown} "
        f"FROM scored_values c JOIN scored_values t ON t.prediction_id = c.prediction_id || '{SHADOW_MARK}' "
        f"WHERE c.variant = {control} AND t.variant = {treatment} AND c.v IS NOT NULL AND t.v IS NOT NULL{known}"
    )


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
