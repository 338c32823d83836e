"""What is wrong with a setting, in one line: its value, what it must be, and the nearest right one."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from mlprod_nb.clock import parse_duration
from mlprod_nb.errors import UsageError, nearest
from mlprod_nb.settings.base import Table, keys_of

Location = tuple[str, ...]

_LONGEST = 60
_BOUNDS = {"gt": "more than {:g}", "ge": "{:g} or more", "lt": "less than {:g}", "le": "{:g} or less"}


class WrongSetting(ValueError):
    """A key that there is none of, or a value that it cannot have.

    Attributes:
        location: The tables and the key.
        fault: What is wrong, in a sentence.
        hint: What to write instead, in a sentence; may be empty.
    """

    def __init__(self, location: Location, fault: str, hint: str = "") -> None:
        super().__init__(f"{'.'.join(location)}: {fault} {hint}".rstrip())
        self.location = location
        self.fault = fault
        self.hint = hint


def wrong_kind(location: Location, value: Any, wanted: str) -> WrongSetting:
    """Return that a value is not what is wanted, as ``a whole number``."""
    meant = _value_meant(wanted, location[-1] if location else "", value)
    return WrongSetting(location, f"{_shown(value)} is not {wanted}.", f"Did you mean {meant}?" if meant else "")


def wrong_word(location: Location, value: Any, words: Iterable[str]) -> WrongSetting:
    """Return that a value is none of some words."""
    *most, last = words
    near = nearest(str(value), [*most, last])
    known = f"{', '.join(map(repr, most))} or {last!r}"
    return WrongSetting(location, f"{value!r} is not {known}.", f"Did you mean {near!r}?" if near else "")


def out_of_bounds(location: Location, value: Any, bound: str, limit: float) -> WrongSetting:
    """Return that a number is beyond a limit, which is a bound of a rule."""
    return WrongSetting(location, f"{_shown(value)} is out of bounds: it must be {_BOUNDS[bound].format(limit)}.")


def unknown_key(location: Location, table: type[Table], root: type[Table]) -> WrongSetting:
    """Return that a table has no such key: the nearest right one, or all that there are, where none is near.

    Args:
        location: The tables and the key.
        table: The table.
        root: The whole file's.
    """
    name, known = location[-1], list(keys_of(table))
    suggestion = nearest(name, known) or _elsewhere(name, root)
    hint = f"Did you mean {suggestion!r}?" if suggestion else f"There is: {', '.join(known)}."
    return WrongSetting(location, "there is no such key.", hint)


def _shown(value: Any) -> str:
    """Return a value as the file would have it; a table is only called so."""
    if isinstance(value, dict):
        return "a table"
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"


def _value_meant(wanted: str, name: str, value: Any) -> str:
    """Return the value that was probably meant, as the file would have it; empty where nobody can tell."""
    if wanted == "a list" and not isinstance(value, dict):
        return _shown([value])
    if wanted == "a text in quotes" and isinstance(value, int | float):
        return _shown(str(value))
    if wanted in ("a number", "a whole number") and name.endswith("_seconds") and isinstance(value, str):
        try:
            return f"{parse_duration(value).total_seconds():g}"
        except UsageError:
            return ""
    return ""


def _elsewhere(name: str, root: type[Table]) -> str:
    """Return where a key stands that was written outside its table, as ``[gateway] tls``; empty where none has it."""
    tables = {one: key.kind for one, key in keys_of(root).items() if isinstance(key.default, Table)}
    found = [one for one, table in tables.items() if name in keys_of(table)]
    return f"[{found[0]}] {name}" if found else ""
