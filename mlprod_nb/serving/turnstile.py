"""How many requests of one endpoint may be under way at once, and how many rows may be with one variant's model."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext

from mlprod_nb.serving.errors import TooManyRequests


class Visit:
    """Requests of one endpoint that are under way together.

    Args:
        turnstile: Where they went in.
        endpoint: Their endpoint.
        requests: How many.
    """

    def __init__(self, turnstile: Turnstile, endpoint: str, requests: int) -> None:
        self._turnstile = turnstile
        self._endpoint = endpoint
        self.requests = requests

    def leave(self, requests: int) -> None:
        """Let some of them out."""
        self.requests -= requests
        self._turnstile.let_out(self._endpoint, requests)

    def end(self) -> None:
        """Let out who is still there."""
        self.leave(self.requests)

    def __enter__(self) -> Visit:
        """Return the visit."""
        return self

    def __exit__(self, *_: object) -> None:
        """End the visit."""
        self.end()


class Turnstile:
    """Counts the requests that are under way in one gateway worker, and keeps out who is too many.

    Guarantee: no more requests of an endpoint are under way than its limit, by whichever lane they came; who is kept
    out learns it at once.

    Args:
        limits: The most requests of endpoints that have a limit.
    """

    def __init__(self, limits: Mapping[str, int] | None = None) -> None:
        self._limits = limits or {}
        self._inside: Counter[str] = Counter()

    def let_in(self, endpoint: str, requests: int) -> Visit:
        """Let in as many of some requests as there is room for."""
        if endpoint in self._limits:
            requests = min(requests, self._limits[endpoint] - self._inside[endpoint])
            self._inside[endpoint] += requests
        return Visit(self, endpoint, requests)

    def let_out(self, endpoint: str, requests: int) -> None:
        """Let requests out; :class:`Visit` knows how many there are."""
        if endpoint in self._limits:
            self._inside[endpoint] -= requests

    @contextmanager
    def one(self, endpoint: str) -> Iterator[None]:
        """Let one request in and, at the end, out.

        Raises:
            TooManyRequests: There is no room for it.
        """
        with self.let_in(endpoint, 1) as visit:
            if not visit.requests:
                raise full(endpoint)
            yield


_UNLIMITED = nullcontext()


class VariantLimits:
    """Counts the rows that are with each variant's model in one gateway worker, and keeps out what is too many.

    Guarantee: no more rows are with a variant's model than its limit, unless they are one request that came while none
    was there; who is kept out learns it at once, and other variants do not notice.

    Args:
        limits: The most rows of variants that have a limit, by endpoint and variant.
    """

    def __init__(self, limits: Mapping[str, Mapping[str, int]] | None = None) -> None:
        self._limits = {(name, variant): most for name, of in (limits or {}).items() for variant, most in of.items()}
        self._inside: Counter[tuple[str, str]] = Counter()
        self._least = {name: min(of.values()) for name, of in (limits or {}).items() if of}

    def least(self, endpoint: str, otherwise: int) -> int:
        """Return how many rows of an endpoint may go together so that no variant gets too many of them."""
        return min(self._least.get(endpoint, otherwise), otherwise)

    def rows(self, endpoint: str, variant: str, count: int) -> AbstractContextManager[None]:
        """Let rows in and, at the end, out.

        Raises:
            TooManyRequests: There is no room for them.
        """
        most = self._limits.get((endpoint, variant))
        return _UNLIMITED if most is None else self._within(most, endpoint, variant, count)

    @contextmanager
    def _within(self, most: int, endpoint: str, variant: str, count: int) -> Iterator[None]:
        key = (endpoint, variant)
        if self._inside[key] and self._inside[key] + count > most:
            raise TooManyRequests(
                f"as many rows are with variant {variant!r} of endpoint {endpoint!r} as may be.",
                hint="Try again in a moment.",
            )
        self._inside[key] += count
        try:
            yield
        finally:
            self._inside[key] -= count


def full(endpoint: str) -> TooManyRequests:
    """Return what a request is told that is kept out."""
    return TooManyRequests(
        f"as many requests of endpoint {endpoint!r} are under way as may be.", hint="Try again in a moment."
    )
