"""Reading ahead: while one table is worked on, a thread reads the next.

Arrow reads and decodes without Python's lock. Two threads that both read and count contend for it at every turn: that
is slower, and takes more of the processor's time.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Generator, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Final, TypeVar, cast

T = TypeVar("T")
_END: Final = object()
# Two, since one of them may be no more than the end of a file.
_AHEAD = 2


def ahead(some: Iterable[T]) -> Generator[T]:
    """Yield what an iterable yields; a thread makes the next ones meanwhile. An error comes in its turn."""
    source = iter(some)
    with ThreadPoolExecutor(1) as pool:
        coming = deque(pool.submit(next, source, _END) for _ in range(_AHEAD))
        while (found := coming.popleft().result()) is not _END:
            coming.append(pool.submit(next, source, _END))
            yield cast(T, found)
