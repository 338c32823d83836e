"""The registry panel: versions with metrics, lineage, aliases and notes, to be compared, deployed and promoted."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar

from mlprod_nb.errors import MlprodError
from mlprod_nb.lifecycle.context import Context
from mlprod_nb.lifecycle.deploying.revise import active
from mlprod_nb.registry.versions import ModelVersion
from mlprod_nb.results import Result, counted

#: Of so many of a model's newest versions, and of those with an alias, the lineage is read.
_NEWEST = 12


@dataclass(frozen=True)
class Card:
    """One version.

    Attributes:
        version: As ``flights/3``.
        aliases: Its aliases.
        serves: The endpoints that it answers at.
        metrics: Its performance on the reference data.
        note: What changed and why.
        author: Who registered it.
        created_at: When.
        runtime: ``onnx``, ``python``, or empty for a version that was not registered here.
        lineage: Where it comes from: notebook, commit, data, packages; what is not known is left out.
    """

    version: str
    aliases: tuple[str, ...]
    serves: tuple[str, ...]
    metrics: dict[str, float]
    note: str
    author: str
    created_at: datetime
    runtime: str
    lineage: dict[str, str]


@dataclass(frozen=True)
class RegistryView(Result):
    """The versions of a workspace's models, newest first.

    Attributes:
        models: The models' names.
        endpoints: The endpoints' names.
        versions: One row a version.
    """

    models: tuple[str, ...]
    endpoints: tuple[str, ...]
    versions: tuple[Card, ...]

    _frame_field: ClassVar[str] = "versions"
    _hidden: ClassVar[tuple[str, ...]] = ("models", "endpoints")

    def headline(self) -> str:
        """Say how many there are."""
        if not self.versions:
            return "No model is registered yet."
        return f"{counted(len(self.versions), 'version')} of {counted(len(self.models), 'model')}."


def look(context: Context) -> RegistryView:
    """Return the versions: of each model the newest ones, and those with an alias."""
    names = context.registry.models() if context.registry.begun() else ()
    serving: dict[str, list[str]] = {}
    deployed = active(context)
    for endpoint, revision in deployed.items():
        spec = revision.spec
        for variant in (*spec.variants, *spec.shadows) if spec else ():
            serving.setdefault(variant.model_version, []).append(endpoint)
    found = []
    for name in names:
        versions = context.registry.versions(name)
        shown = [v for place, v in enumerate(versions) if place < _NEWEST or v.aliases or v.ref in serving]
        found += [_card(context, version, serving.get(version.ref, [])) for version in shown]
    found.sort(key=lambda card: card.created_at, reverse=True)
    return RegistryView(tuple(names), tuple(deployed), tuple(found))


def _card(context: Context, version: ModelVersion, serves: list[str]) -> Card:
    return Card(
        version=version.ref,
        aliases=version.aliases,
        serves=tuple(serves),
        metrics=version.metrics,
        note=version.note,
        author=version.author,
        created_at=version.created_at,
        runtime=version.runtime,
        lineage=_lineage(context, version),
    )


def _lineage(context: Context, version: ModelVersion) -> dict[str, str]:
    try:
        found = context.registry.lineage(version)
    except MlprodError as error:
        return {"lineage": str(error)}
    packages = {name: found.packages[name] for name in ("scikit-learn", "numpy", "pandas") if name in found.packages}
    facts = {
        "notebook": context.shown(found.notebook.path) if found.notebook else "",
        "git commit": f"{found.git.commit[:12]}{' with changes' if found.git.dirty else ''}",
        "data": f"{found.data.rows:,} rows, {found.data.digest[:12]}",
        "python": found.python,
        "packages": ", ".join(f"{name} {number}" for name, number in packages.items()),
    }
    return {name: text for name, text in facts.items() if text}
