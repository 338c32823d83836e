from __future__ import annotations

import doctest
import importlib
import json
from functools import cache
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from scipy import stats

from mlprod_nb.errors import NotFound, UsageError
from mlprod_nb.monitoring import MonitorInput, MonitorResult, run
from mlprod_nb.monitoring.detectors.online import BUILT_IN, Basis, OnlineDetector, adwin, choose, cvm, fisher
from mlprod_nb.monitoring.detectors.online.protocol import WINDOWS
from mlprod_nb.monitoring.online import Firing, StreamReference, Watch
from mlprod_nb.monitoring.streams import _tell
from tests.monitoring import samples

EVERY = pytest.mark.parametrize("detector", list(BUILT_IN.values()), ids=list(BUILT_IN))
EACH = pytest.mark.parametrize(
    ("name", "kind"), [(detector.name, kind) for detector in BUILT_IN.values() for kind in sorted(detector.kinds)]
)


def draw(random: np.random.Generator, kind: str, rows: int) -> Any:
    """Values of an unchanged stream: skewed numbers of which some are equal, or errors of one row in ten."""
    if kind == "truths":
        return random.random(rows) < 0.1
    return np.where(random.random(rows) < 0.3, 0.0, np.exp(random.normal(size=rows)))


def reference(random: np.random.Generator, kind: str, rows: int) -> StreamReference:
    values = draw(random, kind, rows)
    return StreamReference.of_truths(values) if kind == "truths" else StreamReference.of_numbers(values)


def changed(random: np.random.Generator, kind: str, rows: int) -> Any:
    values = draw(random, kind, rows)
    return values | (random.random(rows) < 0.2) if kind == "truths" else values + (random.random(rows) < 0.5)


# -- conformance: every detector, on every kind of stream that it takes ----------------------------------------------


@EACH
@pytest.mark.parametrize(("rows", "expected"), [(300, 2000), (2000, 2000)])
def test_unchanged_streams_fire_no_more_often_than_stated(name: str, kind: str, rows: int, expected: int) -> None:
    random = np.random.default_rng([rows, expected])
    runs, length = 120, expected // 4
    fired = sum(
        bool(
            Watch(reference(random, kind, rows), expected=expected, detectors=(name,), seed=seed).update(
                draw(random, kind, length)
            )
        )
        for seed in range(runs)
    )
    assert fired <= stats.binom.ppf(1 - 1e-4, runs, length / expected)


@pytest.mark.exhaustive
@EACH
@pytest.mark.parametrize("rows", [300, 2000, 20_000])
@pytest.mark.parametrize("expected", [2000, 20_000])
def test_the_run_time_without_change_is_at_least_the_stated_one(name: str, kind: str, rows: int, expected: int) -> None:
    random = np.random.default_rng([rows, expected])
    runs, length = 400, expected // 2
    fired = sum(
        bool(
            Watch(reference(random, kind, rows), expected=expected, detectors=(name,), seed=seed).update(
                draw(random, kind, length)
            )
        )
        for seed in range(runs)
    )
    # An exponential run time of that mean would end within half of it with this chance.
    assert fired <= stats.binom.ppf(1 - 1e-4, runs, 1 - np.exp(-0.5))


DELAYS = {("cvm", "places"): 200, ("fisher", "truths"): 200, ("page_hinkley", "places"): 200, ("adwin", "places"): 400}


@EACH
def test_a_change_is_found_soon_after_it_began(name: str, kind: str) -> None:
    random = np.random.default_rng(1)
    delays = []
    for seed in range(20):
        watch = Watch(reference(random, kind, 5000), expected=1e6, detectors=(name,), seed=seed)
        assert watch.update(draw(random, kind, 1003)) == ()
        found = watch.update(changed(random, kind, 3000))
        delays.append(found[0].row - 1003 if found else 3000)
    assert np.median(delays) <= DELAYS.get((name, kind), 400)


@EACH
def test_it_goes_on_after_a_restart_as_if_nothing_had_been_and_however_the_stream_is_parted(
    name: str, kind: str
) -> None:
    random = np.random.default_rng(2)
    begun = reference(random, kind, 1000)
    values = np.concatenate([draw(random, kind, 1500), changed(random, kind, 1500)])
    whole = Watch(begun, expected=5000, detectors=(name,)).update(values)
    assert whole
    found: list[Firing] = []
    watch = Watch(begun, expected=5000, detectors=(name,))
    for part in np.split(values, np.sort(random.integers(0, 3000, 40))):
        found += watch.update(part)
        text = watch.to_json()
        assert len(text) < 60_000
        watch = Watch.from_json(text)
    assert tuple(found) == whole


@EACH
def test_missing_values_are_passed_over_and_still_counted(name: str, kind: str) -> None:
    random = np.random.default_rng(3)
    begun = reference(random, kind, 1000)
    values = changed(random, kind, 900).astype(np.float64)
    plain = Watch(begun, expected=5000, detectors=(name,)).update(values)
    holes = np.full(1800, np.nan)
    holes[1::2] = values
    spread = Watch(begun, expected=5000, detectors=(name,)).update(holes)
    assert bool(plain) == bool(spread)
    assert abs(spread[0].row - 2 * plain[0].row) <= 400


AWKWARD: dict[str, StreamReference] = {
    "no reference": StreamReference(0),
    "a reference of three rows": StreamReference.of_numbers([1.0, 2.0, 3.0]),
    "a reference of missing values": StreamReference.of_numbers([np.nan] * 50),
    "a reference that never errs": StreamReference.of_truths([False] * 500),
    "a reference that always errs": StreamReference.of_truths([True] * 500),
    "a reference that errs once": StreamReference.of_truths([True] + [False] * 5000),
    "a constant reference": StreamReference.of_numbers(np.ones(500)),
    "an infinite reference": StreamReference.of_numbers(np.full(500, np.inf)),
}


@pytest.mark.parametrize("begun", list(AWKWARD.values()), ids=list(AWKWARD))
def test_awkward_references_give_a_reason_or_are_watched(begun: StreamReference) -> None:
    watch = Watch(begun, expected=1e6)
    assert watch.names
    assert all(watch.reasons.values())
    for values in ([], [np.nan] * 40, np.zeros(2000), np.full(10, np.inf), pa.array([1.0, None, 0.0])):
        assert all(1 <= firing.row <= watch.rows for firing in watch.update(values))
    assert Watch.from_json(watch.to_json()).rows == watch.rows == 2053
    if begun.rows < 25:
        assert set(watch.reasons) == set(watch.names)


def test_a_reference_that_never_errs_betrays_the_first_errors() -> None:
    watch = Watch(AWKWARD["a reference that never errs"], expected=1e6)
    assert watch.update(np.zeros(5000)) == ()
    assert {firing.detector for firing in watch.update(np.tile([1, 0, 0], 100))} >= {"fisher"}
    assert watch.reasons == {"page_hinkley": "the reference never varies"}


# -- each by itself -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("chance", "point"), [(0.05, 0.46136), (0.01, 0.74346), (0.001, 1.16786)])
def test_the_limit_of_cramer_and_von_mises_has_its_tabled_points(chance: float, point: float) -> None:
    # Anderson and Darling (1952), table 1; the saddlepoint errs by a few per cent of the chance.
    assert cvm.survival(point) == pytest.approx(chance, rel=0.04)
    assert cvm.threshold(chance) == pytest.approx(point, abs=0.008)


def test_the_statistic_is_scipys() -> None:
    places = np.random.default_rng(4).random((3, 50))
    expected = [stats.cramervonmises(row, "uniform").statistic for row in places]
    assert cvm._statistic(places) == pytest.approx(expected, rel=1e-12)


def test_the_bounds_of_fishers_windows_are_those_of_the_exact_test() -> None:
    basis = Basis(2000, 0.1, 50_000)
    for size in WINDOWS:
        fewest, most = fisher.bounds(basis, size)
        spend = size / (50_000 * len(WINDOWS))
        for found in range(size + 1):
            table = [[found, size - found], [200, 1800]]
            tails = [stats.fisher_exact(table, alternative=side).pvalue for side in ("less", "greater")]
            assert (fewest <= found <= most) == (2 * min(tails) > spend), (size, found)


def test_adwin_holds_as_many_buckets_as_the_logarithm_of_the_rows() -> None:
    basis, random = Basis(1000, None, 1e9), np.random.default_rng(5)
    detector = BUILT_IN["adwin"]
    state = detector.start(basis)
    assert not isinstance(state, str)
    state, _ = detector.update(basis, state, random.random(200_000))
    rows = [bucket[0] for bucket in state["buckets"]]
    assert sum(rows) + len(state["kept"]) == 201_000
    assert len(rows) <= 6 * np.log2(200_000 / adwin.CLOCK)
    assert rows[1:] == sorted(rows[1:], reverse=True)


def test_after_a_change_adwin_keeps_what_came_since() -> None:
    basis, random = Basis(5000, None, 1e6), np.random.default_rng(6)
    detector = BUILT_IN["adwin"]
    state = detector.start(basis)
    assert not isinstance(state, str)
    state, fired = detector.update(basis, state, 0.3 + 0.7 * random.random(3200))
    assert fired
    kept = np.array(state["buckets"]).sum(axis=0)
    assert kept[1] / kept[0] == pytest.approx(0.65, abs=0.01)


@pytest.mark.parametrize("module", ["detectors.online.adwin", "detectors.online.cvm", "detectors.online.fisher",
                                    "detectors.online.page_hinkley", "online"])  # fmt: skip
def test_the_examples_in_the_docstrings_hold(module: str) -> None:
    found = doctest.testmod(importlib.import_module(f"mlprod_nb.monitoring.{module}"))
    assert found.attempted > 1
    assert found.failed == 0


@EVERY
def test_they_are_chosen_by_name(detector: OnlineDetector) -> None:
    assert choose((detector.name,)) == (detector,)


def test_what_does_not_fit_is_named() -> None:
    with pytest.raises(NotFound, match="Did you mean 'page_hinkley'"):
        choose(("page_hinkly",))
    numbers = StreamReference.of_numbers(np.arange(100.0))
    with pytest.raises(UsageError, match="fisher takes truths, not places"):
        Watch(numbers, expected=1e6, detectors=("fisher",))
    with pytest.raises(UsageError, match="shorter than one row"):
        Watch(numbers, expected=float("nan"))
    for text in ("{}", json.dumps({"format": 2})):
        with pytest.raises(ValueError, match="watch"):
            Watch.from_json(text)


# -- in a look ------------------------------------------------------------------------------------------------------


@cache
def looks(move: float) -> MonitorResult:
    """A look at a window whose amounts move in its second half; its rows are shuffled, their event times kept."""
    random = np.random.default_rng(7)
    profile, _ = samples.reference_profile(random, 3000)
    columns = samples.traffic(random, 2000)
    columns["amount"][1000:] += move
    scores = samples.score_of(columns)
    labels = samples.labels_of(random, scores)
    table = samples.window(columns, scores, labels).take(random.permutation(2000))
    return run(MonitorInput("flights", profile, table, online=True))


def test_a_look_says_when_a_change_began_in_the_order_of_event_times() -> None:
    found = {(row.stream, row.detector): row for row in looks(1.0).online}
    for key in (("score", "page_hinkley"), ("score", "cvm"), ("amount", "cvm")):
        after = found[key].fired_after
        assert after is not None
        assert 1000 < after < 1400
        assert found[key].fired_at == samples.START + (after - 1) * np.timedelta64(10, "m").item()
        assert f"fired after {after:,} rows, at 2013-01-0" in found[key].statement
        assert "expected at most once in" in found[key].statement
    assert "the first to show in the order of rows was" in looks(1.0).verdict.sentence
    assert "row by row" in str(looks(1.0)).lower()


def test_a_calm_window_is_silent_row_by_row() -> None:
    calm = looks(0.0)
    assert calm.verdict.status == "ok"
    assert not any(row.times for row in calm.online)
    streams = {row.stream for row in calm.online}
    assert {"score", "errors", "amount", "gaps", "gaps missing", "group is 'a'"} <= streams
    assert not any(row.statement.startswith("not tested") for row in calm.online)
    assert not any("e+" in row.statement for row in calm.online)  # rows are counted in whole numbers


def test_one_row_is_one_row_and_not_rows() -> None:
    found = _tell([], None, 1, 1_080.0)
    assert found == "did not fire in 1 row; expected at most once in 1,100 rows without change"


def test_what_has_no_stream_says_why() -> None:
    random = np.random.default_rng(8)
    profile, _ = samples.reference_profile(random, 500)
    columns = samples.traffic(random, 300)
    del columns["skewed"]
    columns["small"] = np.array(["many"] * 300, dtype=object)
    table = samples.window(columns, np.full(300, 0.5), None)
    found = {row.stream: row.statement for row in run(MonitorInput("flights", profile, table, online=True)).online}
    assert found["skewed"] == "not tested: the column is gone"
    assert found["errors"] == "not tested: no prediction has a label"
    assert found["small"].startswith("not tested: the column ")
    assert run(MonitorInput("flights", profile, table.slice(0, 0), online=True)).online == ()
    assert run(MonitorInput("flights", profile, table)).online == ()
