"""Assignment: sticky, in proportion, and moving the fewest units when the split changes."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlprod_nb.errors import UsageError
from mlprod_nb.routing import SPACE, EndpointSpec, Variant, assign, resplit
from mlprod_nb.routing import moved as who_moved

UNITS = [f"N{i}" for i in range(20_000)]


def split(*weights: float, endpoint: str = "flights", salt: str = "") -> EndpointSpec:
    names = "abcdefgh"
    return EndpointSpec(
        endpoint, tuple(Variant(names[i], "m", i + 1, "", w) for i, w in enumerate(weights)), "unit", salt
    )


def test_equal_units_always_meet_the_same_variant() -> None:
    chosen = assign(split(50, 50), [*UNITS, *UNITS])
    assert (chosen[: len(UNITS)] == chosen[len(UNITS) :]).all()


def test_the_assignment_is_the_same_in_another_process() -> None:
    code = (
        "from mlprod_nb.routing import *;"
        "s = EndpointSpec('flights', (Variant('a','m',1,'',50.0), Variant('b','m',2,'',50.0)), 'unit', '');"
        "print(''.join(map(str, assign(s, [f'N{i}' for i in range(64)]))))"
    )
    other = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip()
    assert other == "".join(map(str, assign(split(50, 50), UNITS[:64])))


@pytest.mark.parametrize("weights", [(50, 50), (90, 10), (1, 99), (1, 2, 3), (0, 30, 70)])
def test_shares_follow_the_weights(weights: tuple[float, ...]) -> None:
    counts = np.bincount(assign(split(*weights), UNITS), minlength=len(weights))
    shares = np.array(weights) / sum(weights)
    # Five standard errors of a binomial share.
    assert (np.abs(counts / len(UNITS) - shares) <= 5 * np.sqrt(shares * (1 - shares) / len(UNITS))).all()


def test_a_changed_split_moves_the_fewest_units_possible() -> None:
    before, after = assign(split(50, 50), UNITS), assign(resplit(split(50, 50), split(70, 30)), UNITS)
    moved = before != after
    assert Counter(before[moved].tolist()).keys() == {1}, "units move from the variant that shrinks only"
    assert moved.mean() == pytest.approx(0.2, abs=0.015)


def test_a_new_variant_takes_units_from_the_others_and_moves_none_between_them() -> None:
    before, after = assign(split(50, 50), UNITS), assign(resplit(split(50, 50), split(50, 50, 25)), UNITS)
    assert set(after[before != after].tolist()) == {2}


WEIGHTS = st.lists(st.floats(0, 1e6) | st.integers(0, 100), min_size=1, max_size=8).filter(lambda w: max(w) > 0)


def owned(spec: EndpointSpec) -> dict[str, int]:
    """Return how many points each variant has."""
    points: Counter[str] = Counter()
    start = 0
    for end, name in spec.ranges:
        assert end > start
        points[name] += end - start
        start = end
    assert start == SPACE
    return points


def moved(before: EndpointSpec, after: EndpointSpec) -> int:
    """Return how many points change their variant."""
    ends = sorted({end for end, _ in (*before.ranges, *after.ranges)})
    owner = [[next(name for end, name in spec.ranges if end >= point) for point in ends] for spec in (before, after)]
    sizes = np.diff([0, *ends])
    return int(sum(size for size, one, other in zip(sizes, *owner, strict=True) if one != other))


@given(st.lists(WEIGHTS, min_size=2, max_size=6))
def test_any_row_of_splits_moves_exactly_as_many_points_as_the_shrinking_variants_lose(rows: list[list[float]]) -> None:
    now = split(*rows[0])
    for weights in rows[1:]:
        wanted = split(*weights)
        after = resplit(now, wanted)
        had, has = owned(now), owned(after)
        assert has == owned(wanted)
        assert all(abs(has.get(name, 0) - share * SPACE) <= 1 for name, share in wanted.shares().items())
        assert moved(now, after) == sum(max(0, points - has.get(name, 0)) for name, points in had.items())
        assert EndpointSpec.from_dict(after.to_dict()) == after
        now = after


@given(st.lists(st.integers(1, 99), min_size=1, max_size=20))
def test_a_canary_that_grows_by_steps_keeps_every_unit_that_it_has(steps: list[int]) -> None:
    now, canary = split(100), np.zeros(500, dtype=bool)
    for share in sorted(steps):
        now = resplit(now, split(100 - share, share))
        grown = assign(now, UNITS[:500]) == 1
        assert (grown | ~canary).all()
        assert len(now.ranges) == 2
        canary = grown


def test_ranges_that_do_not_fit_the_variants_are_refused() -> None:
    with pytest.raises(UsageError, match="do not fit"):
        EndpointSpec("flights", split(1, 1).variants, ranges=((SPACE, "nobody"),))
    with pytest.raises(UsageError, match="do not fit"):
        EndpointSpec("flights", split(1, 1).variants, ranges=((5, "a"),))


@pytest.mark.parametrize("other", [split(50, 50, endpoint="hotels"), split(50, 50, salt="second test")])
def test_endpoints_and_salts_are_independent(other: EndpointSpec) -> None:
    agreement = (assign(split(50, 50), UNITS) == assign(other, UNITS)).mean()
    assert agreement == pytest.approx(0.5, abs=0.02)


def test_a_variant_without_weight_gets_nothing() -> None:
    assert set(assign(split(0, 100), UNITS).tolist()) == {1}


@given(st.lists(st.text(), max_size=20))
def test_any_text_is_a_unit(units: list[str]) -> None:
    assert assign(split(1, 1), units).shape == (len(units),)


@pytest.mark.parametrize("weights", [(0, 0), (-1, 2), (float("nan"), 1), (float("inf"), 1)])
def test_weights_that_mean_nothing_are_refused(weights: tuple[float, ...]) -> None:
    with pytest.raises(UsageError):
        split(*weights)


def test_a_state_survives_being_stored() -> None:
    spec = split(1, 2, 3)
    assert EndpointSpec.from_dict(spec.to_dict()) == spec


def test_who_moves_is_told_by_the_variant_before_and_after() -> None:
    before = split(50, 50)
    after = resplit(before, split(70, 20, 10))
    assert who_moved(before, after) == pytest.approx({("b", "a"): 0.2, ("b", "c"): 0.1}, abs=1e-6)
    assert who_moved(before, before) == {}
