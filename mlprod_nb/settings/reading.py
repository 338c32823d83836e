"""Reading a table of the settings: each value is held to what its key may hold, and the first wrong one is told."""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any, Literal, TypeVar, get_args, get_origin

from mlprod_nb.settings import faults
from mlprod_nb.settings.base import Rule, Secret, Table, keys_of
from mlprod_nb.settings.faults import Location, WrongSetting

T = TypeVar("T", bound=Table)

_BOUNDS: dict[str, Callable[[float, float], bool]] = {
    "gt": operator.gt,
    "ge": operator.ge,
    "lt": operator.lt,
    "le": operator.le,
}
#: How a file and a variable, which is always a text, say true and false.
_WORDS = {
    **dict.fromkeys(("1", "true", "t", "yes", "y", "on"), True),
    **dict.fromkeys(("0", "false", "f", "no", "n", "off"), False),
}


def read(table: type[T], data: Any, location: Location = (), root: type[Table] | None = None) -> T:
    """Return a table with the values that are given, and the defaults of all others.

    Args:
        table: The table.
        data: What the file has there. A text will do for a number and for true or false: a variable has nothing else.
        location: Where that is: the tables' names.
        root: The whole file's table; by default this one.

    Raises:
        WrongSetting: A key or a value is none of those that may be.
    """
    if not isinstance(data, dict):
        raise faults.wrong_kind(location, data, "a table")
    root, known = root or table, keys_of(table)
    found = {
        name: _value(key.kind, key.rule, data[name], (*location, name), root)
        for name, key in known.items()
        if name in data
    }
    strangers = {name: value for name, value in data.items() if name not in known}
    if table.others:
        found[table.others] = strangers
    elif strangers:
        raise faults.unknown_key((*location, next(iter(strangers))), table, root)
    made = table(**found)
    _agree(made.check, location)
    return made


def _value(kind: Any, rule: Rule, value: Any, location: Location, root: type[Table]) -> Any:
    """Return a key's value as what it must be."""
    if isinstance(kind, type) and issubclass(kind, Table):
        return read(kind, value, location, root)
    if rule.split and isinstance(value, str):
        value = value.split()
    made = _of_kind(kind, rule, value, location, root)
    if rule.check is not None:
        check = rule.check
        _agree(lambda: check(made), location)
    return made


def _of_kind(kind: Any, rule: Rule, value: Any, location: Location, root: type[Table]) -> Any:
    origin, inner = get_origin(kind), get_args(kind)
    if origin is Literal:
        if value not in inner:
            raise faults.wrong_word(location, value, inner)
        return value
    below = Rule(bounds=rule.bounds)
    if origin is tuple:
        if not isinstance(value, list | tuple):
            raise faults.wrong_kind(location, value, "a list")
        return tuple(_value(inner[0], below, of, (*location, str(place)), root) for place, of in enumerate(value))
    if origin is dict:
        if not isinstance(value, dict):
            raise faults.wrong_kind(location, value, "a table")
        return {name: _value(inner[1], below, of, (*location, name), root) for name, of in value.items()}
    return _SCALARS[kind](rule, value, location)


def _agree(check: Callable[[], None], location: Location) -> None:
    """Tell what a check says as what is wrong there."""
    try:
        check()
    except ValueError as error:
        text = str(error)
        raise WrongSetting(location, text if text.endswith((".", "?")) else f"{text}.") from None


def _text(_rule: Rule, value: Any, location: Location) -> str:
    if not isinstance(value, str):
        raise faults.wrong_kind(location, value, "a text in quotes")
    return value


def _secret(rule: Rule, value: Any, location: Location) -> Secret:
    return Secret(_text(rule, value, location))


def _truth(_rule: Rule, value: Any, location: Location) -> bool:
    said = _WORDS.get(str(value).lower())
    if said is None:
        raise faults.wrong_kind(location, value, "true or false")
    return said


def _whole(rule: Rule, value: Any, location: Location) -> int:
    try:
        number = int(value) if isinstance(value, str) else value
    except ValueError:
        number = None
    if isinstance(number, float) and number.is_integer():
        number = int(number)
    if not isinstance(number, int) or isinstance(number, bool):
        raise faults.wrong_kind(location, value, "a whole number")
    return int(_bounded(rule, number, value, location))


def _number(rule: Rule, value: Any, location: Location) -> float:
    try:
        number = float(value) if isinstance(value, str) else value
    except ValueError:
        number = None
    if not isinstance(number, int | float) or isinstance(number, bool):
        raise faults.wrong_kind(location, value, "a number")
    return float(_bounded(rule, number, value, location))


def _bounded(rule: Rule, number: float, value: Any, location: Location) -> float:
    for bound, limit in rule.bounds.items():
        if not _BOUNDS[bound](number, limit):
            raise faults.out_of_bounds(location, value, bound, limit)
    return number


_SCALARS: dict[Any, Callable[[Rule, Any, Location], Any]] = {
    str: _text,
    Secret: _secret,
    bool: _truth,
    int: _whole,
    float: _number,
}
