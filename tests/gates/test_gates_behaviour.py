"""Odd input, the same rows again, a clean environment, memory and time: each gate on a model that fails it."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable, Mapping
from dataclasses import replace
from itertools import count
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray
from sklearn.linear_model import LinearRegression

from mlprod_nb import gates
from mlprod_nb.errors import ExecutionFailed
from mlprod_nb.gates import BUILT_IN, Inspection, Surroundings
from mlprod_nb.gates.behaviour import ReproducibilityGate, RobustnessGate
from mlprod_nb.gates.footprint import EnvironmentGate, Fresh, LoadsGate, MemoryGate, SpeedGate
from mlprod_nb.registry import conversion
from mlprod_nb.registry.bundles import Bundle
from mlprod_nb.registry.onnx_runner import Output

Rows = Mapping[str, NDArray[Any]]


class Answering:
    """A model that answers as it is told, instead of the bundle's own."""

    def __init__(self, answer: Callable[[Rows], Output]) -> None:
        self.run = answer


def answering(bundle: Bundle, answer: Callable[[Rows], Output], **around: Any) -> Inspection:
    inspection = Inspection(bundle, "flights/2", Surroundings(**around))
    inspection.__dict__["runner"] = Answering(answer)
    return inspection


def even(rows: Rows) -> Output:
    count = len(rows["hour"])
    return np.zeros(count, dtype=bool), np.full((count, 2), 0.5)


def test_a_model_that_overflows_on_extreme_input_is_found_with_the_column_and_the_value(onnx_bundle: Bundle) -> None:
    def overflows(rows: Rows) -> Output:
        labels, numbers = even(rows)
        return labels, np.where((rows["hour"] > 1000)[:, None], np.nan, numbers)

    found = RobustnessGate().check(answering(onnx_bundle, overflows))
    assert found.status == "alarm"
    assert found.sentence.startswith("Where hour is 23000: the model gives numbers that are not finite")


def test_what_a_model_warns_of_on_odd_input_disturbs_nobody(onnx_bundle: Bundle) -> None:
    def warns(rows: Rows) -> Output:
        warnings.warn("divide by zero encountered in log", RuntimeWarning, stacklevel=2)
        return even(rows)

    with warnings.catch_warnings(record=True) as heard:
        warnings.simplefilter("always")
        assert RobustnessGate().check(answering(onnx_bundle, warns)).status == "ok"
    assert heard == []


def test_a_model_that_fails_on_an_unseen_text_is_found(onnx_bundle: Bundle) -> None:
    def fails(rows: Rows) -> Output:
        if "never seen before" in rows["carrier"].tolist():
            raise ExecutionFailed("the model fails: KeyError: 'never seen before'.")
        return even(rows)

    found = RobustnessGate().check(answering(onnx_bundle, fails))
    assert (found.status, "carrier is 'never seen before': the model fails: KeyError" in found.sentence) == (
        "alarm",
        True,
    )


def test_a_missing_value_is_tried_where_the_signature_allows_one(tmp_path: Path) -> None:
    from tests.registry import samples

    frame, late = samples.flights(missing=True)
    from sklearn.ensemble import HistGradientBoostingClassifier

    numbers = frame[["distance", "hour"]]
    prepared = conversion.prepare(HistGradientBoostingClassifier(max_iter=3).fit(numbers, late), numbers, late)
    bundle = conversion.build_bundle(prepared, folder=tmp_path / "bundle", profile=b"{}")
    seen: list[float] = []

    def remembers(rows: Rows) -> Output:
        seen.append(float(np.isnan(rows["distance"]).mean()))
        return even(rows)

    assert RobustnessGate().check(answering(bundle, remembers)).status == "ok"
    assert 1.0 in seen
    assert RobustnessGate().check(Inspection(bundle)).status == "ok"


@pytest.mark.parametrize("fault", ["again", "alone", "order"])
def test_a_model_whose_answers_depend_on_more_than_the_row_is_found(fault: str, onnx_bundle: Bundle) -> None:
    calls = count()

    def shifted(rows: Rows) -> Output:
        call, size = next(calls), len(rows["hour"])
        by = {"again": call * 0.1, "alone": 0.1 * (size == 1), "order": np.arange(size) / size / 2}[fault]
        positive = np.broadcast_to(0.3 + np.asarray(by), size)
        return positive > 0.5, np.column_stack([1 - positive, positive])

    found = ReproducibilityGate().check(answering(onnx_bundle, shifted))
    assert found.status == "alarm"
    words = "asked for twice, get different answers" if fault == "again" else "by themselves or in another order"
    assert words in found.sentence


def test_a_regression_is_reproducible(tmp_path: Path) -> None:
    frame = pd.DataFrame({"hour": np.arange(100.0)})
    prepared = conversion.prepare(LinearRegression().fit(frame, frame["hour"] * 2), frame, frame["hour"] * 2)
    bundle = conversion.build_bundle(prepared, folder=tmp_path / "bundle", profile=b"{}")
    assert ReproducibilityGate().check(Inspection(bundle)).status == "ok"
    assert RobustnessGate().check(Inspection(bundle)).status == "ok"


def test_a_bundle_is_loaded_without_what_the_gateway_lacks(onnx_bundle: Bundle) -> None:
    found = LoadsGate().check(Inspection(onnx_bundle))
    assert found.status == "ok"
    assert "It loads in a fresh process and answers 64 warm-up rows after" in found.sentence


@pytest.fixture
def beside_bundle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bundle:
    """A bundle of a model that needs a module from beside its notebook."""
    (tmp_path / "beside_it.py").write_text("def double(frame):\n    return frame * 2\n", encoding="utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))
    import beside_it  # type: ignore[import-not-found]
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import FunctionTransformer

    frame = pd.DataFrame({"hour": np.arange(200.0) % 24})
    model = make_pipeline(FunctionTransformer(beside_it.double), LogisticRegression())
    prepared = conversion.prepare(model.fit(frame, frame["hour"] > 12), frame, frame["hour"] > 12)
    return conversion.build_bundle(prepared, folder=tmp_path / "bundle", profile=b"{}")


def test_a_model_that_needs_a_module_from_beside_the_notebook_does_not_load(beside_bundle: Bundle) -> None:
    assert beside_bundle.manifest.runtime == "python"
    with pytest.raises(ExecutionFailed, match=r"it does not load: .*No module named 'beside_it'"):
        LoadsGate().check(Inspection(beside_bundle))


def test_that_a_model_does_not_load_is_one_no_and_needs_one_remedy(beside_bundle: Bundle) -> None:
    found = gates.run(Inspection(beside_bundle, "flights/1"), gates=[LoadsGate(), MemoryGate()])
    assert [outcome.status for outcome in found.gates] == ["ok", "alarm", "skipped"]
    assert found.gates[2].sentence == "Not tested: see loads."
    assert "gates say no" not in found.verdict.sentence
    assert list(found.remedies()) == ["loads"]


def test_a_model_that_loads_nowhere_is_one_no_of_all_gates(
    beside_bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.path", [path for path in sys.path if path != str(beside_bundle.path.parent)])
    monkeypatch.delitem(sys.modules, "beside_it")
    found = gates.run(Inspection(beside_bundle, "flights/1"), gates=BUILT_IN.values())
    no = {outcome.name: outcome.sentence for outcome in found.gates if outcome.status == "alarm"}
    assert list(no) == ["loads"]
    assert "No module named 'beside_it'" in no["loads"]
    skipped = [outcome.name for outcome in found.gates if outcome.sentence == "Not tested: see loads."]
    needing = "agreement smoke robustness reproducibility latency memory score calibration"
    assert skipped == needing.split()


def test_memory_alone_says_no_of_a_model_that_does_not_load(beside_bundle: Bundle) -> None:
    found = gates.run(Inspection(beside_bundle, "flights/1"), gates=[MemoryGate()])
    assert (found.gates[1].status, found.exit_code) == ("alarm", 1)


@pytest.mark.parametrize(
    ("own", "theirs", "status", "limit"),
    [
        (80.0, 30.0, "ok", 94.0),
        (100.0, 30.0, "alarm", 94.0),
        (390.0, 200.0, "ok", 400.0),
        (1100.0, 900.0, "alarm", 1024.0),
    ],
)
def test_memory_is_held_to_a_budget_and_to_the_champion(
    own: float, theirs: float, status: str, limit: float, onnx_bundle: Bundle
) -> None:
    champion = Inspection(onnx_bundle, "flights/1")
    inspection = Inspection(onnx_bundle, "flights/2", Surroundings(champion=champion))
    for side, mib in ((inspection, own), (champion, theirs)):
        side.__dict__["fresh"] = Fresh(0.1, mib, 64, 0.0)
    found = MemoryGate().check(inspection)
    assert (found.status, found.limit) == (status, limit)
    assert f"that of flights/1 {theirs:.0f} MiB" in found.sentence


@pytest.mark.parametrize(("own", "status"), [(2.9, "ok"), (5.9, "ok"), (6.2, "alarm")])
def test_speed_is_held_to_the_champion_with_some_slack(own: float, status: str, onnx_bundle: Bundle) -> None:
    now = [0.0]

    def taking(ms: float) -> Callable[[Rows], Output]:
        def answer(rows: Rows) -> Output:
            now[0] += ms / 1000
            return even(rows)

        return answer

    champion = answering(onnx_bundle, taking(1.0))
    inspection = answering(onnx_bundle, taking(own), champion=champion)
    found = SpeedGate(timer=lambda: now[0]).check(inspection)
    assert found.status == status
    assert found.limit == pytest.approx(6.0)


@pytest.mark.exhaustive
def test_a_bundle_loads_in_an_environment_made_anew(onnx_bundle: Bundle, surroundings: Surroundings) -> None:
    around = replace(surroundings, exhaustive=True)
    found = EnvironmentGate().check(Inspection(onnx_bundle, "flights/2", around))
    assert found.status == "ok"
    assert "an environment made anew of numpy==" in found.sentence


def test_packages_that_cannot_be_had_are_named(onnx_bundle: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    from mlprod_nb.gates import footprint

    def run(words: list[str], folder: Path, limit: float) -> Any:
        failed = "pip" in words
        return SimpleNamespace(returncode=int(failed), stdout="", stderr="ERROR: No matching distribution" * failed)

    monkeypatch.setattr(footprint, "_process", run)
    around = Surroundings(packages={"numpy": "0.0.1"}, exhaustive=True)
    with pytest.raises(ExecutionFailed, match="recorded packages cannot be installed: ERROR: No matching distribution"):
        EnvironmentGate().check(Inspection(onnx_bundle, "flights/2", around))
