"""What is wrong with a setting, in one line: its value, what it must be, and the nearest right one."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, get_args

from mlprod_nb.clock import parse_duration
from mlprod_nb.errors import UsageError, nearest
from mlprod_nb.settings.base import Table

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

_QUOTED = re.compile("'([^']+)'")
_LONGEST = 60
#: What a value must be, by the beginning of pydantic's name for what is wrong.
_KINDS = {
    "int": "a whole number",
    "float": "a number",
    "finite": "a number",
    "bool": "true or false",
    "string": "a text in quotes",
    "tuple": "a list",
    "dict": "a table",
    "model": "a table",
}
_BOUNDS = {
    "greater_than": "more than {gt:g}",
    "greater_than_equal": "{ge:g} or more",
    "less_than": "less than {lt:g}",
    "less_than_equal": "{le:g} or less",
}


def told(error: ErrorDetails, table: type[Table]) -> tuple[str, str]:
    """Return what is wrong and what to write instead, each in a sentence; the second may be empty.

    Args:
        error: What pydantic found.
        table: The whole file's table.
    """
    kind, value = error["type"], error["input"]
    if kind == "extra_forbidden":
        return "there is no such key.", _key_meant(error, table)
    if kind == "literal_error":
        near = nearest(str(value), _QUOTED.findall(error["ctx"]["expected"]))
        return f"{value!r} is not {error['ctx']['expected']}.", f"Did you mean {near!r}?" if near else ""
    if kind in _BOUNDS:
        return f"{_shown(value)} is out of bounds: it must be {_BOUNDS[kind].format(**error['ctx'])}.", ""
    wanted = _KINDS.get(kind.partition("_")[0])
    if wanted is None:
        return f"{error['msg'].removeprefix('Value error, ').rstrip('.')}.", ""
    meant = _value_meant(wanted, str(error["loc"][-1]), value)
    return f"{_shown(value)} is not {wanted}.", f"Did you mean {meant}?" if meant else ""


def _shown(value: Any) -> str:
    """Return a value as the file would have it; a table is only called so."""
    if isinstance(value, dict):
        return "a table"
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"


def _value_meant(wanted: str, key: str, value: Any) -> str:
    """Return the value that was probably meant, as the file would have it; empty where nobody can tell."""
    if wanted == "a list" and not isinstance(value, dict):
        return _shown([value])
    if wanted == "a text in quotes" and isinstance(value, int | float):
        return _shown(str(value))
    if wanted in ("a number", "a whole number") and key.endswith("_seconds") and isinstance(value, str):
        try:
            return f"{parse_duration(value).total_seconds():g}"
        except UsageError:
            return ""
    return ""


def _key_meant(error: ErrorDetails, table: type[Table]) -> str:
    """Return the nearest right key; the keys that there are, where none is near."""
    name, keys = str(error["loc"][-1]), _keys(error["loc"][:-1], table)
    suggestion = nearest(name, keys) or _elsewhere(name, table)
    return f"Did you mean {suggestion!r}?" if suggestion else f"There is: {', '.join(keys)}."


def _elsewhere(name: str, table: type[Table]) -> str:
    """Return where a key stands that was written outside its table, as ``[gateway] tls``; empty where none has it."""
    tables = {key: field.annotation for key, field in table.model_fields.items()}
    found = [key for key, kind in tables.items() if name in getattr(kind, "model_fields", ())]
    return f"[{found[0]}] {name}" if found else ""


def _keys(location: tuple[int | str, ...], table: Any) -> list[str]:
    for part in location:
        # Below a dictionary of tables, as "models" is, stands a name that is nobody's field.
        named = get_args(table)
        table = named[1] if named else table.model_fields[str(part)].annotation
    return list(table.model_fields)
