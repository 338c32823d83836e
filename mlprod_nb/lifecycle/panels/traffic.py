"""The traffic panel: which versions answer, which could, and what was changed of late."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar

from mlprod_nb.lifecycle.context import Context
from mlprod_nb.lifecycle.deploying.revise import describe, existing, traffic
from mlprod_nb.results import Result
from mlprod_nb.routing import EndpointSpec
from mlprod_nb.store import revisions

_REVISIONS = 5


@dataclass(frozen=True)
class Part:
    """One variant.

    Attributes:
        variant: Its name.
        version: The model version behind it, as ``flights/3``.
        share: Its share of the traffic, percent; 0 for a shadow.
        shadow: Whether it scores the same rows after the reply, and never answers.
        alias_version: What its name, where it is an alias, points to by now: a change of the traffic takes that; empty
            where the name is no alias or points to ``version``.
    """

    variant: str
    version: str
    share: float
    shadow: bool
    alias_version: str


@dataclass(frozen=True)
class Choice:
    """An alias or version of the model that gets nothing yet.

    Attributes:
        name: As a share names it: an alias, or ``flights/4``.
        version: The version, as ``flights/4``.
    """

    name: str
    version: str


@dataclass(frozen=True)
class Earlier:
    """One revision of the endpoint.

    Attributes:
        revision: Its number.
        at: When it was made.
        actor: By whom.
        traffic: What it served, in words.
        reason: Why.
    """

    revision: int
    at: datetime
    actor: str
    traffic: str
    reason: str


@dataclass(frozen=True)
class TrafficView(Result):
    """Which versions of an endpoint answer, which could, and what was changed of late.

    Attributes:
        endpoint: The endpoint's name.
        revision: Its revision's number.
        unit: What is randomised, as ``tailnum``; empty: every row on its own.
        variants: The variants and shadows.
        choices: What else could get traffic; empty where the registry does not answer.
        earlier: The newest revisions, the present one first.
    """

    endpoint: str
    revision: int
    unit: str
    variants: tuple[Part, ...]
    choices: tuple[Choice, ...]
    earlier: tuple[Earlier, ...]

    _frame_field: ClassVar[str] = "variants"
    _hidden: ClassVar[tuple[str, ...]] = ("endpoint", "revision")

    def headline(self) -> str:
        """Say what answers."""
        parts = (f"{p.variant} {'shadow' if p.shadow else f'{p.share:g} %'}" for p in self.variants)
        return f"Endpoint {self.endpoint!r}, revision {self.revision}: {', '.join(parts)}."


def look(context: Context, endpoint: str) -> TrafficView:
    """Return an endpoint's traffic.

    Raises:
        NotFound: The endpoint does not exist.
    """
    current = existing(context, endpoint)
    spec = current.spec
    assert spec is not None
    aliases, versions = _known(context, spec.variants[0].model)
    parts = []
    for row in traffic(spec):
        meant = aliases.get(row.variant, row.version)
        parts.append(Part(row.variant, row.version, row.share, row.shadow, meant if meant != row.version else ""))
    return TrafficView(
        endpoint,
        current.number,
        spec.unit,
        tuple(parts),
        _choices(spec, aliases, versions),
        _earlier(context, endpoint),
    )


def _known(context: Context, model: str) -> tuple[dict[str, str], list[str]]:
    """Return the versions that a model's aliases point to, and all versions, newest first."""
    if not context.registry.reachable():
        return {}, []
    aliases = {name: f"{model}/{number}" for name, number in context.registry.aliases(model).items()}
    return aliases, [version.ref for version in context.registry.versions(model)]


def _choices(spec: EndpointSpec, aliases: dict[str, str], versions: list[str]) -> tuple[Choice, ...]:
    names = {variant.name for variant in (*spec.variants, *spec.shadows)}
    served = {variant.model_version for variant in (*spec.variants, *spec.shadows)}
    by_alias = [Choice(name, version) for name, version in aliases.items() if name not in names]
    named = served | {choice.version for choice in by_alias}
    return (*by_alias, *(Choice(version, version) for version in versions if version not in named))


def _earlier(context: Context, endpoint: str) -> tuple[Earlier, ...]:
    with context.store.read() as connection:
        past = [r for r in revisions.history(connection, endpoint) if r.outcome and r.outcome.outcome == "active"]
    newest = past[: -_REVISIONS - 1 : -1]
    return tuple(Earlier(r.number, r.created_at, r.actor, describe(r.spec) or "taken away", r.reason) for r in newest)
