"""The route table: which endpoint serves which models now. It is replaced, never changed."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TypeVar

from mlprod_nb.errors import NotFound, Refused
from mlprod_nb.registry.bundles import Column, ColumnType, Signature, Task
from mlprod_nb.routing import EndpointSpec, Variant
from mlprod_nb.serving.errors import EndpointUnavailable
from mlprod_nb.serving.models.loaded import Lease, LoadedModel

T = TypeVar("T")


@dataclass(frozen=True)
class LiveEndpoint:
    """One endpoint as it is served.

    Attributes:
        spec: The revision's state.
        revision: The revision's number within the endpoint.
        signature: What a request must carry: the columns of all variants.
        task: What the variants do.
        models: The variants' models, in the order of ``spec.variants``.
        shadows: The shadows' models, in the order of ``spec.shadows``.
    """

    spec: EndpointSpec
    revision: int
    signature: Signature
    task: Task
    models: tuple[LoadedModel, ...]
    shadows: tuple[LoadedModel, ...]

    @property
    def name(self) -> str:
        """The endpoint's name."""
        return self.spec.endpoint

    def lease(self) -> Lease:
        """Keep every model of this state open for a request, from now to the lease's end."""
        return Lease((*self.models, *self.shadows))


def live_endpoint(
    spec: EndpointSpec, revision: int, models: tuple[LoadedModel, ...], shadows: tuple[LoadedModel, ...]
) -> LiveEndpoint:
    """Put an endpoint together.

    Raises:
        Refused: The variants do not fit each other.
    """
    everything = list(zip((*spec.variants, *spec.shadows), (*models, *shadows), strict=True))
    task = models[0].bundle.manifest.task
    for variant, model in everything:
        if model.bundle.manifest.task != task:
            raise Refused(
                f"variant {variant.name!r} is a {model.bundle.manifest.task} and "
                f"variant {spec.variants[0].name!r} is a {task}."
            )
    return LiveEndpoint(spec, revision, _union(everything), task, models, shadows)


@dataclass(frozen=True)
class RouteTable:
    """All endpoints at one moment.

    Attributes:
        endpoints: The endpoints that are served, by name.
        unavailable: The endpoints that should be served and could not be loaded, with the reason.
    """

    endpoints: Mapping[str, LiveEndpoint] = field(default_factory=dict)
    unavailable: Mapping[str, str] = field(default_factory=dict)

    def with_endpoint(self, live: LiveEndpoint) -> RouteTable:
        """Return a table that serves this endpoint."""
        return RouteTable({**self.endpoints, live.name: live}, _without(self.unavailable, live.name))

    def without(self, name: str) -> RouteTable:
        """Return a table without an endpoint."""
        return RouteTable(_without(self.endpoints, name), _without(self.unavailable, name))

    def with_failure(self, name: str, reason: str) -> RouteTable:
        """Return a table that says why an endpoint is not served."""
        return replace(self, unavailable={**self.unavailable, name: reason})

    def digests(self) -> set[str]:
        """Return the digests of every bundle that is served."""
        return {
            variant.bundle for live in self.endpoints.values() for variant in (*live.spec.variants, *live.spec.shadows)
        }

    def find(self, name: str) -> LiveEndpoint:
        """Return an endpoint by name.

        Raises:
            EndpointUnavailable: It exists and could not be loaded.
            NotFound: It does not exist.
        """
        live = self.endpoints.get(name)
        if live is not None:
            return live
        if name in self.unavailable:
            raise EndpointUnavailable(f"endpoint {name!r} could not be loaded.", hint="Deploy a version that loads.")
        raise NotFound("endpoint", name, self.endpoints, hint="" if self.endpoints else "Nothing is deployed.")


@dataclass(frozen=True)
class Hold:
    """An endpoint whose new state is being decided: for these milliseconds its requests wait.

    Attributes:
        endpoint: The endpoint's name.
        over: Set when it is decided.
    """

    endpoint: str
    over: asyncio.Event


class RouteBook:
    """Points at the route table of now.

    Guarantee: once a verb has seen a revision become active, no request that arrives is answered by the one before.
    """

    def __init__(self) -> None:
        self.table = RouteTable()
        self._holds: dict[str, Hold] = {}

    async def find(self, name: str) -> LiveEndpoint:
        """Return an endpoint as it is now; wait where its new state is just being decided.

        There is no other request between this method's return and the caller's next ``await``, so a lease taken at
        once is taken in time.
        """
        while (hold := self._holds.get(name)) is not None:
            await hold.over.wait()
        return self.table.find(name)

    def at_rest(self, name: str) -> LiveEndpoint | None:
        """Return an endpoint that is served and whose state is not just being decided, or ``None``."""
        return None if name in self._holds else self.table.endpoints.get(name)

    def waiting_rows(self) -> dict[tuple[str, str], int]:
        """Return how many rows wait for each model, by endpoint and variant."""
        return {
            (live.name, variant.name): model.waiting_rows
            for live in self.table.endpoints.values()
            for variant, model in zip(
                (*live.spec.variants, *live.spec.shadows), (*live.models, *live.shadows), strict=True
            )
        }

    def hold(self, hold: Hold) -> None:
        """Let an endpoint's requests wait; may be called from another thread."""
        self._holds[hold.endpoint] = hold

    def release(self, hold: Hold) -> None:
        """Let them go on."""
        self._holds.pop(hold.endpoint, None)
        hold.over.set()


def _without(items: Mapping[str, T], name: str) -> dict[str, T]:
    return {key: value for key, value in items.items() if key != name}


def _union(everything: list[tuple[Variant, LoadedModel]]) -> Signature:
    """Return the columns that serve every variant: the stricter of two, where two name the same column."""
    columns: dict[str, tuple[Column, Variant]] = {}
    for variant, model in everything:
        for column in model.bundle.signature.columns:
            known, owner = columns.get(column.name, (column, variant))
            kind = _stricter(known.type, column.type)
            if kind is None:
                raise Refused(
                    f"column {column.name!r} is {column.type} for variant {variant.name!r} and "
                    f"{known.type} for variant {owner.name!r}."
                )
            columns[column.name] = (Column(column.name, kind, known.nullable and column.nullable), owner)
    return Signature(tuple(column for column, _ in columns.values()))


def _stricter(one: ColumnType, other: ColumnType) -> ColumnType | None:
    if one == other:
        return one
    return "long" if {one, other} == {"long", "double"} else None
