"""What could come next on a line: verbs, options and variables, out of what is in memory."""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from mlprod_nb.commands.verbs import NOUNS, Verb, spelled, verbs


@dataclass(frozen=True)
class Suggestion:
    """One way to go on.

    Attributes:
        text: The whole word.
        kind: ``"verb"``, ``"option"`` or ``"variable"``.
    """

    text: str
    kind: str


def complete(words: Sequence[str], fragment: str, names: Iterable[str] = ()) -> list[Suggestion]:
    """Return what the word under the cursor could be.

    Args:
        words: The whole words before the cursor, without ``mlprod``.
        fragment: The word's beginning; empty where the cursor follows a space.
        names: The notebook's variables.
    """
    verb, rest = _verb(words)
    if verb is None:
        found = [Suggestion(text, "verb") for text in _next_words(words)] + [Suggestion("--help", "option")]
    else:
        further = [] if rest else [Suggestion(text, "verb") for text in _next_words(words)]
        found = [*further, *_inside(verb, rest, fragment, names)]
    return [suggestion for suggestion in found if suggestion.text.startswith(fragment)]


def _verb(words: Sequence[str]) -> tuple[Verb | None, Sequence[str]]:
    for length in (2, 1):
        verb = verbs().get(" ".join(words[:length]))
        if verb is not None and len(words) >= length:
            return verb, words[length:]
    return None, ()


def _next_words(words: Sequence[str]) -> list[str]:
    if not words:
        return list(dict.fromkeys(name.partition(" ")[0] for name in verbs()))
    if len(words) == 1 and words[0] in NOUNS:
        return [name.partition(" ")[2] for name in verbs() if name.startswith(f"{words[0]} ")]
    return []


def _inside(verb: Verb, rest: Sequence[str], fragment: str, names: Iterable[str]) -> list[Suggestion]:
    options = {f"--{spelled(p.name)}": p for p in verb.parameters if p.kind is inspect.Parameter.KEYWORD_ONLY}
    variables = [Suggestion(f"${name}", "variable") for name in sorted(names)]
    waiting = options.get(rest[-1]) if rest else None
    if waiting is not None and waiting.annotation != "bool":
        return variables if fragment.startswith("$") or waiting.annotation == "Any" else []
    if fragment.startswith("$"):
        return variables
    unused = [Suggestion(option, "option") for option in options if option not in rest]
    return [*unused, Suggestion("--help", "option")]
