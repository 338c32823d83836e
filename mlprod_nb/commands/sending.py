"""``--background``: a line is handed to a process of its own, where all of it can be written down."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

from mlprod_nb.commands.door import Door
from mlprod_nb.commands.parameters import VARIABLE
from mlprod_nb.commands.verbs import Verb
from mlprod_nb.errors import UsageError

FLAG = "--background"
HELP = f"With {FLAG} it runs as a process of its own and returns at once; see mlprod background."
#: Verbs that may take long. The others answer at once, and what they start is no work of theirs.
LONG = frozenset(
    {
        "report",
        "monitor",
        "replay",
        "retrain",
        "register",
        "check",
        "release",
        "reproduce",
        "abtest calibrate",
        "verify",
    }
)


def asked(words: Sequence[str]) -> bool:
    """Return whether a line is to run in the background."""
    return FLAG in words


def without(words: Sequence[str]) -> list[str]:
    """Return a line without the flag."""
    return [word for word in words if word != FLAG]


def words_for(verb: Verb, words: Sequence[str], door: Door) -> list[str]:
    """Return the line as another process can run it: the notebook's texts written out, the cell's body as its option.

    Raises:
        UsageError: The verb answers at once, or takes an object of the notebook, which another process has not.
    """
    if verb.name not in LONG:
        raise UsageError(f"{verb.name} answers at once, so it takes no {FLAG}.")
    written = [_written(verb, word, door) for word in words]
    body = (door.body or "").strip()
    if verb.body and f"--{verb.body}" in written:
        at = written.index(f"--{verb.body}") + 1
        if written[at : at + 1] == ["-"]:
            written[at] = door.read_input().strip()
    return [*written, f"--{verb.body}", body] if body and verb.body else written


def _written(verb: Verb, word: str, door: Door) -> str:
    option, equals, value = word.partition("=") if word.startswith("--") else ("", "", word)
    match = VARIABLE.fullmatch(value)
    if match is None or door.names is None:
        return word
    found = door.names[match[1]]
    found = found.item() if hasattr(found, "item") and getattr(found, "shape", None) == () else found
    if isinstance(found, date):
        found = found.isoformat()
    if not isinstance(found, str | int | float):
        raise UsageError(
            f"{verb.name} {FLAG}: {value} is an object of this notebook, which another process has not.",
            hint=f"Write it to a file and name that, or leave {FLAG} out.",
        )
    return f"{option}{equals}{found}"
