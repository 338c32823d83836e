"""``[models.NAME]``: what holds for one registered model: its gates, and how its versions are released."""

from __future__ import annotations

from typing import Any, Literal, Self

from pydantic import ConfigDict, Field, field_validator, model_validator

from mlprod_nb.clock import parse_duration
from mlprod_nb.errors import UsageError, nearest
from mlprod_nb.settings.base import Table


class GateSettings(Table):
    """``[models.NAME.gates]``: what a version must pass; a table of a gate's name below it sets that gate."""

    model_config = ConfigDict(extra="allow", frozen=True)

    required: tuple[str, ...] = Field((), description="Gates of which a warning or a skip is a no.")
    off: tuple[str, ...] = Field((), description="Gates that are not run.")
    against: str = Field("champion", description="The alias whose version is the champion to be compared with.")
    holdout: str = Field("", description="Held-out rows with their outcomes: a CSV or Parquet file in the workspace.")
    target: str = Field("", description="The column of that file which holds the outcomes.")
    notebooks: tuple[str, ...] = Field((), description="Notebooks that end in a verdict, each a gate.")
    functions: tuple[str, ...] = Field((), description="Python functions as gates.py:fairness, each a gate.")

    @property
    def options(self) -> dict[str, Any]:
        """The gates' own options, by the gate's name."""
        return dict(self.model_extra or {})

    @model_validator(mode="after")
    def _holds_tables(self) -> Self:
        for name, value in self.options.items():
            if not isinstance(value, dict):
                near = nearest(name, type(self).model_fields)
                hint = f" Did you mean {near!r}?" if near else ""
                raise ValueError(f"{name!r} is neither a setting nor a table of a gate.{hint}")
        return self


class ReleaseSettings(Table):
    """``[models.NAME.release]``: by which steps a version comes to serve, and what holds each step."""

    shadow: bool = Field(True, description="Whether the candidate answers unheard first, on the same requests.")
    steps: tuple[float, ...] = Field(
        (1.0, 10.0, 50.0, 100.0), description="The candidate's shares of the traffic, percent, rising."
    )
    min_predictions: int = Field(100, ge=1, description="Predictions of the candidate that each step needs.")
    min_labels: int = Field(0, ge=0, description="How many of them must have feedback.")
    hold: str = Field("10m", description="How long each step stands at least.")
    longest: str = Field(
        "7d", description="How long a step may stand; without its evidence by then, it is rolled back."
    )
    alpha: float = Field(
        0.05, gt=0, lt=1, description="Chance that a version that is no worse is ever rolled back, over all steps."
    )
    errors: float = Field(0.01, ge=0, le=1, description="By how much its share of failed requests may be higher.")
    latency_ms: float = Field(5.0, ge=0, description="By how much longer its answers may take on average.")
    shift: float = Field(
        0.5, gt=0, le=1, description="How far its scores' distribution may lie from the champion's; 1: any."
    )
    metrics: dict[str, float] = Field(
        default_factory=dict, description="Metrics and by how much each may be worse; empty: the task's own, by 0."
    )
    proof: bool = Field(
        False, description="Whether the last split must show that each metric is within what it may be worse."
    )

    @field_validator("hold", "longest")
    @classmethod
    def _is_a_duration(cls, value: str) -> str:
        try:
            parse_duration(value)
        except UsageError as error:
            raise ValueError(str(error)) from None
        return value

    @field_validator("steps")
    @classmethod
    def _rises(cls, value: tuple[float, ...]) -> tuple[float, ...]:
        if list(value) != sorted(set(value)) or not all(0 < share <= 100 for share in value):
            raise ValueError("steps are shares of the traffic in percent, rising, above 0 and up to 100")
        return value

    @model_validator(mode="after")
    def _can_prove(self) -> Self:
        if self.proof and not (self.metrics and all(worse > 0 for worse in self.metrics.values())):
            raise ValueError("proof = true needs metrics, each with more than 0 that it may be worse")
        return self


class ProtectedAlias(Table):
    """``[models.NAME.protected.ALIAS]``: an alias that moves only to what passed its gates and is approved."""

    approvals: int = Field(1, ge=0, le=20, description="How many others than the version's author must have approved.")
    reports: tuple[str, ...] = Field(("gates", "abtest"), description="Of which kinds of report an approval counts.")


class ModelSettings(Table):
    """``[models.NAME]``: what holds for one registered model."""

    protected: dict[str, ProtectedAlias] = Field(default_factory=dict)
    gates: GateSettings = GateSettings()
    on_register: Literal["", "check", "release"] = Field(
        "", description="What is done with each new version by itself, whoever registered it."
    )
    release: ReleaseSettings = ReleaseSettings()
