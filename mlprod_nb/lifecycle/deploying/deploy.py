"""Deploy, route, promote, roll back: each verb says which state it wants, and :mod:`.revise` brings it about."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

from sqlalchemy.engine import Connection

from mlprod_nb.errors import NotFound, Refused, Unavailable, UsageError, nearest
from mlprod_nb.lifecycle.alias_moves import aliases, protecting
from mlprod_nb.lifecycle.alias_moves.aliases import AliasMove
from mlprod_nb.lifecycle.context import Context
from mlprod_nb.lifecycle.deploying.revise import Change, TrafficRow, active, commit, describe, existing, traffic
from mlprod_nb.lifecycle.releasing import crossing
from mlprod_nb.results import Result
from mlprod_nb.routing import EndpointSpec, Variant, moved, resplit
from mlprod_nb.store import journal, revisions
from mlprod_nb.store.revisions import Revision

_SHADOW = "shadow"


@dataclass(frozen=True)
class UnitsMoved:
    """Units that meet another variant than before.

    Attributes:
        before: The variant that they met.
        after: The variant that they meet now.
        share: Which share of all units they are, percent.
    """

    before: str
    after: str
    share: float


@dataclass(frozen=True)
class RevisionResult(Result):
    """An endpoint has a new revision, or would have one.

    Attributes:
        endpoint: The endpoint's name.
        revision: The revision's number.
        traffic: Which versions answer.
        unit: What is randomised; empty: every row on its own.
        before: What served before, in words.
        aliases: The aliases that moved with it.
        owed: The aliases that should have moved back and did not, since the registry does not answer.
        restores: The number of the revision that this one equals, after a rollback.
        dry_run: Whether nothing was changed.
        moves: Who meets another variant than before.
        as_of: For a rollback to a moment, which revision served then.
        notes: What becomes of a release that is under way, and what mlprod.toml says of variants that are none.
    """

    endpoint: str
    revision: int
    traffic: tuple[TrafficRow, ...]
    unit: str
    before: str
    aliases: tuple[AliasMove, ...]
    owed: tuple[AliasMove, ...]
    restores: int | None
    dry_run: bool
    moves: tuple[UnitsMoved, ...] = ()
    as_of: str = ""
    notes: tuple[str, ...] = ()

    _frame_field: ClassVar[str] = "traffic"
    _hidden: ClassVar[tuple[str, ...]] = ("endpoint", "revision", "dry_run")

    def headline(self) -> str:
        """Say what serves now."""
        state = "would be live (dry run, nothing changed)" if self.dry_run else "is live"
        back = f", equal to revision {self.restores}," if self.restores else ""
        owed = ", ".join(f"{move.alias} (to {move.after or 'nothing'})" for move in self.owed)
        again = f"mlprod rollback {self.endpoint} --to {self.restores}"
        wait = f" The registry does not answer: {owed} did not move. Once it does: {again}" if owed else ""
        return f"Endpoint {self.endpoint!r}: revision {self.revision}{back} {state}.{wait}"


@dataclass(frozen=True)
class UndeployResult(Result):
    """An endpoint was taken away, or would be.

    Attributes:
        endpoint: The endpoint's name.
        before: What served before, in words.
        dry_run: Whether nothing was changed.
        notes: What becomes of a release that is under way.
    """

    endpoint: str
    before: str
    dry_run: bool
    notes: tuple[str, ...] = ()

    _hidden: ClassVar[tuple[str, ...]] = ("endpoint", "dry_run")

    def headline(self) -> str:
        """Say that it is gone."""
        state = "would be taken away (dry run, nothing changed)" if self.dry_run else "is taken away"
        return f"Endpoint {self.endpoint!r} {state}; its log and history stay."


@dataclass(frozen=True)
class Promotion:
    """A request to promote, as :meth:`mlprod_nb.Workspace.promote` takes it."""

    version: str
    alias: str
    endpoint: str
    reason: str
    dry_run: bool


def deploy(context: Context, version: str, *, endpoint: str, reason: str, dry_run: bool) -> RevisionResult:
    """Serve one version with all of an endpoint's traffic."""
    chosen = context.registry.resolve(version)
    name = endpoint or chosen.model
    current = active(context).get(name)
    alias = version.split("@")[1] if "@" in version else f"v{chosen.version}"
    spec = _single(current, name, _variant(context, alias, version, weight=100))
    return _apply(context, Change(name, spec, reason, dry_run), current)


def route(
    context: Context, endpoint: str, shares: Sequence[str], *, unit: str, reason: str, dry_run: bool
) -> RevisionResult:
    """Split an endpoint's traffic; of the units, the fewest possible meet another variant than before.

    Raises:
        UsageError: No share is given, one is malformed, or a variant is named twice.
        NotFound: There is no such endpoint, alias or version.
    """
    current = existing(context, endpoint)
    assert current.spec is not None
    if not shares:
        raise UsageError(
            "no shares are given.", hint=f"Write them like: mlprod route {endpoint} champion=50 challenger=50"
        )
    weights = dict(_share(text) for text in shares)
    if len(weights) != len(shares):
        raise UsageError("a variant is named twice.")
    named = {name: _named_variant(context, current.spec, name, weight or 0) for name, weight in weights.items()}
    wanted = EndpointSpec(
        endpoint,
        tuple(variant for name, variant in named.items() if weights[name] is not None),
        unit=unit or current.spec.unit,
        salt=current.spec.salt,
        shadows=tuple(variant for name, variant in named.items() if weights[name] is None),
    )
    spec = resplit(current.spec, wanted)
    return _apply(context, Change(endpoint, spec, reason, dry_run), current)


def reshare(
    context: Context, endpoint: str, weights: Mapping[str, float], *, reason: str, dry_run: bool
) -> RevisionResult:
    """Move traffic between the variants of today; their versions stay, wherever aliases have moved since."""
    current = existing(context, endpoint)
    assert current.spec is not None
    variants = (replace(variant, weight=weights.get(variant.name, variant.weight)) for variant in current.spec.variants)
    spec = resplit(current.spec, replace(current.spec, variants=tuple(variants)))
    return _apply(context, Change(endpoint, spec, reason, dry_run), current)


def promote(context: Context, promotion: Promotion) -> RevisionResult:
    """Give a version all of the traffic, and the alias."""
    chosen = context.registry.resolve(promotion.version)
    name = promotion.endpoint or chosen.model
    current = existing(context, name)
    variant = _variant(context, promotion.alias, chosen.ref, weight=100)
    move = aliases.planned(context, chosen.model, promotion.alias, chosen.version)
    spec = _single(current, name, variant)
    moves = (move,) if protecting.asks(context, move) else ()
    change = Change(name, spec, promotion.reason, promotion.dry_run, moves=moves)
    return _apply(context, change, current)


def rollback(context: Context, endpoint: str, *, to: int, reason: str, dry_run: bool) -> RevisionResult:
    """Make a new revision that equals an earlier one; rolled back twice, it goes further back.

    It asks the registry for nothing before the earlier state serves: the state and the bundles are here.
    """
    current = existing(context, endpoint)
    with context.store.read() as connection:
        past = [r for r in revisions.history(connection, endpoint) if r.outcome and r.outcome.outcome == "active"]
        target = _rollback_target(past, current, to)
        undone = [revision.id for revision in past if target.number < revision.number <= current.number]
        moves = _moves_back(connection, undone)
    return _apply(context, Change(endpoint, target.spec, reason, dry_run, moves, target.number), current)


def undeploy(context: Context, endpoint: str, *, reason: str, dry_run: bool, yes: bool) -> UndeployResult:
    """Take an endpoint away."""
    current = existing(context, endpoint)
    change = Change(endpoint, None, reason, dry_run)
    if not dry_run:
        context.confirm(f"Take endpoint {endpoint!r} away?", yes=yes)
        commit(context, change)
    return UndeployResult(endpoint, describe(current.spec), dry_run, crossing.told(context, change))


def _single(current: Revision | None, endpoint: str, variant: Variant) -> EndpointSpec:
    unit = current.spec.unit if current and current.spec else ""
    return EndpointSpec(endpoint, (variant,), unit=unit)


def _variant(context: Context, name: str, version: str, *, weight: float) -> Variant:
    protecting.refuse_strayed(context, version)
    chosen = context.registry.resolve(version)
    bundle = context.registry.fetch_bundle(chosen, context.bundles)
    return Variant(name, chosen.model, chosen.version, bundle.digest, weight)


def _named_variant(context: Context, spec: EndpointSpec, name: str, weight: float) -> Variant:
    """Find what a share names: an alias of the model, a variant of today, or a version."""
    model = spec.variants[0].model
    away = not context.registry.reachable()
    known = {} if away else context.registry.aliases(model)
    if name in known:
        return _variant(context, name, f"{model}@{name}", weight=weight)
    today = next((variant for variant in (*spec.variants, *spec.shadows) if variant.name == name), None)
    if today is not None:
        return replace(today, weight=weight)
    if away:
        raise Unavailable(
            f"{name!r} is no variant of today, and the MLflow registry, which may know it, is not there.",
            hint="Check [registry] tracking_uri in mlprod.toml.",
        )
    if "/" in name:
        return _variant(context, f"v{name.rsplit('/', 1)[1]}", name, weight=weight)
    raise NotFound("variant or alias", name, [*known, *(variant.name for variant in spec.variants)])


def _share(text: str) -> tuple[str, float | None]:
    """Read a variant's name and its weight, which is ``None`` for a shadow."""
    name, equals, number = text.partition("=")
    if name and number == _SHADOW:
        return name, None
    try:
        weight = float(number.removesuffix("%"))
    except ValueError:
        weight = -1.0
    if not (name and equals and 0 <= weight < float("inf")):
        raise UsageError(
            f"{text!r} is not a share.", hint="Write VARIANT=WEIGHT, like champion=50, or challenger=shadow."
        )
    return name, weight


def _rollback_target(past: Sequence[Revision], current: Revision, to: int) -> Revision:
    if to:
        chosen = next((revision for revision in past if revision.number == to), None)
        if chosen is None or chosen.spec is None:
            numbers = ", ".join(str(r.number) for r in past if r.spec)
            raise UsageError(f"{current.endpoint!r} has no live revision {to}.", hint=f"There is: {numbers}.")
        return chosen
    base = current.restores or current.number
    earlier = [revision for revision in past if revision.number < base and revision.spec is not None]
    if not earlier:
        others = [revision for revision in past if revision.spec is not None and revision.spec != current.spec]
        hint = _back_to(others[-1]) if others else ""
        raise Refused(f"endpoint {current.endpoint!r} has no earlier revision to go back to.", hint=hint)
    return earlier[-1]


def _back_to(revision: Revision) -> str:
    to = f"mlprod rollback {revision.endpoint} --to {revision.number}"
    return f"Revision {revision.number} served {describe(revision.spec)}: {to}"


def _moves_back(connection: Connection, undone: list[int]) -> tuple[AliasMove, ...]:
    """Return what takes back the alias moves that came with some revisions, as the journal knows them."""
    first: dict[str, journal.JournalEntry] = {}
    for entry in journal.of_revisions(connection, undone):
        first.setdefault(entry.subject, entry)
    moves = []
    for subject, entry in first.items():
        newest = journal.newest_of(connection, subject)
        move = AliasMove(subject, newest.after if newest else "", entry.before)
        moves += [move] if move.before != move.after else []
    return tuple(moves)


def _apply(context: Context, change: Change, current: Revision | None) -> RevisionResult:
    assert change.spec is not None
    done = None if change.dry_run else commit(context, change)
    return RevisionResult(
        endpoint=change.endpoint,
        revision=done.revision.number if done else _next_number(context, change.endpoint),
        traffic=traffic(change.spec),
        unit=change.spec.unit,
        before=describe(current.spec if current else None),
        aliases=tuple(move for move in change.moves if done is None or move not in done.owed),
        owed=done.owed if done else (),
        restores=change.restores,
        dry_run=change.dry_run,
        moves=_units_moved(current.spec if current else None, change.spec),
        notes=(*crossing.told(context, change), *_limits_of_nobody(context, change.spec)),
    )


def _units_moved(before: EndpointSpec | None, after: EndpointSpec) -> tuple[UnitsMoved, ...]:
    shares = moved(before, after) if before else {}
    return tuple(UnitsMoved(old, new, round(100 * share, 2)) for (old, new), share in shares.items())


def _limits_of_nobody(context: Context, spec: EndpointSpec) -> tuple[str, ...]:
    """Say which limits of the settings name no variant; one that comes later may be meant, or a name be mistyped."""
    settings = context.settings.endpoints.get(spec.endpoint)
    known = [variant.name for variant in (*spec.variants, *spec.shadows)]
    unmet = [name for name in (settings.max_rows if settings else ()) if name not in known]
    near = {name: nearest(name, known) for name in unmet}
    return tuple(
        f"max_rows in mlprod.toml names {name!r}, which is no variant of {spec.endpoint!r} now."
        + (f" Did you mean {near[name]!r}?" if near[name] else "")
        for name in unmet
    )


def _next_number(context: Context, endpoint: str) -> int:
    with context.store.read() as connection:
        return len(revisions.history(connection, endpoint)) + 1
