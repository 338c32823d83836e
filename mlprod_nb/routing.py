"""Endpoints, variants and the assignment of units to variants: pure, without I/O.

A unit (a customer, an aircraft, a session) always meets the same variant while the split stands, and a change of the
split moves the fewest units possible: weighted rendezvous hashing (Thaler and Ravishankar 1998; weights after
Schindelhauer and Schomaker 2005), in which each unit takes the variant with the smallest ``-ln(u) / weight``.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mlprod_nb.errors import UsageError


@dataclass(frozen=True)
class Variant:
    """One model version behind an endpoint.

    Attributes:
        name: What the variant is called in this endpoint, as ``champion``.
        model: The model's registered name.
        version: The model's version number in the registry.
        bundle: The SHA-256 digest of the bundle that is served.
        weight: Its share of the traffic, relative to the other variants' weights; 0 or more.
    """

    name: str
    model: str
    version: int
    bundle: str
    weight: float

    @property
    def model_version(self) -> str:
        """The version as users write it, as ``flights/3``."""
        return f"{self.model}/{self.version}"


@dataclass(frozen=True)
class EndpointSpec:
    """One state of an endpoint: what a revision stores.

    Attributes:
        endpoint: The endpoint's name.
        variants: The variants that answer; at least one has a weight above 0.
        unit: The name of what is randomised, as ``tailnum``; empty: every row on its own.
        salt: Keeps this endpoint's assignment independent of other endpoints'.
    """

    endpoint: str
    variants: tuple[Variant, ...]
    unit: str = ""
    salt: str = ""
    shadows: tuple[Variant, ...] = field(default=())

    def __post_init__(self) -> None:
        if not any(variant.weight > 0 for variant in self.variants):
            raise UsageError(f"endpoint {self.endpoint!r} needs one variant with a weight above 0.")
        for variant in self.variants:
            if not (0 <= variant.weight < float("inf")):
                raise UsageError(f"variant {variant.name!r} has the weight {variant.weight}; a weight is 0 or more.")
        names = [variant.name for variant in (*self.variants, *self.shadows)]
        if len(set(names)) != len(names):
            raise UsageError(f"endpoint {self.endpoint!r} names a variant twice.")

    def variant(self, name: str) -> Variant | None:
        """Return the variant of that name, or ``None``."""
        return next((v for v in self.variants if v.name == name), None)

    def shares(self) -> dict[str, float]:
        """Return each variant's share of the traffic; the shares sum to 1."""
        total = sum(variant.weight for variant in self.variants)
        return {variant.name: variant.weight / total for variant in self.variants}

    def to_dict(self) -> dict[str, Any]:
        """Return the state as plain data, as the store keeps it."""
        return asdict(self)

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> EndpointSpec:
        """Read what :meth:`to_dict` gave."""
        return cls(
            endpoint=data["endpoint"],
            variants=tuple(Variant(**variant) for variant in data["variants"]),
            unit=data.get("unit", ""),
            salt=data.get("salt", ""),
            shadows=tuple(Variant(**variant) for variant in data.get("shadows", ())),
        )


def assign(spec: EndpointSpec, units: Sequence[str]) -> NDArray[np.intp]:
    """Assign each unit to a variant.

    Args:
        spec: The endpoint's state.
        units: One identifier a row; equal identifiers get equal variants.

    Returns:
        For each row the index into ``spec.variants``, shape ``(len(units),)``.
    """
    live = [i for i, variant in enumerate(spec.variants) if variant.weight > 0]
    if len(live) == 1:
        return np.full(len(units), live[0], dtype=np.intp)
    key = hashlib.blake2b(f"{spec.endpoint}\0{spec.salt}".encode(), digest_size=32).digest()
    hashes = np.frombuffer(b"".join(_digest(unit, key) for unit in units), dtype="<u8")
    costs = np.empty((len(live), len(units)))
    for row, index in enumerate(live):
        variant = spec.variants[index]
        own = np.uint64(int.from_bytes(_digest(variant.name, key), "little"))
        uniform = (_mix(hashes ^ own) + 0.5) / 2.0**53
        costs[row] = -np.log(uniform) / variant.weight
    chosen: NDArray[np.intp] = np.asarray(live, dtype=np.intp)[np.argmin(costs, axis=0)]
    return chosen


def _digest(text: str, key: bytes) -> bytes:
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8, key=key).digest()


def _mix(values: NDArray[np.uint64]) -> NDArray[np.float64]:
    """Spread 64-bit values evenly (the finaliser of splitmix64, Steele et al. 2014) and keep 53 bits."""
    with np.errstate(over="ignore"):
        values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        values = values ^ (values >> np.uint64(31))
    return (values >> np.uint64(11)).astype(np.float64)
