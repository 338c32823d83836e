"""Run several reports at a time, in kernels that one nursery forks and no two of them share.

A notebook executes while others do, and while pages are drawn; all else that a report does, it does alone. Reports of
one endpoint conclude in their order, so each is compared with those before it as if they had run one after the other.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

from mlprod_nb.notebooks import Nursery

_Found = TypeVar("_Found")

#: Notebooks that execute at the same time, at most: each takes memory of its own.
_MOST = 4


@dataclass(frozen=True)
class Place:
    """What a report among others is given.

    Attributes:
        number: Which of them it is, from 0.
        nursery: Forks its kernel.
        beside: Surrounds the execution of its notebook.
    """

    number: int
    nursery: Nursery
    beside: Callable[[], AbstractContextManager[None]]


def run(endpoints: Sequence[str], one: Callable[[Place], _Found]) -> Generator[_Found]:
    """Run reports and yield what each gives, in their order.

    Interrupted, or where one raises, it ends those that are under way and begins no other; no process is left.

    Args:
        endpoints: The endpoint of each.
        one: Runs one of them. It is called in a thread, and has its turn except while its notebook executes.
    """
    turns = _Turns(endpoints)

    def taken(place: Place) -> _Found:
        with turns.taken(place.number):
            return one(place)

    with Nursery() as nursery, ThreadPoolExecutor(min(os.cpu_count() or 1, _MOST)) as threads:
        places = [Place(number, nursery, partial(turns.given_up, number)) for number in range(len(endpoints))]
        under_way = [threads.submit(taken, place) for place in places]
        try:
            for future in under_way:
                yield future.result()
        except BaseException:
            threads.shutdown(wait=False, cancel_futures=True)
            nursery.close()
            turns.stop()
            raise


class _Turns:
    """Lets one report at a time do what is not its notebook's execution, and reports of one endpoint in their order.

    Args:
        endpoints: Each report's endpoint.
    """

    def __init__(self, endpoints: Sequence[str]) -> None:
        self._endpoints = endpoints
        self._under_way = set(range(len(endpoints)))
        self._changed = threading.Condition()
        self._stopped = False

    @contextmanager
    def taken(self, number: int) -> Iterator[None]:
        """Hold the turn for a report."""
        with self._changed:
            try:
                yield
            finally:
                self._under_way.discard(number)
                self._changed.notify_all()

    @contextmanager
    def given_up(self, number: int) -> Iterator[None]:
        """Let others have their turn, and take it again once no report before this one is under way at its endpoint."""
        self._changed.release()
        try:
            yield
        finally:
            self._changed.acquire()
            self._changed.wait_for(partial(self._next, number))

    def stop(self) -> None:
        """Let nothing wait any more."""
        with self._changed:
            self._stopped = True
            self._changed.notify_all()

    def _next(self, number: int) -> bool:
        before = (other for other in self._under_way if other < number)
        return self._stopped or all(self._endpoints[other] != self._endpoints[number] for other in before)
