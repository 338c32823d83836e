"""Gates on the bundle alone: intact, of one mind with its original, and fast enough."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mlprod_nb.errors import InvalidInput
from mlprod_nb.gates.options import Count, NotNegative, Positive
from mlprod_nb.gates.protocol import GateOutcome, Inspection
from mlprod_nb.registry.bundles import PREDICTION_COLUMN, SCORE_COLUMN, Signature, read_bundle
from mlprod_nb.registry.onnx_runner import TOLERANCE, Output, largest_difference, scores, to_arrays
from mlprod_nb.registry.runner import Runner

_SUM_TOLERANCE = 1e-3


@dataclass(frozen=True)
class IntegrityGate:
    """Every file of the bundle matches its digest, and the manifest matches the bundle's name."""

    name: str = "integrity"

    def check(self, inspection: Inspection) -> GateOutcome:
        """Read every byte again."""
        bundle = inspection.bundle
        found = read_bundle(bundle.path)
        if found.digest != bundle.digest:
            return GateOutcome(self.name, "alarm", f"The manifest is {found.digest[:12]}, not {bundle.digest[:12]}.")
        return GateOutcome(self.name, "ok", f"All {len(found.manifest.files)} files match their digests.")


@dataclass(frozen=True)
class SignatureGate:
    """The signature names columns, and the reference sample passes it."""

    name: str = "signature"

    def check(self, inspection: Inspection) -> GateOutcome:
        """Check every value of the sample against its column's type."""
        signature = inspection.bundle.signature
        if not signature.columns or len(set(signature.names)) != len(signature.columns):
            return GateOutcome(self.name, "alarm", "The signature names no columns, or one twice.")
        arrays = reference_arrays(inspection)
        for column in signature.columns:
            values = arrays[column.name]
            missing = np.array([value is None for value in values]) if values.dtype == object else np.isnan(values)
            if missing.any() and not column.nullable:
                sentence = f"Column {column.name!r} misses values in the sample and may not."
                return GateOutcome(self.name, "alarm", sentence)
        rows = inspection.reference.num_rows
        return GateOutcome(self.name, "ok", f"All {rows} sample rows fit the signature's {_count(signature)}.")


@dataclass(frozen=True)
class AgreementGate:
    """The bundle says about the reference sample what the original model said.

    Attributes:
        tolerance: The largest difference of a score; relative for a regression.
    """

    tolerance: NotNegative = TOLERANCE
    name: str = "agreement"

    def check(self, inspection: Inspection) -> GateOutcome:
        """Score the whole sample again."""
        manifest = inspection.bundle.manifest
        output = inspection.runner.run(reference_arrays(inspection))
        expected = inspection.reference.column(SCORE_COLUMN).to_numpy()
        difference = largest_difference(manifest.task, expected, scores(manifest.task, manifest.classes, output))
        flips = 0
        if output[0] is not None:
            said = inspection.reference.column(PREDICTION_COLUMN).to_pylist()
            flips = sum(a != b for a, b in zip(said, output[0].tolist(), strict=True))
        agrees = flips == 0 and difference <= self.tolerance
        kind = "relative difference of a value" if manifest.task == "regression" else "difference of a score"
        labels = "" if output[0] is None else f"{flips} of {len(expected)} labels differ; "
        sentence = f"{labels}the largest {kind} is {difference:.2g} on {len(expected)} rows."
        sentence = sentence[0].upper() + sentence[1:]
        return GateOutcome(self.name, "ok" if agrees else "alarm", sentence, _finite(difference), self.tolerance)


@dataclass(frozen=True)
class SmokeGate:
    """A prediction of the warm-up rows is finite and of the right shape."""

    name: str = "smoke"

    def check(self, inspection: Inspection) -> GateOutcome:
        """Predict the warm-up rows."""
        columns, expected = inspection.bundle.warmup()
        output = inspection.runner.run(to_arrays(inspection.bundle.signature, columns))
        problem = problem_of(output, len(expected), len(inspection.bundle.manifest.classes))
        if problem:
            return GateOutcome(self.name, "alarm", problem)
        return GateOutcome(self.name, "ok", f"{len(expected)} warm-up rows were predicted.")


@dataclass(frozen=True)
class LatencyGate:
    """One row is predicted fast enough, measured in this process.

    A busy machine only ever makes a model look slower, so the best of several rounds counts.

    Attributes:
        limit_ms: The largest 99th percentile that passes, milliseconds.
        calls: How many calls are measured in a round.
        limit_seconds: When to end a round, however many calls were made (20 at least).
        rounds: How many rounds are measured at most; the first that passes is the last.
        timer: Gives seconds from a fixed moment.
    """

    limit_ms: Positive = 50.0
    calls: Count = 300
    limit_seconds: Positive = 2.0
    rounds: Count = 3
    timer: Callable[[], float] = time.perf_counter
    name: str = "latency"

    def check(self, inspection: Inspection) -> GateOutcome:
        """Predict one warm-up row at a time."""
        columns, expected = inspection.bundle.warmup()
        arrays = to_arrays(inspection.bundle.signature, columns)
        rows = [{name: values[i : i + 1] for name, values in arrays.items()} for i in range(len(expected))]
        inspection.runner.run(rows[0])
        p50, p99, calls = self._measure(inspection.runner, rows)
        for _ in range(self.rounds - 1):
            if p99 > self.limit_ms:
                p50, p99, calls = min((p50, p99, calls), self._measure(inspection.runner, rows), key=lambda r: r[1])
        sentence = f"One row takes {p50:.3g} ms (median) and {p99:.3g} ms (99th percentile of {calls} calls)"
        if p99 <= self.limit_ms:
            return GateOutcome(self.name, "ok", f"{sentence}.", p99, self.limit_ms)
        return GateOutcome(self.name, "alarm", f"{sentence}; {self.limit_ms:g} ms pass.", p99, self.limit_ms)

    def _measure(self, runner: Runner, rows: list[dict[str, NDArray[Any]]]) -> tuple[float, float, int]:
        """Return median and 99th percentile in milliseconds, and the number of calls."""
        begin = self.timer()
        times: list[float] = []
        while len(times) < self.calls and (len(times) < 20 or self.timer() - begin < self.limit_seconds):
            row = rows[len(times) % len(rows)]
            start = self.timer()
            runner.run(row)
            times.append((self.timer() - start) * 1000)
        p50, p99 = (float(value) for value in np.percentile(times, [50, 99]))
        return p50, p99, len(times)


@dataclass(frozen=True)
class FormatGate:
    """The model is data; one that is code is served by a slower process of its own, and this says why."""

    name: str = "format"

    def check(self, inspection: Inspection) -> GateOutcome:
        """Look at the manifest."""
        manifest = inspection.bundle.manifest
        if manifest.runtime == "onnx":
            return GateOutcome(self.name, "ok", "The model is ONNX: data, not code.")
        reason = manifest.runtime_reason.rstrip(".")
        return GateOutcome(self.name, "warn", f"The model is Python code, served by a model worker. {reason}.")


def reference_arrays(inspection: Inspection) -> dict[str, NDArray[Any]]:
    """Return the reference sample as a runner takes it.

    Raises:
        InvalidInput: A column is missing, or a value does not fit.
    """
    table = inspection.reference
    present = set(table.column_names)
    for name in (*inspection.bundle.signature.names, SCORE_COLUMN, PREDICTION_COLUMN):
        if name not in present:
            raise InvalidInput(f"the reference sample has no column {name!r}.", column=name)
    columns = {name: table.column(name).to_pylist() for name in inspection.bundle.signature.names}
    return to_arrays(inspection.bundle.signature, columns)


def problem_of(output: Output, rows: int, classes: int) -> str:
    """Say what is wrong with a model's output; nothing where it is finite and of the right shape."""
    labels, numbers = output
    shape = (rows,) if labels is None else (rows, classes)
    if numbers.shape != shape or (labels is not None and labels.shape != (rows,)):
        return f"The model gives numbers of the shape {numbers.shape}, not {shape}."
    if not np.isfinite(numbers).all():
        return "The model gives numbers that are not finite."
    if labels is not None and (
        numbers.min(initial=0.0) < -_SUM_TOLERANCE or np.abs(numbers.sum(axis=1) - 1).max(initial=0.0) > _SUM_TOLERANCE
    ):
        return "The model's probabilities are negative or do not sum to 1."
    return ""


def _count(signature: Signature) -> str:
    return "one column" if len(signature.columns) == 1 else f"{len(signature.columns)} columns"


def _finite(value: float) -> float | None:
    return value if np.isfinite(value) else None
