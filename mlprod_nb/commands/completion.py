"""What could come next on a line: verbs, options, values. Nothing is asked that could make TAB wait."""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

from mlprod_nb.commands import sending
from mlprod_nb.commands.values import Asked, Suggestion, offered
from mlprod_nb.commands.verbs import NOUNS, Verb, spelled, verbs
from mlprod_nb.lifecycle.completing.names import Names

__all__ = ["Suggestion", "complete"]


def complete(
    words: Sequence[str],
    fragment: str,
    variables: Iterable[str] = (),
    known: Names | None = None,
    folder: Path = Path(),
) -> list[Suggestion]:
    """Return what the word under the cursor could be.

    Args:
        words: The whole words before the cursor, without ``mlprod``.
        fragment: The word's beginning; empty where the cursor follows a space.
        variables: The notebook's variables.
        known: The names of the workspace.
        folder: The directory that file names start from.
    """
    verb, rest = _verb(words)
    asked = Asked(fragment, known or Names(), {}, tuple(sorted(variables)), folder)
    if verb is None:
        found = [_as_verb(words, text) for text in _next_words(words)] + [Suggestion("--help", "option")]
    else:
        further = [] if rest else [_as_verb(words, text) for text in _next_words(words)]
        found = [*further, *_inside(verb, rest, asked)]
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


def _as_verb(words: Sequence[str], text: str) -> Suggestion:
    name = " ".join([*words, text])
    verb = verbs().get(name)
    return Suggestion(text, "verb", NOUNS.get(name) or (verb.explanation.summary if verb else ""))


def _inside(verb: Verb, rest: Sequence[str], asked: Asked) -> list[Suggestion]:
    options = {f"--{spelled(p.name)}": p for p in verb.parameters if p.kind is inspect.Parameter.KEYWORD_ONLY}
    positional = [p for p in verb.parameters if p.kind is not inspect.Parameter.KEYWORD_ONLY]
    given, waiting = _given(positional, options, rest)
    asked = replace(asked, given=given)
    name, equals, value = asked.fragment.partition("=")
    if equals and name in options:
        found = _values(verb, options[name], replace(asked, fragment=value))
        return [replace(suggestion, text=f"{name}={suggestion.text}") for suggestion in found]
    if waiting is not None:
        return _values(verb, waiting, asked)
    filled = sum(len(given[p.name]) for p in positional if p.name in given)
    due = positional[min(filled, len(positional) - 1)] if positional else None
    if due is not None and due.kind is not inspect.Parameter.VAR_POSITIONAL and filled >= len(positional):
        due = None
    values = _values(verb, due, asked) if due is not None and not asked.fragment.startswith("-") else []
    unused = [
        Suggestion(option, "option", verb.explanation.parameters.get(parameter.name, ""))
        for option, parameter in options.items()
        if parameter.name not in given
    ]
    if verb.name in sending.LONG and sending.FLAG not in rest:
        unused.append(Suggestion(sending.FLAG, "option", sending.HELP))
    if asked.fragment.startswith("$"):
        return values or [Suggestion(f"${variable}", "variable") for variable in asked.variables]
    return [*values, *unused, Suggestion("--help", "option")]


def _given(
    positional: Sequence[inspect.Parameter], options: dict[str, inspect.Parameter], rest: Sequence[str]
) -> tuple[dict[str, list[str]], inspect.Parameter | None]:
    """Return the words of a line by parameter, and the option that waits for its value."""
    given: dict[str, list[str]] = {}
    waiting: inspect.Parameter | None = None
    place = 0
    for word in rest:
        name, equals, value = word.partition("=")
        if waiting is not None:
            given[waiting.name].append(word)
            waiting = None
        elif name in options:
            given[options[name].name] = [value] if equals else []
            waiting = None if equals or options[name].annotation == "bool" else options[name]
        elif place < len(positional) and not word.startswith("-"):
            given.setdefault(positional[place].name, []).append(word)
            place += positional[place].kind is not inspect.Parameter.VAR_POSITIONAL
    return given, waiting


def _values(verb: Verb, parameter: inspect.Parameter, asked: Asked) -> list[Suggestion]:
    return offered(verb.name, parameter.name, asked, takes_object=parameter.annotation == "Any")
