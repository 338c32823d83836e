"""Errors are one line that names the thing at fault, the nearest right one, and what to do."""

from __future__ import annotations

import errno
import inspect
import os

import pytest

from mlprod_nb import errors
from mlprod_nb.errors import MissingExtra, MlprodError, NotFound


def test_an_unknown_name_is_answered_by_the_nearest_known_one() -> None:
    error = NotFound("model", "fligths", ["flights", "hotels"])
    assert str(error) == "there is no model 'fligths'. Did you mean 'flights'?"
    assert error.nearest == "flights"


def test_a_name_that_resembles_nothing_lists_what_there_is() -> None:
    assert str(NotFound("model", "zzz", ["flights", "hotels"])) == "there is no model 'zzz'. There is: flights, hotels."


@pytest.mark.parametrize(
    ("name", "known", "words"),
    [
        ("fligths", ["flights"], "there is no model 'fligths'. Did you mean 'flights'? Register one."),
        ("zzz", ["flights"], "there is no model 'zzz'. There is: flights. Register one."),
        ("zzz", [], "there is no model 'zzz'. Register one."),
    ],
)
def test_what_else_can_be_done_stands_after_the_known_names(name: str, known: list[str], words: str) -> None:
    assert str(NotFound("model", name, known, besides="Register one.")) == words


def test_the_nearest_name_is_found_whatever_its_case() -> None:
    assert errors.nearest("FLIGHTS", ["flights"]) == "flights"


def test_of_names_that_are_equally_near_the_one_that_begins_alike_is_meant() -> None:
    for known in (["max_rows", "mid_rows", "tix_rows"], ["tix_rows", "mid_rows", "max_rows"]):
        assert errors.nearest("mix_rows", known) == "mid_rows"


def test_a_notebook_shows_an_error_as_one_line_and_no_traceback() -> None:
    assert MlprodError("it broke.", hint="Mend it.")._render_traceback_() == ["mlprod: it broke. Mend it."]


def test_a_missing_package_names_the_extra_that_brings_it() -> None:
    assert 'pip install "mlprod_nb[alibi]"' in str(MissingExtra("alibi-detect", "alibi"))


@pytest.mark.parametrize(
    "kind", [cls for _, cls in inspect.getmembers(errors, inspect.isclass) if issubclass(cls, MlprodError)]
)
def test_every_error_has_a_sentence_and_an_exit_code_that_the_shell_knows(kind: type[MlprodError]) -> None:
    assert kind.__doc__
    assert kind.exit_code in {2, 3}


def test_in_a_notebook_the_line_to_run_next_is_one_for_a_cell() -> None:
    error = MlprodError("no gateway runs.", hint="Start it with: mlprod up, or see %mlprod why and mlprod_nb[alibi].")
    assert error._render_traceback_() == [
        "mlprod: no gateway runs. Start it with: %mlprod up, or see %mlprod why and mlprod_nb[alibi]."
    ]
    assert "with: mlprod up" in str(error)


@pytest.mark.parametrize(
    ("code", "file", "said"),
    [
        (errno.ENOSPC, None, "the disk is full: No space left on device. Make room, and run it again."),
        (errno.ENOSPC, "/w/a", "/w/a cannot be written: No space left on device. Make room, and run it again."),
        (
            errno.EROFS,
            "/w/mlprod.toml",
            "/w/mlprod.toml cannot be used: Read-only file system. Give the right to it, or use another folder.",
        ),
        (errno.EACCES, "/w/a", "/w/a cannot be used: Permission denied. Give the right to it, or use another folder."),
    ],
)
def test_what_the_system_refuses_is_no_fault_of_ours(code: int, file: str | None, said: str) -> None:
    assert errors.unexpected(OSError(code, os.strerror(code), file)) == said


@pytest.mark.parametrize("error", [OSError("odd"), OSError(errno.EACCES, "Permission denied"), ValueError("odd")])
def test_what_nobody_expects_asks_to_be_reported(error: Exception) -> None:
    assert errors.unexpected(error).startswith("this is a fault of mlprod, please report it: ")
