"""What serves now: the gateway, and the variants of each endpoint."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from datetime import datetime

from mlprod_nb import assets
from mlprod_nb.errors import Unavailable
from mlprod_nb.lifecycle.context import Context
from mlprod_nb.routing import EndpointSpec, Variant
from mlprod_nb.store.revisions import Revision


@dataclass(frozen=True)
class GatewayStatus:
    """The gateway.

    Attributes:
        running: Whether it answers.
        url: Where.
        pid: Its process, or ``None``.
        since: When it started.
        problem: Why it is not ready; empty where it is.
        workers: How many worker processes it has.
        restarts: How many of them were replaced since it started.
        log: Whether the prediction log can be written: ``ok``; ``on_reserve`` or ``failed``, and why.
        version: The version of mlprod_nb that it runs by; empty for one too old to say so; ``None``: it did not say.
        place: Where it runs; empty: on this machine.
    """

    running: bool
    url: str
    pid: int | None
    since: datetime | None
    problem: str
    workers: int = 0
    restarts: int = 0
    log: str = "ok"
    version: str | None = None
    place: str = ""

    def outdated(self) -> str:
        """Say that it runs by another version than the one on disk, and what to do; empty where it does not."""
        return outdated(self.version) if self.running else ""


@dataclass(frozen=True)
class EndpointStatus:
    """One variant of one endpoint.

    Attributes:
        endpoint: The endpoint's name.
        revision: Its revision's number.
        variant: The variant's name.
        version: The model version behind it.
        share: Its share of the traffic, percent.
        runtime: ``onnx``, or ``python`` for a model worker; empty where its bundle cannot be read.
        note: ``shadow`` where it is one, why it is not ONNX, and why its bundle cannot be read; empty where there is
            nothing to note.
    """

    endpoint: str
    revision: int
    variant: str
    version: str
    share: float
    runtime: str
    note: str

    @property
    def lost(self) -> bool:
        """Whether its bundle cannot be read, so that a gateway which starts cannot load it."""
        return not self.runtime


def gateway(context: Context) -> GatewayStatus:
    """Ask the gateway how it is."""
    record = context.target.running(context.root)
    if record is None:
        return GatewayStatus(False, "", None, None, "not running")
    found = context.target.condition(context.root)
    kept = (found.problem, found.workers, found.restarts, found.log, found.version, found.place)
    return GatewayStatus(True, record.url, record.pid, record.started_at, *kept)


def outdated(version: str | None) -> str:
    """Say that a gateway runs by another version than the one on disk, and what to do; empty where it does not.

    Args:
        version: The version that it runs by; empty for one too old to say so; ``None``: it did not say.
    """
    installed = assets.version()
    if version is None or version == installed:
        return ""
    runs = f"mlprod_nb {version}" if version else "an older mlprod_nb"
    return f"the gateway runs by {runs}, and {installed} is installed. To let it run: mlprod down, then mlprod up."


def endpoint(context: Context, revision: Revision) -> list[EndpointStatus]:
    """Describe an endpoint's variants; one whose bundle cannot be read is told, and hides no other."""
    assert revision.spec is not None
    return [
        _variant(context, revision, revision.spec, each) for each in (*revision.spec.variants, *revision.spec.shadows)
    ]


def _variant(context: Context, revision: Revision, spec: EndpointSpec, variant: Variant) -> EndpointStatus:
    shares = spec.shares()
    runtime, reason = "", ""
    try:
        manifest = context.bundle_of(variant).manifest
        runtime, reason = manifest.runtime, manifest.runtime_reason
    except Unavailable as error:
        reason = error.message.rstrip(".")
    if not runtime:
        # A deploy brings it here again, but would end a split; a check changes no traffic.
        alone = len(spec.variants) == 1 and not spec.shadows
        again = f"deploy {variant.model_version} --endpoint {shlex.quote(spec.endpoint)}"
        reason += f"; to fetch it from the registry: mlprod {again if alone else f'check {variant.model_version}'}"
    share = round(100 * shares.get(variant.name, 0.0), 2)
    note = "; ".join(filter(None, ("shadow" if variant.name not in shares else "", reason)))
    return EndpointStatus(revision.endpoint, revision.number, variant.name, variant.model_version, share, runtime, note)
