"""Gates on how the model answers: to odd input, to the same rows again, to rows in other company."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from mlprod_nb.errors import ExecutionFailed
from mlprod_nb.gates.bundle import problem_of, reference_arrays
from mlprod_nb.gates.options import NotNegative, Positive
from mlprod_nb.gates.protocol import GateOutcome, Inspection
from mlprod_nb.registry.bundles import Column
from mlprod_nb.registry.onnx_runner import TOLERANCE, Array, largest_difference

_ROWS = 8
_LARGEST_WHOLE = 2**53
_TEXTS = ("", "never seen before", "né 東京 🛫", "x" * 10_000)


@dataclass(frozen=True)
class RobustnessGate:
    """Odd input that the signature allows gets a finite answer: missing, unseen and extreme values, a column at a time.

    A column without negative values in the sample gets none here: a logarithm of it is no fault.

    Attributes:
        ranges: How many ranges of the reference sample beyond its ends an extreme value lies.
        factor: By how much a value in a wrong unit is too large, as metres for kilometres.
    """

    ranges: NotNegative = 10.0
    factor: Positive = 1000.0
    name: str = "robustness"

    def check(self, inspection: Inspection) -> GateOutcome:
        """Put odd values into a few rows of the sample."""
        manifest, runner = inspection.bundle.manifest, inspection.runner
        whole = reference_arrays(inspection)
        rows = {name: values[:_ROWS] for name, values in whole.items()}
        count, tried, problems = len(next(iter(rows.values()))), 0, []
        for column in inspection.bundle.signature.columns:
            for words, values in self._odd(column, whole[column.name], count):
                tried += 1
                try:
                    with warnings.catch_warnings(action="ignore"):  # the answers say what is wrong
                        output = runner.run({**rows, column.name: values})
                    problem = problem_of(output, count, len(manifest.classes))
                except ExecutionFailed as error:
                    problem = error.message
                if problem:
                    problems.append(f"{column.name} {words}: {problem[:1].lower()}{problem[1:].rstrip('.')}")
        if problems:
            more = f" (and {len(problems) - 1} more of {tried} odd inputs)" if len(problems) > 1 else ""
            return GateOutcome(self.name, "alarm", f"Where {problems[0]}{more}.")
        return GateOutcome(self.name, "ok", f"All {tried} odd inputs get finite answers: missing, unseen, extreme.")

    def _odd(self, column: Column, sample: Array, count: int) -> Iterator[tuple[str, Array]]:
        """Yield odd values of a column, in words and as so many rows."""
        if column.type == "string":
            for text in _TEXTS:
                yield f"is {_short(text)}", _filled(text, count)
        elif column.type == "boolean":
            yield from ((f"is {value}".lower(), np.full(count, value)) for value in (False, True))
        else:
            yield from self._extreme(column, sample, count)
        if column.nullable:
            missing = _filled(None, count) if column.type == "string" else np.full(count, np.nan)
            yield "is missing", missing

    def _extreme(self, column: Column, sample: Array, count: int) -> Iterator[tuple[str, Array]]:
        there = sample[np.isfinite(sample)].astype(np.float64)
        low, high = (float(there.min()), float(there.max())) if len(there) else (0.0, 1.0)
        reach, largest = self.ranges * ((high - low) or 1.0), self.factor * (max(abs(low), abs(high)) or 1.0)
        values = (low - reach, high + reach, -largest, largest, 0.0)
        for value in values if low < 0 else dict.fromkeys(max(value, 0.0) for value in values):
            if column.type == "long":
                whole = int(min(max(value, -_LARGEST_WHOLE), _LARGEST_WHOLE))
                yield f"is {whole}", np.full(count, whole, dtype=np.int64)
            else:
                yield f"is {value:.4g}", np.full(count, value)


@dataclass(frozen=True)
class ReproducibilityGate:
    """The same rows get the same answers: asked again, in another order, and each by itself.

    Attributes:
        tolerance: The largest difference of a score between a row by itself and in a batch.
    """

    tolerance: NotNegative = TOLERANCE
    name: str = "reproducibility"

    def check(self, inspection: Inspection) -> GateOutcome:
        """Ask for some rows of the sample four times."""
        manifest, runner = inspection.bundle.manifest, inspection.runner
        rows = {name: values[:200] for name, values in reference_arrays(inspection).items()}
        first, second = runner.run(rows), runner.run(rows)
        if not (_equal(first[0], second[0]) and _equal(first[1], second[1])):
            return GateOutcome(self.name, "alarm", "The same rows, asked for twice, get different answers.")
        backwards = runner.run({name: values[::-1].copy() for name, values in rows.items()})
        few = min(32, len(first[1]))
        alone = [runner.run({name: values[i : i + 1] for name, values in rows.items()}) for i in range(few)]
        apart = 0.0
        for expected, found in (
            (first[1], backwards[1][::-1]),
            (first[1][:few], np.concatenate([o[1] for o in alone])),
        ):
            apart = max(apart, largest_difference(manifest.task, expected, found))
        flips = sum(
            not _equal(output[0], None if first[0] is None else first[0][i : i + 1]) for i, output in enumerate(alone)
        )
        if flips or apart > self.tolerance:
            sentence = f"Rows by themselves or in another order: {flips} labels differ, a score by {apart:.2g}."
            return GateOutcome(self.name, "alarm", sentence, apart if np.isfinite(apart) else None, self.tolerance)
        sentence = f"{len(first[1])} rows get the same answers again, in another order and by themselves."
        return GateOutcome(self.name, "ok", sentence, apart, self.tolerance)


def _equal(one: Array | None, other: Array | None) -> bool:
    return one is other if one is None or other is None else bool(np.array_equal(one, other))


def _filled(value: Any, count: int) -> Array:
    array = np.empty(count, dtype=object)
    array[:] = [value] * count
    return array


def _short(text: str) -> str:
    return repr(text) if len(text) < 30 else f"a text of {len(text):,} letters"
