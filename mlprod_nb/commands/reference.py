"""The pages of ``docs/verbs``: one a verb, written from the grammar, so that no page can say what a line does not."""

from __future__ import annotations

import inspect
import re

from mlprod_nb.commands import sending
from mlprod_nb.commands.verbs import NOUNS, Verb, spelled, verbs

INDEX = "README.md"


def pages() -> dict[str, str]:
    """Return every page by its file's name, the index among them."""
    return {INDEX: _index(), **{file_name(verb): _page(verb) for verb in verbs().values()}}


def file_name(verb: Verb) -> str:
    """Return the name of a verb's page: ``abtest-start.md``."""
    return f"{verb.name.replace(' ', '-')}.md"


def _index() -> str:
    lines = [
        "# The verbs",
        "",
        "In a shell write `mlprod` before a verb, in a notebook `%mlprod`. Every verb has `--help` with the words of"
        " its page here, and is a method of `Workspace` with the same parameters.",
    ]
    noun = None
    for verb in verbs().values():
        group = verb.name.partition(" ")[0] if " " in verb.name or verb.name in NOUNS else ""
        if group != noun:
            lines += ["", f"**{group}**: {NOUNS[group]}", ""] if group else [""]
            noun = group
        lines.append(f"- [{verb.name}]({file_name(verb)}): {_escaped(verb.explanation.summary)}")
    return "\n".join(lines) + "\n"


def _page(verb: Verb) -> str:
    explained = verb.explanation
    parts = [f"# mlprod {verb.name}", _escaped(explained.summary)]
    if explained.description:
        parts.append(_escaped(explained.description))
    parts.append(f"```text\n{_usage(verb)}\n```")
    arguments = [p for p in verb.parameters if p.kind is not p.KEYWORD_ONLY]
    options = [p for p in verb.parameters if p.kind is p.KEYWORD_ONLY]
    parts += _table("Argument", [(_argument(p), _text(verb, p)) for p in arguments])
    parts += _table("Option", [(f"--{_word(p)}{_taken(p)}", _text(verb, p)) for p in options])
    if verb.name in sending.LONG:
        parts.append(_escaped(sending.HELP).replace(sending.FLAG, f"`{sending.FLAG}`"))
    shell = "\n".join(explained.examples)
    notebook = "\n".join(f"%{example}" for example in explained.examples)
    parts.append(f"In a shell:\n\n```text\n{shell}\n```")
    parts.append(f"In a notebook:\n\n```text\n{notebook}\n```")
    parts.append(
        f"In Python: `Workspace.open().{_call(verb)}`" if verb.opens else f"In Python: `Workspace.{_call(verb)}`"
    )
    return "\n\n".join(parts) + "\n"


def _usage(verb: Verb) -> str:
    words = ["mlprod", verb.name]
    for parameter in verb.parameters:
        if parameter.kind is parameter.KEYWORD_ONLY:
            word = f"--{_word(parameter)}{_taken(parameter)}"
            words.append(word if _required(parameter) else f"[{word}]")
        else:
            words.append(_argument(parameter))
    lines = [words[0]]
    for word in words[1:]:
        if len(lines[-1]) + len(word) < 100:
            lines[-1] += f" {word}"
        else:
            lines.append(f"    {word}")
    return "\n".join(lines)


def _argument(parameter: inspect.Parameter) -> str:
    word = parameter.name.replace("_", " ").upper()
    many = parameter.kind is parameter.VAR_POSITIONAL
    return f"{word}..." if many else word if _required(parameter) else f"[{word}]"


def _taken(parameter: inspect.Parameter) -> str:
    """Return the kind of value after an option; nothing after a flag."""
    kinds = {"bool": "", "int": " N", "float": " NUMBER", "Any": " OBJECT"}
    return kinds.get(str(parameter.annotation), " TEXT")


def _required(parameter: inspect.Parameter) -> bool:
    return parameter.default is parameter.empty


def _word(parameter: inspect.Parameter) -> str:
    return spelled(parameter.name)


def _text(verb: Verb, parameter: inspect.Parameter) -> str:
    text = verb.explanation.parameters.get(parameter.name, "")
    return f"{text} By default `{parameter.default}`." if parameter.default and not _required(parameter) else text


def _table(head: str, rows: list[tuple[str, str]]) -> list[str]:
    if not rows:
        return []
    lines = [f"| {head} | |", "|---|---|", *(f"| `{word}` | {_cell(text)} |" for word, text in rows)]
    return ["\n".join(lines)]


def _cell(text: str) -> str:
    return _escaped(text).replace("|", "\\|")


def _escaped(text: str) -> str:
    """Keep what looks like markup as it is written: asterisks, underscores, angle brackets, dollars."""
    return re.sub(r"([*_<>$])", r"\\\1", text)


def _call(verb: Verb) -> str:
    words = []
    for parameter in verb.parameters:
        if parameter.kind is parameter.VAR_POSITIONAL:
            words.append(f"*{parameter.name}")
        elif parameter.kind is not parameter.KEYWORD_ONLY:
            words.append(parameter.name if _required(parameter) else f"{parameter.name}={parameter.default!r}")
        elif _required(parameter):
            words.append(f"{parameter.name}={parameter.name}")
    more = any(p.kind is p.KEYWORD_ONLY and not _required(p) for p in verb.parameters)
    return f"{verb.method}({', '.join([*words, '…'] if more else words)})"
