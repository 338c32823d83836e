"""What every gate does: applied to each built-in one, on a sound bundle and on a corpus of broken ones."""

from __future__ import annotations

import inspect
import json
import math
import re
import shutil
from collections.abc import Callable
from dataclasses import FrozenInstanceError, replace
from pathlib import Path
from typing import Any

import onnx
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mlprod_nb import gates
from mlprod_nb.gates import BUILT_IN, GateOutcome, Inspection, Surroundings
from mlprod_nb.gates.bundle import LatencyGate
from mlprod_nb.gates.packages import LicenceGate, VulnerabilityGate
from mlprod_nb.gates.protocol import Gate
from mlprod_nb.gates.scores import ScoreGate
from mlprod_nb.registry.bundles import MANIFEST, Bundle, Description, read_bundle, seal

SET: dict[str, Gate] = {
    "latency": LatencyGate(limit_ms=5_000.0),  # a budget that a busy machine keeps
    "score": ScoreGate({"accuracy": 0.5, "brier": 0.4}),
    "vulnerabilities": VulnerabilityGate("osv.json"),
    "licences": LicenceGate(("AGPL",)),
}
LONG = {"environment"}  # asked for by --exhaustive, and tested apart
GATES: dict[str, Gate] = {name: gate for name, gate in (BUILT_IN | SET).items() if name not in LONG}
ALL = pytest.mark.parametrize("name", GATES)


def _contents(bundle: Bundle) -> dict[str, str]:
    return read_bundle(bundle.path).manifest.files


@ALL
def test_a_sound_bundle_passes(name: str, onnx_bundle: Bundle, surroundings: Surroundings) -> None:
    outcome = GATES[name].check(Inspection(onnx_bundle, "flights/2", surroundings))
    assert outcome.status == "ok", outcome.sentence


@ALL
def test_a_sound_python_bundle_is_not_refused(name: str, python_bundle: Bundle, surroundings: Surroundings) -> None:
    around = replace(surroundings, champion=Inspection(python_bundle, "flights/1"))
    outcome = GATES[name].check(Inspection(python_bundle, "flights/2", around))
    assert outcome.status == ("warn" if name == "format" else "ok"), outcome.sentence


@ALL
def test_an_outcome_is_well_formed(name: str, onnx_bundle: Bundle, surroundings: Surroundings) -> None:
    outcome = GATES[name].check(Inspection(onnx_bundle, "flights/2", surroundings))
    assert outcome.name == name == GATES[name].name
    assert not outcome.sentence[0].islower()
    assert outcome.sentence.endswith(".")
    assert "\n" not in outcome.sentence
    for number in (outcome.value, outcome.limit):
        assert number is None or math.isfinite(number)
    if outcome.value is not None and outcome.limit is not None:
        assert outcome.value <= outcome.limit
    json.dumps(outcome.__dict__, allow_nan=False)


@ALL
def test_a_gate_changes_nothing(name: str, onnx_bundle: Bundle, surroundings: Surroundings) -> None:
    before = _contents(onnx_bundle)
    GATES[name].check(Inspection(onnx_bundle, "flights/2", surroundings))
    assert _contents(onnx_bundle) == before


@ALL
def test_a_gate_that_lacks_what_it_needs_says_so_in_a_clause(name: str, onnx_bundle: Bundle) -> None:
    found = gates.run(Inspection(onnx_bundle), gates=[GATES[name]]).outcome(name)
    assert found is not None
    assert found.status in ("ok", "skipped")
    assert found.status == "ok" or re.fullmatch(r"Not tested: [^\n]+[^.]\.", found.sentence)


@ALL
def test_a_gate_is_frozen_and_documented(name: str) -> None:
    gate = GATES[name]
    with pytest.raises(FrozenInstanceError):
        gate.name = "other"  # type: ignore[misc]
    assert (type(gate).__doc__ or "").strip()


def test_the_protocol_is_short() -> None:
    assert len(inspect.getsource(Gate).splitlines()) <= 40


# A corpus of bundles that are broken though every digest is right: sealed anew after the damage.


def _model(change: Callable[[Any], None]) -> Callable[[Path], None]:
    def damage(folder: Path) -> None:
        model = onnx.load(folder / "model.onnx")
        change(model)
        onnx.save(model, folder / "model.onnx")

    return damage


def _rename_input(model: Any) -> None:
    for node in model.graph.node:
        node.input[:] = ["minutes" if tensor == "hour" else tensor for tensor in node.input]
    next(value for value in model.graph.input if value.name == "hour").name = "minutes"


def _rename_output(model: Any) -> None:
    for node in model.graph.node:
        node.output[:] = ["odds" if tensor == "probabilities" else tensor for tensor in node.output]
        node.input[:] = ["odds" if tensor == "probabilities" else tensor for tensor in node.input]
    model.graph.output[1].name = "odds"


def _times(factor: float) -> Callable[[Any], None]:
    """Multiply the probabilities before they leave the model."""

    def change(model: Any) -> None:
        for node in model.graph.node:
            node.output[:] = ["inner" if tensor == "probabilities" else tensor for tensor in node.output]
            node.input[:] = ["inner" if tensor == "probabilities" else tensor for tensor in node.input]
        model.graph.initializer.append(onnx.helper.make_tensor("factor", onnx.TensorProto.FLOAT, [1], [factor]))
        model.graph.node.append(onnx.helper.make_node("Mul", ["inner", "factor"], ["probabilities"]))

    return change


def _reference(change: Callable[[pa.Table], pa.Table]) -> Callable[[Path], None]:
    def damage(folder: Path) -> None:
        pq.write_table(change(pq.read_table(folder / "reference.parquet")), folder / "reference.parquet")

    return damage


def _set(table: pa.Table, name: str, values: Any) -> pa.Table:
    return table.set_column(table.column_names.index(name), name, pa.array(values))


def _warmup(**changes: Any) -> Callable[[Path], None]:
    def damage(folder: Path) -> None:
        data = json.loads((folder / "warmup.json").read_bytes())
        (folder / "warmup.json").write_text(json.dumps(data | changes))

    return damage


def _flip_scores(table: pa.Table) -> pa.Table:
    return _set(table, "__score__", [1 - score for score in table.column("__score__").to_pylist()])


def _flip_labels(table: pa.Table) -> pa.Table:
    return _set(table, "__prediction__", [not label for label in table.column("__prediction__").to_pylist()])


def _lose_hours(table: pa.Table) -> pa.Table:
    return _set(table, "hour", [None, *table.column("hour").to_pylist()[1:]])


SEALED: dict[str, tuple[Callable[[Path], object], str, str]] = {
    "a wrong input name": (_model(_rename_input), "loads", "'minutes', which is no column"),
    "a wrong output name": (_model(_rename_output), "loads", "does not give label and probabilities"),
    "NaN output": (_model(_times(math.nan)), "smoke", "not finite"),
    "infinite output": (_model(_times(math.inf)), "smoke", "not finite"),
    "probabilities that sum to 1.2": (_model(_times(1.2)), "smoke", "do not sum to 1"),
    "probabilities a little off": (_model(_times(1.0001)), "agreement", "the largest difference of a score"),
    "a file that is no model": (lambda folder: (folder / "model.onnx").write_bytes(b"x"), "loads", "cannot be loaded"),
    "an empty model": (lambda folder: (folder / "model.onnx").write_bytes(b""), "loads", "cannot be loaded"),
    "other scores in the sample": (_reference(_flip_scores), "agreement", "the largest difference"),
    "other labels in the sample": (_reference(_flip_labels), "agreement", "800 of 800 labels differ"),
    "a sample without a column": (_reference(lambda t: t.drop(["hour"])), "signature", "no column 'hour'"),
    "a sample without scores": (_reference(lambda t: t.drop(["__score__"])), "signature", "no column '__score__'"),
    "a missing value in the sample": (_reference(_lose_hours), "signature", "'hour' misses values"),
    "texts for numbers in the sample": (
        _reference(lambda t: _set(t, "hour", [str(hour) for hour in t.column("hour").to_pylist()])),
        "signature",
        "'hour' holds a value that is not of type long",
    ),
    "a sample that is no table": (
        lambda folder: (folder / "reference.parquet").write_bytes(b"rows"),
        "signature",
        "The gate failed",
    ),
    "warm-up rows that are no rows": (_warmup(columns=3), "smoke", "warmup.json cannot be read"),
    "warm-up rows without a column": (_warmup(columns={"hour": [1]}, scores=[0.5]), "smoke", "is missing"),
    "a signature without columns": (
        lambda folder: (folder / "signature.json").write_text('{"columns":[]}'),
        "signature",
        "names no columns",
    ),
}


def _reseal(bundle: Bundle, folder: Path, damage: Callable[[Path], object]) -> Bundle:
    shutil.copytree(bundle.path, folder)
    damage(folder)
    (folder / MANIFEST).unlink()
    manifest = bundle.manifest
    described = Description(
        manifest.task, manifest.classes, manifest.runtime, manifest.runtime_reason, manifest.agreement
    )
    return seal(folder, described)


def _outcome(report: gates.GateReport, name: str) -> GateOutcome:
    return next(outcome for outcome in report.gates if outcome.name == name)


@pytest.mark.parametrize("damage", SEALED)
def test_a_broken_bundle_is_caught_by_the_gate_that_should(damage: str, onnx_bundle: Bundle, tmp_path: Path) -> None:
    change, name, words = SEALED[damage]
    report = gates.run(Inspection(_reseal(onnx_bundle, tmp_path / "broken", change), "flights/1"))
    assert report.verdict.status == "alarm"
    assert report.exit_code == 1
    outcome = _outcome(report, name)
    assert outcome.status == "alarm"
    assert words in outcome.sentence
    assert all("\n" not in gate.sentence for gate in report.gates)
    json.dumps(report.to_dict(), allow_nan=False)


UNSEALED: dict[str, tuple[Callable[[Path], object], str]] = {
    "flipped bytes": (lambda folder: (folder / "model.onnx").write_bytes(b"x"), "model.onnx does not match"),
    "a missing file": (lambda folder: (folder / "warmup.json").unlink(), "warmup.json is missing"),
    "a planted file": (lambda folder: (folder / "extra").write_bytes(b""), "extra is not listed"),
    "no folder": (shutil.rmtree, "manifest.json cannot be read"),
}


@pytest.mark.parametrize("damage", UNSEALED)
def test_a_bundle_that_does_not_match_its_digests_is_not_loaded(
    damage: str, onnx_bundle: Bundle, tmp_path: Path
) -> None:
    change, words = UNSEALED[damage]
    shutil.copytree(onnx_bundle.path, tmp_path / "broken")
    bundle = read_bundle(tmp_path / "broken")
    change(bundle.path)
    report = gates.run(Inspection(bundle))
    assert report.gates[0].name == "integrity"
    assert words in report.gates[0].sentence
    assert {outcome.status for outcome in report.gates[1:]} == {"skipped"}
