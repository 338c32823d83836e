"""Who is let in, how long a token is remembered, and how often the store is asked."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from mlprod_nb.access import tokens
from mlprod_nb.errors import AccessDenied
from mlprod_nb.serving.auth import REMEMBER_SECONDS, Gatekeeper
from mlprod_nb.serving.errors import Unauthenticated
from mlprod_nb.store import Store
from tests.clocks import Steady

NOW = datetime(2013, 4, 1, tzinfo=UTC)


class CountingGatekeeper(Gatekeeper):
    """Counts how often the store is asked."""

    asked = 0

    def _verify(self, secret: str) -> tokens.Principal | None:
        self.asked += 1
        return super()._verify(secret)


def issue(store: Store, role: str) -> str:
    with store.write() as connection:
        return f"Bearer {tokens.issue(connection, role, role, now=NOW)}"


async def test_many_requests_with_one_token_at_once_ask_the_store_once(store: Store) -> None:
    gatekeeper = CountingGatekeeper(store, lambda: NOW)
    header = issue(store, "caller")
    await asyncio.gather(*(gatekeeper.require(header, "predict") for _ in range(50)))
    assert gatekeeper.asked == 1


async def test_a_header_is_recalled_only_after_it_was_verified_and_for_what_its_role_may_do(store: Store) -> None:
    gatekeeper = Gatekeeper(store, lambda: NOW)
    header = issue(store, "viewer")
    assert not gatekeeper.recall(header.encode(), "read_metrics")
    with pytest.raises(AccessDenied, match="may not predict"):
        await gatekeeper.require(header, "predict")
    assert gatekeeper.recall(header.encode(), "read_metrics")
    assert not gatekeeper.recall(header.encode(), "predict")
    with pytest.raises(Unauthenticated):
        await gatekeeper.require("Bearer wrong", "predict")
    assert not gatekeeper.recall(b"Bearer wrong", "predict")


async def test_a_header_in_use_is_verified_again_before_it_is_forgotten_and_a_revoked_one_is_not_kept(
    store: Store,
) -> None:
    steady = Steady(100.0)
    gatekeeper = CountingGatekeeper(store, lambda: NOW, steady)
    header = issue(store, "caller")
    await gatekeeper.require(header, "predict")
    steady.seconds += 0.6 * REMEMBER_SECONDS
    assert [gatekeeper.recall(header.encode(), "predict") for _ in range(9)] == [True] * 9
    await asyncio.gather(*gatekeeper._verifying.values())
    assert gatekeeper.asked == 2
    steady.seconds += 0.6 * REMEMBER_SECONDS  # beyond the first verification's time, within the second's
    with store.write() as connection:
        tokens.revoke(connection, "caller", now=NOW)
    assert gatekeeper.recall(header.encode(), "predict")
    await asyncio.gather(*gatekeeper._verifying.values())
    assert not gatekeeper.recall(header.encode(), "predict")
    with pytest.raises(Unauthenticated):
        await gatekeeper.require(header, "predict")


async def test_a_header_that_nobody_used_is_forgotten(store: Store) -> None:
    steady = Steady(100.0)
    gatekeeper = Gatekeeper(store, lambda: NOW, steady)
    header = issue(store, "caller")
    await gatekeeper.require(header, "predict")
    steady.seconds += REMEMBER_SECONDS
    assert not gatekeeper.recall(header.encode(), "predict")


async def test_who_holds_a_token_that_ended_is_told_when(store: Store) -> None:
    now = NOW
    gatekeeper = Gatekeeper(store, lambda: now)
    with store.write() as connection:
        expires = f"Bearer {tokens.issue(connection, 'bob', 'caller', now=NOW, expires_at=NOW + timedelta(days=1))}"
    revoked = issue(store, "viewer")
    with store.write() as connection:
        tokens.revoke(connection, "viewer", now=NOW + timedelta(hours=1))
    now += timedelta(days=2)
    for header, words in (
        (expires, r"the token expired at 2013-04-02T00:00:00Z\."),
        (revoked, r"the token was revoked at 2013-04-01T01:00:00Z\."),
        ("Bearer made-up", r"the token is not valid\."),
    ):
        for _ in range(2):
            with pytest.raises(Unauthenticated, match=words):
                await gatekeeper.require(header, "predict")
