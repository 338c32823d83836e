"""Which gates there are, how a model's settings set them, and running them."""

from __future__ import annotations

import time
from collections.abc import Collection, Iterable, Mapping
from dataclasses import fields, is_dataclass, replace
from typing import Any, get_type_hints

from pydantic import TypeAdapter, ValidationError

from mlprod_nb import extensions
from mlprod_nb.errors import MlprodError, NotFound, UsageError
from mlprod_nb.gates.builtin import BUILT_IN
from mlprod_nb.gates.bundle import IntegrityGate
from mlprod_nb.gates.protocol import Gate, GateOutcome, Inspection, NotTested
from mlprod_nb.gates.remedies import REQUIRED
from mlprod_nb.gates.report import GateReport, conclude
from mlprod_nb.progress import SILENCE, Progress

ENTRY_POINTS = "mlprod_nb.gates"


def available() -> dict[str, Gate]:
    """Return every gate by name: the built-in ones, then those that installed packages add.

    Raises:
        UsageError: A package's gate takes the name of a built-in one, or cannot be loaded.
    """
    added = extensions.load(ENTRY_POINTS)
    if taken := sorted(set(added) & set(BUILT_IN)):
        raise UsageError(f"a package adds a gate {taken[0]!r}, a name that is taken.", hint="Uninstall the package.")
    return {**BUILT_IN, **added}


def chosen(
    gates: Mapping[str, Gate], *, off: Collection[str] = (), options: Mapping[str, Mapping[str, Any]]
) -> tuple[Gate, ...]:
    """Return the gates that are to run, set as a model's settings say.

    Args:
        gates: The gates by name.
        off: The names of those that are not to run.
        options: Values for a gate's own fields, by the gate's name.

    Raises:
        NotFound: A gate or an option does not exist.
        UsageError: An option's value does not fit, or the integrity gate is turned off.
    """
    for name in (*off, *options):
        if name not in gates:
            raise NotFound("gate", name, gates)
    if IntegrityGate.name in off:
        raise UsageError("the gate 'integrity' cannot be turned off: no other gate means anything without it.")
    return tuple(_set(gate, options.get(name, {})) for name, gate in gates.items() if name not in off)


def run(
    inspection: Inspection,
    *,
    gates: Iterable[Gate] | None = None,
    required: Collection[str] = (),
    progress: Progress = SILENCE,
) -> GateReport:
    """Run gates on a bundle.

    The bundle's integrity is always checked first: where it fails, no other gate runs, since each would load the model.

    Args:
        inspection: The bundle and what surrounds it.
        gates: The gates; by default all that are available.
        required: The names of gates of which a warning or a skip is a no.
        progress: Is told how many of them have run.

    Raises:
        NotFound: A required gate does not run.
    """
    wanted = list(available().values() if gates is None else gates)
    if not any(isinstance(gate, IntegrityGate) for gate in wanted):
        wanted.insert(0, IntegrityGate())
    wanted.sort(key=lambda gate: not isinstance(gate, IntegrityGate))
    names = [gate.name for gate in wanted]
    for name in required:
        if name not in names:
            raise NotFound("gate that runs and is required", name, names)
    outcomes: list[GateOutcome] = []
    told: dict[Exception, str] = {}
    for gate in wanted:
        progress.at(len(outcomes), len(wanted))
        if outcomes and outcomes[0].status == "alarm":
            found = GateOutcome(gate.name, "skipped", "Not run, since the bundle is not intact.")
        else:
            found = _check(gate, inspection, told)
        outcomes.append(_held_to(found) if gate.name in required else found)
    bundle, name = inspection.bundle, inspection.subject
    return GateReport(name, conclude(name, outcomes), tuple(outcomes), bundle.digest, bundle.manifest.runtime)


def _check(gate: Gate, inspection: Inspection, told: dict[Exception, str]) -> GateOutcome:
    """Run a gate; ``told`` holds what gates failed by, each with the first of them, so that one cause is one no."""
    begin = time.perf_counter()
    try:
        outcome = gate.check(inspection)
    except NotTested as missing:
        outcome = GateOutcome(gate.name, "skipped", f"Not tested: {missing}.")
    except Exception as error:  # noqa: BLE001 (whatever a gate raises is a no)
        first = told.setdefault(error, gate.name)
        outcome = GateOutcome(gate.name, "alarm", _words(error))
        if first != gate.name:
            outcome = GateOutcome(gate.name, "skipped", f"Not tested: see {first}.")
    return replace(outcome, name=gate.name, seconds=round(time.perf_counter() - begin, 3))


def _words(error: Exception) -> str:
    if isinstance(error, MlprodError):
        return error.message[:1].upper() + error.message[1:]
    return f"The gate failed: {type(error).__name__}: {' '.join(str(error).split())[:300]}"


def _held_to(outcome: GateOutcome) -> GateOutcome:
    """Turn a required gate's warning or skip into a no."""
    words = {"warn": f"{REQUIRED} without a warning: ", "skipped": f"{REQUIRED}. "}
    if outcome.status not in words:
        return replace(outcome, required=True)
    return replace(outcome, status="alarm", sentence=words[outcome.status] + outcome.sentence, required=True)


def _set(gate: Gate, options: Mapping[str, Any]) -> Gate:
    if not options:
        return gate
    known: list[str] = [field.name for field in fields(gate) if field.name != "name"] if is_dataclass(gate) else []
    kinds = get_type_hints(type(gate), include_extras=True)
    values = {}
    for option, value in options.items():
        if option not in known:
            raise NotFound(f"option of the gate {gate.name!r}", option, known, hint="" if known else "It has none.")
        try:
            values[option] = TypeAdapter(kinds[option]).validate_python(value)
        except ValidationError as error:
            found = error.errors()[0]
            reason = found["msg"].replace("Input", "it", 1)
            raise UsageError(
                f"option {option!r} of the gate {gate.name!r} is {found['input']!r}: {reason}.",
                hint="See [models.NAME.gates] in mlprod.toml.",
            ) from None
    return replace(gate, **values)  # type: ignore[type-var]
