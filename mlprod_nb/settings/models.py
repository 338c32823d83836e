"""``[models.NAME]``: what holds for one registered model: its gates, and how its versions are released."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

from mlprod_nb.clock import parse_duration
from mlprod_nb.errors import UsageError, nearest
from mlprod_nb.settings.base import Table, key, keys_of


def _is_a_duration(value: str) -> None:
    try:
        parse_duration(value)
    except UsageError as error:
        raise ValueError(str(error)) from None


def _rises(steps: tuple[float, ...]) -> None:
    if list(steps) != sorted(set(steps)) or not all(0 < share <= 100 for share in steps):
        raise ValueError("steps are shares of the traffic in percent, rising, above 0 and up to 100")


@dataclass(frozen=True)
class GateSettings(Table):
    """``[models.NAME.gates]``: what a version must pass; a table of a gate's name below it sets that gate."""

    others: ClassVar[str] = "options"

    required: tuple[str, ...] = key((), "Gates of which a warning or a skip is a no.")
    off: tuple[str, ...] = key((), "Gates that are not run.")
    against: str = key("champion", "The alias whose version is the champion to be compared with.")
    holdout: str = key("", "Held-out rows with their outcomes: a CSV or Parquet file in the workspace.")
    target: str = key("", "The column of that file which holds the outcomes.")
    notebooks: tuple[str, ...] = key((), "Notebooks that end in a verdict, each a gate.")
    functions: tuple[str, ...] = key((), "Python functions as gates.py:fairness, each a gate.")
    #: The gates' own options, by the gate's name.
    options: dict[str, Any] = field(default_factory=dict)

    def check(self) -> None:
        """See whether all others are tables."""
        for name, value in self.options.items():
            if not isinstance(value, dict):
                near = nearest(name, keys_of(type(self)))
                hint = f" Did you mean {near!r}?" if near else ""
                raise ValueError(f"{name!r} is neither a setting nor a table of a gate.{hint}")


@dataclass(frozen=True)
class ReleaseSettings(Table):
    """``[models.NAME.release]``: by which steps a version comes to serve, and what holds each step."""

    shadow: bool = key(True, "Whether the candidate answers unheard first, on the same requests.")
    steps: tuple[float, ...] = key(
        (1.0, 10.0, 50.0, 100.0), "The candidate's shares of the traffic, percent, rising.", check=_rises
    )
    min_predictions: int = key(100, "Predictions of the candidate that each step needs.", ge=1)
    min_labels: int = key(0, "How many of them must have feedback.", ge=0)
    hold: str = key("10m", "How long each step stands at least.", check=_is_a_duration)
    longest: str = key(
        "7d", "How long a step may stand; without its evidence by then, it is rolled back.", check=_is_a_duration
    )
    alpha: float = key(0.05, "Chance that a version that is no worse is ever rolled back, over all steps.", gt=0, lt=1)
    errors: float = key(0.01, "By how much its share of failed requests may be higher.", ge=0, le=1)
    latency_ms: float = key(5.0, "By how much longer its answers may take on average.", ge=0)
    shift: float = key(0.5, "How far its scores' distribution may lie from the champion's; 1: any.", gt=0, le=1)
    metrics: dict[str, float] = key(dict, "Metrics and by how much each may be worse; empty: the task's own, by 0.")
    proof: bool = key(False, "Whether the last split must show that each metric is within what it may be worse.")

    def check(self) -> None:
        """See whether there is something to prove."""
        if self.proof and not (self.metrics and all(worse > 0 for worse in self.metrics.values())):
            raise ValueError("proof = true needs metrics, each with more than 0 that it may be worse")


@dataclass(frozen=True)
class ProtectedAlias(Table):
    """``[models.NAME.protected.ALIAS]``: an alias that moves only to what passed its gates and is approved."""

    approvals: int = key(1, "How many others than the version's author must have approved.", ge=0, le=20)
    reports: tuple[str, ...] = key(("gates", "abtest"), "Of which kinds of report an approval counts.")


@dataclass(frozen=True)
class ModelSettings(Table):
    """``[models.NAME]``: what holds for one registered model."""

    protected: dict[str, ProtectedAlias] = field(default_factory=dict)
    gates: GateSettings = GateSettings()
    on_register: Literal["", "check", "release"] = key(
        "", "What is done with each new version by itself, whoever registered it."
    )
    release: ReleaseSettings = ReleaseSettings()
