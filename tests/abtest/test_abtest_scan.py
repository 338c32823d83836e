"""The scan: rows that are their own units, rows in any order, repeats."""

from __future__ import annotations

from dataclasses import asdict

import numpy as np
import pyarrow as pa
import pytest

from mlprod_nb.abtest import Outcome
from mlprod_nb.abtest.facts import Facts
from mlprod_nb.abtest.metrics import Expression, find
from mlprod_nb.abtest.rows import label_class, predictions
from mlprod_nb.abtest.scan import open_scan

from .tables import labelled, right_or_wrong

BINARY = Outcome("classification", ("0", "1"))
NAMES = ("champion", "challenger")
COUNT = 1_000


def rows() -> pa.Table:
    right = np.random.default_rng(2).random(COUNT) < 0.7
    return right_or_wrong([NAMES[i % 2] for i in range(COUNT)], list(right))


def scanned(table: pa.Table) -> tuple[Facts, dict[str, dict[str, dict[str, float]]]]:
    with open_scan(table, BINARY) as scan:
        found = scan.sums({name: find(name) for name in ("accuracy", "latency_ms")})
        facts = scan.facts()
    return facts, {name: {v: asdict(sums) for v, sums in parts.items()} for name, parts in found.items()}


def test_rows_without_a_unit_give_what_units_of_one_row_give() -> None:
    table = rows()
    named = table.set_column(table.column_names.index("unit"), "unit", pa.array([f"N{i}" for i in range(COUNT)]))
    (facts, sums), (named_facts, named_sums) = scanned(table), scanned(named)
    assert facts == named_facts
    for name, parts in sums.items():
        for variant, numbers in parts.items():
            assert numbers == pytest.approx(named_sums[name][variant], abs=1e-12)


def test_the_order_of_the_rows_does_not_matter() -> None:
    table = rows()
    shuffled = table.take(pa.array(np.random.default_rng(1).permutation(COUNT)))
    assert scanned(shuffled)[0] == scanned(table)[0]
    for name, parts in scanned(shuffled)[1].items():
        for variant, numbers in parts.items():
            assert numbers == pytest.approx(scanned(table)[1][name][variant], abs=1e-12)


@pytest.mark.parametrize("apart", [True, False])
def test_repeats_are_found_beside_each_other_and_apart(apart: bool) -> None:
    table = rows()
    again = pa.concat_tables([table, table.slice(0, 7)])
    if not apart:
        again = again.sort_by([("event_time", "ascending"), ("prediction_id", "ascending")])
    facts, sums = scanned(again)
    assert facts.repeated_rows == 7
    assert sums == scanned(table)[1]


def test_rows_of_one_moment_are_told_apart_by_their_ids() -> None:
    table = rows()
    same = table.set_column(
        table.column_names.index("event_time"), "event_time", pa.array([0] * COUNT, pa.timestamp("us", "UTC"))
    )
    assert scanned(same)[0].repeated_rows == 0
    assert scanned(pa.concat_tables([same, same.slice(0, 3)]))[0].repeated_rows == 3


@pytest.mark.parametrize("mean", [0.0, 3.0, 1e6, 1e9])
def test_variances_of_rows_keep_their_digits_wherever_the_mean_is(mean: float) -> None:
    values = mean + np.random.default_rng(1).normal(0, 1, 3_000)
    constant = np.full(3_000, mean)
    for column, spread in ((values, values.var(ddof=1)), (constant, 0.0)):
        table = labelled(["champion"] * 3_000, score=list(column))
        metric = Expression("said", "score", "higher", needs_labels=False)
        with open_scan(table, Outcome("regression")) as scan:
            found = scan.sums({"said": metric})["said"]["champion"]
        assert found.variance_total == pytest.approx(spread, rel=1e-9, abs=1e-18)
        assert (found.units, found.rows) == (3_000, 3_000)


@pytest.mark.parametrize("coded", [False, True])
@pytest.mark.parametrize(
    ("classes", "label", "number", "meant"),
    [
        (("0", "1"), ["0", "1", None], [0.0, 1.0, None], ["0", "1", None]),
        (("0", "1"), ["0", "1", None], None, ["0", "1", None]),
        (("0", "1"), ["1.0", None, "?"], [1.0, 0.0, None], ["1", "0", None]),
        (("False", "True"), ["true", "True", None], [1.0, 1.0, 0.0], ["True", "True", "False"]),
        (("no", "yes"), ["yes", "maybe", None], [1.0, 0.0, 1.0], ["yes", None, None]),
        (("1", "1.0"), ["1.00", "1.0", "1"], [1.0, 1.0, 1.0], ["1", "1.0", "1"]),
    ],
)
def test_a_label_is_its_class_however_feedback_writes_it(
    coded: bool,
    classes: tuple[str, ...],
    label: list[str | None],
    number: list[float | None] | None,
    meant: list[str | None],
) -> None:
    table = labelled(["champion"] * 3, label=label, label_number=number)
    if coded:  # in two parts whose dictionaries differ
        at = table.column_names.index("label")
        parts = [part.dictionary_encode() for part in (table["label"].slice(0, 1), table["label"].slice(1))]
        table = table.set_column(at, "label", pa.chunked_array([chunk for part in parts for chunk in part.chunks]))
    outcome = Outcome("classification", classes)
    assert label_class(predictions(table), outcome).to_pylist() == meant
    with open_scan(table, outcome) as scan:
        known = sum(value is not None for value in meant)
        assert scan.facts().variants["champion"].labelled == known
