from __future__ import annotations

import logging
import sys
import threading
import warnings

import pytest

from mlprod_nb.registry.quiet import quiet


def test_inside_nothing_is_heard_and_afterwards_everything(capfd: pytest.CaptureFixture[str]) -> None:
    log = logging.getLogger("mlflow.inner")
    handler = logging.StreamHandler()
    log.addHandler(handler)
    log.propagate = False  # MLflow, where it is imported, has a handler of its own above
    try:
        with quiet(), quiet():
            sys.stdout.write("no")
            sys.stderr.write("no")
            warnings.warn("no", UserWarning, stacklevel=1)
            log.error("no")
        sys.stdout.write("yes")
        log.error("yes")
    finally:
        log.removeHandler(handler)
        log.propagate = True
    heard = capfd.readouterr()
    assert (heard.out, heard.err) == ("yes", "yes\n")


def test_a_logger_that_is_disabled_inside_comes_back() -> None:
    log = logging.getLogger("tests.registry.disabled")
    with quiet():
        log.disabled = True
    assert not log.disabled


def test_an_error_inside_restores_everything() -> None:
    before = sys.stdout, sys.stderr, logging.getLogger("mlflow").level
    with pytest.raises(KeyError), quiet():
        raise KeyError
    assert (sys.stdout, sys.stderr, logging.getLogger("mlflow").level) == before


def test_threads_that_mute_at_once_leave_the_output_as_it_was() -> None:
    before = sys.stdout, sys.stderr
    start = threading.Barrier(6)

    def mute() -> None:
        start.wait(timeout=30)
        for _ in range(50):
            with quiet():
                sys.stdout.write("no")

    threads = [threading.Thread(target=mute) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)
    assert (sys.stdout, sys.stderr) == before
