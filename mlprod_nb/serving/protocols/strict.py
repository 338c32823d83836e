"""JSON as RFC 8259 has it and I-JSON (RFC 7493) narrows it: what two readers could read differently is refused.

orjson refuses NaN, Infinity, numbers beyond a double, lone surrogates, bytes that are not UTF-8, a byte order mark and
whatever stands after the value. Three things it lets pass: of a member that is named twice it keeps the last, a whole
number beyond 64 bits it rounds, and it goes 1,024 deep. Those are looked for here, at a glance: names are counted in
the text and in the value, and digits in a row. Only where that cannot tell is the text read again, member by member.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import orjson

from mlprod_nb.serving.errors import MalformedRequest

DEPTH = 32
"""How deep arrays and objects may stand in each other."""
LARGEST, SMALLEST = 2**64 - 1, -(2**63)
"""The whole numbers that are read as they are written."""

_LONGEST_EXPLAINED = 2**16  # to read text again costs time, and one that is no JSON is refused in any case
_NESTED = frozenset((dict, list))
_NAME_END = re.compile(rb'"[ \t\r\n]*:')
_SAME_DIGITS = bytes.maketrans(b"123456789", b"000000000")
_LONG_RUN = b"0" * len(str(-SMALLEST))
_RUN = re.compile(b"0+")


def loads(body: bytes | bytearray) -> Any:
    """Read a JSON text.

    Guarantee: no member of the value was named twice, no whole number of it was rounded, and it is not deeper than
    ``DEPTH``.

    Raises:
        MalformedRequest: The text is not JSON, or not of the strict kind.
    """
    try:
        value = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        if "depth" in error.msg:
            raise _too_deep() from None
        if len(body) <= _LONGEST_EXPLAINED:
            _read_again(body, texts=True)
        raise MalformedRequest(
            f"the body is not JSON in line {error.lineno}, column {error.colno}.",
            hint="It must be UTF-8 without a byte order mark, have finite numbers and nothing after the value.",
        ) from None
    if not plain(body, _count_names(value)):
        _read_again(body)
    return value


def read_object(body: bytes | bytearray) -> dict[str, Any]:
    """Read a JSON text that must be an object.

    Raises:
        MalformedRequest: It is not.
    """
    data = loads(body)
    if not isinstance(data, dict):
        raise MalformedRequest("the body must be a JSON object.")
    return data


def plain(body: bytes | bytearray, names: int) -> bool:
    """Return whether a glance at a JSON text shows that its value is what the text says.

    Each name ends with a quote and a colon of its own. So a text with no more of them than its value has names cannot
    have had another name, which a later one of the same object replaced. ``False`` says that the text must be read
    again: a text value may hold a quote and a colon, too.

    Args:
        body: The text, which orjson has read.
        names: How many names the objects of its value have together.
    """
    tallies = body.count(b":") == names or len(_NAME_END.findall(body)) == names
    return tallies and not _has_long_number(body)


def _has_long_number(body: bytes | bytearray) -> bool:
    """Return whether so many digits stand in a row, not behind a point, that they may be a number beyond 64 bits."""
    digits = body.translate(_SAME_DIGITS)
    at = digits.find(_LONG_RUN)
    while at >= 0:
        if digits[at - 1 : at] != b".":
            return True
        run = _RUN.match(digits, at)
        at = digits.find(_LONG_RUN, run.end() if run else at)
    return False


def _count_names(value: Any) -> int:
    """Return how many names the objects of a value have together, level by level: nothing here recurses."""
    names = depth = 0
    level = [value] if type(value) in _NESTED else []
    while level:
        depth += 1
        if depth > DEPTH:
            raise _too_deep()
        below: list[Any] = []
        for item in level:
            names += len(item) if type(item) is dict else 0
            values = item.values() if type(item) is dict else item
            if not _NESTED.isdisjoint(map(type, values)):
                below.extend(inner for inner in values if type(inner) in _NESTED)
        level = below
    return names


@dataclass(frozen=True)
class _Fault:
    """What stands in the place of a value that is refused."""

    what: str


_WITHOUT_TEXTS: frozenset[type] = _NESTED | {_Fault}
_WITH_TEXTS: frozenset[type] = _WITHOUT_TEXTS | {str}


def _too_deep() -> MalformedRequest:
    return MalformedRequest(f"the body is nested deeper than {DEPTH} levels.")


def _read_again(body: bytes | bytearray, *, texts: bool = False) -> None:
    """Read a text with an eye on every name and number, and raise for the first that is refused, naming its place.

    Args:
        body: The text.
        texts: Whether to look for lone surrogates too.
    """
    try:
        value = json.loads(
            body.decode(), object_pairs_hook=_object, parse_int=_whole, parse_float=_number, parse_constant=_constant
        )
        found = next(_faults(value, "", _WITH_TEXTS if texts else _WITHOUT_TEXTS), None)
    except (ValueError, RecursionError):
        return  # orjson says what is wrong
    if found:
        pointer, fault = found
        raise MalformedRequest(f"{pointer or 'the body'} {fault}.", pointer=pointer)


def _faults(value: Any, pointer: str, worth: frozenset[type]) -> Iterator[tuple[str, str]]:
    """Yield the place (a JSON Pointer, RFC 6901) and the words of every fault; look at values of the types worth it."""
    if isinstance(value, _Fault):
        yield pointer, value.what
    elif isinstance(value, str):
        if not _is_unicode(value):
            yield pointer, "has a lone surrogate"
    elif isinstance(value, (list, dict)):
        for name, inner in value.items() if isinstance(value, dict) else enumerate(value):
            if str in worth and isinstance(name, str) and not _is_unicode(name):
                yield pointer, "has a name with a lone surrogate"
            elif type(inner) in worth:
                yield from _faults(inner, f"{pointer}/{_escape(name)}", worth)


def _escape(name: str | int) -> str:
    return str(name).replace("~", "~0").replace("/", "~1")


def _is_unicode(text: str) -> bool:
    return text.isascii() or not any("\ud800" <= character <= "\udfff" for character in text)


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in pairs:
        found[name] = _Fault("is named twice") if name in found else value
    return found


def _whole(text: str) -> Any:
    if len(text) >= len(_LONG_RUN) and (len(text) > len(str(LARGEST)) or not SMALLEST <= int(text) <= LARGEST):
        return _Fault("is a whole number beyond 64 bits")
    return 0


def _number(text: str) -> Any:
    return 0.0 if math.isfinite(float(text)) else _Fault("is a number beyond the range of a double")


def _constant(text: str) -> Any:
    return _Fault(f"is {text}, which JSON does not have")
