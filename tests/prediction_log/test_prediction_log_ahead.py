from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from mlprod_nb.prediction_log.ahead import ahead


def test_what_is_read_ahead_comes_whole_and_in_order() -> None:
    assert list(ahead(range(40))) == list(range(40))
    assert list(ahead([None, None])) == [None, None]
    assert list(ahead([])) == []


def test_the_next_is_read_while_the_last_is_worked_on() -> None:
    read = [threading.Event() for _ in range(3)]

    def some() -> Iterator[int]:
        for place, event in enumerate(read):
            event.set()
            yield place

    coming = ahead(some())
    assert next(coming) == 0
    assert read[2].wait(10)
    assert list(coming) == [1, 2]


def test_an_error_comes_in_its_turn() -> None:
    def broken() -> Iterator[int]:
        yield 1
        raise ValueError("damaged")

    coming = ahead(broken())
    assert next(coming) == 1
    with pytest.raises(ValueError, match="damaged"):
        next(coming)


def test_whoever_stops_early_leaves_no_thread() -> None:
    before = threading.active_count()
    coming = ahead(iter(range(1000)))
    next(coming)
    coming.close()
    assert threading.active_count() == before
