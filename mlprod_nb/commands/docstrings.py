"""Reading what ``--help`` shows out of the façade's own docstrings."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

_HEADING = re.compile(r"(Args|Examples|Returns|Raises):")
_ENTRY = re.compile(r"\*{0,2}(\w+): (.*)")


@dataclass(frozen=True)
class Explanation:
    """A docstring in parts.

    Attributes:
        summary: Its first line.
        description: What follows, up to the first section.
        parameters: What each parameter is.
        examples: Lines that can be typed.
    """

    summary: str
    description: str
    parameters: dict[str, str]
    examples: tuple[str, ...]


def explain(function: Callable[..., Any]) -> Explanation:
    """Read a Google-style docstring."""
    sections: dict[str, list[str]] = {"": []}
    current = ""
    for line in inspect.cleandoc(function.__doc__ or "").splitlines():
        heading = _HEADING.fullmatch(line)
        if heading:
            current = heading[1]
            sections[current] = []
        else:
            sections[current].append(line)
    summary, _, description = "\n".join(sections[""]).strip().partition("\n")
    examples = tuple(line.strip() for line in sections.get("Examples", ()) if line.strip())
    return Explanation(summary, description.strip(), _parameters(sections.get("Args", [])), examples)


def _parameters(lines: list[str]) -> dict[str, str]:
    found: dict[str, str] = {}
    name = ""
    for line in lines:
        entry = _ENTRY.fullmatch(line.strip()) if not line.startswith("     ") else None
        if entry:
            name, found[entry[1]] = entry[1], entry[2]
        elif name and line.strip():
            found[name] += f" {line.strip()}"
    return found
