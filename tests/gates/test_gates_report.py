from __future__ import annotations

import math
import re
from dataclasses import dataclass, replace
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from mlprod_nb import extensions, gates
from mlprod_nb.errors import NotFound, UsageError
from mlprod_nb.gates import BUILT_IN, Gate, GateOutcome, Inspection, remedies
from mlprod_nb.gates.bundle import FormatGate, LatencyGate
from mlprod_nb.progress import Silence
from mlprod_nb.registry.bundles import Bundle

PATIENT: list[Gate] = [LatencyGate(limit_ms=5_000.0) if name == "latency" else gate for name, gate in BUILT_IN.items()]


@dataclass(frozen=True)
class Said:
    """A gate that says what it is told."""

    name: str
    status: Any = "ok"

    def check(self, inspection: Inspection) -> GateOutcome:
        if self.status == "raise":
            raise ZeroDivisionError("division\nby zero")
        return GateOutcome(self.name, self.status, f"{self.name.capitalize()} says {self.status}.", 1.0, 2.0)


def test_who_listens_is_told_how_many_gates_have_run(onnx_bundle: Bundle) -> None:
    heard: list[tuple[int, int]] = []

    class Listener(Silence):
        def at(self, done: int, total: int) -> None:
            heard.append((done, total))

    gates.run(Inspection(onnx_bundle), gates=[Said("one"), Said("two")], progress=Listener())
    assert heard == [(0, 3), (1, 3), (2, 3)]


def test_a_sound_version_may_be_deployed(onnx_bundle: Bundle) -> None:
    found = gates.run(Inspection(onnx_bundle, "flights/1"), gates=PATIENT)
    assert str(found.verdict) == "✓ OK: flights/1 passes all 10 gates. 9 skipped."
    assert found.verdict.action == "%mlprod deploy flights/1"
    assert found.exit_code == 0
    assert [outcome.name for outcome in found.gates] == list(BUILT_IN)


def test_a_python_version_passes_with_a_warning_that_says_why(python_bundle: Bundle) -> None:
    found = gates.run(Inspection(python_bundle, "flights/2"), gates=PATIENT)
    assert (found.verdict.status, found.exit_code, found.runtime) == ("warn", 0, "python")
    assert "FunctionTransformer is not supported" in found.verdict.sentence


def test_one_gate_that_says_no_is_enough(onnx_bundle: Bundle) -> None:
    found = gates.run(
        Inspection(onnx_bundle, "flights/1"), gates=[Said("one"), Said("two", "alarm"), Said("three", "warn")]
    )
    assert (found.verdict.status, found.exit_code, found.verdict.action) == ("alarm", 1, "")
    assert found.verdict.sentence == "flights/1 must not be deployed: two: Two says alarm."


def test_a_gate_that_raises_is_a_no_in_one_line(onnx_bundle: Bundle) -> None:
    found = gates.run(Inspection(onnx_bundle), gates=[Said("broken", "raise")])
    assert found.gates[-1] == GateOutcome("broken", "alarm", "The gate failed: ZeroDivisionError: division by zero")
    assert found.exit_code == 1


def test_integrity_is_checked_first_whatever_gates_are_asked_for(onnx_bundle: Bundle) -> None:
    assert [outcome.name for outcome in gates.run(Inspection(onnx_bundle), gates=[Said("one")]).gates] == [
        "integrity",
        "one",
    ]
    late = [Said("one"), BUILT_IN["integrity"]]
    assert [outcome.name for outcome in gates.run(Inspection(onnx_bundle), gates=late).gates] == ["integrity", "one"]


def test_a_slow_model_is_refused_by_the_latency_budget(onnx_bundle: Bundle) -> None:
    ticks = count()
    slow = LatencyGate(limit_ms=50.0, calls=30, limit_seconds=1e9, timer=lambda: next(ticks) * 0.06)
    outcome = slow.check(Inspection(onnx_bundle))
    assert (outcome.status, outcome.limit) == ("alarm", 50.0)
    assert outcome.value == pytest.approx(60.0)
    assert outcome.sentence.endswith("(99th percentile of 30 calls); 50 ms pass.")
    generous = LatencyGate(limit_ms=61.0, calls=30, limit_seconds=1e9, timer=lambda: next(ticks) * 0.06)
    assert generous.check(Inspection(onnx_bundle)).status == "ok"


def test_the_best_of_several_rounds_counts(onnx_bundle: Bundle) -> None:
    ticks = count()
    moments = [0.0]

    def busy_at_first() -> float:
        moments.append(moments[-1] + (0.2 if next(ticks) < 100 else 0.001))
        return moments[-1]

    gate = LatencyGate(limit_ms=50.0, calls=30, limit_seconds=1e9, timer=busy_at_first)
    outcome = gate.check(Inspection(onnx_bundle))
    assert outcome.status == "ok"
    assert outcome.value == pytest.approx(1.0)


def test_measuring_latency_ends_in_time(onnx_bundle: Bundle) -> None:
    ticks = count()
    gate = LatencyGate(limit_ms=1e9, calls=10**9, limit_seconds=5.0, timer=lambda: next(ticks) * 1.0)
    assert "20 calls" in gate.check(Inspection(onnx_bundle)).sentence


def test_the_report_renders_everywhere_and_escapes(onnx_bundle: Bundle) -> None:
    found = gates.run(Inspection(onnx_bundle, "<b>x</b>"), gates=[FormatGate()])
    assert "ONNX" in str(found)
    assert "<b>x</b>" not in found._repr_html_()
    assert list(found.to_frame()["name"]) == ["integrity", "format"]


@dataclass(frozen=True)
class _Entry:
    name: str
    value: str = "package:Gate"

    def load(self) -> Any:
        return Said(self.name)


def test_installed_packages_add_gates(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(extensions, "entry_points", lambda group: [_Entry("fairness")])
    found: dict[str, Gate] = gates.available()
    assert list(found) == [*BUILT_IN, "fairness"]


def test_a_package_cannot_replace_a_built_in_gate(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(extensions, "entry_points", lambda group: [_Entry("integrity")])
    with pytest.raises(UsageError, match="a package adds a gate 'integrity', a name that is taken"):
        gates.available()


def test_what_to_do_stands_below_the_gates_that_say_no(onnx_bundle: Bundle) -> None:
    said = [Said("champion", "alarm"), Said("robustness", "warn"), Said("licences", "alarm"), Said("mine", "alarm")]
    found = replace(gates.run(Inspection(onnx_bundle, "flights/2"), gates=said), against="flights/1")
    assert found.remedies() == {
        "champion": "See what differs: mlprod diff flights/1 flights/2. Its margin: [models.flights.gates.champion].",
        "licences": "Do without the package, and register it again.",
    }
    text = str(found)
    assert text.index("WHAT TO DO") > text.index("GATES")
    assert "mlprod diff flights/1 flights/2" in text
    sound = gates.run(Inspection(onnx_bundle, "flights/2"), gates=[Said("champion")])
    assert "WHAT TO DO" not in str(sound)


def test_a_gate_that_is_only_required_is_mended_or_required_no_more(onnx_bundle: Bundle) -> None:
    found = gates.run(Inspection(onnx_bundle, "flights/2"), gates=[Said("champion", "skipped")], required=["champion"])
    assert found.remedies() == {"champion": "Mend what it says, or take it out of required in [models.flights.gates]."}


def test_a_gate_that_is_a_notebook_is_to_be_read_there() -> None:
    outcome = GateOutcome("fairness", "alarm", "It is not fair.", notebook="fairness.ipynb")
    told = remedies.remedy(outcome, subject="flights/2", other="", folder="reports/flights/gates/v2-3fa9")
    assert told == "See where it says so: reports/flights/gates/v2-3fa9/fairness.ipynb"


def test_there_is_something_to_do_about_every_gate_that_can_say_no() -> None:
    never = {"format", "held-out"}  # which warn at most
    for name in set(BUILT_IN) - never:
        assert remedies.remedy(GateOutcome(name, "alarm", "No."), subject="m/2", other="m/1", folder="")


def test_a_gate_that_is_skipped_is_counted_apart(onnx_bundle: Bundle) -> None:
    found = gates.run(Inspection(onnx_bundle, "flights/1"), gates=[Said("one"), Said("two", "skipped")])
    assert str(found.verdict) == "✓ OK: flights/1 passes all 2 gates. 1 skipped."


@pytest.mark.parametrize("status", ["warn", "skipped", "alarm"])
def test_a_required_gate_must_be_passed(status: str, onnx_bundle: Bundle) -> None:
    found = gates.run(Inspection(onnx_bundle), gates=[Said("one", status)], required=["one"])
    outcome = found.outcome("one")
    assert outcome is not None
    assert (outcome.status, outcome.required, found.exit_code) == ("alarm", True, 1)
    assert outcome.sentence.endswith(f"One says {status}.")


def test_a_required_gate_that_does_not_run_is_named_with_its_nearest(onnx_bundle: Bundle) -> None:
    with pytest.raises(NotFound, match=r"'on'\. Did you mean 'one'"):
        gates.run(Inspection(onnx_bundle), gates=[Said("one")], required=["on"])


def test_settings_turn_gates_off_and_set_their_options() -> None:
    found = {gate.name: gate for gate in gates.chosen(BUILT_IN, off=["format"], options={"latency": {"limit_ms": 7}})}
    assert "format" not in found
    assert found["latency"] == LatencyGate(limit_ms=7.0)


@pytest.mark.parametrize(
    ("off", "options", "words"),
    [
        (["latncy"], {}, "no gate 'latncy'. Did you mean 'latency'"),
        ([], {"latncy": {}}, "no gate 'latncy'"),
        (["integrity"], {}, "cannot be turned off"),
        ([], {"latency": {"limt_ms": 7}}, "no option of the gate 'latency' 'limt_ms'. Did you mean 'limit_ms'"),
        (
            [],
            {"latency": {"limit_ms": "fast"}},
            "option 'limit_ms' of the gate 'latency' is 'fast': it should be a valid",
        ),
        ([], {"latency": {"limit_ms": 0}}, "option 'limit_ms' of the gate 'latency' is 0: it should be greater than 0"),
        ([], {"latency": {"rounds": 0}}, "option 'rounds' of the gate 'latency' is 0: it should be greater than"),
        ([], {"calibration": {"most": -1}}, "option 'most' of the gate 'calibration' is -1: it should be greater than"),
        (
            [],
            {"held-out": {"most": 1.5}},
            "option 'most' of the gate 'held-out' is 1.5: it should be less than or equal",
        ),
        ([], {"champion": {"margin": -0.1}}, "option 'margin' of the gate 'champion' is -0.1: it should be greater"),
        ([], {"champion": {"alpha": 1.0}}, "option 'alpha' of the gate 'champion' is 1.0: it should be less than 0.5"),
        ([], {"champion": {"metric": "briar"}}, "there is no metric 'briar'. Did you mean 'brier'"),
        ([], {"score": {"limits": {"acuracy": 0.7}}}, "there is no metric 'acuracy'. Did you mean 'accuracy'"),
        (
            [],
            {"score": {"limits": {"brier": math.nan}}},
            "option 'limits' of the gate 'score' is nan: it should be a finite",
        ),
        (
            [],
            {"memory": {"times": math.inf}},
            "option 'times' of the gate 'memory' is inf: it should be a finite number",
        ),
        (
            [],
            {"segments": {"named": "carrier"}},
            "option 'named' of the gate 'segments' is 'carrier': it should be a valid",
        ),
        ([], {"latency": {"name": "x"}}, "no option of the gate 'latency' 'name'"),
    ],
)
def test_settings_that_do_not_fit_are_refused(off: list[str], options: dict[str, Any], words: str) -> None:
    with pytest.raises(UsageError, match=re.escape(words)):
        gates.chosen(BUILT_IN, off=off, options=options)


def test_the_page_on_gates_tells_of_every_one_in_order() -> None:
    page = (Path(__file__).parents[2] / "docs" / "gates.md").read_text(encoding="utf-8")
    assert re.findall(r"^\| `([a-z-]+)` \|", page, re.MULTILINE) == list(BUILT_IN)
