"""One pass over the log: predictions become sums per unit, units become a few numbers per variant.

DuckDB reads the Arrow table where it lies. It runs on one thread, so that the same table gives the same bits and a
replayed report the same verdict.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from copy import copy
from dataclasses import replace
from datetime import datetime
from itertools import combinations_with_replacement
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from mlprod_nb.abtest import by_row, estimators, queries, rows
from mlprod_nb.abtest.accumulation import accumulate, keeps_digits, of_rows, unit_moments, unit_sums
from mlprod_nb.abtest.covariates import UnitMoments
from mlprod_nb.abtest.estimate import Arm, UnitSums
from mlprod_nb.abtest.facts import Facts, VariantFacts
from mlprod_nb.abtest.outcome import Metric, Outcome, Statistic, literal
from mlprod_nb.abtest.paired_rows import SHADOW_MARK, PairedRows
from mlprod_nb.abtest.rows import PERIOD, SEGMENT, VARIANT_CODE

if TYPE_CHECKING:
    import pyarrow as pa

_LARGEST = 1e100
#: A bootstrap draws from at most so many groups of units in each variant.
MOST_GROUPS = 20_000


class Scan:
    """A table of labelled predictions, opened for aggregation.

    Args:
        connection: A DuckDB connection that has the view ``scored``.
        outcome: What the endpoint predicts.
        repeated_rows: Rows that were left out as repeats.
        in_future: Rows that happened after they were received.
        once: Whether no row names a unit, so that each is its own.
        variants: The variants' names by their codes.
    """

    def __init__(
        self,
        connection: Any,
        outcome: Outcome,
        repeated_rows: int,
        in_future: int | None = None,
        *,
        once: bool = False,
        variants: Sequence[str] = (),
    ) -> None:
        self._variants = variants
        self._in_future = in_future
        self._once = once
        self._connection = connection
        self._outcome = outcome
        self._repeated = repeated_rows
        self._source = "scored"

    def within(self, condition: str) -> Scan:
        """Return the same scan over the rows alone that fulfil a condition, as SQL."""
        part = copy(self)
        part._source = f"(SELECT * FROM {self._source} WHERE {condition})"  # noqa: S608
        return part

    def units(self, variants: Sequence[str]) -> dict[str, int]:
        """Return how many units each variant met."""
        count = "count(*)" if self._once else "count(DISTINCT unit)"
        query = f"SELECT {VARIANT_CODE}, {count} FROM {self._of(variants)} GROUP BY {VARIANT_CODE}"  # noqa: S608
        return {variant: found for variant, (found,) in self._by_variant(query)}

    def in_period(self, number: int) -> Scan:
        """Return the same scan over one period's rows alone."""
        return self.within(f"{PERIOD} = {int(number)}")

    def segment_types(self) -> dict[str, str]:
        """Return the inputs that segments can be made of, with the type of each in SQL."""
        found = self._connection.execute("DESCRIBE scored").fetchall()
        return {row[0].removeprefix(SEGMENT): row[1] for row in found if row[0].startswith(SEGMENT)}

    def first(self, columns: Sequence[str], variants: Sequence[str], rows: int) -> pa.Table:
        """Return columns (as SQL) of the first rows by event time, all variants together, named ``x0``, ``x1`` …."""
        values = ", ".join(f"{sql} AS x{i}" for i, sql in enumerate(columns))
        return self._connection.sql(
            f"SELECT {values} FROM {self._source} WHERE variant IN ({queries.listed(variants)}) "  # noqa: S608
            f"ORDER BY event_us, prediction_id LIMIT {int(rows)}"
        ).to_arrow_table()

    def facts(self) -> Facts:
        """Return what the table holds."""
        units = "count(*)" if self._once else "count(DISTINCT unit)"
        rows = self._connection.execute(
            f"SELECT variant, count(*), {units}, count(label_known), "  # noqa: S608
            "count(*) FILTER (label IS NOT NULL AND label_known IS NULL), "
            "min(label) FILTER (label IS NOT NULL AND label_known IS NULL), "
            "list(DISTINCT model || '/' || version), min(event_us), max(event_us) "
            f"FROM {self._source} GROUP BY variant"
        ).fetchall()
        crossing = self.crossing()
        variants = {
            row[0]: VariantFacts(row[1], row[2], row[3], row[4], row[5] or "", tuple(sorted(row[6])))
            for row in sorted(rows)
        }
        first = min((row[7] for row in rows), default=None)
        last = max((row[8] for row in rows), default=None)
        return Facts(variants, crossing, self._repeated, queries.moment(first), queries.moment(last), self._in_future)

    def crossing(self) -> int:
        """Return how many units met more than one variant."""
        if self._once:
            return 0
        ((crossing,),) = self._connection.execute(
            f"SELECT count(*) FROM (SELECT unit FROM {self._source} "  # noqa: S608
            "GROUP BY unit HAVING min(variant) <> max(variant))"
        ).fetchall()
        return int(crossing)

    def sums(self, metrics: Mapping[str, Metric]) -> dict[str, dict[str, UnitSums]]:
        """Return each metric's sums per variant, from one scan; a variant without a row that counts is left out."""
        if self._once:
            return self._of_rows(metrics)
        values = ", ".join(f"{self._value(metric)} AS v{i}" for i, metric in enumerate(metrics.values()))
        rows = self._connection.execute(queries.of_units(len(metrics), values, self._source)).fetchall()
        found: dict[str, dict[str, UnitSums]] = {}
        for index, name in enumerate(metrics):
            parts = {row[0]: row[1 + 7 * index : 8 + 7 * index] for row in rows}
            found[name] = {variant: unit_sums(part) for variant, part in sorted(parts.items()) if part[0] > 0}
        return found

    def _of_rows(self, metrics: Mapping[str, Metric]) -> dict[str, dict[str, UnitSums]]:
        """Return the sums where each row is its own unit; deviations, which cost more, only where sums lose digits."""
        names, truths = list(metrics), self._truths(metrics)
        values = ", ".join(
            f"{self._counted(metric) if truth else self._value(metric)} AS v{i}"
            for i, (metric, truth) in enumerate(zip(metrics.values(), truths, strict=True))
        )
        found: dict[str, dict[str, UnitSums]] = {name: {} for name in names}
        unsure: set[int] = set()
        query = queries.of_rows(truths, values, self._source)
        for variant, numbers in self._by_variant(query):
            for i, name in enumerate(names):
                count, total, squares = numbers[3 * i : 3 * i + 3]
                part = of_rows(count, total, total if truths[i] else squares)
                if part is not None:
                    found[name][variant] = part
                    unsure |= set() if keeps_digits(part) else {i}
        if unsure:
            for variant, spreads in self._by_variant(queries.deviations(sorted(unsure), values, self._source)):
                for i, spread in zip(sorted(unsure), spreads, strict=True):
                    if variant in (mine := found[names[i]]):
                        mine[variant] = replace(mine[variant], variance_total=spread or 0.0)
        return found

    def _by_variant(self, query: str) -> list[tuple[str, list[Any]]]:
        """Return a query's rows with each variant's name in the place of its code, in the order of the names."""
        return sorted((self._variants[code], rest) for code, *rest in self._connection.execute(query).fetchall())

    def count(self, metric: Metric, variants: Sequence[str]) -> int:
        """Return how many rows have a value of the metric."""
        query = f"SELECT count({self._value(metric)}) FROM {self._of(variants)}"  # noqa: S608
        return int(self._connection.execute(query).fetchone()[0])

    def moments(self, metric: Metric, variants: Sequence[str], fractions: Sequence[float]) -> list[datetime]:
        """Return the event times at which these fractions of the metric's rows had come in; growing, without repeats.

        Args:
            metric: The metric whose rows count.
            variants: The variants whose rows count.
            fractions: Numbers in (0, 1], growing.
        """
        times = self._connection.execute(
            f"SELECT event_us FROM {self._source} WHERE variant IN ({queries.listed(variants)}) "  # noqa: S608
            f"AND ({self._value(metric)}) IS NOT NULL ORDER BY event_us"
        ).fetchnumpy()["event_us"]
        if not len(times):
            return []
        ranks = [max(0, int(np.ceil(fraction * len(times) - 1e-9)) - 1) for fraction in fractions]
        moments = [queries.moment(int(times[rank])) for rank in ranks]
        return sorted({moment for moment in moments if moment is not None})

    def path(self, metric: Metric, variants: Sequence[str], moments: Sequence[datetime]) -> list[dict[str, UnitSums]]:
        """Return the metric's sums per variant over the rows up to each moment, that moment included.

        Args:
            metric: The metric.
            variants: The variants to follow.
            moments: Growing.
        """
        edges = [queries.micros(moment) for moment in moments]
        step = " + ".join(f"(event_us > {edge})::INTEGER" for edge in edges) or "0"
        data = self._connection.sql(
            "SELECT variant, unit, step, count(v) AS n, sum(v) AS s, sum(v * v) AS q FROM "  # noqa: S608
            f"(SELECT variant, unit, {step} AS step, {self._value(metric)} AS v FROM {self._source} "
            f"WHERE variant IN ({queries.listed(variants)})) WHERE v IS NOT NULL GROUP BY variant, unit, step"
        ).to_arrow_table()
        import pyarrow.compute as pc

        series: list[dict[str, UnitSums]] = [{} for _ in moments]
        for variant in variants:
            part = data.filter(pc.equal(data["variant"], variant))
            for at, sums in enumerate(accumulate(part, len(moments))):
                if sums is not None:
                    series[at][variant] = sums
        return series

    def measures(
        self, metric: Statistic, variants: Sequence[str], moments: Sequence[datetime] | None = None
    ) -> list[dict[str, Arm]]:
        """Return a statistic per variant over the rows up to each moment, or over all rows.

        Args:
            metric: The statistic.
            variants: The variants to follow.
            moments: Growing; ``None`` for one entry over all rows.
        """
        columns = [self._value(metric), *(f"({sql})::DOUBLE" for sql in metric.others(self._outcome))]
        if self._once and isinstance(metric, estimators.Ratio):
            return [self._ratios(columns, variants, at) for at in ([None] if moments is None else moments)]
        unit = "row_number() OVER ()" if self._once else "dense_rank() OVER (ORDER BY unit)"
        known = " AND ".join(f"v{i} IS NOT NULL" for i in range(len(columns)))
        values = ", ".join(f"{sql} AS v{i}" for i, sql in enumerate(columns))
        data = self._connection.sql(
            f"SELECT variant, {unit} AS unit, event_us, "  # noqa: S608
            f"{', '.join(f'v{i}' for i in range(len(columns)))} FROM (SELECT variant, unit, event_us, {values} "
            f"FROM {self._source} WHERE variant IN ({queries.listed(variants)})) WHERE {known}"
        ).fetchnumpy()
        edges = [None] if moments is None else [queries.micros(moment) for moment in moments]
        series: list[dict[str, Arm]] = []
        for edge in edges:
            now = np.ones(len(data["unit"]), bool) if edge is None else data["event_us"] <= edge
            found: dict[str, Arm] = {}
            for variant in variants:
                mine = now & (data["variant"] == variant)
                parts = [np.asarray(data[f"v{i}"][mine], float) for i in range(len(columns))]
                measured = metric.measure(*parts) if mine.any() else None
                if measured is not None:
                    found[variant] = estimators.arm(measured, data["unit"][mine])
            series.append(found)
        return series

    def _ratios(self, columns: Sequence[str], variants: Sequence[str], until: datetime | None) -> dict[str, Arm]:
        found = by_row.moments(self._connection, self._of(variants, until), columns)
        arms = {self._variants[code]: part.ratio() for code, part in found.items()}
        return {variant: arm for variant, arm in sorted(arms.items()) if arm is not None}

    def pairs(self, metric: Metric, variants: tuple[str, str]) -> PairedRows:
        """Return a metric on the requests that both the control and its shadow answered."""
        others = metric.others(self._outcome) if isinstance(metric, Statistic) else ()
        columns = "".join(f", ({sql})::DOUBLE AS o{i}" for i, sql in enumerate(others))
        shown = "".join(f", c.o{i}" for i in range(len(others)))
        known = "".join(f" AND c.o{i} IS NOT NULL" for i in range(len(others)))
        control, treatment = (literal(name) for name in variants)
        data = self._connection.sql(
            "WITH scored_values AS (SELECT prediction_id, variant, unit, event_us, "  # noqa: S608
            f"{self._value(metric)} AS v{columns} FROM {self._source}) "
            f"SELECT dense_rank() OVER (ORDER BY c.unit) AS unit, c.event_us, c.v AS c, t.v AS t{shown} "
            f"FROM scored_values c JOIN scored_values t ON t.prediction_id = c.prediction_id || '{SHADOW_MARK}' "
            f"WHERE c.variant = {control} AND t.variant = {treatment} AND c.v IS NOT NULL AND t.v IS NOT NULL{known}"
        ).fetchnumpy()
        rest = tuple(np.asarray(data[f"o{i}"], float) for i in range(len(others)))
        sides = [np.asarray(data[name], float) for name in ("c", "t")]
        return PairedRows(np.asarray(data["unit"]), np.asarray(data["event_us"]), sides[0], sides[1], rest)

    def unit_moments(
        self, metric: Metric, variants: Sequence[str], covariates: Sequence[str], until: datetime | None = None
    ) -> dict[str, UnitMoments]:
        """Return the metric's moments per variant with those of the units' mean covariates, over the rows up to a time.

        A covariate that is missing counts as the mean over all units, which is the same in every variant.
        """
        names = [f"x{i}" for i in range(len(covariates))]
        known = (
            f"CASE WHEN isfinite({name}::DOUBLE) THEN {name}::DOUBLE END" for name in map(queries.covariate, covariates)
        )
        if self._once:
            found = by_row.moments(self._connection, self._of(variants, until), [self._value(metric)], list(known))
            return {self._variants[code]: part.of_units() for code, part in found.items() if part.rows > 1}
        means = "".join(f", avg({sql}) AS {name}" for name, sql in zip(names, known, strict=True))
        filled = "".join(f", coalesce({name}, avg({name}) OVER (), 0) AS {name}" for name in names)
        numbers = ["n", "s", *names]
        spread = [f"covar_samp({one}, {other})" for one, other in combinations_with_replacement(numbers, 2)]
        rows = self._connection.execute(
            f"WITH units AS (SELECT variant, count(v)::DOUBLE AS n, sum(v) AS s, sum(v * v) AS q{means} "  # noqa: S608
            f"FROM ({self._valued(metric, variants, until)}) GROUP BY variant, unit), "
            f"filled AS (SELECT variant, n, s, q{filled} FROM units) SELECT variant, count(*), sum(q), "
            f"{', '.join(f'avg({name})' for name in numbers)}, {', '.join(spread)} FROM filled "
            "GROUP BY variant HAVING count(*) > 1 ORDER BY variant"
        ).fetchall()
        return {row[0]: unit_moments(row, len(numbers)) for row in rows}

    def unit_totals(
        self, metric: Metric, variant: str, until: datetime
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return rows and sums of values per unit, in an order that depends on the units' names alone.

        Beyond :data:`MOST_GROUPS` units, each goes to a group by its place in that order. Groups of independent units
        are independent, so drawing them whole has the same variance; it bounds memory and time.
        """
        data = self._connection.sql(
            "SELECT sum(n)::DOUBLE AS n, sum(s) AS s FROM (SELECT count(v) AS n, sum(v) AS s, "  # noqa: S608
            f"(row_number() OVER (ORDER BY unit) - 1) % {MOST_GROUPS} AS place "
            f"FROM ({self._valued(metric, [variant], until)}) GROUP BY unit) GROUP BY place ORDER BY place"
        ).fetchnumpy()
        return np.asarray(data["n"], float), np.asarray(data["s"], float)

    def _of(self, variants: Sequence[str], until: datetime | None = None) -> str:
        """Return the SQL of the rows of some variants up to a time.

        Adding 0 keeps DuckDB from handing the comparison to pyarrow, which takes ten times as long over it.
        """
        codes = [str(code) for code, name in enumerate(self._variants) if name in variants]
        some = [] if len(codes) == len(self._variants) else [f"{VARIANT_CODE} + 0 IN ({', '.join(codes) or 'NULL'})"]
        now = [] if until is None else [f"event_us + 0 <= {queries.micros(until)}"]
        return f"(SELECT * FROM {self._source} WHERE {' AND '.join([*some, *now]) or 'true'})"  # noqa: S608

    def _valued(self, metric: Metric, variants: Sequence[str], until: datetime | None) -> str:
        now = "" if until is None else f" AND event_us <= {queries.micros(until)}"
        return (
            f"SELECT * FROM (SELECT *, {self._value(metric)} AS v FROM {self._source} "  # noqa: S608
            f"WHERE variant IN ({queries.listed(variants)}){now}) WHERE v IS NOT NULL"
        )

    def by_unit(
        self, metric: Metric, variants: Sequence[str]
    ) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]:
        """Return, of each row with a value, a number that names its unit, its event time in microseconds, its value."""
        data = self._connection.sql(
            "SELECT dense_rank() OVER (ORDER BY unit) AS unit, event_us, v FROM "  # noqa: S608
            f"(SELECT unit, event_us, prediction_id, {self._value(metric)} AS v FROM {self._source} "
            f"WHERE variant IN ({queries.listed(variants)})) WHERE v IS NOT NULL ORDER BY event_us, prediction_id"
        ).fetchnumpy()
        return np.asarray(data["unit"]), np.asarray(data["event_us"]), np.asarray(data["v"], float)

    def cap(self, metric: Metric, variants: Sequence[str], share: float, rows: int) -> float | None:
        """Return the quantile of the metric's first rows by event time, all variants together."""
        ((found,),) = self._connection.execute(
            f"SELECT quantile_cont(v, {float(share)!r}) FROM (SELECT {self._value(metric)} AS v "  # noqa: S608
            f"FROM {self._source} WHERE variant IN ({queries.listed(variants)}) AND v IS NOT NULL "
            f"ORDER BY event_us, v LIMIT {int(rows)})"
        ).fetchall()
        return None if found is None else float(found)

    def _truths(self, metrics: Mapping[str, Metric]) -> list[bool]:
        """Return which metrics are truth values."""
        values = ", ".join(f"({metric.value(self._outcome)}) AS v{i}" for i, metric in enumerate(metrics.values()))
        kinds = self._connection.execute(f"DESCRIBE SELECT {values} FROM {self._source}").fetchall()  # noqa: S608
        return [kind[1] == "BOOLEAN" for kind in kinds]

    def _counted(self, metric: Metric) -> str:
        """Return the SQL of a metric that is a truth value."""
        value = f"({metric.value(self._outcome)})"
        return f"CASE WHEN label_known IS NOT NULL THEN {value} END" if metric.needs_labels else value

    def _value(self, metric: Metric) -> str:
        value = f"({metric.value(self._outcome)})::DOUBLE"
        # Squares must stay finite, and what is not a number does not count.
        condition = f"abs({value}) <= {_LARGEST}" + (" AND label_known IS NOT NULL" if metric.needs_labels else "")
        return f"CASE WHEN {condition} THEN {value} END"


@contextmanager
def open_scan(table: pa.Table, outcome: Outcome) -> Iterator[Scan]:
    """Open a table for aggregation.

    Args:
        table: Labelled predictions, one row a prediction; shadow rows are left out where the table marks them.
        outcome: What the endpoint predicts.

    Raises:
        InvalidInput: A column is missing; the message names it and the nearest that is there.
    """
    import duckdb

    once, repeated = rows.distinct(rows.predictions(table))
    by_row = once["unit"].null_count == once.num_rows
    once, variants = rows.coded(once, outcome)
    further = "".join(
        f"{queries.quoted(name)}, " for name in once.column_names if name not in rows.COLUMNS and name != "event_us"
    )
    connection = duckdb.connect(
        config={"threads": 1, "autoinstall_known_extensions": False, "autoload_known_extensions": False}
    )
    try:
        connection.register("predictions", once)
        connection.execute(
            f"CREATE TEMP VIEW scored AS SELECT *, {rows.label_known(outcome)} AS label_known FROM "  # noqa: S608 (class names are quoted)
            "(SELECT prediction_id, variant, coalesce(unit, prediction_id) AS unit, model, version, prediction, score, "
            "latency_ms::DOUBLE AS latency_ms, event_us, label, label_number, "
            f"{further.removesuffix(', ')} FROM predictions)"
        )
        yield Scan(connection, outcome, repeated, rows.in_future(table), once=by_row, variants=variants)
    finally:
        connection.close()
