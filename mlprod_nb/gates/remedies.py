"""What to do about a gate that says no, in one sentence each."""

from __future__ import annotations

from mlprod_nb.gates.protocol import GateOutcome

#: How the sentence begins of a warning or a skip that the settings make a no.
REQUIRED = "Required"
_REMEDIES = {
    "integrity": "The bundle was changed on disk: register the model again.",
    "signature": "Register it again, with --data of the columns and kinds that it takes.",
    "agreement": "Register it again; where it persists, its answers are random or depend on how a value is stored.",
    "loads": (
        "Install what it imports where the gateway runs, too, or define it in the notebook; then register it again."
    ),
    "environment": "Pin the packages that it needs, and register it again.",
    "smoke": "Try its own predict on the reference rows in the notebook, mend it, and register it again.",
    "robustness": (
        "Mend it in the pipeline (an imputer, handle_unknown='ignore', clipping) and register it again. "
        "How far values are tried: ranges and factor in [models.{model}.gates.robustness]."
    ),
    "reproducibility": "Fix its random state, or what it keeps between calls, and register it again.",
    "latency": "Make it smaller, or set what passes: limit_ms in [models.{model}.gates.latency].",
    "speed": "Make it smaller, or set what passes: times and slack_ms in [models.{model}.gates.speed].",
    "memory": "Make it smaller, or set what passes: limit_mib, times and slack_mib in [models.{model}.gates.memory].",
    "score": "Train it on more or newer rows; its limits stand in [models.{model}.gates.score].",
    "champion": "See what differs: mlprod diff {other} {subject}. Its margin: [models.{model}.gates.champion].",
    "segments": "See what differs: mlprod diff {other} {subject}. Its margin: [models.{model}.gates.segments].",
    "calibration": "Calibrate it (as by CalibratedClassifierCV) on rows apart, and register it again.",
    "vulnerabilities": "Install a mended release of the package, and register it again.",
    "licences": "Do without the package, and register it again.",
}
_REQUIRED = "Mend what it says, or take it out of required in [models.{model}.gates]."


def remedy(outcome: GateOutcome, *, subject: str, other: str, folder: str) -> str:
    """Return what to do about a gate that says no; empty where nothing general can be said.

    Args:
        outcome: What the gate found.
        subject: The version, as ``flights/3``.
        other: The version that it was compared with; empty where there was none.
        folder: Where the executed notebooks of gates lie.
    """
    model = subject.partition("/")[0]
    if outcome.sentence.startswith(REQUIRED):
        return _REQUIRED.format(model=model)
    if outcome.notebook:
        return f"See where it says so: {folder}/{outcome.notebook}"
    return _REMEDIES.get(outcome.name, "").format(model=model, subject=subject, other=other)
