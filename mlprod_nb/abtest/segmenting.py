"""Into which segments the predictions of a test fall: by values of inputs, which no variant can have made.

What a column's segments are is fixed by the first predictions of the test, both variants together. They tell nothing of
how the variants differ, so the number of segments, and with it each one's part of alpha, is fixed before it is used.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from mlprod_nb.abtest import expression
from mlprod_nb.abtest.expression import COLUMNS, Columns
from mlprod_nb.abtest.outcome import literal
from mlprod_nb.abtest.rows import SEGMENT
from mlprod_nb.errors import NotFound, UsageError

if TYPE_CHECKING:
    import pyarrow as pa

#: So many first predictions say what the segments are.
FIRST_ROWS = 1_000
#: A number of more values than :data:`MOST_VALUES` is divided at the quantiles of so many equal parts.
PARTS = 4
#: Segments of one column at most; the rarest values together are the last.
MOST_VALUES = 8
#: A value of its own has at least this share of the first predictions.
LEAST_SHARE = 0.02
#: What a variant makes, or what comes after it, besides the columns of an expression.
_AFTERWARDS = frozenset({*COLUMNS, "label", "variant", "version", "model", "reward"})
_TYPES = {"double": "DOUBLE", "long": "BIGINT", "boolean": "BOOLEAN", "string": "VARCHAR"}
#: Words, condition, and how many of the first predictions.
_Cell = tuple[str, str, int]


@dataclass(frozen=True)
class Segment:
    """Some of a test's predictions.

    Attributes:
        by: The input, or the expression, as the design has it.
        words: Which values, as ``AA`` or ``500 to 1000``.
        condition: The same in SQL.
        part: Its share of the first predictions.
    """

    by: str
    words: str
    condition: str
    part: float


def texts(value: Any) -> tuple[str, ...]:
    """Read a design's ``segments``: a list, or a text whose parts are divided by commas.

    Raises:
        UsageError: It is neither.
    """
    found = _parts(value) if isinstance(value, str) else value
    if not isinstance(found, list) or not all(isinstance(text, str) and text.strip() for text in found):
        raise UsageError(
            f"segments is {value!r}; it is a list of inputs, or of expressions over inputs.",
            hint="As in: segments: [carrier, hour < 12]",
        )
    return tuple(text.strip() for text in found)


def check(segments: Sequence[str]) -> None:
    """Refuse a segment that is named twice.

    Raises:
        UsageError: One is.
    """
    for text in segments:
        if segments.count(text) > 1:
            raise UsageError(f"segment {text!r} is named twice.", hint="Keep one.")


def inputs(segments: Sequence[str], kinds: Mapping[str, str]) -> list[str]:
    """Return the inputs that segments are made of.

    Args:
        segments: As the design has them.
        kinds: The endpoint's inputs, with the type of each in the model's signature.

    Raises:
        UsageError: A segment is made of what a variant does, which comparing within it would hide.
        NotFound: There is no such input.
    """
    types = {name: _TYPES.get(kind, "VARCHAR") for name, kind in kinds.items()}
    found: dict[str, None] = {}
    for text in segments:
        sql_of(text, types)
        found.update(dict.fromkeys([text] if text in kinds else sorted(expression.names(text) & set(kinds))))
    return list(found)


def sql_of(text: str, types: Mapping[str, str]) -> str:
    """Return a segment's value as SQL over a scan's columns; null where a row makes an expression fail.

    Raises:
        UsageError: It is made of what a variant does, or is no expression.
        NotFound: It names no input.
    """
    columns = Columns(types, SEGMENT)
    if text in types:
        return columns.sql(text)
    late = sorted((expression.names(text) & _AFTERWARDS) - set(types))
    if late:
        raise UsageError(
            f"segment {text!r} is made of {late[0]}, which depends on the variant, so it would hide its effect.",
            hint=f"Take what is known before a variant is chosen: {', '.join(types)}.",
        )
    if expression.names(text) == {text}:
        raise NotFound("input to take as a segment", text, types)
    return f"TRY({expression.checked(f'segment {text!r}', text, columns)})"


def divide(by: str, sql: str, first: pa.ChunkedArray) -> list[Segment]:
    """Divide by one input or expression.

    Args:
        by: As the design has it.
        sql: Its value, as SQL.
        first: Its values in the first predictions.

    Returns:
        No two of which share a prediction; a value that did not occur in the first predictions may belong to none.
    """
    import pyarrow as pa

    known = [value for value in first.to_pylist() if value is not None and value == value]
    if pa.types.is_integer(first.type) or pa.types.is_floating(first.type) or pa.types.is_decimal(first.type):
        number = f"({sql})::DOUBLE"
        missing = f"({number} IS NULL OR isnan({number}))"
        cells = _numbers(number, [float(value) for value in known])
    else:
        missing = f"({sql}) IS NULL"
        cells = _texts(f"({sql})::VARCHAR", Counter(_text(value) for value in known))
    found = [
        Segment(by, words, f"{condition} AND NOT {missing}", count / len(first)) for words, condition, count in cells
    ]
    if len(known) < len(first):
        found.append(Segment(by, "missing", missing, 1 - len(known) / len(first)))
    return found


def _numbers(number: str, known: Sequence[float]) -> list[_Cell]:
    counted = Counter(known)
    if len(counted) <= MOST_VALUES:
        return [(f"{value:g}", f"{number} = {value!r}", count) for value, count in sorted(counted.items())]
    ordered = sorted(known)
    # Edges are values that occur, so that what is shown is what was divided.
    at = sorted({ordered[-(-len(ordered) * k // PARTS) - 1] for k in range(1, PARTS)} - {ordered[-1]})
    cells = []
    for low, high in pairwise([-math.inf, *at, math.inf]):
        below, above = high < math.inf, low > -math.inf
        words = [f"above {low:g}"] * above + [f"up to {high:g}"] * below
        conditions = [f"{number} > {low!r}"] * above + [f"{number} <= {high!r}"] * below
        count = sum(low < value <= high for value in known)
        cells.append((", ".join(words) or "any number", " AND ".join(conditions) or "true", count))
    return cells


def _texts(text: str, counted: Counter[str]) -> list[_Cell]:
    """Return a segment for each value that is frequent, and one for the rest of those that occurred, if any did."""
    ordered = sorted(counted.items(), key=lambda entry: (-entry[1], entry[0]))
    rows = sum(counted.values())
    often = [entry for entry in ordered if entry[1] >= LEAST_SHARE * rows]
    if len(often) < len(ordered) or len(ordered) > MOST_VALUES:
        often = often[: MOST_VALUES - 1]
    cells = [(value or "empty", f"{text} = {literal(value)}", count) for value, count in often]
    rest = rows - sum(count for _, count in often)
    if rest:
        named = ", ".join(literal(value) for value, _ in often)
        cells.append(("other values", f"{text} NOT IN ({named})" if often else "true", rest))
    return cells


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _parts(text: str) -> list[str]:
    """Divide a text at its commas, but for those in brackets and in quotes."""
    parts, depth, quoted = [""], 0, False
    for letter in text:
        quoted ^= letter == "'"
        depth += 0 if quoted else (letter == "(") - (letter == ")")
        if letter == "," and not depth and not quoted:
            parts.append("")
        else:
            parts[-1] += letter
    return parts
