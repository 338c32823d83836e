"""One pass over the log: predictions become sums per unit, units become a few numbers per variant.

DuckDB reads the Arrow table where it lies. It runs on one thread, so that the same table gives the same bits and a
replayed report the same verdict.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from copy import copy
from datetime import datetime
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from mlprod_nb.abtest import estimators, queries, rows
from mlprod_nb.abtest.accumulation import accumulate, unit_moments, unit_sums
from mlprod_nb.abtest.by_row import Asked, RowReader, RowSums
from mlprod_nb.abtest.covariates import UnitMoments
from mlprod_nb.abtest.estimate import Arm, UnitSums
from mlprod_nb.abtest.estimators import Ratio
from mlprod_nb.abtest.facts import Facts, VariantFacts
from mlprod_nb.abtest.outcome import Metric, Outcome, Statistic, names_failed
from mlprod_nb.abtest.paired_rows import PairedRows
from mlprod_nb.abtest.queries import Number
from mlprod_nb.abtest.rows import FAILED, PERIOD, SEGMENT, VARIANT_CODE

if TYPE_CHECKING:
    import pyarrow as pa

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
        self._rows = RowReader(connection, variants) if once else None
        self._connection = connection
        self.outcome = outcome
        self._repeated = repeated_rows
        self._source = "scored"

    def within(self, condition: str) -> Scan:
        """Return the same scan over the rows alone that fulfil a condition, as SQL."""
        part = copy(self)
        part._source = f"(SELECT * FROM {self._source} WHERE {condition})"  # noqa: S608
        return part

    def units(self, variants: Sequence[str]) -> dict[str, int]:
        """Return how many units each variant met."""
        if self._rows:
            (met,) = self._rows.sums(self._of(variants), [Asked()])
            return {variant: part.rows for variant, part in met.items()}
        query = f"SELECT {VARIANT_CODE}, count(DISTINCT unit) FROM {self._of(variants)} GROUP BY {VARIANT_CODE}"  # noqa: S608
        found = self._connection.execute(query).fetchall()
        return dict(sorted((self._variants[code], count) for code, count in found))

    def adjusts(self, metric: Metric | Statistic) -> bool:
        """Return whether covariates may adjust a metric: not one of rows that a model failed on, which leave none."""
        return not (isinstance(metric, Statistic) or names_failed(metric.value(self.outcome)))

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
        units = "count(*)" if self._rows else "count(DISTINCT unit)"
        strange = "label IS NOT NULL AND label_known IS NULL"
        rows = self._connection.execute(
            f"SELECT {VARIANT_CODE}, count_if(NOT {FAILED}), {units}, count(label_known), count_if({strange}), "  # noqa: S608
            f"min(label) FILTER ({strange}), min(event_us), max(event_us) FROM {self._source} GROUP BY {VARIANT_CODE}"
        ).fetchall()
        versions = self._connection.execute(
            f"SELECT DISTINCT {VARIANT_CODE}, model || '/' || version FROM "  # noqa: S608
            f"(SELECT DISTINCT {VARIANT_CODE}, model, version FROM {self._source})"
        ).fetchall()
        crossing = self.crossing()
        variants = {}
        for code, predictions, met, labelled, odd, label, _, _ in sorted(rows, key=lambda row: self._variants[row[0]]):
            answered = tuple(sorted(text for at, text in versions if at == code))
            variants[self._variants[code]] = VariantFacts(predictions, met, labelled, odd, label or "", answered)
        first, last = min((row[6] for row in rows), default=None), max((row[7] for row in rows), default=None)
        return Facts(variants, crossing, self._repeated, queries.moment(first), queries.moment(last), self._in_future)

    def crossing(self) -> int:
        """Return how many units met more than one variant."""
        if self._rows:
            return 0
        ((crossing,),) = self._connection.execute(
            f"SELECT count(*) FROM (SELECT unit FROM {self._source} "  # noqa: S608
            f"GROUP BY unit HAVING min({VARIANT_CODE}) <> max({VARIANT_CODE}))"
        ).fetchall()
        return int(crossing)

    def sums(self, metrics: Mapping[str, Metric]) -> dict[str, dict[str, UnitSums]]:
        """Return each metric's sums per variant, from one scan; a variant without a row that counts is left out."""
        if self._rows:
            parts = self._rows.sums(self._source, self._alone(list(metrics.values())))
            return {name: _unit_sums(part) for name, part in zip(metrics, parts, strict=True)}
        values = ", ".join(f"{self._value(metric)} AS v{i}" for i, metric in enumerate(metrics.values()))
        rows = self._connection.execute(queries.of_units(len(metrics), values, self._source)).fetchall()
        found: dict[str, dict[str, UnitSums]] = {}
        for index, name in enumerate(metrics):
            of_each = {row[0]: row[1 + 7 * index : 8 + 7 * index] for row in rows}
            found[name] = {variant: unit_sums(part) for variant, part in sorted(of_each.items()) if part[0] > 0}
        return found

    def read_ahead(
        self, metrics: Iterable[Metric | Statistic], variants: Sequence[str], covariates: Sequence[str] = ()
    ) -> None:
        """Read in one pass what will be asked of all rows, where each row is its own unit."""
        if not self._rows:
            return
        means = [metric for metric in metrics if not isinstance(metric, Statistic)]
        asked = [Asked(), *self._alone(means)]
        asked += [self._with(metric, covariates) for metric in means if covariates and self.adjusts(metric)]
        asked += [self._joined(metric) for metric in metrics if isinstance(metric, Ratio)]
        self._rows.ahead(self._of(variants), asked)

    def _alone(self, metrics: Sequence[Metric]) -> list[Asked]:
        """Return what is asked for the sums of metrics, each on its own."""
        values = ", ".join(f"({metric.value(self.outcome)}) AS v{i}" for i, metric in enumerate(metrics))
        kinds = self._connection.execute(f"DESCRIBE SELECT {values} FROM {self._source}").fetchall()  # noqa: S608
        return [
            Asked((Number.of_truth(metric, self.outcome),), truth=True)
            if kind[1] == "BOOLEAN"
            else Asked((Number.of_metric(metric, self.outcome),))
            for metric, kind in zip(metrics, kinds, strict=True)
        ]

    def _with(self, metric: Metric, covariates: Sequence[str]) -> Asked:
        (alone,) = self._alone([metric])
        return Asked(alone.numbers, tuple(map(Number.of_covariate, covariates)))

    def _joined(self, metric: Statistic) -> Asked:
        value, others = Number.of_metric(metric, self.outcome), metric.others(self.outcome)
        return Asked((value, *(Number(sql, sql) for sql in others)))

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
            f"SELECT event_us FROM {self._of(variants)} WHERE ({self._value(metric)}) IS NOT NULL"  # noqa: S608
        ).fetchnumpy()["event_us"]
        if not len(times):
            return []
        ranks = [max(0, int(np.ceil(fraction * len(times) - 1e-9)) - 1) for fraction in fractions]
        moments = [queries.moment(int(time)) for time in np.partition(times, ranks)[ranks]]
        return sorted({moment for moment in moments if moment is not None})

    def path(self, metric: Metric, variants: Sequence[str], moments: Sequence[datetime]) -> list[dict[str, UnitSums]]:
        """Return the metric's sums per variant over the rows up to each moment, that moment included.

        Args:
            metric: The metric.
            variants: The variants to follow.
            moments: Growing.
        """
        if self._rows:
            (asked,) = self._alone([metric])
            return [_unit_sums(part) for part in self._rows.path(self._of(variants), asked, moments)]
        edges = [queries.micros(moment) for moment in moments]
        data = self._connection.sql(
            "SELECT variant, unit, step, count(v) AS n, sum(v) AS s, sum(v * v) AS q FROM "  # noqa: S608
            f"(SELECT variant, unit, {queries.step(edges)} AS step, {self._value(metric)} AS v FROM {self._source} "
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
        if self._rows and isinstance(metric, Ratio):
            return [_ratios(part) for part in self._rows.path(self._of(variants), self._joined(metric), moments)]
        columns = [self._value(metric), *(f"({sql})::DOUBLE" for sql in metric.others(self.outcome))]
        unit = "row_number() OVER ()" if self._rows else "dense_rank() OVER (ORDER BY unit)"
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

    def pairs(self, metric: Metric | Statistic, variants: tuple[str, str]) -> PairedRows:
        """Return a metric on the requests that both the control and its shadow answered."""
        others = metric.others(self.outcome) if isinstance(metric, Statistic) else ()
        query = queries.in_pairs([self._value(metric), *others], variants, self._source)
        data = self._connection.sql(query).fetchnumpy()
        rest = tuple(np.asarray(data[f"o{i}"], float) for i in range(len(others)))
        sides = [np.asarray(data[name], float) for name in ("c", "t")]
        return PairedRows(np.asarray(data["unit"]), np.asarray(data["event_us"]), sides[0], sides[1], rest)

    def unit_moments(
        self,
        metric: Metric,
        variants: Sequence[str],
        covariates: Sequence[str],
        moments: Sequence[datetime] | None = None,
    ) -> list[dict[str, UnitMoments]]:
        """Return the metric's moments per variant with those of the units' mean covariates, up to each moment.

        A covariate that is missing counts as the mean over all units, which is the same in every variant.

        Args:
            metric: The metric.
            variants: The variants whose rows count.
            covariates: Columns.
            moments: Growing; ``None`` for one entry over all rows.
        """
        if not self._rows:
            return [self._of_units(metric, variants, covariates, at) for at in ([None] if moments is None else moments)]
        path = self._rows.path(self._of(variants), self._with(metric, covariates), moments)
        return [{name: sums.of_units() for name, sums in part.items() if sums.rows > 1} for part in path]

    def _of_units(
        self, metric: Metric, variants: Sequence[str], covariates: Sequence[str], until: datetime | None
    ) -> dict[str, UnitMoments]:
        query = queries.unit_moments(covariates, self._valued(metric, variants, until))
        return {row[0]: unit_moments(row, 2 + len(covariates)) for row in self._connection.execute(query).fetchall()}

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
        fulfilled = " AND ".join([*some, *now])
        return f"(SELECT * FROM {self._source} WHERE {fulfilled})" if fulfilled else self._source  # noqa: S608

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

    def _value(self, metric: Metric | Statistic) -> str:
        return Number.of_metric(metric, self.outcome).finite


def _unit_sums(part: Mapping[str, RowSums]) -> dict[str, UnitSums]:
    return {variant: sums.unit_sums() for variant, sums in part.items()}


def _ratios(part: Mapping[str, RowSums]) -> dict[str, Arm]:
    arms = {variant: sums.ratio() for variant, sums in part.items()}
    return {variant: arm for variant, arm in arms.items() if arm is not None}


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
    further += "" if FAILED in once.column_names else f"false AS {FAILED}, "
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
