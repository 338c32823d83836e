"""What a design may ask for besides: covariates, a cap, a bootstrap, another correction."""

from __future__ import annotations

import json
import math
from datetime import UTC, datetime

import numpy as np
import pyarrow as pa
import pytest
from numpy.typing import NDArray

from mlprod_nb.abtest import ABTestResult, Design, analyse, multiplicity, parse
from mlprod_nb.abtest.covariates import UnitMoments
from mlprod_nb.abtest.metrics import AbsoluteError, Outcome
from mlprod_nb.abtest.scan import open_scan
from mlprod_nb.errors import UsageError
from tests.abtest.tables import START, labelled

NAMES = ("champion", "challenger")
HALF = dict.fromkeys(NAMES, 0.5)
REGRESSION = Outcome("regression")
Array = NDArray[np.float64]


def read(body: str) -> Design:
    return parse(body, endpoint="fares", variants=NAMES, task="regression", started_at=START)


def result(table: pa.Table, body: str) -> ABTestResult:
    return analyse(table, read(body), shares=HALF, task="regression", classes=())


def errors(count: int, *, seed: int, gain: float = 0.0, rho: float = 0.7, repeat: int = 1) -> pa.Table:
    """Return predictions of 0 whose error is explained by an input ``before`` up to ``rho``."""
    rng = np.random.default_rng(seed)
    units = count // repeat
    before = rng.normal(0, 1, units).repeat(repeat)
    off = 10 + rho * before + math.sqrt(1 - rho**2) * rng.normal(0, 1, count)
    treated = np.arange(units).repeat(repeat) % 2 == 1
    off = off - gain * treated
    table = labelled(
        [NAMES[int(one)] for one in treated], unit=[f"u{i // repeat:05d}" for i in range(count)],
        score=[0.0] * count, label=["x"] * count, label_number=list(off),
    )  # fmt: skip
    return table.append_column("covariate before", pa.array(before))


def width(found: ABTestResult) -> float:
    lift = found.metrics[0]
    assert lift.difference_lower is not None
    assert lift.difference_upper is not None
    return lift.difference_upper - lift.difference_lower


def test_the_options_come_back_from_the_store_and_old_designs_read() -> None:
    body = "method: fixed\nexpected_rows: 500\ninterval: bootstrap\ncap: 0.99\ncorrection: benjamini-hochberg"
    for design in (read(body), read("covariates: [before, after]\ncap: 0.9")):
        assert Design.from_dict(json.loads(json.dumps(design.to_dict()))) == design
    old = read("").to_dict()
    for name in ("others", "custom", "cap", "covariates", "correction", "interval"):
        del old[name]
    assert Design.from_dict(old) == read("")
    assert "0.99 quantile; interval by bootstrap over units" in read(body).describe()


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("correction: bonferoni", "no correction 'bonferoni'"),
        ("interval: bootstrap", "the bootstrap is read once"),
        ("interval: jackknife", "no interval 'jackknife'"),
    ],
)
def test_a_wrong_option_is_one_clear_line(body: str, message: str) -> None:
    with pytest.raises(UsageError) as caught:
        read(body)
    assert message in str(caught.value)


def test_a_covariate_narrows_the_interval_by_what_it_explains() -> None:
    table = errors(6_000, seed=2)
    plain, narrow = result(table, ""), result(table, "covariates: [before]")
    assert width(narrow) / width(plain) == pytest.approx(math.sqrt(1 - 0.7**2), rel=0.05)
    assert narrow.path[-1].upper == pytest.approx(narrow.metrics[0].difference_upper)
    assert "The covariates leave 52 % of the variance of absolute_error." in narrow.notes


@pytest.mark.parametrize("method", ["fixed\nexpected_rows: 4000", "planned\nlooks: 4\nexpected_rows: 4000"])
def test_a_covariate_narrows_what_is_read_at_looks_too(method: str) -> None:
    table = errors(4_000, seed=3)
    plain, narrow = (result(table, f"method: {method}\n{more}") for more in ("", "covariates: before"))
    assert width(narrow) / width(plain) == pytest.approx(math.sqrt(1 - 0.7**2), rel=0.06)


def test_the_scan_s_moments_are_those_of_numpy_in_any_order_of_rows() -> None:
    table = errors(900, seed=4, repeat=3)
    shuffled = table.take(pa.array(np.random.default_rng(5).permutation(900)))
    chunked = pa.concat_tables([shuffled.slice(0, 10), shuffled.slice(10, 500), shuffled.slice(510)])
    off, before = (table[name].to_numpy() for name in ("label_number", "covariate before"))
    for rows in (table, shuffled, chunked):
        with open_scan(rows, REGRESSION) as scan:
            (found,) = scan.unit_moments(AbsoluteError(), NAMES, ["before"])
        for at, name in enumerate(NAMES):
            mine = np.arange(900) // 3 % 2 == at
            wanted = UnitMoments.of(
                np.full(150, 3.0), np.abs(off[mine]).reshape(-1, 3).sum(axis=1),
                before[mine].reshape(-1, 3).mean(axis=1)[:, None], float(off[mine] @ off[mine]),
            )  # fmt: skip
            assert found[name].units == wanted.units
            assert found[name].means == pytest.approx(wanted.means)
            assert found[name].covariance == pytest.approx(wanted.covariance, abs=1e-9)
            assert found[name].squares == pytest.approx(wanted.squares)


def test_a_missing_covariate_is_the_mean_of_all_units() -> None:
    table = errors(400, seed=6)
    before = [None if i % 5 == 0 else float(v) for i, v in enumerate(table["covariate before"].to_pylist())]
    known = float(np.mean([v for v in before if v is not None]))
    holes = table.set_column(
        table.column_names.index("covariate before"), "covariate before", pa.array(before, pa.float64())
    )
    filled = [known if v is None else v for v in before]
    whole = table.set_column(table.column_names.index("covariate before"), "covariate before", pa.array(filled))
    one, other = (result(rows, "covariates: [before]").metrics[0] for rows in (holes, whole))
    assert one.difference == pytest.approx(other.difference)
    assert one.difference_upper == pytest.approx(other.difference_upper)


def test_with_a_covariate_fifteen_looks_keep_the_error_rate_and_find_more() -> None:
    from mlprod_nb.abtest import covariates, mixture
    from mlprod_nb.abtest.estimate import Difference

    rng, runs, looks, per, found = np.random.default_rng(8), 120, 15, 120, [0, 0]
    for _ in range(runs):
        before = rng.normal(0, 1, (2, looks * per, 2))
        value = before @ [0.6, 0.4] + 0.7 * rng.standard_exponential((2, looks * per))
        for at, gain in enumerate((0.0, 0.12)):
            ever = False
            for look in range(1, looks + 1):
                upto = look * per
                arms = {
                    name: UnitMoments.of(np.ones(upto), values, before[side, :upto], float(values @ values))
                    for side, name in enumerate(NAMES)
                    for values in [value[side, :upto] + gain * side]
                }
                after = covariates.adjust(arms)
                now = Difference(after[NAMES[0]], after[NAMES[1]])
                limit = mixture.factor(round(now.effective_rows / 3_600, 3), 0.05)
                ever = ever or abs(now.value) > limit * now.guarded_error
            found[at] += ever
    assert found[0] / runs <= 0.05 + 2 * math.sqrt(0.05 * 0.95 / runs)
    assert found[1] / runs >= 0.9  # without them the standard error is 1.44 times as large


def test_a_cap_cuts_at_the_quantile_of_the_first_thousand_values() -> None:
    table = errors(3_000, seed=9)
    wild = np.where(np.arange(3_000) % 500 == 499, 1e6, table["label_number"].to_numpy())
    table = table.set_column(table.column_names.index("label_number"), "label_number", pa.array(wild))
    plain, found = result(table, ""), result(table, "cap: 0.99")
    limit = np.quantile(np.abs(wild[:1_000]), 0.99)
    cut = np.minimum(np.abs(wild), limit)
    assert found.metrics[0].control == pytest.approx(cut[0::2].mean())
    assert found.metrics[0].treatment == pytest.approx(cut[1::2].mean())
    assert width(found) < width(plain) / 100
    assert found.notes[0].startswith(f"values of absolute_error above {limit:.4g}, the 0.99 quantile")
    shuffled = table.take(pa.array(np.random.default_rng(1).permutation(3_000)))
    assert result(shuffled, "cap: 0.99").metrics[0].control == pytest.approx(found.metrics[0].control)


def test_the_bootstrap_agrees_with_welch_and_with_scipy() -> None:
    from scipy.stats import bootstrap

    table = errors(800, seed=11)
    body = "method: fixed\nexpected_rows: 800\n"
    formula, found = result(table, body), result(table, body + "interval: bootstrap")
    assert found.metrics[0].read_by == "bootstrap over units, read once"
    assert width(found) == pytest.approx(width(formula), rel=0.08)
    off = table["label_number"].to_numpy()
    theirs = bootstrap(
        (off[1::2], off[0::2]), lambda a, b, axis: a.mean(axis=axis) - b.mean(axis=axis),
        method="percentile", n_resamples=1_000, rng=np.random.default_rng(0),
    ).confidence_interval  # fmt: skip
    assert found.metrics[0].difference_lower == pytest.approx(theirs.low, abs=0.02)
    assert found.metrics[0].difference_upper == pytest.approx(theirs.high, abs=0.02)
    assert result(table.take(pa.array(np.arange(800)[::-1])), body + "interval: bootstrap").metrics == found.metrics


def test_the_correction_is_the_one_that_the_design_names() -> None:
    table = errors(2_000, seed=13, gain=0.08)
    guards = "guardrails: [latency_p95_ms, rmse]\n"
    for name, correct in (("holm", multiplicity.holm), ("benjamini-hochberg", multiplicity.benjamini_hochberg)):
        lifts = result(table, f"{guards}correction: {name}").metrics
        known = [(lift.p_value, lift.p_adjusted) for lift in lifts if lift.p_value is not None]
        assert len(known) == 2
        assert [after for _, after in known] == pytest.approx(correct([before for before, _ in known]))


def test_many_units_are_drawn_in_groups_that_hold_all_of_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mlprod_nb.abtest.scan.MOST_GROUPS", 50)
    with open_scan(errors(600, seed=12, repeat=2), REGRESSION) as scan:
        rows, sums = scan.unit_totals(AbsoluteError(), "champion", datetime(2030, 1, 1, tzinfo=UTC))
    assert (len(rows), rows.sum()) == (50, 300)
    assert len(set(sums)) == 50
