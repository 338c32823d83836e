"""Endpoints, variants and the assignment of units to variants: pure, without I/O.

A unit (a customer, an aircraft, a session) always meets the same variant while the split stands: its hash, keyed by the
endpoint, is a point of a space that the variants divide into ranges. Guarantee: a change of the split that
:func:`resplit` makes moves the fewest points possible, the sum of what the shrinking variants lose. No rule that
knows only the weights of now can do that for three variants or more (correlated sampling; Bavarian et al. 2016), so a
state of an endpoint holds its ranges.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property, lru_cache
from itertools import accumulate
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mlprod_nb.errors import UsageError

SPACE = 2**32
"""How many points the units' hashes are spread over."""


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
        shadows: What scores the same rows after the reply.
        ranges: Which variant has which points: each range's end and its variant's name, ascending, the first beginning
            at 0. Empty: the variants follow each other in their order.
    """

    endpoint: str
    variants: tuple[Variant, ...]
    unit: str = ""
    salt: str = ""
    shadows: tuple[Variant, ...] = field(default=())
    ranges: tuple[tuple[int, str], ...] = ()

    def __post_init__(self) -> None:
        if not any(variant.weight > 0 for variant in self.variants):
            raise UsageError(f"endpoint {self.endpoint!r} needs one variant with a weight above 0.")
        for variant in self.variants:
            if not (0 <= variant.weight < float("inf")):
                raise UsageError(f"variant {variant.name!r} has the weight {variant.weight}; a weight is 0 or more.")
        names = [variant.name for variant in (*self.variants, *self.shadows)]
        if len(set(names)) != len(names):
            raise UsageError(f"endpoint {self.endpoint!r} names a variant twice.")
        if not self.ranges:
            object.__setattr__(self, "ranges", _in_order(_points(self)))
        if self.ranges[-1][0] != SPACE or not {name for _, name in self.ranges} <= {v.name for v in self.variants}:
            raise UsageError(f"the ranges of endpoint {self.endpoint!r} do not fit its variants.")

    @cached_property
    def division(self) -> tuple[NDArray[np.intp], NDArray[np.uint64], bytes]:
        """The ranges' variants, as indices, their ends, and the key of the units' hash."""
        place = {variant.name: index for index, variant in enumerate(self.variants)}
        owners = np.array([place[name] for _, name in self.ranges], dtype=np.intp)
        ends = np.array([end for end, _ in self.ranges], dtype=np.uint64)
        return owners, ends, hashlib.blake2b(f"{self.endpoint}\0{self.salt}".encode(), digest_size=32).digest()

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
            ranges=tuple((int(end), str(name)) for end, name in data.get("ranges", ())),
        )


def assign(spec: EndpointSpec, units: Sequence[str]) -> NDArray[np.intp]:
    """Assign each unit to a variant.

    Args:
        spec: The endpoint's state.
        units: One identifier a row; equal identifiers get equal variants.

    Returns:
        For each row the index into ``spec.variants``, shape ``(len(units),)``.
    """
    owners, ends, key = spec.division
    if len(owners) == 1:
        return _all(int(owners[0]), len(units))
    points = np.frombuffer(b"".join(_digest(unit, key) for unit in units), dtype="<u4")
    chosen: NDArray[np.intp] = owners[np.searchsorted(ends, points, side="right")]
    return chosen


def resplit(before: EndpointSpec, after: EndpointSpec) -> EndpointSpec:
    """Return a state with ranges that differ from those of another state in the fewest points possible.

    A variant of the same name is the same variant, whatever version it has. One that shrinks gives away its last
    points; one that grows takes them, and none moves between two others.
    """
    want = _points(after)
    kept: list[tuple[int, int, str]] = []
    free: list[tuple[int, int]] = []
    start = 0
    for end, name in before.ranges:
        stays = min(end - start, want.get(name, 0))
        if stays:
            kept.append((start, start + stays, name))
            want[name] -= stays
        if start + stays < end:
            free.append((start + stays, end))
        start = end
    for name, points in want.items():
        while points:
            begin, end = free.pop(0)
            taken = min(points, end - begin)
            kept.append((begin, begin + taken, name))
            if begin + taken < end:
                free.insert(0, (begin + taken, end))
            points -= taken
    return replace(after, ranges=_joined(sorted(kept)))


def moved(before: EndpointSpec, after: EndpointSpec) -> dict[tuple[str, str], float]:
    """Return which share of all units meets another variant than before, by the variant before and after."""
    found: dict[tuple[str, str], int] = {}
    ends = sorted({end for spec in (before, after) for end, _ in spec.ranges})
    for start, end in zip((0, *ends), ends, strict=False):
        pair = (_owner(before, start), _owner(after, start))
        if pair[0] != pair[1]:
            found[pair] = found.get(pair, 0) + end - start
    return {pair: points / SPACE for pair, points in found.items()}


def _owner(spec: EndpointSpec, point: int) -> str:
    return next(name for end, name in spec.ranges if point < end)


def _points(spec: EndpointSpec) -> dict[str, int]:
    """Return how many points each variant with a weight has; they sum to the whole space (largest remainders)."""
    shares = {name: share * SPACE for name, share in spec.shares().items() if share > 0}
    points = {name: int(share) for name, share in shares.items()}
    by_remainder = sorted(shares, key=lambda name: points[name] - shares[name])
    for name in by_remainder[: SPACE - sum(points.values())]:
        points[name] += 1
    return {name: count for name, count in points.items() if count}


def _in_order(points: dict[str, int]) -> tuple[tuple[int, str], ...]:
    return tuple(zip(accumulate(points.values()), points, strict=True))


def _joined(pieces: list[tuple[int, int, str]]) -> tuple[tuple[int, str], ...]:
    """Return ranges; neighbours of one variant become one."""
    ranges: list[tuple[int, str]] = []
    for _, end, name in pieces:
        if ranges and ranges[-1][1] == name:
            ranges.pop()
        ranges.append((end, name))
    return tuple(ranges)


@lru_cache(maxsize=256)
def _all(owner: int, count: int) -> NDArray[np.intp]:
    every = np.full(count, owner, dtype=np.intp)
    every.flags.writeable = False
    return every


def _digest(text: str, key: bytes) -> bytes:
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=4, key=key).digest()
