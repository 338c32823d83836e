"""Who calls, and whether they may: bearer tokens, checked against the store, remembered for a few seconds."""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections import OrderedDict
from collections.abc import Callable
from functools import partial

from mlprod_nb.access import tokens
from mlprod_nb.access.rights import Action, allowed
from mlprod_nb.access.tokens import Principal
from mlprod_nb.clock import Clock
from mlprod_nb.errors import AccessDenied
from mlprod_nb.serving.errors import Unauthenticated
from mlprod_nb.store import Store

REMEMBER_SECONDS = 5.0
"""How long a revoked token may still be taken."""

_REMEMBERED = 1024
_LONGEST_TOKEN = 512


class Gatekeeper:
    """Checks bearer tokens and rights.

    Args:
        store: The state database.
        clock: Gives the present moment.
        monotonic: Seconds that only grow.
    """

    def __init__(self, store: Store, clock: Clock, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._store = store
        self._clock = clock
        self._monotonic = monotonic
        self._known: OrderedDict[bytes, tuple[Principal | None, float]] = OrderedDict()
        self._refused: OrderedDict[bytes, str] = OrderedDict()
        self._verifying: dict[bytes, asyncio.Task[Principal | None]] = {}

    async def require(self, authorization: str, action: Action) -> Principal:
        """Return who calls.

        Args:
            authorization: The request's ``Authorization`` header.
            action: What they want to do.

        Raises:
            Unauthenticated: There is no token, or it is not valid.
            AccessDenied: The token's role may not do this.
        """
        principal = await self._principal(authorization)
        if principal is None:
            why = self._refused.get(_key(authorization.encode("latin-1", "replace")), "is not valid")
            raise Unauthenticated(f"the token {why}.", hint="Get one with: mlprod access grant NAME --role caller")
        if not allowed(principal.role, action):
            raise AccessDenied(f"the role {principal.role!r} may not {action.replace('_', ' ')}.")
        return principal

    def recall(self, authorization: bytes, action: Action) -> bool:
        """Return whether this very header was verified a moment ago, and its token's role may do this.

        A header that is in use is verified again before it is forgotten.
        """
        key = _key(authorization)
        principal, until = self._known.get(key, (None, 0.0))
        now = self._monotonic()
        if principal is None or now >= until:
            return False
        if now > until - REMEMBER_SECONDS / 2 and key not in self._verifying:
            self._begin_verifying(key, _secret(authorization.decode("latin-1")))
        return allowed(principal.role, action)

    async def _principal(self, authorization: str) -> Principal | None:
        secret = _secret(authorization)
        key = _key(authorization.encode("latin-1", "replace"))
        known = self._known.get(key)
        if known is not None and self._monotonic() < known[1]:
            return known[0]
        # Of many requests with one token at once, one asks the store.
        return await asyncio.shield(self._verifying.get(key) or self._begin_verifying(key, secret))

    def _begin_verifying(self, key: bytes, secret: str) -> asyncio.Task[Principal | None]:
        task = asyncio.get_running_loop().create_task(self._verify_and_remember(key, secret))
        self._verifying[key] = task
        task.add_done_callback(partial(self._end_verifying, key))
        return task

    def _end_verifying(self, key: bytes, task: asyncio.Task[Principal | None]) -> None:
        del self._verifying[key]
        if not task.cancelled():
            task.exception()  # whoever waits has it; a renewal that failed is tried again, or the token is forgotten

    async def _verify_and_remember(self, key: bytes, secret: str) -> Principal | None:
        began = self._monotonic()  # what is revoked after this moment counts from it
        principal = await asyncio.to_thread(self._verify, secret)
        if principal is None:
            self._refused[key] = await asyncio.to_thread(self._why_not, secret)
        self._known[key] = (principal, began + REMEMBER_SECONDS)
        self._known.move_to_end(key)
        for remembered in (self._known, self._refused):
            while len(remembered) > _REMEMBERED:
                remembered.popitem(last=False)
        return principal

    def _verify(self, secret: str) -> Principal | None:
        with self._store.read() as connection:
            return tokens.verify(connection, secret, now=self._clock())

    def _why_not(self, secret: str) -> str:
        with self._store.read() as connection:
            return tokens.why_not(connection, secret, now=self._clock())


def _key(authorization: bytes) -> bytes:
    """Return what a header is remembered by, so that no token stays in memory."""
    return hashlib.sha256(authorization).digest()


def _secret(authorization: str) -> str:
    scheme, _, secret = authorization.partition(" ")
    secret = secret.strip()
    if scheme.lower() != "bearer" or not secret or len(secret) > _LONGEST_TOKEN:
        raise Unauthenticated(
            "the request carries no bearer token.", hint="Send the header Authorization: Bearer TOKEN."
        )
    return secret
