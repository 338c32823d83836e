"""States of an endpoint."""

from __future__ import annotations

from mlprod_nb.routing import EndpointSpec, Variant


def spec(version: int) -> EndpointSpec:
    return EndpointSpec("flights", (Variant("champion", "flights", version, "digest", 100),))
