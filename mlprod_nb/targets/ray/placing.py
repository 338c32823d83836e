"""Which node of the cluster may take the gateway: decided by where it listens and where its state is kept."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping

from mlprod_nb.errors import Refused
from mlprod_nb.settings import FILE_NAME, Settings

ALL = frozenset({"0.0.0.0", "::"})  # noqa: S104 (compared, not bound)


def cpus(settings: Settings) -> float:
    """Return how many cores the gateway takes of its node."""
    return settings.ray.cpus or float(settings.gateway.workers)


def bound_to_this_machine(settings: Settings) -> bool:
    """Return whether the gateway cannot leave the machine: it listens on its loopback, or its state is in SQLite."""
    return _loopback(settings.gateway.host) or _in_sqlite(settings)


def choose(settings: Settings, nodes: Mapping[str, float], here: str) -> str:
    """Return the address of the node that must take the gateway; empty: any may.

    Nothing is exposed in silence: what listens on the loopback stays on this machine, an address is that of its node,
    and only what listens on all addresses may be anywhere.

    Args:
        settings: The workspace's.
        nodes: The cores of each node, by its address.
        here: The address of this machine's node.

    Raises:
        Refused: No node can take it.
    """
    host = settings.gateway.host
    if _loopback(host) or (host in ALL and _in_sqlite(settings)):
        address = here
    elif host in ALL:
        address = ""
    elif host not in nodes:
        raise Refused(
            f"no node of the Ray cluster has the address {host}, at which the gateway is to listen.",
            hint=f"Set host under [gateway] in {FILE_NAME} to that of a node: {', '.join(sorted(nodes))}.",
        )
    elif host != here and _in_sqlite(settings):
        raise Refused(
            f"the gateway cannot run on node {host}: its state is in SQLite, which machines must not share.",
            hint=f'Set url under [store] in {FILE_NAME} to a Postgres database, or host = "{here}" under [gateway].',
        )
    else:
        address = host
    _see_cores(cpus(settings), {address: nodes[address]} if address else nodes)
    return address


def _see_cores(wanted: float, nodes: Mapping[str, float]) -> None:
    largest = max(nodes, key=lambda address: nodes[address])
    if nodes[largest] < wanted:
        raise Refused(
            f"the gateway is to take {wanted:g} cores, and Ray gives {nodes[largest]:g} of node {largest}.",
            hint=f"Set cpus under [ray], or workers under [gateway], in {FILE_NAME}.",
        )


def _in_sqlite(settings: Settings) -> bool:
    return settings.store.url.partition(":")[0].partition("+")[0] in {"", "sqlite"}


def _loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
