"""The scan: rows that are their own units, rows in any order, repeats."""

from __future__ import annotations

from dataclasses import asdict

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from mlprod_nb.abtest import Outcome
from mlprod_nb.abtest.estimators import Ratio
from mlprod_nb.abtest.facts import Facts
from mlprod_nb.abtest.metrics import Expression, find
from mlprod_nb.abtest.rows import label_class, predictions
from mlprod_nb.abtest.scan import open_scan
from tests.abtest.tables import labelled, right_or_wrong

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


@pytest.mark.parametrize(("far", "missing"), [(0.0, False), (1e8, False), (1e8, True)])
def test_moments_of_rows_without_a_unit_are_those_of_units_of_one_row(far: float, missing: bool) -> None:
    rng = np.random.default_rng(3)
    before, after = rng.normal(0, 1, (2, COUNT))
    score, below = far + before + after, 2 * far + 3 + 0.5 * after + rng.normal(0, 0.1, COUNT)
    known = rng.random(COUNT) < 0.8 if missing else np.ones(COUNT, bool)
    table = labelled([NAMES[i % 2] for i in range(COUNT)], score=list(score), latency_ms=pa.array(below))
    table = table.append_column("covariate before", pa.array(far + before, mask=~known))
    table = table.append_column("covariate late", pa.array(np.arange(COUNT) + far))
    named = table.set_column(table.column_names.index("unit"), "unit", pa.array([f"N{i}" for i in range(COUNT)]))
    value, ratio = (
        Expression("score", "score", "higher", needs_labels=False),
        Ratio("r", "score", "latency_ms", needs_labels=False),
    )
    moments, ratios = [], []
    for one in (table, named):
        with open_scan(one, BINARY) as scan:
            moments += scan.unit_moments(value, NAMES, ["before", "late"])
            middle = scan.moments(value, NAMES, [0.5, 1.0])
            ratios.append(scan.measures(ratio, NAMES, middle))
            moments += scan.unit_moments(value, NAMES[1:], ["before"], middle)
    for mine, theirs in zip(moments[:3], moments[3:], strict=True):
        assert mine.keys() == theirs.keys()
        for name, found in mine.items():
            assert found.units == theirs[name].units
            assert found.means == pytest.approx(theirs[name].means, rel=1e-12)
            spread = np.sqrt(np.diag(theirs[name].covariance))
            spread[spread == 0] = 1.0
            scale = np.outer(spread, spread)
            assert found.covariance / scale == pytest.approx(theirs[name].covariance / scale, abs=1e-6)
            assert found.squares == pytest.approx(theirs[name].squares)
    for at, there in zip(*ratios, strict=True):
        for name in NAMES:
            assert asdict(at[name].sample) == pytest.approx(asdict(there[name].sample), rel=1e-6)


@pytest.mark.parametrize("known", ["all", "some labels", "no covariate in places"])
def test_what_was_read_ahead_is_what_is_read_alone(known: str) -> None:
    table, rng = rows(), np.random.default_rng(5)
    if known == "some labels":
        lost = pa.array([label if i % 3 else None for i, label in enumerate(table["label"].to_pylist())])
        table = table.set_column(table.column_names.index("label"), "label", lost)
    missing = rng.random(COUNT) < (0.2 if known.startswith("no covariate") else 0)
    table = table.append_column("covariate before", pa.array(rng.normal(0, 1, COUNT), mask=missing))
    metrics = {name: find(name) for name in ("accuracy", "latency_ms", "brier")}
    ratio = Ratio("r", "score", "latency_ms", needs_labels=False)
    answers = []
    for ahead in (True, False):
        with open_scan(table, BINARY) as scan:
            if ahead:
                scan.read_ahead([*metrics.values(), ratio], NAMES, ["before"])
            moments = [scan.unit_moments(metric, NAMES, ["before"])[0] for metric in metrics.values()]
            shown = [
                {name: (part.units, part.means.tolist(), part.covariance.tolist()) for name, part in found.items()}
                for found in moments
            ]
            answers.append((scan.sums(metrics), shown, scan.measures(ratio, NAMES), scan.units(NAMES)))
    assert answers[0] == answers[1]


@pytest.mark.parametrize("far", [0.0, 1e7])
@pytest.mark.parametrize("named", [False, True])
def test_a_path_is_what_each_moment_shows_on_its_own(named: bool, far: float) -> None:
    table = rows()
    score = pa.array(far + np.random.default_rng(7).normal(0, 1, COUNT))
    table = table.set_column(table.column_names.index("score"), "score", score)
    if named:
        units = pa.array([f"N{i % 300}" for i in range(COUNT)])
        table = table.set_column(table.column_names.index("unit"), "unit", units)
    metrics = [find("accuracy"), Expression("said", "score", "higher", needs_labels=False)]
    with open_scan(table, BINARY) as scan:
        moments = scan.moments(metrics[1], NAMES, [0.001, 0.2, 0.21, 0.9, 1.0])
        paths = [scan.path(metric, NAMES, moments) for metric in metrics]
    for at, moment in enumerate(moments):
        until = table.filter(pc.less_equal(table["event_time"], pa.scalar(moment, table["event_time"].type)))
        with open_scan(until, BINARY) as scan:
            for path, metric in zip(paths, metrics, strict=True):
                alone = scan.sums({"m": metric})["m"]
                assert path[at].keys() == alone.keys()
                for name, found in alone.items():
                    assert asdict(path[at][name]) == pytest.approx(asdict(found), rel=1e-9, abs=1e-9)


def test_a_ratio_over_nothing_is_none() -> None:
    table = labelled(["champion"] * 40, latency_ms=pa.array([0.0] * 40, pa.float64()))
    with open_scan(table, BINARY) as scan:
        assert scan.measures(Ratio("r", "score", "latency_ms", needs_labels=False), NAMES) == [{}]
        assert scan.unit_moments(Expression("none", "NULL::DOUBLE", "higher", needs_labels=False), NAMES, []) == [{}]


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


@pytest.mark.parametrize("named", [False, True])
def test_a_ratio_is_followed_over_no_moment_where_nothing_has_come(named: bool) -> None:
    table = labelled(["champion"] * 40, unit=[f"N{i}" for i in range(40)] if named else None)
    with open_scan(table, BINARY) as scan:
        assert scan.measures(Ratio("r", "label_number", "score"), NAMES, []) == []


@pytest.mark.parametrize("odd", [float("nan"), float("inf"), -1e120])
def test_what_is_no_finite_number_does_not_count(odd: float) -> None:
    score = [1.0, 2.0, 3.0, 4.0]
    table = labelled(["champion"] * 5, score=[*score, odd])
    metric = Expression("said", "score", "higher", needs_labels=False)
    with open_scan(table, Outcome("regression")) as scan:
        (found,) = scan.sums({"said": metric})["said"].values()
        (path,) = scan.path(metric, NAMES, scan.moments(metric, NAMES, [1.0]))
    assert (found.rows, found.total, found.squares) == (4, 10.0, 30.0)
    assert found.variance_total == pytest.approx(np.var(score, ddof=1))
    assert path["champion"] == found
